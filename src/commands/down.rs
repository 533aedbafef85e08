//! `pgset down`.

use std::time::Instant;

use crate::cli::DownArgs;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::event::{Audience, Event, Outcome};
use crate::manifest::Kind;
use crate::procedure::delete::Objects;
use crate::procedure::inventory::{data, listed, whereabouts};
use crate::procedure::{Work, delete, erase, lease, live, recipe, stop, topology};
use crate::set::{SetIdentity, Topology, objects, rights};

/// Deletes a set: pods first, in order. Deletes the data only with `--delete-data`.
///
/// The objects are found by their labels. So `down` needs neither the settings nor the templates of `up`, and
/// running it again resumes an interrupted run.
pub async fn run(args: &DownArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    if args.delete_data && args.dry_run.is_none() && !context.prompt.answers() {
        return Err(Failure::new(
            Exit::Usage,
            "--delete-data asks for the set's name, and there is no terminal to type it",
        )
        .hint(format!("{} --yes  # deletes the data without a question", context.again))
        .into());
    }
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let cluster = context.cluster(&target).await?;
    context.begin("down", &set, &target, Vec::new());
    let attempt =
        async || Box::pin(attempt(args, context, &cluster, &set, &target.context, started)).await;
    lease::planned(attempt).await
}

/// Finds the objects and deletes them.
async fn attempt(
    args: &DownArgs,
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    kube_context: &str,
    started: Instant,
) -> anyhow::Result<Exit> {
    let version = cluster.version().await?;
    let (all, topology) = futures::join!(live::of_set(cluster, set), topology::read(cluster, set));
    let all = all?;
    live::check_names(cluster, set, &all).await?;
    // A topology that can't be understood must not keep a set from being deleted.
    let topology = topology.unwrap_or_else(|error| {
        context.warn(format!("{error:#}"));
        Topology::default()
    });
    let work = Work { context, cluster, set, topology: &topology };
    let (data, rest): (Objects, Objects) =
        all.into_iter().partition(|(id, _)| objects::holds_data(set, id));
    let (going, staying) = if args.delete_data {
        (rest.into_iter().chain(data).collect(), Objects::new())
    } else {
        (rest, data)
    };
    if going.is_empty() {
        let next = if staying.is_empty() { Vec::new() } else { kept_rows(context, &staying) };
        context.finish_with(nothing(set, &staying), started, None, next);
        return Ok(Exit::Done);
    }
    let mut kinds: Vec<Kind> = going.keys().map(|id| id.kind).collect();
    kinds.dedup();
    let erases = erase::shared(set, &going).is_some();
    live::check_rights(cluster, rights::down(set, &kinds, erases, &version)).await?;
    if let Some(dry_run) = args.dry_run {
        delete::rehearse(work, dry_run, &going, &staying).await?;
        context.finish("nothing was written: this was a dry run", started);
        return Ok(Exit::Done);
    }
    ask(args, context, set, kube_context, &going, &staying).await?;

    lease::hold_as_planned(work, going.get(&objects::statefulset(set))).await?;
    if let Some(statefulset) = going.get(&objects::statefulset(set)) {
        // A stopped set has recorded it; an interrupted run, too.
        let pods = objects::replicas(statefulset);
        if !args.delete_data && pods > 0 {
            let recorded = staying.get(&objects::settings(set));
            let what = recipe::Pods { pods, stop: None };
            recipe::remember(work, statefulset, recorded, what).await?;
        }
        stop::stop(work, statefulset, version, !args.delete_data).await?;
    }
    let files_stay = if args.delete_data { erase::erase(work, &going).await? } else { None };
    // Delete the Secret and the claim only after the files. Otherwise the next `up` would find a database
    // whose passwords are lost.
    let (kept, going) = if files_stay.is_some() {
        going.into_iter().partition(|(id, _)| objects::holds_data(set, id))
    } else {
        (Objects::new(), going)
    };
    delete::delete(work, going).await?;
    if let Some(reason) = files_stay {
        return Err(files_left(set, &kept, &reason, &context.again).into());
    }
    for (object, value) in &staying {
        let (object, outcome, detail) = (object.clone(), Outcome::Kept, whereabouts(object, value));
        let audience = Audience::Verbose;
        context.reporter.emit(Event::Object { object, outcome, detail, audience });
    }
    let next = if staying.is_empty() { Vec::new() } else { kept_rows(context, &staying) };
    context.finish_with(format!("{} is down", set.name), started, None, next);
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
            "the files of {} could not be deleted; they are kept, and so are their volumes and passwords: {reason}",
            set.name
        ),
    )
    .hint(format!("{next}  # once the volume can be mounted"))
    .hint(format!("{abandon}  # deletes these objects and leaves the files where they are"))
}

/// What is kept, and the commands that use it.
fn kept_rows(context: &Context, staying: &Objects) -> Vec<(&'static str, String)> {
    vec![
        ("kept", data(staying)),
        ("start again", context.sibling("up")),
        ("delete", context.sibling("down --delete-data")),
    ]
}

fn nothing(set: &SetIdentity, staying: &Objects) -> String {
    let place = format!("{} in namespace {}", set.name, set.namespace);
    if staying.is_empty() {
        return format!("nothing to do: there is no set {place}");
    }
    format!("nothing to do: {place} is down")
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
    let mut lines = vec![format!("pgset down deletes set {} ({place}):", set.name)];
    lines.push(format!("  delete  {}", listed(going)));
    if !staying.is_empty() {
        lines.push(format!("  keep    {}", listed(staying)));
    }
    let message = lines.join("\n");
    // Without a question nobody reads it before the objects are deleted.
    if context.prompt.answers() && !context.global.yes {
        context.note(message);
    } else {
        context.detail(message);
    }
    let agreed = if args.delete_data {
        let question =
            "The data will be deleted and can't be restored. Type the set's name to continue:";
        context.type_name(question, set.name.as_str()).await?
    } else {
        context.confirm(&format!("Delete set {}?", set.name)).await?
    };
    if agreed {
        return Ok(());
    }
    Err(Failure::cancelled().into())
}
