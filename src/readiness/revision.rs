//! Which pods run a previous version of the StatefulSet's template.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use super::snapshot::Snapshot;
use super::view::is_terminating;
use crate::set::SetIdentity;

/// The revision that a pod was created with.
#[must_use]
pub fn revision(pod: &Pod) -> Option<&str> {
    let labels = pod.metadata.labels.as_ref()?;
    labels.get("controller-revision-hash").map(String::as_str)
}

/// The revision of the newest template, once the controller has observed it.
pub(super) fn newest(statefulset: &StatefulSet) -> Option<&str> {
    let status = statefulset.status.as_ref()?;
    let generation = statefulset.metadata.generation?;
    let observed = status.observed_generation == Some(generation);
    status.update_revision.as_deref().filter(|_| observed)
}

/// The pods of a set that run a previous template. None while the controller has not observed the newest one.
#[must_use]
pub fn previous<'a>(snapshot: &'a Snapshot, set: &SetIdentity) -> Vec<&'a Pod> {
    let Some(statefulset) = &snapshot.statefulset else { return Vec::new() };
    let Some(newest) = newest(statefulset) else { return Vec::new() };
    let uid = statefulset.metadata.uid.as_deref();
    let owned = |pod: &&Pod| {
        let mut owners = pod.metadata.owner_references.iter().flatten();
        owners.any(|owner| Some(owner.uid.as_str()) == uid)
    };
    let of_set =
        |pod: &&Pod| pod.metadata.name.as_deref().is_some_and(|n| set.ordinal(n).is_some());
    let pods = snapshot.pods.iter().filter(of_set).filter(owned);
    let mut old: Vec<&Pod> = pods
        .filter(|pod| !is_terminating(&pod.metadata) && revision(pod) != Some(newest))
        .collect();
    old.sort_by_key(|pod| set.ordinal(pod.metadata.name.as_deref().unwrap_or_default()));
    old
}
