//! Stops the pods of a set.

use anyhow::Context as _;
use serde_json::Value;

use super::expectation::{expectation, scope};
use super::wait::{self, Wait};
use super::{Work, lease, scale};
use crate::manifest::ServerVersion;
use crate::set::objects;

/// Stops the pods: the highest ordinal first, each with a clean shutdown.
///
/// # Errors
/// When the StatefulSet can't be changed, or pods still exist at the deadline.
pub(crate) async fn stop(
    work: Work<'_>,
    statefulset: &Value,
    version: ServerVersion,
) -> anyhow::Result<()> {
    work.context.interrupt.check(|| "nothing was deleted".into(), &work.context.again)?;
    let id = objects::statefulset(work.set);
    let live = if objects::replicas(statefulset) == 0 {
        statefulset.clone()
    } else {
        lease::still_ours(work).await?;
        scale::set_replicas(work.cluster, statefulset, &id, 0).await?
    };
    let expectation = expectation(work.set, work.topology, &live, 0, &version);
    let scope = scope(work.set, &live, version);
    let done = "nothing is deleted yet, the pods are stopping";
    wait::until_ready(work, Wait { scope, expectation, done, replace: &[] })
        .await
        .context("stopping the pods")?;
    Ok(())
}
