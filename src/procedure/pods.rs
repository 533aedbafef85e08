//! The set's pods in their current state.

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::{Work, live, sql};
use crate::cluster::Cluster;
use crate::cluster::objects::Freshness;
use crate::manifest::Kind;
use crate::readiness::{Snapshot, is_ready};
use crate::set::{Role, SetIdentity, Topology, objects};

/// Lists the set's pods.
///
/// # Errors
/// When they can't be listed.
pub(crate) async fn list(cluster: &Cluster, set: &SetIdentity) -> anyhow::Result<Vec<Pod>> {
    // The labels decide which pod is used, so they must be current.
    let (namespace, selector) = (set.namespace.as_str(), set.selector());
    let pods = cluster.list(Kind::Pod, namespace, &selector, Freshness::Latest).await?;
    Ok(pods.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?)
}

/// Lists the set's pods that are not being deleted.
///
/// # Errors
/// When they can't be listed.
pub(crate) async fn running(cluster: &Cluster, set: &SetIdentity) -> anyhow::Result<Vec<Pod>> {
    let mut pods = list(cluster, set).await?;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(pods)
}

/// A set's StatefulSet and its pods that are not being deleted, to compare them.
///
/// # Errors
/// When the pods can't be listed.
pub(crate) async fn snapshot(
    cluster: &Cluster,
    set: &SetIdentity,
    statefulset: &Value,
) -> anyhow::Result<Snapshot> {
    Ok(Snapshot {
        statefulset: serde_json::from_value(statefulset.clone())?,
        pods: running(cluster, set).await?,
        ..Snapshot::default()
    })
}

/// The names of the pods that stream from the server in a pod.
///
/// # Errors
/// The reason why it is not known, for the user.
pub(crate) async fn streaming(work: Work<'_>, master: &str) -> Result<Vec<String>, String> {
    let list = running(work.cluster, work.set).await.map_err(|error| error.to_string())?;
    let addresses: Vec<(String, String)> = list
        .iter()
        .filter_map(|pod| Some((name(pod).to_owned(), pod.status.as_ref()?.pod_ip.clone()?)))
        .collect();
    let seen = sql::observe(work.cluster, work.namespace(), master).await?;
    let by_pod = seen.by_pod(&addresses);
    let streams =
        by_pod.rows.iter().filter(|(_, rows)| rows.iter().any(|row| row.state == "streaming"));
    Ok(streams.map(|(pod, _)| (*pod).to_owned()).collect())
}

/// The name of a pod.
pub(crate) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// The ordinal of a pod of the set.
pub(crate) fn ordinal(set: &SetIdentity, pod: &Pod) -> Option<u32> {
    set.ordinal(name(pod))
}

/// The value of the label `name`, by which the Services select the pod.
pub(crate) fn label(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get("name").map(String::as_str)
}

/// The role of a pod according to its label, which decides which Service routes to it.
pub(crate) fn labelled_role(set: &SetIdentity, pod: &Pod) -> Option<Role> {
    set.role_of_label(label(pod)?)
}

/// The ready pod that is labelled as the master. If there are several, the one that the topology names is
/// preferred.
pub(crate) fn master<'a>(
    set: &SetIdentity,
    topology: &Topology,
    pods: &'a [Pod],
) -> Option<&'a Pod> {
    let labelled = |pod: &&Pod| labelled_role(set, pod) == Some(Role::Master) && is_ready(pod);
    pods.iter().filter(labelled).min_by_key(|pod| !is_master(set, topology, pod))
}

/// Whether a pod is the master according to the topology.
pub(crate) fn is_master(set: &SetIdentity, topology: &Topology, pod: &Pod) -> bool {
    topology.role_of(set, name(pod)) == Some(Role::Master)
}

/// Whether the PostgreSQL container runs.
pub(crate) fn runs(pod: &Pod) -> bool {
    let mut statuses = pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten());
    let server = statuses.find(|status| status.name == sql::CONTAINER);
    server.is_some_and(|s| s.state.as_ref().is_some_and(|state| state.running.is_some()))
}

/// Deletes the pod that has this name now. Its StatefulSet creates it again.
///
/// # Errors
/// When it can't be read or deleted.
pub(crate) async fn delete(work: Work<'_>, pod: &str) -> anyhow::Result<()> {
    let id = objects::pod(work.set, pod);
    if let Some(there) = work.cluster.get(&id).await? {
        work.cluster.delete(&id, live::uid_of(&there)).await?;
    }
    Ok(())
}

/// A ready pod to run a program in.
pub(crate) fn any_ready(pods: &[Pod]) -> Option<&Pod> {
    pods.iter().find(|pod| is_ready(pod))
}
