//! A plan, carried out phase by phase.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::Context;
use crate::cluster::objects::Apply;
use crate::cluster::{Cluster, ClusterError};
use crate::error::{Exit, Failure};
use crate::event::{Event, Outcome};
use crate::manifest::{Kind, ObjectId};
use crate::plan::{Action, Plan, Step};

/// How many writes are under way at once.
const WRITES: usize = 8;

/// How to carry out a plan.
#[derive(Clone, Copy, Debug, Default)]
pub struct How<'a> {
    /// `--force-conflicts`.
    pub force: bool,
    /// `--dry-run`.
    pub dry_run: Option<crate::cli::DryRun>,
    /// An object that is only ever created: of two runs at once one makes the passwords, and both
    /// use them.
    pub once: Option<&'a ObjectId>,
}

/// Writes what the plan says, and says what became of each object. Objects of a phase go out
/// concurrently; a phase begins when the one before it is done.
///
/// # Errors
/// With the first write that fails, after those under way have ended; when interrupted, with what
/// was done.
pub async fn carry_out(
    context: &Context,
    cluster: &Cluster,
    plan: Plan,
    how: How<'_>,
    next: &str,
) -> anyhow::Result<Option<Value>> {
    let total: usize = plan.phases.iter().map(Vec::len).sum();
    let mut done = 0;
    let mut statefulset = None;
    for phase in plan.phases {
        context
            .interrupt
            .check(|| format!("{done} of {total} objects are applied, nothing is lost"), next)?;
        let mut steps = stream::iter(phase)
            .map(|step| write(cluster, step, how, next))
            // In order, so that two runs print the same.
            .buffered(WRITES);
        while let Some((step, outcome, live)) = steps.try_next().await? {
            done += 1;
            if step.object.id.kind == Kind::StatefulSet {
                statefulset = live;
            }
            context.reporter.emit(Event::Object {
                object: step.object.id,
                outcome,
                detail: step.detail,
            });
        }
    }
    Ok(statefulset)
}

async fn write(
    cluster: &Cluster,
    step: Step,
    how: How<'_>,
    next: &str,
) -> anyhow::Result<(Step, Outcome, Option<Value>)> {
    use crate::cli::DryRun;
    let dry = how.dry_run.is_some();
    let outcome = match (&step.action, dry) {
        (Action::Unchanged, _) => return Ok((step, Outcome::Unchanged, None)),
        (Action::Create, true) => Outcome::WouldCreate,
        (Action::Create, false) => Outcome::Created,
        (Action::Update(_), true) => Outcome::WouldConfigure,
        (Action::Update(_), false) => Outcome::Configured,
    };
    if how.dry_run == Some(DryRun::Client) {
        return Ok((step, outcome, None));
    }
    let object = &step.object;
    let once = how.once == Some(&object.id);
    let result = if once && matches!(step.action, Action::Create) {
        match cluster.create(object, dry).await {
            Err(e) if e.is_conflict() => return adopt(cluster, step).await,
            other => other,
        }
    } else {
        // What is only ever created belongs to us under another operation, hence the force.
        cluster.apply(object, Apply { dry_run: dry, force: how.force || once }).await
    };
    match result {
        Ok(live) => Ok((step, outcome, Some(live))),
        Err(e) => Err(refused(e, &step, next)),
    }
}

/// Somebody made the Secret between our look and our write: it is as good as ours.
async fn adopt(
    cluster: &Cluster,
    mut step: Step,
) -> anyhow::Result<(Step, Outcome, Option<Value>)> {
    let live = cluster.get(&step.object.id).await?;
    step.detail = Some("another run made it first; its passwords are used".to_owned());
    Ok((step, Outcome::Unchanged, live))
}

fn refused(error: ClusterError, step: &Step, next: &str) -> anyhow::Error {
    if !error.is_conflict() {
        return error.into();
    }
    // The server's words name the manager and each field.
    let words = error.status().map(|s| s.message.clone()).unwrap_or_default();
    Failure::new(
        Exit::Refused,
        format!("{} is managed by somebody else, too: {words}", step.object.id),
    )
    .hint(format!("{next} --force-conflicts  # takes these fields over"))
    .into()
}
