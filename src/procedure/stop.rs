//! Stops the pods of a set: the master's server first, then the pods.

mod master;

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

/// Stops the pods before the objects are deleted, each with a clean shutdown. With `keep`, the master stops before its
/// replicas, which then have all of the data that is kept.
///
/// # Errors
/// When the StatefulSet can't be changed, or pods still exist at the deadline.
pub(crate) async fn stop(
    work: Work<'_>,
    statefulset: &Value,
    version: ServerVersion,
    keep: bool,
) -> anyhow::Result<()> {
    work.context.interrupt.check(|| "nothing was deleted".into(), &work.context.again)?;
    let id = objects::statefulset(work.set);
    let live = if objects::replicas(statefulset) == 0 {
        statefulset.clone()
    } else {
        lease::still_ours(work).await?;
        if keep {
            master::stop_master(work).await?;
        }
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
    let facts = Facts { state, done: Done::Nothing };
    let mut stop = OnPurpose { work, statefulset, recipe, facts };
    run(work, &mut stop).await?;
    Ok(stop.statefulset)
}

/// The progress of [`on_purpose`].
#[derive(Clone, Debug)]
struct Facts {
    /// The state before.
    state: RunState,
    /// What this run has done.
    done: Done,
}

/// What is done, in this order. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Done {
    Nothing,
    /// The user has agreed.
    Agreed,
    /// The record is written.
    Recorded,
    /// The master's server was told to stop.
    MasterStopped,
    /// The number of pods was set to 0.
    Scaled,
}

#[derive(Debug, PartialEq)]
enum Step {
    /// Ask the user.
    Ask,
    /// Record who stops the set, and its number of pods.
    Record,
    /// Stop the master's server, so that its replicas receive all that it has written.
    StopMaster,
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
        match (&facts.state, facts.done) {
            (RunState::Stopped { .. }, _) | (_, Done::Scaled) => Next::Done,
            (RunState::Running, Done::Nothing) => Next::Act(Step::Ask),
            (_, Done::Nothing | Done::Agreed) => Next::Act(Step::Record),
            (RunState::Running, Done::Recorded) => Next::Act(Step::StopMaster),
            (_, Done::Recorded | Done::MasterStopped) => Next::Act(Step::Scale),
        }
    }

    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        self.facts.done = match step {
            Step::Ask => {
                self.ask().await?;
                Done::Agreed
            }
            Step::Record => {
                self.record().await?;
                Done::Recorded
            }
            Step::StopMaster => {
                lease::still_ours(self.work).await?;
                master::stop_master(self.work).await?;
                Done::MasterStopped
            }
            Step::Scale => {
                self.scale().await?;
                Done::Scaled
            }
        };
        Ok(())
    }

    fn done(&self) -> String {
        let done = match self.facts.done {
            Done::Nothing | Done::Agreed => "nothing was changed",
            Done::Recorded => "the number of pods is recorded, no pod was stopped",
            Done::MasterStopped => "the master is stopped, and starts again in 2 minutes",
            Done::Scaled => "the pods are stopping",
        };
        done.to_owned()
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
        for (state, done, next) in [
            (&running, Done::Nothing, Next::Act(Step::Ask)),
            (&running, Done::Agreed, Next::Act(Step::Record)),
            (&running, Done::Recorded, Next::Act(Step::StopMaster)),
            (&running, Done::MasterStopped, Next::Act(Step::Scale)),
            (&running, Done::Scaled, Next::Done),
            (&zero, Done::Nothing, Next::Act(Step::Record)),
            (&zero, Done::Recorded, Next::Act(Step::Scale)),
            (&zero, Done::Scaled, Next::Done),
            // An interrupted run has done all of it.
            (&stopped, Done::Nothing, Next::Done),
        ] {
            let facts = Facts { state: state.clone(), done };
            assert_eq!(<&mut OnPurpose<'_>>::next(&facts), next, "{facts:?}");
        }
    }
}
