//! `pgset status`.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use crate::cli::{Output, StatusArgs};
use crate::cluster::observe::Observer;
use crate::cluster::{Cluster, Deadline};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::manifest::Kind;
use crate::postgres::status::{Health, Status, View, human};
use crate::procedure::inspect::{self, Subject};
use crate::procedure::inventory::{self, Objects};
use crate::procedure::live;
use crate::set::SetIdentity;

/// The interval of queries to PostgreSQL with `--watch`: replication changes without any Kubernetes event.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// The deadline with `--watch`: practically none.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Shows the set's status, problems first. Exits with 0 if the set is healthy, otherwise with 1.
pub async fn run(args: &StatusArgs, context: &Context) -> anyhow::Result<Exit> {
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let cluster = if args.watch {
        Cluster::new(target.clone(), Deadline::after(FOR_EVER))?
    } else {
        context.cluster(&target).await?
    };
    let Some(subject) = Subject::find(cluster.clone(), set.clone()).await? else {
        let kept = live::kept(&cluster, &set).await;
        if !kept.is_empty() {
            let down = down(&set, &kept);
            context.reporter.say(&text(context, &down)?)?;
            return Ok(exit(&down));
        }
        // Scripts always get a document. Users only need the error.
        if matches!(context.general.output, Output::Json | Output::Yaml) {
            let absent = Status::absent(set.name.as_str(), set.namespace.as_str());
            context.reporter.say(&text(context, &absent)?)?;
        }
        return Err(live::no_set(&cluster, &set, context).await.into());
    };
    if args.watch {
        return watch(context, &subject).await;
    }
    let snapshot = subject.snapshot().await?;
    let status = Status::new(subject.facts(&snapshot).await?);
    context.reporter.say(&text(context, &status)?)?;
    Ok(exit(&status))
}

/// The status of a set that `down` has deleted.
fn down(set: &SetIdentity, kept: &Objects) -> Status {
    let claims = kept.iter().filter(|(id, _)| id.kind == Kind::PersistentVolumeClaim);
    let claims = claims.filter_map(|(_, claim)| serde_json::from_value(claim.clone()).ok());
    let volumes = inspect::volumes(&claims.collect::<Vec<_>>(), &[]);
    let data_on = inventory::place_of_data(kept);
    Status::down(set.name.as_str(), set.namespace.as_str(), data_on, volumes)
}

fn exit(status: &Status) -> Exit {
    if status.health == Health::Healthy { Exit::Done } else { Exit::Failed }
}

fn text(context: &Context, status: &Status) -> anyhow::Result<String> {
    let display = context.reporter.display();
    Ok(match context.general.output {
        Output::Json => serde_json::to_string_pretty(&document(context, status))? + "\n",
        Output::Yaml => {
            crate::manifest::parse::to_yaml(&serde_json::to_value(document(context, status))?)
        }
        Output::Human | Output::Wide | Output::Junit | Output::Env => {
            let wide = context.general.output == Output::Wide;
            let view = View { width: display.stdout_width, color: display.color_stdout, wide };
            context.for_set(&human(status, view)).into_owned()
        }
    })
}

/// The status for programs. The command in its hint works on the same set.
fn document(context: &Context, status: &Status) -> Status {
    let hint = status.hint.as_ref().map(|hint| context.for_set(hint).into_owned());
    Status { hint, ..status.clone() }
}

/// Prints the status whenever it changes, until Ctrl-C.
async fn watch(context: &Context, subject: &Subject) -> anyhow::Result<Exit> {
    let mut observer = Observer::new(&subject.cluster, &subject.scope());
    let mut shown = String::new();
    let mut ask_at = Instant::now();
    loop {
        tokio::select! {
            change = observer.next() => change.context("watching the set")?,
            () = tokio::time::sleep_until(ask_at), if observer.complete() => {}
        }
        if !observer.complete() || Instant::now() < ask_at {
            continue;
        }
        let snapshot = observer.snapshot();
        if snapshot.statefulset.is_none() {
            return Err(Failure::new(
                Exit::Failed,
                format!("set {} does not exist any more", subject.set.name),
            )
            .into());
        }
        let status = Status::new(subject.facts(&snapshot).await?);
        let text = text(context, &status)?;
        // Skip what is the same as the last output.
        if text != shown {
            // Cursor home, clear below: a terminal shows only the current status, a pipe gets one after the
            // other.
            let people = !matches!(context.general.output, Output::Json | Output::Yaml);
            let terminal = people && context.reporter.display().stdout_width.is_some();
            let clear = if terminal { "\x1b[H\x1b[J" } else { "" };
            context.reporter.say(&format!("{clear}{text}"))?;
            if context.reporter.is_unread() {
                return Ok(Exit::Done);
            }
            shown = text;
        }
        ask_at = Instant::now() + ASK_EVERY;
    }
}
