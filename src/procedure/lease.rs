//! The Lease of the set: a command holds it from before its first write until its end. Another command that wants to
//! write waits, and then makes its plan again.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::{Next, Procedure, Work, live, run};
use crate::cluster::ClusterError;
use crate::cluster::lease::HeldLease;
use crate::context::lease::PlanAgain;
use crate::error::{Exit, Failure};
use crate::event::Event;
use crate::set::lease::{self, Claim, Holder, Lease, Unchanged};
use crate::set::objects;
use crate::set::transition::Kind;

/// The pause between two observations of another command's Lease.
const EVERY: Duration = Duration::from_millis(500);
/// When the wait for another command is reported again: first, and then every so often.
const HEARTBEATS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// Runs a command. When another command has changed the set since this one read it, runs it once more, from the
/// start.
///
/// # Errors
/// The errors of `attempt`.
pub(crate) async fn planned<T>(
    mut attempt: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    loop {
        match attempt().await {
            Err(error) if error.is::<PlanAgain>() => {}
            other => return other,
        }
    }
}

/// Makes this command the holder of the set's Lease, if it isn't yet. To be called before every write. The Lease is
/// deleted at the end of the command.
///
/// # Errors
/// An open transition of another command; [`PlanAgain`] if another command held the Lease; the deadline or an interrupt while waiting for it; the loss of
/// the Lease.
pub(crate) async fn hold(work: Work<'_>) -> anyhow::Result<()> {
    check_transition(work)?;
    acquire(work).await.map(drop)
}

/// While the master changes, no other command writes: it would be based on the old master. To be called also before
/// such a command waits for servers, because the old master does not answer.
///
/// # Errors
/// An open transition of another command.
pub(crate) fn check_transition(work: Work<'_>) -> Result<(), Failure> {
    let Some(it) = &work.topology.transition else { return Ok(()) };
    // A failover takes a switchover over whose new master is lost.
    if work.context.lease.is_named(it.kind.word())
        || work.context.lease.is_named(Kind::Failover.word())
    {
        return Ok(());
    }
    Err(it.refusal(work.set, &work.context.sibling(it.kind.word())))
}

/// The same, before the first write of a plan. `statefulset` is what the plan is based on.
///
/// # Errors
/// Also [`PlanAgain`] if another command has changed the StatefulSet since and has ended already.
pub(crate) async fn hold_as_planned(
    work: Work<'_>,
    statefulset: Option<&Value>,
) -> anyhow::Result<()> {
    check_transition(work)?;
    let Some(planned) = statefulset.filter(|_| work.context.lease.held().is_none()) else {
        return hold(work).await;
    };
    acquire(work).await?;
    let now = work.cluster.get(&objects::statefulset(work.set)).await?.unwrap_or_default();
    let version = |live: &Value| {
        let metadata = &live["metadata"];
        (metadata["uid"].clone(), metadata["generation"].clone())
    };
    if version(&now) == version(planned) { Ok(()) } else { Err(plan_again(work)) }
}

/// The same, before a step that can't be undone: reads the Lease again, because the machine may have slept.
///
/// # Errors
/// Also when the Lease can't be read.
pub(crate) async fn still_ours(work: Work<'_>) -> anyhow::Result<()> {
    hold(work).await?;
    let Some(held) = work.context.lease.held() else { return Ok(()) };
    match held.verify().await? {
        None => Ok(()),
        Some(loss) => Err(work.lost(&loss).into()),
    }
}

/// Ends an attempt whose plan is outdated: see [`planned`].
pub(crate) fn plan_again(work: Work<'_>) -> anyhow::Error {
    PlanAgain { again: work.context.again.clone() }.into()
}

async fn acquire(work: Work<'_>) -> anyhow::Result<()> {
    let slot = &work.context.lease;
    // Several steps may run at the same time.
    let _turn = slot.acquiring.lock().await;
    if let Some(held) = slot.held() {
        return match held.loss() {
            None => Ok(()),
            Some(loss) => Err(work.lost(&loss).into()),
        };
    }
    let acquire = Acquire {
        work,
        holder: slot.holder(),
        began: Instant::now(),
        unchanged: Unchanged::default(),
        live: None,
        beat_at: None,
        read: false,
        outdated: false,
        held: false,
    };
    if run(work, acquire).await?.outdated { Err(plan_again(work)) } else { Ok(()) }
}

/// What is known of the Lease.
#[derive(Clone, Debug, Default)]
struct Facts {
    claim: Claim,
    live: Option<Lease>,
    /// Whether this command is the holder, or needs no Lease.
    held: bool,
    /// Whether another command was the holder, so that this one's plan is outdated.
    outdated: bool,
}

#[derive(Debug, PartialEq)]
enum Step {
    Create,
    TakeOver(Lease),
    /// Another command became the holder, or the response to this command's request was lost.
    Keep,
}

struct Acquire<'a> {
    work: Work<'a>,
    holder: Holder,
    began: Instant,
    unchanged: Unchanged,
    /// The Lease as last read.
    live: Option<Value>,
    /// When the wait is reported again. `None` until it is reported.
    beat_at: Option<Duration>,
    /// Whether the Lease must be read. At first it is created without being read: mostly there is none.
    read: bool,
    outdated: bool,
    held: bool,
}

