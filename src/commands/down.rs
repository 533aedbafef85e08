//! `pgset down`.

use std::time::Instant;

use serde_json::Value;

use crate::cli::DownArgs;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::event::{Event, Outcome};
use crate::manifest::{Kind, ObjectId};
use crate::procedure::delete::Objects;
use crate::procedure::{Work, delete, erase, live, stop, topology};
use crate::set::topology::SYSTEM_IDENTIFIER;
use crate::set::{SetIdentity, Topology, objects, rights};

/// Deletes a set: pods first, in order. Deletes the data only with `--delete-data`.
///
/// The objects are found by their labels. So `down` needs neither the settings nor the templates of `up`, and
/// running it again resumes an interrupted run.
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
    let (all, topology) =
        futures::join!(live::of_set(&cluster, &set), topology::read(&cluster, &set));
    let all = all?;
    // A topology that can't be understood must not keep a set from being deleted.
    let topology = topology.unwrap_or_else(|error| {
        context.warn(format!("{error:#}"));
        Topology::default()
    });
    let work = Work { context, cluster: &cluster, set: &set, topology: &topology };
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
    let erases = erase::shared(&set, &going).is_some();
    live::check_rights(&cluster, rights::down(&set, &kinds, erases, &version)).await?;
    ask(args, context, &set, &target.context, &going, &staying).await?;

    if let Some(statefulset) = going.get(&objects::statefulset(&set)) {
        stop::stop(work, statefulset, version).await?;
    }
    let files_stay = if args.delete_data { erase::erase(work, &going).await? } else { None };
    // Delete the Secret and the claim only after the files. Otherwise the next `up` would find a database
    // whose passwords are lost.
    let (kept, going) = if files_stay.is_some() {
        going.into_iter().partition(|(id, _)| objects::holds_data(&set, id))
    } else {
        (Objects::new(), going)
    };
    delete::delete(work, going).await?;
    if let Some(reason) = files_stay {
        return Err(files_left(&set, &kept, &reason, &context.again).into());
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

/// The failure when the pods are deleted but the files could not be: which objects are kept, and how to
/// delete them anyway.
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

/// Shows which objects are deleted and which are kept, and asks for confirmation.
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
    Err(Failure::cancelled().into())
}

/// Where an object's data is stored.
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
        Kind::ConfigMap if value["data"][SYSTEM_IDENTIFIER].is_string() => {
            Some("whose data it is".to_owned())
        }
        _ => None,
    }
}
