//! `pgset start`.

use std::time::Instant;

use serde_json::Value;

use crate::cli::StartArgs;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::Exit;
use crate::event::{Event, Outcome};
use crate::postgres::address::Addresses;
use crate::procedure::existing::Existing;
use crate::procedure::expectation::{expectation, pods, scope};
use crate::procedure::run_state::{self, Found};
use crate::procedure::wait::{self, Wait};
use crate::procedure::{Work, connection, credentials, lease, recipe, scale, tls};
use crate::set::{RunState, SetIdentity, StopRecord, objects, rights};
use crate::values::Replicas;

/// Starts a set that has no pods with the recorded number, and waits until every replica streams.
///
/// Running it again resumes an interrupted run.
pub async fn run(args: &StartArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let cluster = context.cluster(&target).await?;
    context.begin("start", &set, &target, Vec::new());
    let attempt = async || Box::pin(attempt(args, context, &cluster, &set, started)).await;
    lease::planned(attempt).await
}

/// Reads the set and starts it.
async fn attempt(
    args: &StartArgs,
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    started: Instant,
) -> anyhow::Result<Exit> {
    let version = cluster.version().await?;
    let found = run_state::find(context, cluster, set, rights::starting(set, &version)).await?;
    let Found { existing: Existing { statefulset, topology }, recipe, state } = found;
    let work = Work { context, cluster, set, topology: &topology };
    lease::check_transition(work)?;
    let live = start(work, statefulset, recipe.as_ref(), &state).await?;
    let number = objects::replicas(&live);
    if args.no_wait {
        let status = context.sibling("status");
        let what = if state == RunState::Running { "runs already" } else { "is starting" };
        let message = format!("{} {what} (--no-wait): `{status}` shows its state", set.name);
        context.finish(message, started);
        return Ok(Exit::Done);
    }
    let expectation = expectation(set, work.topology, &live, number, &version);
    let scope = scope(set, &live, version);
    wait::until_ready(
        work,
        Wait { scope, expectation, done: "the pods are starting", replace: &[] },
    )
    .await?;
    if state == RunState::Running {
        let message = format!("nothing to do: {} runs already, {}", set.name, pods(number));
        context.finish(message, started);
        return Ok(Exit::Done);
    }
    let message = format!("{} is started: {}", set.name, pods(number));
    // How to connect is a service: an account that may not read the passwords can start the set, too.
    let (credentials, tls) =
        futures::join!(credentials::credentials(cluster, set), tls::of_set(cluster, set));
    let (Ok(credentials), Ok(tls)) = (credentials, tls) else {
        context.finish(message, started);
        return Ok(Exit::Done);
    };
    let addresses = Addresses {
        set,
        user: &credentials.user,
        database: &credentials.database,
        has_replica: number > 1,
        password: None,
        verified: tls::is_required(tls.as_ref()),
    };
    let next = connection::rows(context, &addresses);
    context.finish_with(message, started, Some(addresses.connection()), next);
    Ok(Exit::Done)
}

/// Sets the recorded number of pods, then removes the record of `pgset stop`. Returns the StatefulSet.
async fn start(
    work: Work<'_>,
    statefulset: Value,
    recipe: Option<&Value>,
    state: &RunState,
) -> anyhow::Result<Value> {
    let number = state.to_start();
    let (live, number) = match Replicas::new(number).filter(|_| state.is_at_rest()) {
        None => {
            let number = objects::replicas(&statefulset);
            (statefulset, number)
        }
        Some(wanted) => {
            work.topology.check_replicas(work.set, wanted.get())?;
            let scale = scale::prepare(work, statefulset, wanted).await?;
            let context = work.context;
            context.interrupt.check(|| "nothing was changed".into(), &context.again)?;
            let live = scale.run().await?;
            let (id, detail) = (objects::statefulset(work.set), format!("replicas 0 -> {number}"));
            context.reporter.emit(Event::object(id, Outcome::Configured, Some(detail)));
            (live, number)
        }
    };
    // A set that runs and has the record: an earlier run was interrupted.
    if recipe.and_then(StopRecord::of).is_some() {
        let what = recipe::Pods { pods: number, stop: None };
        recipe::remember(work, &live, recipe, what).await?;
    }
    Ok(live)
}
