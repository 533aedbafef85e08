//! Makes a pod follow the master again. If it has data that the master never had, or files that can't be read, its
//! directory is moved beside and kept, and the pod is cloned.
//!
//! The request is in the topology, where the pod's bootstrap reads it: the container of a server that has diverged ends
//! again and again, so that nothing can be run in it. The request counts in its epoch only.

use serde_json::{Value, json};

use super::expectation::{expectation, scope};
use super::labels::Labels;
use super::switchover::record::Record;
use super::wait::{self, Wait};
use super::{Work, lease, pods, sql};
use crate::cluster::exec::Exec;
use crate::manifest::ServerVersion;
use crate::set::objects;
use crate::set::topology::REJOIN;

/// Whether a pod streams from the master.
///
/// # Errors
/// The reason why the master does not tell.
pub(crate) async fn streams(work: Work<'_>, pod: &str) -> Result<bool, String> {
    let Some(master) = work.topology.master_pod(work.set) else { return Ok(false) };
    Ok(pods::streaming(work, &master).await?.iter().any(|name| name == pod))
}

/// Gives the pods the labels of their roles. An old master that was cut off follows without a restart, and has none.
///
/// # Errors
/// When the pods can't be listed, or a label can't be written.
pub(crate) async fn relabel(work: Work<'_>) -> anyhow::Result<()> {
    let list = pods::running(work.cluster, work.set).await?;
    Labels::default().correct(work, &list).await
}

/// What asks the bootstrap of a pod to replace its directory in this epoch.
fn request(work: Work<'_>, pod: &str, clone: bool) -> String {
    format!("{pod} {}{}", work.topology.epoch, if clone { " clone" } else { "" })
}

/// Whether an earlier run has asked for the same, and was interrupted.
///
/// # Errors
/// When the topology can't be read.
pub(crate) async fn is_asked(work: Work<'_>, pod: &str, clone: bool) -> anyhow::Result<bool> {
    let topology = work.cluster.get(&objects::topology(work.set)).await?;
    let asked = topology.is_some_and(|it| it["data"][REJOIN] == request(work, pod, clone));
    Ok(asked)
}

/// Completes an earlier run: what it asked for is done.
///
/// # Errors
/// When the topology can't be written.
pub(crate) async fn forget(work: Work<'_>) -> anyhow::Result<()> {
    Record::new(work).write(&json!({ REJOIN: null }), None).await
}

/// The directory that is kept when the pod's own is replaced in this epoch.
#[must_use]
pub(crate) fn aside(work: Work<'_>) -> String {
    format!(".diverged-{}", work.topology.epoch)
}

/// Asks the bootstrap of the pod to replace its directory, restarts the pod, and waits until it streams. Running it again
/// resumes an interrupted run.
///
/// # Errors
/// When a write fails, or the pod does not become ready: the reason.
pub(crate) async fn rejoin(
    work: Work<'_>,
    statefulset: &Value,
    version: ServerVersion,
    pod: &str,
    clone: bool,
) -> anyhow::Result<()> {
    lease::hold(work).await?;
    let mut record = Record::new(work);
    record.write(&json!({ REJOIN: request(work, pod, clone) }), None).await?;
    pods::delete(work, pod).await?;
    let replicas = objects::replicas(statefulset);
    let mut expectation = expectation(work.set, work.topology, statefulset, replicas, &version);
    expectation.only = Some(pod.to_owned());
    let wait = Wait {
        expectation,
        scope: scope(work.set, statefulset, version),
        done: "the pod is being replaced",
        replace: &[],
    };
    Box::pin(wait::until_ready(work, wait)).await?;
    record.write(&json!({ REJOIN: null }), None).await
}

/// The directories that were kept on the volume of a pod.
pub(crate) async fn kept(work: Work<'_>, pod: &str) -> Vec<String> {
    let list = "for path in \"$PGDATA\".diverged-*; do [ ! -d \"$path\" ] || echo \"$path\"; done";
    let exec = Exec {
        namespace: work.namespace(),
        pod,
        container: sql::CONTAINER,
        argv: ["bash", "-c", list].map(str::to_owned).to_vec(),
        stdin: String::new(),
        timeout: std::time::Duration::from_secs(10),
    };
    let output = sql::exec(work.cluster, exec).await;
    output.map(|it| it.stdout.lines().map(str::to_owned).collect()).unwrap_or_default()
}
