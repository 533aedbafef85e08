//! `pgset down`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use crate::cli::DownArgs;
use crate::cluster::Cluster;
use crate::cluster::objects::Freshness;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::event::{Event, Outcome};
use crate::manifest::ServerVersion;
use crate::manifest::{Kind, ObjectId};
use crate::procedure::scale;
use crate::procedure::wait;
use crate::procedure::wait::Wait;
use crate::procedure::{live, topology};
use crate::readiness;
use crate::set::SetIdentity;
use crate::set::objects;
use crate::set::rights;

/// How often a deleted object is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often one that is held is looked for.
const LOOK_AT_HELD_EVERY: Duration = Duration::from_secs(1);

/// An object that is still there after this long is held by something.
const HOLDER_AFTER: Duration = Duration::from_secs(2);

type Objects = BTreeMap<ObjectId, Value>;

/// Takes a set down: pods first, in order; the data only with `--delete-data`.
///
/// The objects are found by their labels, so that neither the settings nor the templates of `up` are
/// needed, and an interrupted run goes on where it was.
pub async fn run(args: &DownArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    if args.delete_data && !context.prompt.answers() {
        return Err(Failure::new(
            Exit::Usage,
            "--delete-data has the set's name typed, and there is no terminal to type it at",
        )
        .hint(format!("{} --yes  # deletes the data without a question", context.again))
        .into());
    }
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let cluster = context.cluster(&target).await?;
    context.begin("down", &set, &target);
    let version = cluster.version().await?;
    let all = live::of_set(&cluster, &set).await?;
    let (data, rest): (Objects, Objects) =
        all.into_iter().partition(|(id, _)| objects::holds_data(&set, id));
    let (going, staying) = if args.delete_data {
        (rest.into_iter().chain(data).collect(), Objects::new())
    } else {
        (rest, data)
    };
    if going.is_empty() {
        context.finish(nothing(&set, &staying), started);
        return Ok(Exit::Done);
    }
    let mut kinds: Vec<Kind> = going.keys().map(|id| id.kind).collect();
    kinds.dedup();
    let erases = crate::procedure::erase::shared(&set, &going).is_some();
    live::check_rights(&cluster, rights::down(&set, &kinds, erases, &version)).await?;
    ask(args, context, &set, &target.context, &going, &staying).await?;

    let next = context.again.as_str();
    stop(context, &cluster, &set, &going, version, next).await?;
    let files_stay = if args.delete_data {
        crate::procedure::erase::erase(context, &cluster, &set, &going, next).await?
    } else {
        None
    };
    // Passwords and claim go only after the files that they open: else the next `up` would find a
    // database that nobody can log in to.
    let (kept, going) = if files_stay.is_some() {
        going.into_iter().partition(|(id, _)| objects::holds_data(&set, id))
    } else {
        (Objects::new(), going)
    };
    remove(context, &cluster, going, next).await?;
    if let Some(reason) = files_stay {
        return Err(files_left(&set, &kept, &reason, next).into());
    }
    for (id, value) in &staying {
        let detail = whereabouts(id, value);
        context.reporter.emit(Event::Object { object: id.clone(), outcome: Outcome::Kept, detail });
    }
    if !staying.is_empty() {
        context.note_that_matters(format!(
            "the data is kept: `{}` finds it again, `{}` deletes it",
            context.sibling("up"),
            context.sibling("down --delete-data")
        ));
    }
    context.finish(format!("{} is down", set.name), started);
    Ok(Exit::Done)
}

