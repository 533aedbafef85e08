//! Another user ID than that of the data: PostgreSQL starts only as the user who owns its files.

use serde_json::Value;

use crate::cluster::Cluster;
use crate::error::{Exit, Failure};
use crate::image::{ImageReference, Profile};
use crate::procedure::{recipe, topology};
use crate::set::{SetIdentity, objects};
use crate::settings::Sourced;
use crate::settings::readback::ANNOTATION_USER;

/// Refuses an image or a `--user-id` that would run as another user than the one who owns the data.
///
/// # Errors
/// When the set has data of another user.
pub(crate) async fn check(
    cluster: &Cluster,
    set: &SetIdentity,
    known: &recipe::Known,
    wanted: &(Sourced<ImageReference>, Profile),
) -> anyhow::Result<()> {
    let (image, profile) = wanted;
    let (statefulset, secret) =
        (known.object(&objects::statefulset(set)), known.object(&objects::passwords(set)));
    let Some(owner) = other(statefulset, secret, profile.user_id()) else { return Ok(()) };
    if !profile.capabilities().has_topology {
        return Ok(());
    }
    // A user that the image does not have has left no data: the next one may be any.
    let topology = topology::read(cluster, set).await;
    if topology.is_ok_and(|topology| topology.system_identifier.is_none()) {
        return Ok(());
    }
    Err(refusal(set, &image.value, owner, profile.user_id()).into())
}

/// The user who owns the data, if it is not the wanted one. `None` if no object tells the owner.
fn other(statefulset: Option<&Value>, secret: Option<&Value>, wanted: u32) -> Option<u64> {
    let recorded = secret
        .and_then(|secret| secret["metadata"]["annotations"][ANNOTATION_USER].as_str())
        .and_then(|user| user.parse().ok());
    // A template of the user's own may set another one than pgset recorded.
    let live = statefulset.and_then(|statefulset| {
        statefulset["spec"]["template"]["spec"]["securityContext"]["runAsUser"].as_u64()
    });
    let owners = || live.into_iter().chain(recorded);
    owners().next().filter(|_| owners().all(|owner| owner != u64::from(wanted)))
}

fn refusal(set: &SetIdentity, image: &ImageReference, owner: u64, wanted: u32) -> Failure {
    let words = format!(
        "the files of the data of {} belong to user ID {owner}, and {image} would run as user ID {wanted}, which can't use them; nothing was changed",
        set.name
    );
    let namespace = &set.namespace;
    Failure::new(Exit::Refused, words)
        .hint(format!("use an image in which PostgreSQL has user ID {owner}: {}", variant(owner)))
        .hint(format!(
            "to move the data: create another set (pgset up -n {namespace} --name NAME --image {image} --user-id {wanted}), dump this one and load the dump there"
        ))
}

/// Which images have a user ID.
fn variant(owner: u64) -> &'static str {
    use crate::image::official::{ALPINE_USER, DEBIAN_USER};
    if owner == u64::from(ALPINE_USER) {
        "one based on Alpine; if its tag does not contain alpine, add --user-id 70"
    } else if owner == u64::from(DEBIAN_USER) {
        "one based on Debian, such as postgres:17"
    } else {
        "with --user-id"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn another_user_than_the_owner_is_noticed() {
        let set = |user: u64| json!({"spec": {"template": {"spec": {"securityContext": {"runAsUser": user}}}}});
        let secret = |user: &str| json!({"metadata": {"annotations": {ANNOTATION_USER: user}}});
        assert_eq!(other(Some(&set(999)), Some(&secret("999")), 70), Some(999));
        assert_eq!(other(Some(&set(999)), Some(&secret("999")), 999), None);
        // After `down` the Secret is left.
        assert_eq!(other(None, Some(&secret("999")), 70), Some(999));
        // A template of the user's own.
        assert_eq!(other(Some(&set(1001)), Some(&secret("999")), 999), None);
        assert_eq!(other(Some(&json!({})), None, 70), None);
        assert_eq!(other(None, None, 70), None);
    }

    #[test]
    fn the_refusal_says_which_images_fit() {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let failure = refusal(&set, &"postgres:17-alpine".parse().unwrap(), 999, 70);
        assert_eq!(failure.exit, Exit::Refused);
        assert!(failure.message.contains("belong to user ID 999, and postgres:17-alpine"));
        assert!(failure.hints[0].contains("Debian"), "{:?}", failure.hints);
    }
}
