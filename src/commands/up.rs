//! `pgset up`.

use std::time::Instant;

use serde_json::Value;

use crate::cli::UpArgs;
use crate::cluster::{Cluster, Target};
use crate::context::Context;
use crate::error::Exit;
use crate::procedure::bring_up::{self, Up};
use crate::procedure::expectation::{details, pods};
use crate::procedure::planning::{Conflicts, Planned, Planning, Purpose};
use crate::procedure::switchover::moving::{self, Moves};
use crate::procedure::wanted::Wanted;
use crate::procedure::{
    Ending, Work, apply, configure, connection, desired, grow, lease, namespace, newest,
    password_file, refuse, rollout, run_state,
};
use crate::set::objects;
use crate::settings::Settings;
use crate::values::Secret;

/// Creates the set or updates it to match the settings, and waits until every replica streams.
///
/// Everything is rendered, parsed and checked before the first request to the cluster. Everything is read and
/// planned before the first write.
pub async fn run(args: &UpArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let target = context.target().await?;
    let first = Wanted::before_requests(context, &args.settings, &args.reset, &target)?;
    let password =
        password_file::before_requests(args.password_file.as_ref(), context, first.as_ref())
            .await?;
    let cluster = context.cluster(&target).await?;
    let attempt = async || {
        let password = password.clone();
        Box::pin(attempt(args, context, &target, &cluster, first.as_ref(), password, started)).await
    };
    Box::pin(lease::planned(attempt)).await
}

/// Makes a plan and applies it.
async fn attempt(
    args: &UpArgs,
    context: &Context,
    target: &Target,
    cluster: &Cluster,
    first: Option<&Settings>,
    password: Option<Secret>,
    started: Instant,
) -> anyhow::Result<Exit> {
    let (ending, conflicts) = (Ending::of(args), Conflicts::of(args));
    let (wanted, known, early) = Wanted::with_recipe(
        context,
        &args.settings,
        &args.reset,
        target,
        cluster,
        ending.into(),
        first,
    )
    .await?;
    let Wanted { mut settings, templates, draft, .. } = wanted;
    settings.credentials.password = password.or(settings.credentials.password);
    let planning = Planning {
        settings: &settings,
        templates: &templates,
        draft: &draft,
        purpose: Purpose::Up(ending, conflicts),
        known: &known,
        create_namespace: args.create_namespace,
        switchover: args.switchover,
    };
    let planned = Box::pin(planning.plan(cluster, early)).await?;
    context.begin("up", &settings.set, target, details(&settings, planned.replicas));
    planned.announce(context);
    let work = Work { context, cluster, set: &settings.set, topology: &planned.topology };
    let running = planned.live.objects.get(&objects::statefulset(work.set));
    match running {
        Some(running) if !matches!(ending, Ending::DryRun(_)) => {
            moving::complete(work, running, &planned.live.version, args.switchover).await?;
        }
        None if !matches!(ending, Ending::DryRun(_)) => lease::check_transition(work)?,
        _ => {}
    }
    context.interrupt.check(|| "nothing was changed".to_owned(), &context.again)?;
    let capabilities = settings.profile.capabilities();
    if let Some(newer) = newest::find(work, &planned, capabilities).await? {
        if !matches!(ending, Ending::DryRun(_)) {
            newer.record(work).await?;
            return Err(lease::plan_again(work));
        }
        context.note(format!("{}: `up` records that first", newer.difference()));
    }
    refuse::before_writing(work, &planned, ending).await?;
    run_state::agree(work, &planned.state, planned.replicas, ending).await?;
    if let Some(running) = running.filter(|_| args.switchover) {
        let (version, replicas) = (&planned.live.version, planned.replicas);
        if planned.topology.check_replicas(work.set, replicas).is_err() {
            // Before the master moves: what PostgreSQL does not accept is refused with nothing changed.
            configure::check(work, &planned.plan, &planned.live).await?;
        }
        moving::before_scaling(work, running, version, replicas, ending).await?;
    }
    let agreed = rollout::agree(work, &planned, ending, Moves::of(args.switchover)).await?;

    let ending = if args.create_namespace {
        namespace::create(work, planned.live.namespace, ending).await?
    } else {
        ending
    };
    let applied = Box::pin(write(work, &settings, &planned, ending, conflicts)).await?;
    match ending {
        Ending::DryRun(_) => context.finish("nothing was written: this was a dry run", started),
        Ending::NoWait => context.finish(planned.not_waited_for(work), started),
        Ending::Wait => {
            let up = bring_up::wait(work, &settings, &planned, &applied, &agreed);
            finish(context, &planned, &Box::pin(up).await?, started);
        }
    }
    Ok(Exit::Done)
}

/// Reports that the set is up and how to connect. If nothing has changed, the user knows the commands.
fn finish(context: &Context, planned: &Planned, up: &Up<'_>, started: Instant) {
    let addresses = &up.addresses;
    let wrote = up.restarted || context.lease.held().is_some();
    let (unchanged, next) = if planned.plan.is_unchanged() && !wrote {
        (", nothing changed", addresses.uris())
    } else {
        ("", connection::rows(context, addresses))
    };
    let message = format!("{} is up{unchanged}: {}", addresses.set.name, pods(planned.replicas));
    context.finish_with(message, started, Some(addresses.connection()), next);
}

/// Applies the plan. Returns the resulting StatefulSet.
async fn write(
    work: Work<'_>,
    settings: &Settings,
    planned: &Planned,
    ending: Ending,
    conflicts: Conflicts,
) -> anyhow::Result<Value> {
    let generated = &desired::generated(settings);
    let statefulset = planned.live.objects.get(&objects::statefulset(work.set));
    let options = apply::Options { generated, conflicts, ending, planned: statefulset };
    let record = planned.record;
    let plan = if matches!(ending, Ending::DryRun(_)) {
        planned.plan.clone().without_growth(&planned.live.objects)
    } else {
        if record.is_needed() && !record.comes_last() {
            lease::hold_as_planned(work, statefulset).await?;
            record.write(work).await?;
        }
        grow::grow(work, &planned.plan, &planned.live, conflicts).await?;
        planned.plan.clone()
    };
    let applied = apply::apply(work, plan, options).await?;
    if record.comes_last() && !matches!(ending, Ending::DryRun(_)) {
        record.write(work).await?;
    }
    Ok(applied.or_else(|| statefulset.cloned()).unwrap_or_default())
}
