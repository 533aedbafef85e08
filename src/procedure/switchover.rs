//! Makes a replica the master, without loss: the old master stops, it is proved that the replica has everything, and
//! only then it is promoted.
//!
//! Every step is recorded in the topology before it is done, and can be done again: a run that was killed is resumed by the
//! next one. Until the new master is decided, the old one can be made the master again.

pub(crate) mod choice;
pub(crate) mod moving;
pub(super) mod record;
pub(crate) mod report;
pub(super) mod servers;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use self::record::Record;
use self::servers::Servers;
use self::servers::ask;
use super::expectation::{expectation, scope};
use super::wait::{self, Wait};
use super::{Consent, LOOK_EVERY, Next, Procedure, Work, lease, run};
use crate::error::{Exit, Failure};
use crate::manifest::ServerVersion;
use crate::postgres::script::Ended;
use crate::set::transition::{Kind, Step as Recorded};
use crate::set::{LastChange, Topology, Transition, objects};
use crate::values::random_id;

/// How long the new master may take to replay what the old one has written at the end. Then the old one serves again.
const REPLAY_WITHIN: Duration = Duration::from_secs(10);

/// What a switchover has done.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    /// The new master.
    pub(crate) master: u32,
    /// How long nothing could be written. `None` if an earlier run stopped the old master.
    pub(crate) paused: Option<Duration>,
    /// The timeline of the new master.
    pub(crate) timeline: u32,
    /// The topology with the new master.
    pub(crate) topology: Topology,
}

/// From which pod to which one the master moves, by ordinal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) consent: Consent,
}

/// Moves the master, or resumes what the topology records about both pods.
///
/// # Errors
/// When the user declines; when the old master does not stop, or the new one lacks something: then the old one is the
/// master again; when the deadline passes: then the same command resumes.
pub(crate) async fn switch(
    work: Work<'_>,
    statefulset: &Value,
    version: ServerVersion,
    Move { from, to, consent }: Move,
) -> anyhow::Result<Done> {
    let done = match consent {
        Consent::Given => Progress::Agreed,
        Consent::NotAsked => Progress::Nothing,
    };
    let facts = Facts { transition: work.topology.transition.clone(), done };
    // The transition is no obstacle for the command that completes it. Each write checks that it is still the same one.
    let mut begun = work.topology.clone();
    begun.transition = None;
    let work = Work { topology: &begun, ..work };
    let record = Record::new(work);
    let mut switch = Switch {
        work,
        servers: Servers { work },
        record,
        from,
        to,
        facts,
        stopped_at: None,
        paused: None,
        change: None,
    };
    run(work, &mut switch).await?;
    let (paused, topology) = (switch.paused, switch.record.topology);
    let timeline = switch.change.map_or(0, |change| change.timeline);
    let after = Work { topology: &topology, ..work };
    streams(after, statefulset, version, "the master has moved").await?;
    Ok(Done { master: to, paused, timeline, topology })
}

/// Waits until every pod is ready and streams.
///
/// # Errors
/// When a pod can't become ready, or the deadline passes.
pub(crate) async fn streams(
    work: Work<'_>,
    statefulset: &Value,
    version: ServerVersion,
    done: &str,
) -> anyhow::Result<()> {
    let replicas = objects::replicas(statefulset);
    let wait = Wait {
        expectation: expectation(work.set, work.topology, statefulset, replicas, &version),
        scope: scope(work.set, statefulset, version),
        done,
        replace: &[],
    };
    Box::pin(wait::until_ready(work, wait)).await?;
    Ok(())
}

/// Makes the old master of an interrupted switchover the master again.
///
/// # Errors
/// When the new master is decided already, or a write fails.
pub(crate) async fn back_out(
    work: Work<'_>,
    transition: &Transition,
    statefulset: &Value,
    version: ServerVersion,
) -> anyhow::Result<()> {
    if transition.step == Recorded::Promoting {
        let (from, to) = (work.set.pod(transition.from), work.set.pod(transition.to));
        let message = format!(
            "{to} is decided as the master: it may have accepted writes, and {from} lacks them"
        );
        return Err(Failure::new(Exit::Refused, message)
            .hint(format!("{}  # completes it", work.context.sibling("switchover")))
            .into());
    }
    let mut record = Record::new(work);
    undo(work, &mut record, transition).await?;
    let after = Work { topology: &record.topology, ..work };
    streams(after, statefulset, version, "the old master is the master again").await
}

/// Undoes a switchover whose new master is not decided.
async fn undo(work: Work<'_>, record: &mut Record<'_>, it: &Transition) -> anyhow::Result<()> {
    lease::still_ours(work).await?;
    record.write(&Topology::backed_out(work.set, it), Some(&it.id)).await?;
    let servers = Servers { work };
    servers.serve_again(it).await?;
    servers.tidy(it.to).await;
    Ok(())
}

/// The progress of this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Nothing,
    /// The user has agreed.
    Agreed,
    /// The new master keeps WAL for the others, and the old one has written its checkpoint.
    Prepared,
    /// The new master has everything.
    Replayed,
    /// It accepts writes.
    Promoted,
    /// The others follow it.
    Followed,
    /// The topology records no transition any more.
    Cleared,
}