/// The pods are gone and the files are not: what keeps them, and how to give them up.
fn files_left(set: &SetIdentity, kept: &Objects, reason: &str, next: &str) -> Failure {
    let names = |namespaced: bool| {
        let kept = kept.keys().filter(|id| id.kind.namespaced() == namespaced);
        kept.map(|id| format!("{}/{}", id.kind.name().to_lowercase(), id.name))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let (objects, volumes) = (names(true), names(false));
    let mut abandon = vec![format!("kubectl -n {} delete {objects}", set.namespace)];
    if !volumes.is_empty() {
        abandon.push(format!("kubectl delete {volumes}"));
    }
    let abandon = abandon.join(" && ");
    Failure::new(
        Exit::Failed,
        format!(
            "the files of {} could not be deleted; they stay, and what opens them: {reason}",
            set.name
        ),
    )
    .hint(format!("{next}  # once the volume can be mounted"))
    .hint(format!("{abandon}  # gives the files up, wherever they are"))
}

fn nothing(set: &SetIdentity, staying: &Objects) -> String {
    let place = format!("{} in namespace {}", set.name, set.namespace);
    if staying.is_empty() {
        return format!("nothing to do: there is no set {place}");
    }
    let kept: Vec<String> = staying.keys().map(ToString::to_string).collect();
    format!("nothing to do: {place} is down, its data is kept ({})", kept.join(", "))
}

/// Shows what goes and what stays, and asks.
async fn ask(
    args: &DownArgs,
    context: &Context,
    set: &SetIdentity,
    kube_context: &str,
    going: &Objects,
    staying: &Objects,
) -> anyhow::Result<()> {
    let place = if kube_context.is_empty() {
        format!("namespace {}", set.namespace)
    } else {
        format!("namespace {}, context {kube_context}", set.namespace)
    };
    let mut lines = vec![format!("pgset down takes down set {} ({place}):", set.name)];
    for (title, objects) in [("delete", going), ("keep", staying)] {
        for (id, value) in objects {
            let note = whereabouts(id, value).map(|w| format!("  ({w})")).unwrap_or_default();
            lines.push(format!("  {title:<6} {id}{note}"));
        }
    }
    context.note_that_matters(lines.join("\n"));
    let agreed = if args.delete_data {
        let question = "This deletes the data for good. Type the set's name to go on:";
        context.type_name(question, set.name.as_str()).await?
    } else {
        context.confirm("Take it down?").await?
    };
    if agreed {
        return Ok(());
    }
    Err(Failure::new(Exit::Refused, "nothing was deleted").into())
}

/// Where the data of an object lies.
fn whereabouts(id: &ObjectId, value: &Value) -> Option<String> {
    let spec = &value["spec"];
    match id.kind {
        Kind::PersistentVolume => {
            if let Some(server) = spec["nfs"]["server"].as_str() {
                return Some(format!("nfs://{server}{}", spec["nfs"]["path"].as_str()?));
            }
            let path = spec["hostPath"]["path"].as_str().or(spec["local"]["path"].as_str())?;
            Some(format!("{path} on the node"))
        }
        Kind::PersistentVolumeClaim => {
            spec["volumeName"].as_str().map(|volume| format!("volume {volume}"))
        }
        Kind::Secret if value["type"] == "kubernetes.io/tls" => {
            Some("the CA that clients trust".to_owned())
        }
        Kind::Secret => Some("the passwords that open the data".to_owned()),
        Kind::ConfigMap if value["data"][topology::KEY].is_string() => {
            Some("whose data it is".to_owned())
        }
        _ => None,
    }
}

/// Stops the pods: highest ordinal first, each with a clean shutdown, the master last.
async fn stop(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    going: &Objects,
    version: ServerVersion,
    next: &str,
) -> anyhow::Result<()> {
    let id = objects::statefulset(set);
    let Some(live) = going.get(&id) else { return Ok(()) };
    context.interrupt.check(|| "nothing was deleted".into(), next)?;
    let live = if objects::replicas(live) == 0 {
        live.clone()
    } else {
        scale::set_replicas(cluster, live, &id, 0).await?
    };
    let expectation = wait::expectation(set, &live, 0, &version);
    let scope = wait::scope(set, &live, version);
    let done = "nothing is deleted yet, the pods are told to stop";
    wait::until_ready(context, cluster, Wait { scope, expectation, done, next })
        .await
        .context("stopping the pods")?;
    Ok(())
}

/// Deletes in the reverse of the order of apply, what needs the others first, and waits until each is gone.
async fn remove(
    context: &Context,
    cluster: &Cluster,
    going: Objects,
    next: &str,
) -> anyhow::Result<()> {
    let total = going.len();
    let mut depths: BTreeMap<usize, Vec<(ObjectId, Value)>> = BTreeMap::new();
    for (id, value) in going {
        depths.entry(id.kind.depth()).or_default().push((id, value));
    }
    let mut done = 0;
    for (_, objects) in depths.into_iter().rev() {
        context.interrupt.check(|| format!("{done} of {total} objects are deleted"), next)?;
        let mut gone = stream::iter(objects)
            .map(|(id, value)| async move {
                let uid = live::uid_of(&value).to_owned();
                cluster.delete(&id, &uid).await?;
                until_gone(context, cluster, &id, &uid, next).await?;
                anyhow::Ok(id)
            })
            .buffer_unordered(live::READS);
        while let Some(object) = gone.try_next().await? {
            done += 1;
            context.reporter.emit(Event::Object {
                object,
                outcome: Outcome::Deleted,
                detail: None,
            });
        }
    }
    Ok(())
}

/// Waits until an object is gone, or another has its name.
///
/// # Errors
/// At the deadline, naming who holds it: a finalizer, or the pods that mount a claim.
async fn until_gone(
    context: &Context,
    cluster: &Cluster,
    id: &ObjectId,
    uid: &str,
    next: &str,
) -> anyhow::Result<()> {
    let mut said = None;
    let began = tokio::time::Instant::now();
    loop {
        let Some(live) = cluster.get(id).await? else { return Ok(()) };
        if live::uid_of(&live) != uid {
            return Ok(());
        }
        // Most are gone with the next look; who holds the others is worth a question.
        if began.elapsed() < HOLDER_AFTER {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        let holder = holder(cluster, id, &live).await;
        if let Some(holder) = &holder
            && said.as_ref() != Some(holder)
        {
            context.reporter.emit(Event::State {
                object: id.clone(),
                phase: crate::readiness::Phase::Terminating,
                state: format!("Terminating: {holder}"),
            });
            said = Some(holder.clone());
        }
        if cluster.deadline.remaining() < LOOK_AT_HELD_EVERY {
            let reason = holder.unwrap_or_else(|| "nobody is seen to hold it".to_owned());
            return Err(Failure::new(
                Exit::TimedOut,
                format!(
                    "{id} is still there after {} s: {reason}",
                    cluster.deadline.elapsed().as_secs()
                ),
            )
            .hint(format!("{next}  # goes on"))
            .into());
        }
        tokio::select! {
            exit = context.interrupt.wait() => {
                return Err(crate::interrupt::interrupted(exit, &format!("{id} is on its way out"), next).into());
            }
            () = tokio::time::sleep(LOOK_AT_HELD_EVERY) => {}
        }
    }
}

async fn holder(cluster: &Cluster, id: &ObjectId, live: &Value) -> Option<String> {
    let namespace = id.namespace.as_deref().unwrap_or_default();
    let pods = match id.kind {
        Kind::PersistentVolumeClaim => {
            cluster.list(Kind::Pod, namespace, "", Freshness::Latest).await.ok()?
        }
        _ => Vec::new(),
    };
    let pods: Vec<_> = pods.into_iter().filter_map(|p| serde_json::from_value(p).ok()).collect();
    readiness::deletion_blocked(live, &pods)
}
