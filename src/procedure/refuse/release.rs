//! Another major version of PostgreSQL, or an image that is run in another way: no server of it would start on
//! the data of the set.
//!
//! The tags of the images are compared first. Only if they differ, or don't say a version, a server of the set is
//! asked.

use k8s_openapi::api::core::v1::Pod;

use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::image::{Capabilities, ImageReference, Profile, ProfileName};
use crate::procedure::{pods, recipe, sql, topology};
use crate::readiness::is_ready;
use crate::set::{SetIdentity, objects};
use crate::settings::{Recipe, Source, Sourced};

/// How many servers are asked for their version.
const ASKED: usize = 3;

/// What an image runs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Release {
    image: String,
    profile: ProfileName,
    /// PostgreSQL's major version, if the tag says it.
    major: Option<String>,
}

impl Release {
    fn of(image: &ImageReference, profile: &Profile) -> Self {
        let (name, major) = (profile.name(), profile.postgres_major());
        Self { image: image.to_string(), profile: name, major }
    }

    /// Reads an image of a set that exists. `None` if it can't be read.
    fn read(image: &str, profile: impl FnOnce(&ImageReference) -> ProfileName) -> Option<Self> {
        let image: ImageReference = image.parse().ok()?;
        let name = profile(&image);
        let major = Profile::of(&image, name).ok().and_then(|profile| profile.postgres_major());
        Some(Self { image: image.to_string(), profile: name, major })
    }
}

/// What the set has, as far as its objects tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kept {
    /// The image in the pod template of the StatefulSet, if there is one.
    live: Option<Release>,
    /// The image in the recipe.
    recorded: Option<Release>,
}

/// The decision about an image.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// It is used.
    Use,
    /// It is used, although it is not known whether it can start on the data.
    Unknown,
    /// A server must be asked for the version of the data first.
    Ask,
    /// It is run in another way than this one.
    OtherProfile(Release),
    /// The data is of this major version.
    OtherMajor(String),
}

impl Kept {
    /// The decision by the images alone.
    fn decide(&self, wanted: &Release) -> Decision {
        let of_set: Vec<&Release> = self.live.iter().chain(&self.recorded).collect();
        let Some(first) = of_set.first() else { return Decision::Use };
        if first.profile != wanted.profile {
            return Decision::OtherProfile((*first).clone());
        }
        if of_set.iter().all(|release| release.image == wanted.image) {
            return Decision::Use;
        }
        let known = wanted.major.is_some();
        if known && of_set.iter().all(|release| release.major == wanted.major) {
            return Decision::Use;
        }
        if self.live.is_some() { Decision::Ask } else { self.decide_without_server(wanted) }
    }

    /// The decision when no server tells the version of the data. The recipe is right more often than the pod
    /// template, which other clients change.
    fn decide_without_server(&self, wanted: &Release) -> Decision {
        let mut of_set = [&self.recorded, &self.live].into_iter().flatten();
        match of_set.find_map(|release| release.major.as_ref()) {
            Some(major) => decide_by_data(wanted, major),
            None => Decision::Unknown,
        }
    }
}

/// The decision by the version of the data.
fn decide_by_data(wanted: &Release, data: &str) -> Decision {
    match wanted.major.as_deref() {
        None => Decision::Unknown,
        Some(major) if major == data => Decision::Use,
        Some(_) => Decision::OtherMajor(data.to_owned()),
    }
}

/// Refuses an image that can't run on the data of the set. Warns if that is not known.
///
/// # Errors
/// When the image is of another major version or of another profile than the data.
pub(crate) async fn check(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    known: &recipe::Known,
    recorded: &Recipe,
    wanted: &(Sourced<ImageReference>, Profile),
) -> anyhow::Result<()> {
    let (image, profile) = wanted;
    let release = Release::of(&image.value, profile);
    let kept = kept(set, known, recorded);
    let (decision, data) = match kept.decide(&release) {
        Decision::Ask => {
            let data = data_version(cluster, set).await;
            let decision = match &data {
                Some(data) => decide_by_data(&release, data),
                None => kept.decide_without_server(&release),
            };
            (decision, data)
        }
        decision => (decision, None),
    };
    let decision = match decision {
        // An image that never ran has left no data: the next one may have any version.
        Decision::OtherMajor(_) if data.is_none() && !has_data(cluster, set, &kept).await => {
            Decision::Unknown
        }
        decision => decision,
    };
    let keep = kept.recorded.as_ref().or(kept.live.as_ref()).map(|release| release.image.as_str());
    let failure = match decision {
        Decision::Use | Decision::Ask => return Ok(()),
        Decision::Unknown => {
            context.warn(unknown(&release, data.as_deref()));
            return Ok(());
        }
        Decision::OtherMajor(data) => other_major(set, &release, &data),
        Decision::OtherProfile(of_set) => other_profile(set, &release, &of_set),
    };
    let back = keep.map(|keep| keeps(&image.source, keep));
    let failure = back.into_iter().fold(failure, Failure::hint);
    Err(failure.hint(moving(set, &release)).into())
}

