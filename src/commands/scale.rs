//! `pgset scale`.

use std::time::Instant;

use anyhow::Context as _;
use serde_json::Value;

use crate::cli::ScaleArgs;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::Exit;
use crate::event::{Event, Outcome};
use crate::image::Profile;
use crate::manifest::Object;
use crate::plan::{self, Path};
use crate::procedure::scale;
use crate::procedure::wait;
use crate::procedure::wait::Wait;
use crate::procedure::{live, role, slots};
use crate::set::SetIdentity;
use crate::set::objects;
use crate::set::rights;
use crate::settings::{Source, resolve};

/// Changes the number of pods and waits until every replica streams.
pub async fn run(args: &ScaleArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let wanted = resolve::replicas(&args.replicas, Source::Flag("--replicas"), None)?.value;
    let cluster = context.cluster(&target).await?;
    context.begin("scale", &set, &target);

    let id = objects::statefulset(&set);
    let version = cluster.version().await?;
    let mut needed = rights::waiting(&set, &version);
    needed.extend(rights::scaling(&set));
    let (missing, live) = futures::join!(live::check_rights(&cluster, needed), cluster.get(&id));
    missing?;
    let live = live?.ok_or_else(|| live::no_set(&set, context))?;
    live::check_ours(&live, &id, &set)?;
    scale::check_image(&live, wanted)?;
    scale::check_synchronous(&cluster, &set, &live, wanted).await?;
    let role = role(&cluster, &set, &live, wanted.get()).await?;
    let before = objects::replicas(&live);
    let owner = other_owner(&live);
    let has_slots = role::profile(&live) == Some(Profile::POSTGRES);

    let next = context.again.as_str();
    context.interrupt.check(|| "nothing was changed".into(), next)?;
    // Named before they start; forgotten once they were told to go.
    let forget = before > wanted.get();
    rename(context, &cluster, role.as_ref().filter(|_| !forget)).await?;
    let applied = if before == wanted.get() {
        live
    } else {
        scale::set_replicas(&cluster, &live, &id, wanted.get()).await?
    };
    rename(context, &cluster, role.as_ref().filter(|_| forget)).await?;
    let detail = detail(before, wanted.get(), owner.as_deref(), &set);
    let outcome = if before == wanted.get() { Outcome::Unchanged } else { Outcome::Configured };
    context.reporter.emit(Event::Object { object: id, outcome, detail });
    if !args.no_wait {
        let expectation = wait::expectation(&set, &applied, wanted.get(), &version);
        let scope = wait::scope(&set, &applied, version);
        let done = "the number of pods is asked for";
        let wait = Wait { scope, expectation, done, next };
        wait::until_ready(context, &cluster, wait).await?;
    }
    if has_slots && !args.no_wait {
        // Also when nothing changes: an interrupted scaling left them.
        slots::drop_beyond(context, &cluster, &set, wanted.get()).await?;
    } else if has_slots && forget {
        context.note(format!(
            "their replication slots keep log until this is run: {next}  # without --no-wait"
        ));
    }
    let state = if args.no_wait { "is asked for" } else { "is ready" };
    context.finish(format!("{} {state}: {}", set.name, wait::pods(wanted.get())), started);
    Ok(Exit::Done)
}

/// The Role with the names of the pods that there will be, where it has others.
async fn role(
    cluster: &Cluster,
    set: &SetIdentity,
    live: &Value,
    pods: u32,
) -> anyhow::Result<Option<Object>> {
    if role::profile(live) != Some(Profile::POSTGRES) {
        return Ok(None);
    }
    live::check_rights(cluster, rights::naming(set)).await?;
    role::changed(cluster, set, pods).await
}

async fn rename(context: &Context, cluster: &Cluster, role: Option<&Object>) -> anyhow::Result<()> {
    let Some(role) = role else { return Ok(()) };
    role::apply(cluster, role).await.context("naming the pods in their Role")?;
    let (object, outcome) = (role.id.clone(), Outcome::Configured);
    context.reporter.emit(Event::Object { object, outcome, detail: None });
    Ok(())
}

/// Who else set the number of pods last.
fn other_owner(live: &Value) -> Option<String> {
    plan::owners(live, &Path::of(&["spec", "replicas"]))
        .into_iter()
        .map(|m| m.name)
        .find(|name| name != crate::manifest::object::MANAGER)
}

fn detail(before: u32, after: u32, owner: Option<&str>, set: &SetIdentity) -> Option<String> {
    let mut words = Vec::new();
    if before != after {
        words.push(format!("replicas {before} -> {after}"));
        words.extend(owner.map(|owner| format!("{owner} had set it before")));
    }
    if after < before {
        words.push(if before - after == 1 {
            format!("{} goes, its data is kept", set.pod(after))
        } else {
            format!("{} to {} go, their data is kept", set.pod(after), set.pod(before - 1))
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
            "replicas 3 -> 2; kubectl had set it before; pgset-2 goes, its data is kept"
        );
        assert_eq!(
            said(4, 2, None).unwrap(),
            "replicas 4 -> 2; pgset-2 to pgset-3 go, their data is kept"
        );
    }
}