/// What decides on the next step.
#[derive(Clone, Debug)]
struct Facts {
    /// What the topology records.
    transition: Option<Transition>,
    done: Progress,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Ask,
    Prepare,
    /// Record that no pod is the master.
    Begin,
    /// Stop the old master, and record where its WAL ends.
    Fence,
    AwaitReplay,
    /// Record the new master.
    Decide,
    Promote,
    Follow,
    Clear,
}

struct Switch<'a> {
    work: Work<'a>,
    servers: Servers<'a>,
    record: Record<'a>,
    from: u32,
    to: u32,
    facts: Facts,
    /// When this run began to stop the old master.
    stopped_at: Option<Instant>,
    paused: Option<Duration>,
    /// What is recorded at the end. `None` until this run has promoted the new master.
    change: Option<LastChange>,
}

impl Switch<'_> {
    fn names(&self) -> (String, String) {
        (self.work.set.pod(self.from), self.work.set.pod(self.to))
    }

    fn transition(&self) -> anyhow::Result<Transition> {
        let it = self.facts.transition.clone();
        it.ok_or_else(|| anyhow::anyhow!("the transition is not recorded"))
    }

    async fn ask(&self) -> anyhow::Result<()> {
        let (from, to) = self.names();
        let question = format!(
            "Move the master from {from} to {to} (no writes for a moment; all connections to {from} end)?"
        );
        if self.work.context.confirm(&question).await? {
            return Ok(());
        }
        Err(Failure::cancelled().into())
    }

    async fn prepare(&self) -> anyhow::Result<()> {
        lease::hold(self.work).await?;
        self.work.context.detail("creating replication slots, and writing a checkpoint");
        self.servers.prepare(self.from, self.to).await
    }

    async fn begin(&mut self) -> anyhow::Result<()> {
        let work = self.work;
        let it = Transition {
            id: random_id(),
            kind: Kind::Switchover,
            from: self.from,
            to: self.to,
            step: Recorded::Fenced,
            since: Timestamp::now(),
            end: None,
        };
        lease::still_ours(work).await?;
        self.stopped_at = Some(Instant::now());
        self.write(it, None).await?;
        let (from, to) = self.names();
        work.context.note(format!("stopping the master {from}: {to} takes over"));
        Ok(())
    }

    /// Records the next step.
    async fn write(&mut self, it: Transition, before: Option<&str>) -> anyhow::Result<()> {
        let data = self.record.topology.during(self.work.set, &it);
        self.record.write(&data, before).await?;
        self.facts.transition = Some(it);
        Ok(())
    }

    async fn fence(&mut self) -> anyhow::Result<()> {
        let it = self.transition()?;
        let proof = self.servers.fence(&it).await?;
        let (from, to) = self.names();
        let how = match proof.ended {
            Ended::Cleanly => "has stopped",
            Ended::AsStandby => "runs as a standby, and was stopped",
            Ended::Killed => "was killed",
            Ended::Lost => {
                let message =
                    format!("the files of {from} can't be read: where its WAL ends is not known");
                let command = self.work.context.sibling("switchover");
                return Err(Failure::new(Exit::Refused, message)
                    .hint(format!(
                        "{command} --back-out  # then the master can be replaced: {}",
                        self.work.context.sibling("failover")
                    ))
                    .into());
            }
        };
        let end = proof.end;
        self.work.context.detail(format!(
            "{from} {how}: its WAL ends at {} (timeline {}), and {to} has to have all of it",
            end.position, end.timeline
        ));
        let id = it.id.clone();
        self.write(Transition { end: Some(end), ..it }, Some(&id)).await
    }

    /// Waits until the new master has replayed everything. If it does not, the old one serves again.
    async fn await_replay(&mut self) -> anyhow::Result<()> {
        let it = self.transition()?;
        let until = Instant::now() + REPLAY_WITHIN;
        let why = loop {
            let Some(why) = self.servers.lacks(&it).await else { return Ok(()) };
            if Instant::now() >= until {
                break why;
            }
            sleep(LOOK_EVERY / 4).await;
        };
        let (from, to) = self.names();
        undo(self.work, &mut self.record, &it).await?;
        let message = format!(
            "{to} does not have everything that {from} wrote after {} s: {why}; {from} is the master again",
            REPLAY_WITHIN.as_secs()
        );
        Err(Failure::new(Exit::Refused, message)
            .hint(format!("{}  # shows the replicas", self.work.context.sibling("status")))
            .into())
    }

    async fn decide(&mut self) -> anyhow::Result<()> {
        let it = self.transition()?;
        lease::still_ours(self.work).await?;
        let id = it.id.clone();
        self.write(Transition { step: Recorded::Promoting, ..it }, Some(&id)).await
    }

    async fn promote(&mut self) -> anyhow::Result<()> {
        let it = self.transition()?;
        let epoch = self.record.topology.epoch;
        // This run has seen that it has everything, or an earlier one.
        let least = it.end.map(|end| end.position).filter(|_| self.facts.done < Progress::Replayed);
        let timeline = self.servers.promote(&it, epoch, least).await?;
        self.change = Some(LastChange::of(&it, Timestamp::now(), timeline));
        self.paused = self.stopped_at.map(|at| at.elapsed());
        let (_, to) = self.names();
        let detail = format!("{to} is promoted: epoch {epoch}, timeline {timeline}");
        self.work.context.detail(detail);
        Ok(())
    }
}

