//! `pgset stop`.

use std::time::Instant;

use crate::cli::StopArgs;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::Exit;
use crate::procedure::existing::Existing;
use crate::procedure::run_state::{self, Found};
use crate::procedure::{Work, inventory, lease, stop};
use crate::set::{RunState, SetIdentity, objects, rights};

/// Stops a set on purpose: its pods are deleted in order, its objects and data stay.
///
/// Running it again resumes an interrupted run.
pub async fn run(args: &StopArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let cluster = context.cluster(&target).await?;
    context.begin("stop", &set, &target, Vec::new());
    let attempt = async || Box::pin(attempt(args, context, &cluster, &set, started)).await;
    lease::planned(attempt).await
}

/// Reads the set and stops it.
async fn attempt(
    args: &StopArgs,
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    started: Instant,
) -> anyhow::Result<Exit> {
    let version = cluster.version().await?;
    let found = run_state::find(context, cluster, set, rights::stopping(set, &version)).await?;
    let Found { existing: Existing { statefulset, topology }, recipe, state } = found;
    let start = ("start again", context.sibling("start"));
    let was_stopped = matches!(state, RunState::Stopped { .. });
    if was_stopped && objects::existing(&statefulset) == 0 {
        let place = format!("{} in namespace {}", set.name, set.namespace);
        let message = format!("nothing to do: {place} is {state}");
        context.finish_with(message, started, None, vec![start]);
        return Ok(Exit::Done);
    }
    let work = Work { context, cluster, set, topology: &topology };
    let live = stop::on_purpose(work, statefulset, recipe.as_ref(), state).await?;
    if args.no_wait {
        let status = context.sibling("status");
        let message = format!("{} is stopping (--no-wait): `{status}` shows its state", set.name);
        context.finish(message, started);
        return Ok(Exit::Done);
    }
    let snapshot = stop::until_stopped(work, &live, version, "the pods are stopping").await?;
    let kept = ("kept", inventory::kept_by_stop(set, &snapshot.claims, recipe.as_ref()));
    context.finish_with(format!("{} is stopped", set.name), started, None, vec![kept, start]);
    Ok(Exit::Done)
}
