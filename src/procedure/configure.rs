//! PostgreSQL's configuration: a running server checks it before it is written, then every server reloads it,
//! and restarts if PostgreSQL requires that.

mod change;
mod check;
mod follow;
mod restart;
mod server;

use futures::{StreamExt as _, TryStreamExt as _, stream};

pub(crate) use change::{changes, describe, postgresql_conf};
pub(crate) use check::check;
pub(crate) use restart::Consent;

use super::wait::Wait;
use super::{AT_ONCE, Work, pods};
use crate::postgres::configuration::State;
use crate::set::objects;

/// Makes every server of a running set use its configuration: makes each kubelet update the files, each
/// server reload them, and restarts the servers that need it. Does nothing if everything is up to date. Returns
/// whether servers were restarted.
///
/// # Errors
/// When a file does not arrive in time, or a server can't read it or does not become ready again.
pub(crate) async fn settle(
    work: Work<'_>,
    wait: &Wait<'_>,
    consent: Consent,
) -> anyhow::Result<bool> {
    let config = work.cluster.get(&objects::config(work.set)).await?;
    let Some(config) = config else { return Ok(false) };
    let wanted = follow::Wanted::of(&config);
    let mut running = pods::running(work.cluster, work.set).await?;
    // Replicas before the master.
    running.sort_by_key(|pod| pods::is_master(work.set, work.topology, pod));
    let states: Vec<State> = stream::iter(&running)
        .map(|pod| follow::follow(work, pod, &wanted))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let pending = running.iter().zip(states).filter_map(|(pod, state)| {
        let settings = state.pending;
        (!settings.is_empty())
            .then(|| restart::Pending { pod: pods::name(pod).to_owned(), settings })
    });
    let pending: Vec<_> = pending.collect();
    let restarts = !pending.is_empty();
    restart::restart(work, wait, pending, consent).await?;
    Ok(restarts)
}
