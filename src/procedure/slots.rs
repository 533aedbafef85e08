//! The slots of replicas that were scaled away, dropped once nobody uses them.

use crate::procedure::server;
use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;

use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::postgres::slots;
use crate::procedure::sql;
use crate::set::SetIdentity;

/// The pause between two looks: nothing tells when a slot falls idle.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Drops the slot of every pod from `pods` on, as soon as it is idle. One that stays in use is waited for.
///
/// # Errors
/// When the master does not answer, or a slot is still in use at the deadline.
pub(crate) async fn drop_beyond(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    pods: u32,
) -> anyhow::Result<()> {
    let master = server::master(context, cluster, set).await?;
    let run = async |script: &crate::postgres::Script| {
        let output = sql::run(cluster, set.namespace.as_str(), script).await?;
        match output.trouble() {
            None => Ok(output),
            Some(trouble) => {
                Err(anyhow::Error::from(Failure::new(Exit::Failed, trouble.to_string())))
            }
        }
    };
    let mut told = BTreeSet::new();
    let mut tried = BTreeSet::new();
    let mut left: Vec<slots::PodSlot> = Vec::new();
    loop {
        let answer = match run(&slots::list(&master)).await {
            // The question was cut short by the deadline: the answer before it holds.
            Err(_) if !left.is_empty() && cluster.deadline.remaining().is_zero() => {
                return Err(still_used(context, &left).into());
            }
            answer => answer.context("looking for replication slots")?,
        };
        left = slots::beyond(set, pods, &answer);
        for name in tried.iter().filter(|name| !left.iter().any(|slot| slot.name == **name)) {
            context.note(format!("replication slot {name} dropped: its pod is gone"));
        }
        tried.clear();
        if left.is_empty() {
            return Ok(());
        }
        context
            .interrupt
            .check(|| "the pods are gone, slots are left".to_owned(), &context.again)?;
        for slot in &left {
            match &slot.user {
                None => {
                    run(&slots::drop(&master, slot))
                        .await
                        .with_context(|| format!("dropping the replication slot {}", slot.name))?;
                    tried.insert(slot.name.clone());
                }
                Some(user) if told.insert(slot.name.clone()) => context.note(format!(
                    "replication slot {} is still used by {user}: waits until it is idle",
                    slot.name
                )),
                Some(_) => {}
            }
        }
        if !tried.is_empty() {
            continue;
        }
        if cluster.deadline.remaining().is_zero() {
            return Err(still_used(context, &left).into());
        }
        tokio::time::sleep(LOOK_EVERY.min(cluster.deadline.remaining())).await;
    }
}

fn still_used(context: &Context, left: &[slots::PodSlot]) -> Failure {
    let used = left.iter().filter_map(|slot| {
        Some(format!("replication slot {} is still used by {}", slot.name, slot.user.as_ref()?))
    });
    Failure::new(Exit::TimedOut, used.collect::<Vec<_>>().join("; "))
        .hint("a slot keeps the log that its user still needs: end that user, or leave it the slot")
        .hint(format!("{}  # drops it once it is idle", context.again))
}
