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
use crate::set::rejoin::Request;
use crate::set::topology::REJOIN;
use crate::values::random_id;

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

/// What an earlier run has asked for, and has not completed.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Of the same pod, epoch and kind.
    before: Option<Request>,
    now: Request,
}

impl Asked {
    /// Whether an earlier run has asked for the same, and was interrupted.
    #[must_use]
    pub(crate) fn before(&self) -> bool {
        self.before.is_some()
    }

    /// Whether the bootstrap has done what the earlier run asked for.
    #[must_use]
    pub(crate) fn is_done(&self, kept: &Kept) -> bool {
        self.before.as_ref().is_some_and(|it| kept.request.as_deref() == Some(&it.id))
    }
}

/// What is to be asked for, and what is recorded of an earlier run.
///
/// # Errors
/// When the topology can't be read.
pub(crate) async fn asked(work: Work<'_>, ordinal: u32, clone: bool) -> anyhow::Result<Asked> {
    let now = Request { ordinal, epoch: work.topology.epoch, id: random_id(), clone };
    let topology = work.cluster.get(&objects::topology(work.set)).await?;
    let text = topology.as_ref().and_then(|it| it["data"][REJOIN].as_str());
    let recorded = text.and_then(|text| Request::parse(work.set, text));
    Ok(Asked { before: recorded.filter(|it| it.asks_as(&now)), now })
}

/// Completes an earlier run: what it asked for is done.
///
/// # Errors
/// When the topology can't be written.
pub(crate) async fn forget(work: Work<'_>) -> anyhow::Result<()> {
    Record::new(work).write(&json!({ REJOIN: null }), None).await
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
    asked: &Asked,
) -> anyhow::Result<()> {
    lease::hold(work).await?;
    // A clone that was asked for is completed. A directory that has diverged is another one than that of an earlier run.
    let request = asked.before.as_ref().filter(|it| it.clone).unwrap_or(&asked.now);
    let pod = work.set.pod(request.ordinal);
    let mut record = Record::new(work);
    record.write(&json!({ REJOIN: request.text(work.set) }), None).await?;
    pods::delete(work, &pod).await?;
    let replicas = objects::replicas(statefulset);
    let mut expectation = expectation(work.set, work.topology, statefulset, replicas, &version);
    expectation.only = Some(pod);
    let wait = Wait {
        expectation,
        scope: scope(work.set, statefulset, version),
        done: "the pod is being replaced",
        replace: &[],
    };
    Box::pin(wait::until_ready(work, wait)).await?;
    record.write(&json!({ REJOIN: null }), None).await
}

/// What is on the volume of a pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// The directories that were replaced.
    pub(crate) directories: Vec<String>,
    /// The last request that was done.
    request: Option<String>,
}

/// Looks into the pod.
pub(crate) async fn kept(work: Work<'_>, pod: &str) -> Kept {
    let list = "cat \"$PGDATA.rejoined\" 2>/dev/null || echo; \
         for path in \"$PGDATA\".diverged-*; do [ ! -d \"$path\" ] || echo \"$path\"; done";
    let exec = Exec {
        namespace: work.namespace(),
        pod,
        container: sql::CONTAINER,
        argv: ["bash", "-c", list].map(str::to_owned).to_vec(),
        stdin: String::new(),
        timeout: std::time::Duration::from_secs(10),
    };
    let output = sql::exec(work.cluster, exec).await;
    let Ok(output) = output else { return Kept::default() };
    let mut lines = output.stdout.lines().map(str::to_owned);
    let request = lines.next().filter(|id| !id.is_empty());
    Kept { request, directories: lines.collect() }
}
