//! One pod, run to its end.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::objects::Apply;
use super::{Cluster, ClusterError};
use crate::manifest::{Object, ObjectId};

/// How long the pod may take to start: after that its volume can't be mounted, or no node has room for it.
const START_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// How a pod ended.
pub enum End {
    /// Its containers ended with exit code 0.
    Succeeded,
    /// One of them did not: its log says why. The pod is still there.
    Failed,
    /// It did not start, or the server refused it: why.
    NotStarted(String),
}

/// Creates a pod, after it has deleted one that an interrupted run left; why, if the server refuses it. [`end`] waits
/// for its end, and [`discard`] deletes it.
///
/// # Errors
/// When the server does not answer.
pub async fn start(cluster: &Cluster, pod: &Object) -> Result<Option<End>, ClusterError> {
    discard(cluster, &pod.id).await?;
    // Applied, not created: an apply may be sent again when its answer is lost.
    match cluster.apply(pod, Apply::default()).await {
        Ok(_) => Ok(None),
        // A quota or a policy: the answer would be the same at every try.
        Err(ClusterError::Refused { status, .. }) if status.code != 401 => {
            let why = format!("pod {} was refused: {}", pod.id.name, status.message);
            Ok(Some(End::NotStarted(why)))
        }
        Err(error) => Err(error),
    }
}

/// Waits until a pod ends.
///
/// # Errors
/// When the server does not answer.
pub async fn end(cluster: &Cluster, id: &ObjectId) -> Result<End, ClusterError> {
    let until = (Instant::now() + START_WITHIN).min(cluster.deadline.at());
    until_some(async || {
        let pod = cluster.get(id).await?.unwrap_or_default();
        Ok(match pod["status"]["phase"].as_str() {
            Some("Succeeded") => Some(End::Succeeded),
            Some("Failed") => Some(End::Failed),
            // It runs as long as it takes.
            Some("Running") if Instant::now() < cluster.deadline.at() => None,
            phase if Instant::now() >= until => {
                let phase = phase.unwrap_or("deleted");
                Some(End::NotStarted(format!(
                    "pod {} did not start within {} s ({phase}): check whether its volume can be mounted",
                    id.name,
                    START_WITHIN.as_secs()
                )))
            }
            _ => None,
        })
    })
    .await
}

/// Deletes a pod, and waits until it is gone or the deadline passes.
///
/// # Errors
/// When the server does not answer.
pub async fn discard(cluster: &Cluster, id: &ObjectId) -> Result<(), ClusterError> {
    until_some(async || {
        let Some(pod) = cluster.get(id).await? else { return Ok(Some(())) };
        cluster.delete(id, pod["metadata"]["uid"].as_str().unwrap_or_default()).await?;
        Ok(cluster.deadline.remaining().is_zero().then_some(()))
    })
    .await
}

/// Looks until there is an answer.
async fn until_some<T>(
    mut look: impl AsyncFnMut() -> Result<Option<T>, ClusterError>,
) -> Result<T, ClusterError> {
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        sleep(LOOK_EVERY).await;
    }
}
