//! Stops the pods of a set.

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::Value;

use super::expectation::{count, expectation, scope};
use super::wait::{self, Wait};
use super::{Next, Procedure, Work, lease, recipe, run, scale};
use crate::error::Failure;
use crate::event::{Event, Outcome};
use crate::manifest::ServerVersion;
use crate::readiness::Snapshot;
use crate::set::{RunState, StopRecord, objects};

/// Stops the pods before they are deleted: the highest ordinal first, each with a clean shutdown.
///
/// # Errors
/// When the StatefulSet can't be changed, or pods still exist at the deadline.
pub(crate) async fn stop(
    work: Work<'_>,
    statefulset: &Value,
    version: ServerVersion,
) -> anyhow::Result<()> {
    work.context.interrupt.check(|| "nothing was deleted".into(), &work.context.again)?;
    let id = objects::statefulset(work.set);
    let live = if objects::replicas(statefulset) == 0 {
        statefulset.clone()
    } else {
        lease::still_ours(work).await?;
        scale::set_replicas(work.cluster, statefulset, &id, 0).await?
    };
    until_stopped(work, &live, version, "nothing is deleted yet, the pods are stopping").await?;
    Ok(())
}

/// Waits until no pod of the set exists. Returns the last snapshot.
///
/// # Errors
/// When pods still exist at the deadline.
pub(crate) async fn until_stopped(
    work: Work<'_>,
    statefulset: &Value,
    version: ServerVersion,
    done: &str,
) -> anyhow::Result<Snapshot> {
    let expectation = expectation(work.set, work.topology, statefulset, 0, &version);
    let scope = scope(work.set, statefulset, version);
    let wait = Wait { scope, expectation, done, replace: &[] };
    wait::until_ready(work, wait).await.context("stopping the pods")
}

/// Stops a set on purpose: records who did it and how many pods there were, then sets the number of pods to 0.
/// Does not wait. `recipe` is the ConfigMap with the recipe. Returns the StatefulSet.
///
/// # Errors
/// When the user does not agree, or a write fails.
pub(crate) async fn on_purpose(
    work: Work<'_>,
    statefulset: Value,
    recipe: Option<&Value>,
    state: RunState,
) -> anyhow::Result<Value> {
    let facts = Facts { state, agreed: false, recorded: false, scaled: false };
    let mut stop = OnPurpose { work, statefulset, recipe, facts };
    run(work, &mut stop).await?;
    Ok(stop.statefulset)
}

/// The progress of [`on_purpose`].
#[derive(Clone, Debug)]
struct Facts {
    /// The state before.
    state: RunState,
    /// Whether the user has agreed.
    agreed: bool,
    /// Whether the record is written.
    recorded: bool,
    /// Whether the number of pods was set to 0.
    scaled: bool,
}

#[derive(Debug, PartialEq)]
enum Step {
    /// Ask the user.
    Ask,
    /// Record who stops the set, and its number of pods.
    Record,
    /// Set the number of pods to 0. If it is 0 already, pgset becomes an owner of the number.
    Scale,
}

struct OnPurpose<'a> {
    work: Work<'a>,
    statefulset: Value,
    recipe: Option<&'a Value>,
    facts: Facts,
}

impl OnPurpose<'_> {
    /// The number of pods that a later start creates.
    fn pods(&self) -> u32 {
        match self.facts.state {
            RunState::Running => objects::replicas(&self.statefulset),
            _ => self.facts.state.to_start(),
        }
    }

    async fn ask(&self) -> anyhow::Result<()> {
        let (set, pods) = (self.work.set, count(self.pods()));
        let question = format!("Stop set {} ({pods}; its objects and data are kept)?", set.name);
        if self.work.context.confirm(&question).await? {
            return Ok(());
        }
        Err(Failure::cancelled().into())
    }

    async fn record(&self) -> anyhow::Result<()> {
        let (work, pods) = (self.work, self.pods());
        lease::hold_as_planned(work, Some(&self.statefulset)).await?;
        let record = StopRecord { by: work.context.lease.holder().user, since: Timestamp::now() };
        let stop = Some(&record);
        recipe::remember(work, &self.statefulset, self.recipe, recipe::Pods { pods, stop }).await
    }

    async fn scale(&mut self) -> anyhow::Result<()> {
        let (id, before) = (objects::statefulset(self.work.set), self.pods());
        lease::still_ours(self.work).await?;
        let live = scale::set_replicas(self.work.cluster, &self.statefulset, &id, 0).await?;
        self.statefulset = live;
        let detail =
            (self.facts.state == RunState::Running).then(|| format!("replicas {before} -> 0"));
        self.work.context.reporter.emit(Event::object(id, Outcome::Configured, detail));
        Ok(())
    }
}

impl Procedure for &mut OnPurpose<'_> {
    type Facts = Facts;
    type Step = Step;

    async fn look(&mut self) -> anyhow::Result<Facts> {
        Ok(self.facts.clone())
    }

    /// The record is written first: a set without pods and without the record would not be stopped on purpose.
    fn next(facts: &Facts) -> Next<Step> {
        match facts {
            Facts { state: RunState::Stopped { .. }, .. } => Next::Done,
            Facts { state: RunState::Running, agreed: false, .. } => Next::Act(Step::Ask),
            Facts { recorded: false, .. } => Next::Act(Step::Record),
            Facts { scaled: false, .. } => Next::Act(Step::Scale),
            _ => Next::Done,
        }
    }

    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Ask => {
                self.ask().await?;
                self.facts.agreed = true;
            }
            Step::Record => {
                self.record().await?;
                self.facts.recorded = true;
            }
            Step::Scale => {
                self.scale().await?;
                self.facts.scaled = true;
            }
        }
        Ok(())
    }

    fn done(&self) -> String {
        match (self.facts.scaled, self.facts.recorded) {
            (true, _) => "the pods are stopping".to_owned(),
            (false, true) => "the number of pods is recorded, no pod was stopped".to_owned(),
            (false, false) => "nothing was changed".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_set_that_runs_is_asked_about_and_the_record_comes_first() {
        let record = StopRecord { by: "joe@laptop".to_owned(), since: Timestamp::UNIX_EPOCH };
        let stopped = RunState::Stopped { record, recorded_replicas: 2 };
        let zero = RunState::ScaledToZero { by: Some("kubectl".into()), recorded_replicas: 2 };
        let running = RunState::Running;
        for (state, agreed, recorded, scaled, next) in [
            (&running, false, false, false, Next::Act(Step::Ask)),
            (&running, true, false, false, Next::Act(Step::Record)),
            (&running, true, true, false, Next::Act(Step::Scale)),
            (&running, true, true, true, Next::Done),
            (&zero, false, false, false, Next::Act(Step::Record)),
            (&zero, false, true, false, Next::Act(Step::Scale)),
            (&zero, false, true, true, Next::Done),
            // An interrupted run has done all of it.
            (&stopped, false, false, false, Next::Done),
        ] {
            let facts = Facts { state: state.clone(), agreed, recorded, scaled };
            assert_eq!(<&mut OnPurpose<'_>>::next(&facts), next, "{facts:?}");
        }
    }
}