impl Acquire<'_> {
    fn keep(&mut self, live: &Value) {
        let (cluster, id) = (self.work.cluster, objects::lease(self.work.set));
        let lease = HeldLease::new(cluster, id, self.holder.clone(), live);
        self.work.context.lease.keep(lease);
        self.held = true;
    }

    /// Reports for whom this command waits: once, and then now and then.
    fn tell(&mut self, lease: &Lease, unchanged: Duration) {
        let context = self.work.context;
        let now = self.began.elapsed();
        let held_for = (lease.held_for + unchanged).as_secs();
        let who = match held_for {
            0 => lease.to_string(),
            seconds => format!("{lease}, for {seconds} s"),
        };
        match self.beat_at {
            None => {
                self.beat_at = Some(now + HEARTBEATS.0);
                context.note(format!("waiting for {who}"));
            }
            Some(at) if now >= at => {
                self.beat_at = Some(now + HEARTBEATS.1);
                let elapsed = self.work.cluster.deadline.elapsed();
                context.reporter.emit(Event::Heartbeat { elapsed, waiting_for: vec![who] });
            }
            Some(_) => {}
        }
    }
}

impl Procedure for Acquire<'_> {
    type Facts = Facts;
    type Step = Step;

    const EVERY: Duration = EVERY;

    async fn look(&mut self) -> anyhow::Result<Facts> {
        if self.held || !self.read {
            let (held, outdated) = (self.held, self.outdated);
            return Ok(Facts { held, outdated, ..Facts::default() });
        }
        let (work, id) = (self.work, objects::lease(self.work.set));
        self.live = work.cluster.get(&id).await?;
        let Some(live) = &self.live else {
            return Ok(Facts::default());
        };
        live::check_ours(live, &id, work.set)?;
        let lease = Lease::of(live);
        let unchanged = self.unchanged.observe(&lease.version, self.began.elapsed());
        let claim = lease::claim(Some(&lease), &self.holder, unchanged);
        if claim == Claim::Wait {
            self.tell(&lease, unchanged);
        }
        Ok(Facts { claim, live: Some(lease), ..Facts::default() })
    }

    fn next(facts: &Facts) -> Next<Step> {
        if facts.held {
            return Next::Done;
        }
        let lease = facts.live.clone().unwrap_or_default();
        match facts.claim {
            Claim::Create => Next::Act(Step::Create),
            Claim::TakeOver => Next::Act(Step::TakeOver(lease)),
            Claim::Held => Next::Act(Step::Keep),
            Claim::Wait => Next::Wait(lease.to_string()),
        }
    }

    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        let (work, now) = (self.work, Timestamp::now());
        self.read = true;
        // Whoever holds it, or held it, may have written after this command read the set.
        self.outdated |= step != Step::Create;
        let written = match &step {
            Step::Create => {
                work.cluster.create(&lease::object(work.set, &self.holder, now), false).await
            }
            Step::TakeOver(lease) => {
                let patch = lease.takeover(&self.holder, now);
                work.cluster.merge(&objects::lease(work.set), &patch, false).await
            }
            Step::Keep => Ok(self.live.clone().unwrap_or_default()),
        };
        match written {
            Ok(live) => {
                self.keep(&live);
                if let Step::TakeOver(lease) = step {
                    work.context.warn(format!("{lease} has not renewed its Lease for {} s: it no longer runs, and this command continues", lease.dead_after.as_secs()));
                }
            }
            Err(error) if error.is_conflict() || error.is_not_found() => self.outdated = true,
            // Nobody can create anything in it any more, so nobody else writes.
            Err(error) if is_terminating(&error) => self.held = true,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn done(&self) -> String {
        "nothing was changed".to_owned()
    }

    fn too_late(&self, work: Work<'_>, who: String) -> Failure {
        let seconds = work.cluster.deadline.elapsed().as_secs();
        let set = &work.set.name;
        let message = format!("set {set} is still being changed by {who} after {seconds} s");
        Failure::new(Exit::TimedOut, message)
            .hint(format!("{}; --timeout 30m waits longer", work.resume()))
            .hint(format!(
                "kubectl -n {} get lease {set} -o yaml  # who holds it",
                work.namespace()
            ))
    }
}

/// Whether an object could not be created because its namespace is being deleted.
fn is_terminating(error: &ClusterError) -> bool {
    error.is_forbidden()
        && error.status().is_some_and(|s| s.message.contains("is being terminated"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_created_first_and_then_waited_for_or_taken_over() {
        let lease = Lease { identity: "pgset up by ann@laptop, a1".into(), ..Lease::default() };
        let facts = |claim| Facts { claim, live: Some(lease.clone()), ..Facts::default() };
        for (facts, next) in [
            (Facts::default(), Next::Act(Step::Create)),
            (facts(Claim::Create), Next::Act(Step::Create)),
            (facts(Claim::Wait), Next::Wait("`pgset up` by ann@laptop".to_owned())),
            (facts(Claim::TakeOver), Next::Act(Step::TakeOver(lease.clone()))),
            (facts(Claim::Held), Next::Act(Step::Keep)),
            (Facts { held: true, ..facts(Claim::Wait) }, Next::Done),
        ] {
            assert_eq!(Acquire::next(&facts), next, "{facts:?}");
        }
    }
}
