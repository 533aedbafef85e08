//! Deletes objects and waits until they are gone.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::early::READS;
use super::expectation::count;
use super::inventory::whereabouts;
use super::{LOOK_EVERY, Next, Procedure, Work, erase, lease, live, run};
use crate::cli::DryRun;
use crate::cluster::Cluster;
use crate::cluster::objects::Freshness;
use crate::error::{Exit, Failure};
use crate::event::{Audience, Event, Outcome};
use crate::manifest::{Kind, ObjectId};
use crate::readiness::{self, Phase};
use crate::set::objects;

/// The pause between two polls for an object whose deletion is blocked.
const LOOK_AT_HELD_EVERY: Duration = Duration::from_secs(1);

/// After this time, pgset looks for what blocks the deletion of an object.
const HOLDER_AFTER: Duration = Duration::from_secs(2);

pub(crate) use super::inventory::Objects;

/// Deletes objects in the reverse of the order in which they are applied, so dependent objects first. Waits
/// until each object is gone.
///
/// # Errors
/// When an object can't be deleted, or still exists at the deadline.
pub(crate) async fn delete(work: Work<'_>, going: Objects) -> anyhow::Result<()> {
    let (context, cluster) = (work.context, work.cluster);
    let total = going.len();
    let mut depths: BTreeMap<usize, Vec<(ObjectId, Value)>> = BTreeMap::new();
    for (id, value) in going {
        depths.entry(id.kind.depth()).or_default().push((id, value));
    }
    let mut done = 0;
    for (_, objects) in depths.into_iter().rev() {
        let progress = || format!("{done} of {total} objects are deleted");
        context.interrupt.check(progress, &context.again)?;
        lease::still_ours(work).await?;
        let mut gone = stream::iter(objects)
            .map(|(id, value)| async move {
                let uid = live::uid_of(&value).to_owned();
                cluster.delete(&id, &uid).await?;
                until_gone(work, &id, uid).await?;
                anyhow::Ok(id)
            })
            .buffer_unordered(READS);
        while let Some(object) = gone.try_next().await? {
            done += 1;
            context.reporter.emit(Event::object(object, Outcome::Deleted, None));
        }
    }
    Ok(())
}

/// Tells what [`delete`] would delete, in its order, and what would stay. Writes nothing.
///
/// # Errors
/// When the server refuses a deletion (`--dry-run=server`).
pub(crate) async fn rehearse(
    work: Work<'_>,
    dry_run: DryRun,
    going: &Objects,
    staying: &Objects,
) -> anyhow::Result<()> {
    let tell = |id: &ObjectId, outcome, detail| {
        work.context.reporter.emit(Event::object(id.clone(), outcome, detail));
    };
    let mut order: Vec<(&ObjectId, &Value)> = going.iter().collect();
    order.sort_by_key(|(id, _)| std::cmp::Reverse(id.kind.depth()));
    for (id, value) in order {
        if dry_run == DryRun::Server {
            work.cluster.rehearse_delete(id, live::uid_of(value)).await?;
        }
        let detail = match objects::replicas(value) {
            pods @ 1.. if id.kind == Kind::StatefulSet => {
                Some(format!("{} would be stopped first", count(pods)))
            }
            _ => whereabouts(id, value),
        };
        tell(id, Outcome::WouldDelete, detail);
    }
    if let Some((claim, _)) = erase::shared(work.set, going) {
        let name = &work.set.name;
        work.context.note(format!("the files of {name} on claim {claim} would be deleted"));
    }
    for (id, value) in staying {
        tell(id, Outcome::WouldKeep, whereabouts(id, value));
    }
    Ok(())
}

/// Waits until an object is gone, or a new object has its name.
///
/// # Errors
/// At the deadline, with what blocks the deletion: a finalizer, or the pods that mount a claim.
async fn until_gone(work: Work<'_>, id: &ObjectId, uid: String) -> anyhow::Result<()> {
    run(work, Gone { work, id, uid, began: Instant::now(), holder: None }).await?;
    Ok(())
}

struct Gone<'a> {
    work: Work<'a>,
    id: &'a ObjectId,
    uid: String,
    began: Instant,
    /// The last known reason why the deletion is blocked.
    holder: Option<String>,
}

impl Procedure for Gone<'_> {
    /// Whether the object still exists.
    type Facts = bool;
    type Step = std::convert::Infallible;

    async fn look(&mut self) -> anyhow::Result<bool> {
        let live = self.work.cluster.get(self.id).await?;
        let Some(live) = live.filter(|live| live::uid_of(live) == self.uid) else {
            return Ok(false);
        };
        // Most objects are gone at the next poll. Only for the others is it worth a request to find out what
        // blocks them.
        if self.began.elapsed() >= HOLDER_AFTER {
            let holder = holder(self.work.cluster, self.id, &live).await;
            if let Some(holder) = holder.as_ref().filter(|_| holder != self.holder) {
                self.work.context.reporter.emit(Event::State {
                    object: self.id.clone(),
                    phase: Phase::Terminating,
                    state: format!("Terminating: {holder}"),
                    elapsed: self.began.elapsed(),
                    audience: Audience::Everybody,
                });
            }
            self.holder = holder.or(self.holder.take());
        }
        Ok(true)
    }

    fn next(is_there: &bool) -> Next<Self::Step> {
        if *is_there { Next::Wait("it still exists".to_owned()) } else { Next::Done }
    }

    async fn act(&mut self, step: Self::Step) -> anyhow::Result<()> {
        match step {}
    }

    fn done(&self) -> String {
        format!("{} is being deleted", self.id)
    }

    fn too_late(&self, work: Work<'_>, _: String) -> Failure {
        let reason = self.holder.as_deref().unwrap_or("pgset found no cause");
        let seconds = work.cluster.deadline.elapsed().as_secs();
        Failure::new(
            Exit::TimedOut,
            format!("{} still exists after {seconds} s: {reason}", self.id),
        )
        .hint(work.resume())
    }

    async fn pause(&mut self) -> anyhow::Result<()> {
        let held = self.began.elapsed() >= HOLDER_AFTER;
        sleep(if held { LOOK_AT_HELD_EVERY } else { LOOK_EVERY }).await;
        Ok(())
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