fn kept(set: &SetIdentity, known: &recipe::Known, recorded: &Recipe) -> Kept {
    let statefulset = known.objects.get(&objects::statefulset(set)).and_then(Option::as_ref);
    let live = statefulset.and_then(|statefulset| {
        let containers = &statefulset["spec"]["template"]["spec"]["containers"];
        let image = sql::container(containers)?["image"].as_str()?;
        let profile = ProfileName::of_set(objects::profile(statefulset));
        Release::read(image, |_| profile)
    });
    let profile = recorded.value("profile").and_then(ProfileName::named);
    let recorded = recorded.value("image").and_then(|image| {
        Release::read(image, |image| profile.unwrap_or_else(|| Profile::name_for(image)))
    });
    Kept { live, recorded }
}

/// The major version of the data: from a server that answers, or from a pod that does not start on the data.
async fn data_version(cluster: &Cluster, set: &SetIdentity) -> Option<String> {
    // Without an answer, the images decide.
    let mut found = pods::running(cluster, set).await.ok()?;
    found.sort_by_key(|pod| !is_ready(pod));
    let namespace = set.namespace.as_str();
    for pod in found.iter().filter(|pod| runs(pod)).take(ASKED) {
        if let Ok(server) = sql::observe(cluster, namespace, pods::name(pod)).await {
            return Some(major(server.version_num));
        }
    }
    found.iter().find_map(complaint)
}

/// Whether the set was up once, as far as its objects tell.
async fn has_data(cluster: &Cluster, set: &SetIdentity, kept: &Kept) -> bool {
    let of_set = kept.live.as_ref().or(kept.recorded.as_ref());
    let profile = of_set.map(|release| release.profile.as_str());
    if Capabilities::of_profile(profile).has_topology {
        let topology = topology::read(cluster, set).await;
        return topology.is_ok_and(|topology| topology.system_identifier.is_some());
    }
    // Only a set that `down` has taken down is without a StatefulSet.
    kept.live.is_none()
}

