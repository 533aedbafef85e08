//! The last part of `up`: waits for the set, and makes its servers use the configuration that was written.

use serde_json::Value;

use super::expectation::{applied_at, expectation, scope};
use super::planning::Planned;
use super::rollout::{self, Agreed, Settled};
use super::undo::Undo;
use super::wait::{self, Wait};
use super::{Work, lease, leftover, login, newest, scripts, slots, tls, topology};
use crate::postgres::address::Addresses;
use crate::set::objects;
use crate::settings::Settings;

/// A set that is up.
pub(crate) struct Up<'a> {
    /// How clients connect.
    pub(crate) addresses: Addresses<'a>,
    /// Whether servers were restarted.
    pub(crate) restarted: bool,
}

/// Waits for the set and makes the servers use the new configuration.
///
/// # Errors
/// When the set does not become ready, or a server does not accept its configuration.
pub(crate) async fn wait<'a>(
    work: Work<'a>,
    settings: &'a Settings,
    planned: &Planned,
    statefulset: &Value,
    agreed: &Agreed,
) -> anyhow::Result<Up<'a>> {
    let Planned { live, replicas, record, tls, .. } = planned;
    let version = &live.version;
    let mut expectation = expectation(work.set, work.topology, statefulset, *replicas, version);
    expectation.configured = configured(work, planned).await;
    let wait = Wait {
        scope: scope(work.set, statefulset, version.clone()),
        expectation,
        done: "everything is applied",
        replace: &agreed.replace,
    };
    let capabilities = settings.profile.capabilities();
    let snapshot = tokio::select! {
        ready = wait::until_ready(work, wait.clone()) => ready?,
        newer = newest::watch(work, planned, capabilities) => {
            newer?.record(work).await?;
            return Err(lease::plan_again(work));
        }
    };
    let recorded = live.objects.get(&objects::topology(work.set));
    if capabilities.has_topology {
        topology::record(work, recorded, &snapshot).await?;
    }
    // The pods of a set that was just created started with the new configuration.
    let before = live.objects.get(&objects::statefulset(work.set));
    let ran = before.is_some() || live.orphans > 0;
    let settled = if ran {
        let undo = Undo::of(planned, work.set);
        Box::pin(rollout::settle(work, &wait, &snapshot, &planned.plan, agreed, undo)).await?
    } else {
        Settled::default()
    };
    if settled.is_outdated {
        newest::record_now(work, planned).await?;
        return Err(lease::plan_again(work));
    }
    let set = work.set;
    let work = Work { topology: settled.topology.as_ref().unwrap_or(work.topology), ..work };
    if capabilities.tls.is_there() {
        if ran {
            tls::settle(work, tls, planned.last_config.as_ref()).await?;
        }
        tls::remember(work, recorded, tls.last.as_ref()).await?;
    }
    let verified = tls::is_required(tls.last.as_ref());
    login::verify(work, &snapshot, verified).await?;
    if capabilities.has_replication_slots && before.map_or(0, objects::replicas) > *replicas {
        slots::drop_beyond(work, *replicas, record.numbers.most).await?;
    }
    leftover::warn_of_policy(work, settings).await;
    if ran && (settled.restarted || !planned.plan.is_unchanged()) {
        scripts::tidy(work).await;
    }
    rollout::tell_previous(work, &settled);
    let addresses = Addresses {
        set,
        user: settings.credentials.user.as_str(),
        database: settings.credentials.database.as_str(),
        has_replica: *replicas > 1,
        password: None,
        verified,
    };
    Ok(Up { addresses, restarted: settled.restarted })
}

/// When the configuration of pods that existed before this command was last changed, by the server's clock. pgset may
/// have written it in an earlier run, too: then the pods that crashed since then are evidence.
async fn configured(work: Work<'_>, planned: &Planned) -> Option<jiff::Timestamp> {
    if planned.live.pods.is_empty() {
        return None;
    }
    // It only makes the wait more precise. Without it, every crash counts.
    let config = work.cluster.get(&objects::config(work.set)).await.ok()??;
    applied_at(&config)
}
