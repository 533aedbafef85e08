//! Changing the number of pods.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::objects::Apply;
use crate::error::{Exit, Failure};
use crate::image::{ImageReference, Profile};
use crate::manifest::{Object, ObjectId};
use crate::plan;
use crate::procedure::{configure, role};
use crate::set::{SetIdentity, objects};
use crate::settings::{Source, resolve, synchronous};
use crate::values::Replicas;

/// Applies the StatefulSet as pgset applied it before, with another number of pods.
///
/// What pgset applied is read from the object itself, so that neither the settings nor the templates
/// of that time are needed. `force` takes over `spec.replicas` alone: every other field is already
/// ours, with the value that it has. The UID is a precondition: a set that was deleted meanwhile is
/// not made again.
pub(crate) async fn set_replicas(
    cluster: &Cluster,
    live: &Value,
    id: &ObjectId,
    replicas: u32,
) -> anyhow::Result<Value> {
    let mut value = plan::extract(live, crate::manifest::object::MANAGER).unwrap_or_else(|| {
        json!({
            "apiVersion": id.kind.api_version(),
            "kind": id.kind.name(),
            "metadata": { "name": id.name, "namespace": id.namespace },
        })
    });
    value["spec"]["replicas"] = json!(replicas);
    value["metadata"]["uid"] = live["metadata"]["uid"].clone();
    let object = Object { id: id.clone(), value, template: "the live object".to_owned() };
    cluster.apply(&object, Apply { dry_run: false, force: true }).await.context("scaling")
}

/// What the image can carry is read from the live pods' template: the settings may have changed.
pub(crate) fn check_image(live: &Value, wanted: Replicas) -> anyhow::Result<()> {
    let image = live["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
    let Some(image) = image.and_then(|i| i.parse::<ImageReference>().ok()) else { return Ok(()) };
    let by_name = Profile::name_for(&image);
    let crunchy = role::profile(live).unwrap_or(by_name) == Profile::CRUNCHY;
    let limit = Profile::of(&image, crunchy).ok().map(|profile| profile.limit());
    resolve::replicas(&wanted.to_string(), Source::Flag("--replicas"), limit)?;
    Ok(())
}

/// Refuses fewer pods than commits wait for. Sets whose image configures itself know nothing of it.
pub(crate) async fn check_synchronous(
    cluster: &Cluster,
    set: &SetIdentity,
    live: &Value,
    wanted: Replicas,
) -> anyhow::Result<()> {
    let volumes = live["spec"]["template"]["spec"]["volumes"].as_array().into_iter().flatten();
    let mut names = volumes.filter_map(|volume| volume["configMap"]["name"].as_str());
    if !names.any(|name| name == set.config()) {
        return Ok(());
    }
    let config = cluster.get(&objects::config(set)).await?.unwrap_or_default();
    let number = configure::postgresql_conf(&config).map_or(0, synchronous::of_set);
    if synchronous::check(number, wanted.get()).is_err() {
        let hint = format!("{} --synchronous 0  # no commit waits", set.command("up"));
        return Err(too_few(number, wanted.get(), Some(hint)).into());
    }
    Ok(())
}

/// The refusal of fewer pods than commits wait for.
pub(crate) fn too_few(synchronous: u32, pods: u32, hint: Option<String>) -> Failure {
    let words = format!(
        "a commit waits for {synchronous} replica{} (--synchronous): none would ever end in a set of {pods}, the master included",
        if synchronous == 1 { "" } else { "s" }
    );
    let failure = Failure::new(Exit::Refused, words);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_carries_what_its_senders_allow() {
        let live = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"image": image}]}}}});
        let crunchy = live("crunchydata/crunchy-postgres:centos7-9.5-1.2.6");
        assert!(check_image(&crunchy, "6".parse().unwrap()).is_ok());
        assert!(check_image(&crunchy, "20".parse().unwrap()).is_err());
        assert!(check_image(&live("registry.example/unknown"), "31".parse().unwrap()).is_ok());
        assert!(check_image(&live("postgres:17"), "32".parse().unwrap()).is_err());
        assert_eq!(objects::replicas(&json!({"spec": {}})), 1);
    }
}