impl Procedure for &mut Switch<'_> {
    type Facts = Facts;
    type Step = Step;

    async fn look(&mut self) -> anyhow::Result<Facts> {
        Ok(self.facts.clone())
    }

    fn next(facts: &Facts) -> Next<Step> {
        use Progress::{Agreed, Cleared, Followed, Nothing, Prepared, Promoted, Replayed};
        let Some(it) = &facts.transition else {
            return match facts.done {
                Nothing => Next::Act(Step::Ask),
                Agreed => Next::Act(Step::Prepare),
                Prepared => Next::Act(Step::Begin),
                Replayed | Promoted | Followed | Cleared => Next::Done,
            };
        };
        Next::Act(match (it.step, it.end, facts.done) {
            (Recorded::Fenced, None, _) => Step::Fence,
            (Recorded::Fenced, Some(_), done) if done < Replayed => Step::AwaitReplay,
            (Recorded::Fenced, Some(_), _) => Step::Decide,
            (Recorded::Promoting, _, done) if done < Promoted => Step::Promote,
            (Recorded::Promoting, _, Promoted) => Step::Follow,
            (Recorded::Promoting, _, _) => Step::Clear,
        })
    }

    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        self.facts.done = match step {
            Step::Ask => {
                self.ask().await?;
                Progress::Agreed
            }
            Step::Prepare => {
                self.prepare().await?;
                Progress::Prepared
            }
            Step::Begin => {
                self.begin().await?;
                Progress::Prepared
            }
            Step::Fence => {
                self.fence().await?;
                Progress::Prepared
            }
            Step::AwaitReplay => {
                self.await_replay().await?;
                Progress::Replayed
            }
            Step::Decide => {
                self.decide().await?;
                Progress::Replayed
            }
            Step::Promote => {
                self.promote().await?;
                Progress::Promoted
            }
            Step::Follow => {
                let it = self.transition()?;
                self.servers.follow(&it, self.record.topology.epoch, &[]).await?;
                Progress::Followed
            }
            Step::Clear => {
                let it = self.transition()?;
                self.servers.tidy(it.from).await;
                let change = self.change.clone();
                let change = change.ok_or_else(|| anyhow::anyhow!("nothing was promoted"))?;
                let data = Topology::after(self.work.set, &change);
                self.record.write(&data, Some(&it.id)).await?;
                self.facts.transition = None;
                Progress::Cleared
            }
        };
        Ok(())
    }

    /// Between the stop of the old master and the promotion nothing can be written.
    fn may_be_interrupted_before(step: &Step) -> bool {
        matches!(step, Step::Ask | Step::Prepare | Step::Begin)
    }

    fn done(&self) -> String {
        match self.facts.transition {
            None => "the master has not moved".to_owned(),
            Some(_) => "the master is moving".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::replication::Lsn;
    use crate::set::transition::End;

    #[test]
    fn each_step_follows_from_what_is_recorded() {
        let it = |step, end| {
            Some(Transition {
                id: "t1".to_owned(),
                kind: Kind::Switchover,
                from: 0,
                to: 1,
                step,
                since: Timestamp::UNIX_EPOCH,
                end,
            })
        };
        let end = Some(End { position: Lsn(1), timeline: 1 });
        let (fenced, proved) = (it(Recorded::Fenced, None), it(Recorded::Fenced, end));
        let promoting = it(Recorded::Promoting, end);
        for (transition, done, next) in [
            (&None, Progress::Nothing, Next::Act(Step::Ask)),
            (&None, Progress::Agreed, Next::Act(Step::Prepare)),
            (&None, Progress::Prepared, Next::Act(Step::Begin)),
            (&fenced, Progress::Prepared, Next::Act(Step::Fence)),
            (&proved, Progress::Prepared, Next::Act(Step::AwaitReplay)),
            (&proved, Progress::Replayed, Next::Act(Step::Decide)),
            (&promoting, Progress::Replayed, Next::Act(Step::Promote)),
            (&promoting, Progress::Promoted, Next::Act(Step::Follow)),
            (&promoting, Progress::Followed, Next::Act(Step::Clear)),
            (&None, Progress::Cleared, Next::Done),
            // A run that resumes asks nothing, and does again what may not have been done.
            (&fenced, Progress::Nothing, Next::Act(Step::Fence)),
            (&proved, Progress::Nothing, Next::Act(Step::AwaitReplay)),
            (&promoting, Progress::Nothing, Next::Act(Step::Promote)),
        ] {
            let facts = Facts { transition: transition.clone(), done };
            assert_eq!(<&mut Switch<'_>>::next(&facts), next, "{facts:?}");
        }
    }
}
