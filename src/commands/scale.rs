//! `pgset scale`.

use std::time::Instant;

use serde_json::Value;

use crate::cli::ScaleArgs;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::Exit;
use crate::event::{Event, Outcome};
use crate::manifest::object::MANAGER;
use crate::plan::{self, Path};
use crate::procedure::existing::{self, Existing};
use crate::procedure::expectation::{count, expectation, pods, scope};
use crate::procedure::switchover::moving;
use crate::procedure::wait::{self, Wait};
use crate::procedure::{Ending, Work, lease, live, recipe, refuse, run_state, scale, slots};
use crate::set::{SetIdentity, objects, rights};
use crate::settings::{Source, resolve};
use crate::values::Replicas;

/// Changes the number of pods and waits until every replica streams.
pub async fn run(args: &ScaleArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let wanted = resolve::replicas(&args.replicas, Source::Flag("--replicas"), None)?.value;
    let cluster = context.cluster(&target).await?;
    context.begin("scale", &set, &target, Vec::new());
    let attempt = async || Box::pin(attempt(args, context, &cluster, &set, wanted, started)).await;
    lease::planned(attempt).await
}

/// Makes a plan and applies it.
async fn attempt(
    args: &ScaleArgs,
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    wanted: Replicas,
    started: Instant,
) -> anyhow::Result<Exit> {
    let id = objects::statefulset(set);
    let version = cluster.version().await?;
    let mut needed = rights::waiting(set, &version);
    needed.extend(rights::scaling(set));
    needed.extend(rights::leasing(set));
    let found = existing::find(cluster, set, needed).await?;
    let Some(Existing { statefulset: live, topology }) = found else {
        return Err(live::no_set(cluster, set, context).await.into());
    };
    let work = Work { context, cluster, set, topology: &topology };
    moving::complete(work, &live, &version, args.switchover).await?;
    if !args.switchover {
        topology.check_replicas(set, wanted.get())?;
    }
    let state = run_state::read(cluster, set, &live).await?;
    run_state::ask(context, set, &state, wanted.get()).await?;
    let has_slots = objects::capabilities(&live).has_replication_slots;
    let owner = other_owner(&live);
    let growth = refuse::room::Growth::of(&live, wanted.get());
    let scale = scale::prepare(work, live.clone(), wanted).await?;
    refuse::room::check(work, growth).await?;
    let (before, most) = (scale.before(), scale.most());

    context.interrupt.check(|| "nothing was changed".into(), &context.again)?;
    if args.switchover {
        moving::before_scaling(work, &live, &version, wanted.get(), Ending::Wait).await?;
    }
    let applied = scale.run().await?;
    let detail = detail(before, wanted.get(), owner.as_deref(), set);
    let outcome = if before == wanted.get() { Outcome::Unchanged } else { Outcome::Configured };
    context.reporter.emit(Event::object(id, outcome, detail));
    recipe::remember_scaled(work, &applied, wanted.get()).await?;
    let shrinks = before > wanted.get();
    if args.no_wait && has_slots && shrinks {
        let again = context.sibling(&format!("scale --replicas {}", wanted.get()));
        context.note(format!(
            "the replication slots of the deleted pods keep WAL until this is run: {again}"
        ));
    }
    if !args.no_wait {
        let expectation = expectation(set, work.topology, &applied, wanted.get(), &version);
        let scope = scope(set, &applied, version);
        let done = "the number of pods is set";
        wait::until_ready(work, Wait { scope, expectation, done, replace: &[] }).await?;
        if has_slots {
            // Also without a change of the number: an interrupted run may have left slots.
            slots::drop_beyond(work, wanted.get(), most).await?;
        }
    }
    let message = if args.no_wait {
        let status = context.sibling("status");
        format!(
            "{} is set to {} (--no-wait): `{status}` shows its state",
            set.name,
            count(wanted.get())
        )
    } else {
        format!("{} is ready: {}", set.name, pods(wanted.get()))
    };
    context.finish(message, started);
    Ok(Exit::Done)
}

/// The last other field manager that set the number of pods.
fn other_owner(live: &Value) -> Option<String> {
    plan::owners(live, &Path::of(&["spec", "replicas"]))
        .into_iter()
        .map(|m| m.name)
        .find(|name| name != MANAGER)
}

fn detail(before: u32, after: u32, owner: Option<&str>, set: &SetIdentity) -> Option<String> {
    let mut words = Vec::new();
    if before != after {
        words.push(format!("replicas {before} -> {after}"));
        words.extend(owner.map(|owner| format!("last set by {owner}")));
    }
    if after < before {
        let (first, last) = (set.pod(after), set.pod(before - 1));
        words.push(match before - after {
            1 => format!("{first} is deleted, its data is kept"),
            2 => format!("{first} and {last} are deleted, their data is kept"),
            _ => format!("{first} to {last} are deleted, their data is kept"),
        });
    }
    (!words.is_empty()).then(|| words.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(before: u32, after: u32, owner: Option<&str>) -> Option<String> {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        detail(before, after, owner, &set)
    }

    #[test]
    fn what_scaling_says() {
        assert_eq!(said(3, 3, Some("kubectl")), None);
        assert_eq!(said(2, 3, None).unwrap(), "replicas 2 -> 3");
        assert_eq!(
            said(3, 2, Some("kubectl")).unwrap(),
            "replicas 3 -> 2; last set by kubectl; pgset-2 is deleted, its data is kept"
        );
        assert_eq!(
            said(4, 2, None).unwrap(),
            "replicas 4 -> 2; pgset-2 and pgset-3 are deleted, their data is kept"
        );
        assert_eq!(
            said(5, 2, None).unwrap(),
            "replicas 5 -> 2; pgset-2 to pgset-4 are deleted, their data is kept"
        );
    }
}
