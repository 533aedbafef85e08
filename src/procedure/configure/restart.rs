//! Restarts that PostgreSQL asks for: one pod at a time, in the right order.

use crate::set::objects;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::manifest::{Kind, ObjectId};
use crate::postgres::configuration::{self, FOLLOWED, Order};
use crate::postgres::replication::Lsn;
use crate::procedure::live;
use crate::procedure::sql;
use crate::procedure::sql::LOOK_EVERY;
use crate::procedure::wait;
use crate::procedure::wait::Wait;
use crate::set::SetIdentity;

/// The pods that wait for a restart, replicas before the master.
#[derive(Default)]
pub(super) struct Pending {
    pods: Vec<Waiting>,
}

struct Waiting {
    name: String,
    master: bool,
    settings: Vec<configuration::Pending>,
}

impl Pending {
    pub(super) fn add(&mut self, pod: &Pod, master: bool, settings: Vec<configuration::Pending>) {
        let name = pod.metadata.name.clone().unwrap_or_default();
        if !settings.is_empty() {
            self.pods.push(Waiting { name, master, settings });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// `max_connections 100 -> 200, ...`: what waits, each setting once.
    fn words(&self) -> String {
        let mut words: Vec<String> =
            self.pods.iter().flat_map(|pod| pod.settings.iter().map(ToString::to_string)).collect();
        words.sort();
        words.dedup();
        words.join(", ")
    }

    /// Whether one of those that replicas must follow is among them.
    fn followed(&self) -> bool {
        let settings = self.pods.iter().flat_map(|pod| &pod.settings);
        settings.into_iter().any(|setting| FOLLOWED.contains(&setting.name.as_str()))
    }
}

/// Asks whether the pods may be restarted.
pub(super) async fn agree(context: &Context, what: &str, order: Order) -> anyhow::Result<()> {
    let how = match order {
        Order::ReplicasFirst => "the replicas one by one, then the master",
        Order::MasterFirst => "the master, then the replicas one by one",
    };
    let question = format!(
        "{what}: PostgreSQL reads this at its start only. Restart {how}? Each restart ends the pod's connections."
    );
    if context.confirm(&question).await? {
        return Ok(());
    }
    Err(Failure::new(Exit::Refused, "the servers were not restarted")
        .hint("leave out what needs a restart, or answer yes")
        .into())
}

/// Restarts what waits for it.
///
/// # Errors
/// When nobody agrees, when a pod does not come back, when no order is right.
pub(super) async fn all(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    wait: &Wait<'_>,
    mut pending: Pending,
    agreed: bool,
) -> anyhow::Result<()> {
    let order = if pending.followed() { order(cluster, set).await? } else { Order::ReplicasFirst };
    let words = pending.words();
    if !agreed {
        agree(context, &words, order).await?;
    }
    // Highest ordinal first, as the set's own controller does it.
    let ordinal = |name: &str| name.rsplit('-').next().and_then(|n| n.parse::<u32>().ok());
    pending.pods.sort_by_key(|pod| std::cmp::Reverse(ordinal(&pod.name)));
    pending.pods.sort_by_key(|pod| pod.master == (order == Order::ReplicasFirst));
    if pending.followed()
        && !pending.pods.iter().any(|pod| pod.master)
        && let Some(master) = crate::procedure::configure::running_pod(cluster, set).await?
    {
        // Somebody restarted it before: what it has less of, they must know before they start with less.
        replayed(cluster, set, &master).await?;
    }
    let total = pending.pods.len();
    for (done, pod) in pending.pods.iter().enumerate() {
        let progress = || format!("{done} of {total} pods are restarted, nothing is lost");
        context.interrupt.check(progress, wait.next)?;
        let role = if pod.master { "the master" } else { "a replica" };
        let why: Vec<String> = pod.settings.iter().map(ToString::to_string).collect();
        context.note(format!("restarting {}, {role}: {}", pod.name, why.join(", ")));
        one(context, cluster, set, wait, &pod.name).await?;
        if pod.master && order == Order::MasterFirst {
            replayed(cluster, set, &pod.name).await?;
        }
    }
    Ok(())
}

/// The order for what the master runs with and what it would start with.
async fn order(cluster: &Cluster, set: &SetIdentity) -> anyhow::Result<Order> {
    let Some(pod) = crate::procedure::configure::running_pod(cluster, set).await? else {
        return Ok(Order::ReplicasFirst);
    };
    let config = cluster.get(&objects::config(set)).await?.unwrap_or_default();
    let text = crate::procedure::configure::postgresql_conf(&config).unwrap_or_default();
    let after = crate::procedure::configure::dry_start(cluster, set, &pod, text).await?;
    let script = configuration::settings(&pod, &[], &[]);
    let output = sql::run(cluster, set.namespace.as_str(), &script).await?;
    let before: BTreeMap<String, i64> =
        crate::procedure::configure::numbers(&configuration::Setting::parse(&output));
    Ok(configuration::order(&before, &after)
        .map_err(|mixed| crate::procedure::configure::two_steps(&mixed))?)
}

/// Deletes a pod and waits until its replacement is ready and every replica streams.
async fn one(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    wait: &Wait<'_>,
    name: &str,
) -> anyhow::Result<()> {
    let id = ObjectId::new(Kind::Pod, set.namespace.as_str(), name);
    if let Some(pod) = cluster.get(&id).await? {
        cluster.delete(&id, live::uid_of(&pod)).await?;
    }
    let again = Wait {
        scope: wait.scope.clone(),
        expectation: wait.expectation.clone(),
        done: "the new settings are applied, not every pod runs with them",
        next: wait.next,
    };
    wait::until_ready(context, cluster, again).await?;
    Ok(())
}

/// Waits until the replicas have replayed that the master has less now: one that starts with less before
/// that would refuse to.
async fn replayed(cluster: &Cluster, set: &SetIdentity, master: &str) -> anyhow::Result<()> {
    let namespace = set.namespace.as_str();
    let observe = || sql::observe(cluster, namespace, master);
    let mut position: Option<Lsn> = None;
    loop {
        let behind = match observe().await {
            Err(words) => words,
            Ok(observation) => {
                let position = *position.get_or_insert(observation.lsn.unwrap_or(Lsn(0)));
                let late = observation
                    .replicas
                    .iter()
                    .filter(|row| row.streams())
                    .find(|row| row.replay_lsn.is_none_or(|lsn| lsn < position));
                match late {
                    None => return Ok(()),
                    Some(row) => format!("{} has not replayed {position}", row.application_name),
                }
            }
        };
        if cluster.deadline.remaining().is_zero() {
            return Err(Failure::new(Exit::TimedOut, format!("the replicas lag: {behind}"))
                .hint(format!("{}  # goes on", set.command("up")))
                .into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
