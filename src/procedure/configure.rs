//! PostgreSQL's configuration: a running server checks it before it is written, then every server reloads it.
//! Settings that PostgreSQL reads only at its start need a restart of the pod.

mod change;
mod check;
mod follow;
pub(crate) mod server;

use futures::{StreamExt as _, TryStreamExt as _, stream};

pub(crate) use change::{changes, describe, postgresql_conf};
pub(crate) use check::check;

use k8s_openapi::api::core::v1::Pod;

use super::{AT_ONCE, Work, pods};
use crate::postgres::altered;
use crate::postgres::configuration::State;
use crate::readiness::is_ready;
use crate::set::objects;

/// Makes every server of a running set load its configuration: makes each kubelet update the files, and each
/// server reload them. Returns the state of each server, by pod. Does nothing if everything is up to date.
///
/// # Errors
/// When a file does not arrive in time, or a server can't read it.
pub(crate) async fn load(work: Work<'_>) -> anyhow::Result<Vec<(String, State)>> {
    load_where(work, |_| true).await
}

/// The same, for the pods that are ready.
///
/// # Errors
/// As for [`load`].
pub(crate) async fn load_ready(work: Work<'_>) -> anyhow::Result<Vec<(String, State)>> {
    load_where(work, is_ready).await
}

/// The same, for all pods but one, which does not run.
///
/// # Errors
/// As for [`load`].
pub(crate) async fn load_except(work: Work<'_>, pod: &str) -> anyhow::Result<()> {
    load_where(work, |there| pods::name(there) != pod).await.map(|_| ())
}

async fn load_where(
    work: Work<'_>,
    loads: impl Fn(&Pod) -> bool,
) -> anyhow::Result<Vec<(String, State)>> {
    let config = work.cluster.get(&objects::config(work.set)).await?;
    let Some(config) = config else { return Ok(Vec::new()) };
    let wanted = follow::Wanted::of(&config);
    let mut running = pods::running(work.cluster, work.set).await?;
    running.retain(|pod| loads(pod));
    // Replicas before the master.
    running.sort_by_key(|pod| pods::is_master(work.set, work.topology, pod));
    let states: Vec<State> = stream::iter(&running)
        .map(|pod| follow::follow(work, pod, &wanted))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let names = running.iter().map(|pod| pods::name(pod).to_owned());
    Ok(names.zip(states).collect())
}

/// Warns of the settings that override those of pgset.
pub(crate) fn tell_altered(work: Work<'_>, states: &[(String, State)]) {
    let mut servers: Vec<(&str, &[String])> =
        states.iter().map(|(pod, state)| (pod.as_str(), state.altered.as_slice())).collect();
    servers.sort_by_key(|(pod, _)| work.set.ordinal(pod));
    for message in altered::messages(servers) {
        work.context.warn(message);
    }
}