fn runs(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

/// `170002` is `17`, `90624` is `9.6`.
fn major(version_num: u32) -> String {
    match version_num / 10_000 {
        old @ ..10 => format!("{old}.{}", version_num / 100 % 100),
        major => major.to_string(),
    }
}

/// The version of the data according to a pod's container that did not start on it.
fn complaint(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let ends = all.flat_map(|container| [&container.state, &container.last_state]);
    let mut messages =
        ends.filter_map(|state| state.as_ref()?.terminated.as_ref()?.message.as_ref());
    messages.find_map(|message| created_by(message))
}

/// `17` from the message of the pods' script: `was created by PostgreSQL 17 and the image is PostgreSQL 18`.
fn created_by(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("was created by PostgreSQL ")?;
    let (major, _) = rest.split_once(" and the image is")?;
    major.bytes().all(|b| b.is_ascii_digit() || b == b'.').then(|| major.to_owned())
}

fn unknown(wanted: &Release, data: Option<&str>) -> String {
    let image = &wanted.image;
    match (&wanted.major, data) {
        (Some(major), _) => format!(
            "the version of PostgreSQL that wrote the data is not known: if it is not {major}, no server of {image} starts on it"
        ),
        (None, Some(data)) => format!(
            "the tag of {image} has no version of PostgreSQL: the data is of {data}, and no server of another major version starts on it"
        ),
        (None, None) => format!(
            "the tag of {image} has no version of PostgreSQL: no server of another major version than before starts on the data"
        ),
    }
}

fn other_major(set: &SetIdentity, wanted: &Release, data: &str) -> Failure {
    let major = wanted.major.as_deref().unwrap_or_default();
    let words = format!(
        "the data of {} is of PostgreSQL {data}, and {} is PostgreSQL {major}, which does not start on it; nothing was changed",
        set.name, wanted.image
    );
    Failure::new(Exit::Refused, words)
}

fn other_profile(set: &SetIdentity, wanted: &Release, of_set: &Release) -> Failure {
    let words = format!(
        "the data of {} belongs to {} (profile {}), and {} has the profile {}, which can't use it; nothing was changed",
        set.name, of_set.image, of_set.profile, wanted.image, wanted.profile
    );
    Failure::new(Exit::Refused, words)
}

/// How to keep the image.
fn keeps(source: &Source, image: &str) -> String {
    if source.is_given() {
        format!("without {source} the set keeps {image}")
    } else {
        format!("the set has {image}: --image {image} keeps it")
    }
}

/// How to get to another version: into another set.
fn moving(set: &SetIdentity, wanted: &Release) -> String {
    let (namespace, image) = (&set.namespace, &wanted.image);
    format!(
        "to move the data to {image}: create another set (pgset up -n {namespace} --name NAME --image {image}), dump this one and load the dump there"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(image: &str) -> Release {
        let image: ImageReference = image.parse().unwrap();
        let profile = Profile::of(&image, Profile::name_for(&image)).unwrap();
        Release::of(&image, &profile)
    }

    fn kept(live: &str, recorded: &str) -> Kept {
        let one = |image: &str| if image.is_empty() { None } else { Some(release(image)) };
        Kept { live: one(live), recorded: one(recorded) }
    }

    #[test]
    fn tags_decide_where_they_can() {
        const CRUNCHY: &str = "crunchydata/crunchy-postgres:centos7-9.5-1.2.6";
        for (live, recorded, wanted, decision) in [
            // A new set.
            ("", "", "postgres:18", Decision::Use),
            // Nothing changes, or only the minor version or the registry.
            ("postgres:17", "postgres:17", "postgres:17", Decision::Use),
            ("postgres:latest", "postgres:latest", "postgres:latest", Decision::Use),
            ("postgres:17", "postgres:17", "registry.example/postgres:17.6", Decision::Use),
            ("postgres:17", "postgres:17", "pgvector/pgvector:pg17", Decision::Use),
            // A server knows.
            ("postgres:17", "postgres:17", "postgres:18", Decision::Ask),
            ("postgres:17", "postgres:17", "postgres:16", Decision::Ask),
            ("postgres:17", "postgres:17", "postgres:latest", Decision::Ask),
            ("registry.example/db:5", "registry.example/db:5", "postgres:17", Decision::Ask),
            // Somebody has changed the template: the recipe may still be right, or not.
            ("postgres:18", "postgres:17", "postgres:17", Decision::Ask),
            ("postgres:18", "postgres:17", "postgres:18", Decision::Ask),
            // After `down` the recipe knows.
            ("", "postgres:17", "postgres:17.2", Decision::Use),
            ("", "postgres:17", "postgres:18", Decision::OtherMajor("17".to_owned())),
            ("", "postgres:17", "postgres:16", Decision::OtherMajor("17".to_owned())),
            ("", "postgres:17", "registry.example/db:5", Decision::Unknown),
            ("", "registry.example/db:5", "postgres:17", Decision::Unknown),
            // Another profile.
            ("postgres:17", "", CRUNCHY, Decision::OtherProfile(release("postgres:17"))),
            ("", CRUNCHY, "postgres:17", Decision::OtherProfile(release(CRUNCHY))),
            (CRUNCHY, CRUNCHY, "crunchydata/crunchy-postgres:centos7-9.6-1.4.1", Decision::Ask),
        ] {
            let wanted = release(wanted);
            assert_eq!(
                kept(live, recorded).decide(&wanted),
                decision,
                "{live} {recorded} {wanted:?}"
            );
        }
    }

    #[test]
    fn the_data_decides_and_without_it_the_recipe() {
        let other = |major: &str| Decision::OtherMajor(major.to_owned());
        for (data, wanted, decision) in [
            ("17", "postgres:17", Decision::Use),
            ("17", "postgres:18", other("17")),
            ("17", "postgres:latest", Decision::Unknown),
        ] {
            assert_eq!(decide_by_data(&release(wanted), data), decision, "{data} {wanted}");
        }
        for (live, recorded, wanted, decision) in [
            // `kubectl set image` with the wrong version is undone.
            ("postgres:18", "postgres:17", "postgres:17", Decision::Use),
            ("postgres:18", "postgres:17", "postgres:18", other("17")),
            ("postgres:17", "registry.example/db:5", "postgres:18", other("17")),
            ("registry.example/db:5", "registry.example/db:5", "postgres:18", Decision::Unknown),
        ] {
            let found = kept(live, recorded).decide_without_server(&release(wanted));
            assert_eq!(found, decision, "{live} {recorded} {wanted}");
        }
    }

    #[test]
    fn versions_of_servers_and_of_data() {
        assert_eq!([90624, 100_003, 170_002].map(major), ["9.6", "10", "17"]);
        let message = "bootstrap: error: /pgdata/pgset-1 was created by PostgreSQL 17 and the image is PostgreSQL 18: use an image of 17";
        assert_eq!(created_by(message).unwrap(), "17");
        assert_eq!(created_by("it was created by PostgreSQL"), None);
    }
}
