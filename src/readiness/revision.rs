//! Which pods run a previous version of the StatefulSet's template.

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

/// The pods of a set that run a previous template. None while the controller has not observed the newest one.
#[must_use]
pub fn previous<'a>(snapshot: &'a Snapshot, set: &SetIdentity) -> Vec<&'a Pod> {
    let Some(statefulset) = &snapshot.statefulset else { return Vec::new() };
    let Some(status) = &statefulset.status else { return Vec::new() };
    if status.observed_generation != statefulset.metadata.generation {
        return Vec::new();
    }
    let newest = status.update_revision.as_deref();
    let uid = statefulset.metadata.uid.as_deref();
    let owned = |pod: &&Pod| {
        let mut owners = pod.metadata.owner_references.iter().flatten();
        owners.any(|owner| Some(owner.uid.as_str()) == uid)
    };
    let of_set =
        |pod: &&Pod| pod.metadata.name.as_deref().is_some_and(|n| set.ordinal(n).is_some());
    let pods = snapshot.pods.iter().filter(of_set).filter(owned);
    let mut old: Vec<&Pod> =
        pods.filter(|pod| !is_terminating(&pod.metadata) && revision(pod) != newest).collect();
    old.sort_by_key(|pod| set.ordinal(pod.metadata.name.as_deref().unwrap_or_default()));
    old
}
