//! Makes a replica the master when the master does not come back: never without proof that the old one writes no more, and
//! never without the user's consent.
//!
//! Every step is recorded in the topology before it is done, and can be done again. Until the new master is decided, it can
//! be backed out.

pub(crate) mod choice;
pub(crate) mod evidence;
pub(crate) mod proof;
pub(crate) mod refusal;
pub(crate) mod report;

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use self::choice::{Candidate, Choice, NoChoice};
use self::evidence::{Answer, Evidence};
use self::proof::Way;
use super::switchover::record::Record;
use super::switchover::servers::Servers;
use super::{LOOK_EVERY, Next, Procedure, Work, lease, live, pods, run, sql};
use crate::cluster::ClusterError;
use crate::error::{Exit, Failure};
use crate::postgres::script::{Detached, Ended, FILES_WITHIN};
use crate::postgres::{slots, takeover};
use crate::set::transition::{End, Kind, Step as Recorded};
use crate::set::{LastChange, Role, Topology, Transition, objects};
use crate::values::random_id;

/// How long the replicas may take to stream from the new master, before the command ends.
const STREAM_WITHIN: Duration = Duration::from_secs(60);
/// How long a node may take to end a pod whose container does not run.
const DELETED_WITHIN: Duration = Duration::from_secs(60);

/// What is to be done.
pub(crate) struct Replacement {
    pub(crate) evidence: Evidence,
    /// What proves that the lost master writes no more. `None` if the new master is decided already.
    pub(crate) way: Option<Way>,
    /// The replica that has most, as it was said before. `None` if it is not known yet: it does not run.
    pub(crate) choice: Option<Choice>,
    /// The pod that the user wants.
    pub(crate) wanted: Option<u32>,
    /// Whether it may have less than another replica.
    pub(crate) less: bool,
    /// What is asked.
    pub(crate) question: String,
    /// When the command began.
    pub(crate) began: std::time::Instant,
}

impl Replacement {
    fn lost(&self) -> u32 {
        self.evidence.lost.ordinal
    }

    /// The pods that can't be reached.
    fn away(&self, work: Work<'_>) -> Vec<String> {
        let replicas = self.evidence.replicas.iter().filter(|it| !it.reached);
        let mut away: Vec<String> = replicas.map(|it| work.set.pod(it.ordinal)).collect();
        if matches!(self.way, Some(Way::NodeIsOff(_) | Way::OutOfService(_) | Way::Synchronous(_)))
        {
            away.push(work.set.pod(self.lost()));
        }
        away
    }
}

/// What a failover has done.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    /// The new master.
    pub(crate) master: u32,
    pub(crate) epoch: u64,
    pub(crate) timeline: u32,
    /// How long after the start of the command it accepted writes. `None` if an earlier run promoted it.
    pub(crate) writable: Option<Duration>,
    /// The choice, after all WAL was there. `None` if an earlier run made it.
    pub(crate) choice: Option<Choice>,
    /// Where the WAL of the old master ends, if that is known.
    pub(crate) end: Option<End>,
    /// The replicas that do not stream yet.
    pub(crate) behind: Vec<String>,
}

/// Replaces the lost master, or resumes what the topology records.
///
/// # Errors
/// When the user declines; when nothing proves that the old master writes no more, or no replica may become the master: then
/// nothing has changed; when the new master is not promoted: then the same command resumes.
pub(crate) async fn fail_over(work: Work<'_>, plan: Replacement) -> anyhow::Result<Done> {
    let recorded = work.topology.transition.clone();
    let lost = plan.lost();
    let ours = |it: &Transition| {
        it.kind == Kind::Failover && !(it.step == Recorded::Promoting && it.to == lost)
    };
    let (transition, before) = match recorded {
        Some(it) if ours(&it) => (Some(it), None),
        other => (None, other.map(|it| it.id)),
    };
    let facts = Facts { transition, done: Progress::Nothing };
    let mut failover = Failover {
        work,
        servers: Servers { work },
        record: Record::new(work),
        plan,
        facts,
        before,
        end: None,
        choice: None,
        timeline: 0,
        promoted_at: Timestamp::UNIX_EPOCH,
        writable: None,
        master: None,
        untold: Vec::new(),
    };
    run(work, &mut failover).await?;
    let Failover { record, plan, end, choice, timeline, writable, master, .. } = failover;
    let master = master.ok_or_else(|| anyhow::anyhow!("no new master was recorded"))?;
    let behind = streams(work, &plan, master, choice.as_ref()).await;
    let epoch = record.topology.epoch;
    Ok(Done { master, epoch, timeline, writable, choice, end, behind })
}

/// Undoes a failover whose new master is not decided.
///
/// # Errors
/// When a write fails.
pub(crate) async fn back_out(
    work: Work<'_>,
    it: &Transition,
    evidence: &Evidence,
) -> anyhow::Result<()> {
    let reached: Vec<String> = evidence
        .replicas
        .iter()
        .filter(|it| it.reached)
        .map(|it| work.set.pod(it.ordinal))
        .collect();
    let there = evidence.lost.pod.is_some();
    undo(work, &mut Record::new(work), it, &reached, there).await
}

/// `reached` are the replicas to tell, `there` says whether the old master may be reached.
async fn undo(
    work: Work<'_>,
    record: &mut Record<'_>,
    it: &Transition,
    reached: &[String],
    there: bool,
) -> anyhow::Result<()> {
    lease::still_ours(work).await?;
    record.write(&Topology::backed_out(work.set, it), Some(&it.id)).await?;
    let (servers, from, epoch) = (Servers { work }, work.set.pod(it.from), record.topology.epoch);
    // A pod that was created again meanwhile is a replica, or becomes one: it is created once more, as the master. What can't be
    // reached is left as it is.
    let unfence = format!("unfence {} master", it.id);
    let again = there
        && match servers.try_call(&from, &unfence, FILES_WITHIN).await {
            Ok(output) => output.exit_code != Some(0),
            Err(error) => matches!(error, ClusterError::NotRunning { .. }),
        };
    if again {
        pods::delete(work, &from).await?;
    } else {
        servers.label(&from, Some(Role::Master)).await?;
    }
    let told = reached.iter().map(async |pod| {
        let mut done = servers.tell(pod, &format!("follow {epoch} {from}")).await;
        // The old master of a switchover that was taken over is still fenced, and without a label.
        if done.is_ok() {
            done = servers.tell(pod, &format!("unfence {}", it.id)).await;
            let labelled = servers.label(pod, Some(Role::Replica)).await;
            done = done.and(labelled.map_err(|error| error.to_string()));
        }
        if let Err(why) = done {
            work.context.warn(format!("{pod} was not told to follow {from} again: {why}"));
        }
    });
    join_all(told).await;
    Ok(())
}

/// Waits for the replicas that can be reached. Returns those that do not stream.
async fn streams(
    work: Work<'_>,
    plan: &Replacement,
    master: u32,
    choice: Option<&Choice>,
) -> Vec<String> {
    let until = Instant::now() + STREAM_WITHIN.min(work.cluster.deadline.remaining());
    let ahead = |ordinal: u32| choice.is_some_and(|choice| choice.ahead.contains(&ordinal));
    let replicas = plan.evidence.replicas.iter();
    let wanted: Vec<String> = replicas
        .filter(|it| it.reached && it.ordinal != master && !ahead(it.ordinal))
        .map(|it| work.set.pod(it.ordinal))
        .collect();
    loop {
        let behind = match pods::streaming(work, &work.set.pod(master)).await {
            Ok(streaming) => {
                wanted.iter().filter(|pod| !streaming.contains(pod)).cloned().collect()
            }
            Err(_) => wanted.clone(),
        };
        if behind.is_empty()
            || Instant::now() >= until
            || work.context.interrupt.requested().is_some()
        {
            return behind;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// The progress of this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Nothing,
    /// The user has agreed.
    Agreed,
    /// It is proved that the old master writes no more.
    Proved,
    /// The new master is chosen, after no more WAL comes in.
    Chosen,
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
    /// The failover that the topology records.
    transition: Option<Transition>,
    done: Progress,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Ask,
    /// Record that no pod is the master.
    Begin,
    Prove,
    Choose,
    /// Record the new master.
    Decide,
    Promote,
    Follow,
    Clear,
}

struct Failover<'a> {
    work: Work<'a>,
    servers: Servers<'a>,
    record: Record<'a>,
    plan: Replacement,
    facts: Facts,
    /// The id of the transition that is taken over: its new master is lost.
    before: Option<String>,
    end: Option<End>,
    choice: Option<Choice>,
    timeline: u32,
    promoted_at: Timestamp,
    writable: Option<Duration>,
    master: Option<u32>,
    /// The pods that were not told of the new master.
    untold: Vec<String>,
}

impl Failover<'_> {
    fn transition(&self) -> anyhow::Result<Transition> {
        let it = self.facts.transition.clone();
        it.ok_or_else(|| anyhow::anyhow!("the transition is not recorded"))
    }

    fn lost(&self) -> String {
        self.work.set.pod(self.plan.lost())
    }

    /// The failure of something that was different a moment ago, or may be soon.
    fn look_again(&self, message: String) -> anyhow::Error {
        let again = &self.work.context.again;
        Failure::new(Exit::Refused, message).hint(format!("{again}  # looks again")).into()
    }

    /// The replicas that can be told something.
    fn reached(&self) -> Vec<u32> {
        let replicas = self.plan.evidence.replicas.iter();
        replicas.filter(|it| it.reached).map(|it| it.ordinal).collect()
    }

    async fn ask(&self) -> anyhow::Result<()> {
        if self.work.context.confirm(&self.plan.question).await? {
            return Ok(());
        }
        Err(Failure::cancelled().into())
    }

    /// A switchover or a failover whose new master is lost is taken over under its id: the fence of its old master is then
    /// also one of this failover.
    async fn begin(&mut self) -> anyhow::Result<()> {
        let before = self.before.clone();
        let lost = self.plan.lost();
        let it = Transition {
            id: before.clone().unwrap_or_else(random_id),
            kind: Kind::Failover,
            from: lost,
            to: self.plan.choice.as_ref().map_or(lost, |choice| choice.to.ordinal),
            step: Recorded::Fenced,
            since: Timestamp::now(),
            end: None,
        };
        lease::still_ours(self.work).await?;
        self.write(it, before.as_deref()).await?;
        self.servers.label(&self.lost(), None).await
    }

    async fn write(&mut self, it: Transition, before: Option<&str>) -> anyhow::Result<()> {
        let data = self.record.topology.during(self.work.set, &it);
        self.record.write(&data, before).await?;
        self.facts.transition = Some(it);
        Ok(())
    }

    /// Undoes everything before it reports a failure.
    async fn or_undo<T>(&mut self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        let Err(error) = result else { return result };
        let it = self.transition()?;
        let reached: Vec<String> =
            self.reached().into_iter().map(|ordinal| self.work.set.pod(ordinal)).collect();
        let there = !self.plan.away(self.work).contains(&self.lost());
        undo(self.work, &mut self.record, &it, &reached, there).await?;
        self.work.context.note(format!("{} stays the master: nothing was promoted", self.lost()));
        Err(error)
    }

    async fn prove(&mut self) -> anyhow::Result<()> {
        // A run that resumes writes here first. If another command has held the Lease, that is no failure to undo.
        lease::hold(self.work).await?;
        let proved = match self.plan.way.clone() {
            Some(Way::Stop) => self.stop().await,
            Some(Way::Delete { .. }) => self.delete().await,
            Some(Way::NodeIsOff(_) | Way::OutOfService(_)) => self.forget().await,
            // It is one once they are detached.
            Some(Way::Synchronous(_)) => Ok(()),
            None => Err(anyhow::anyhow!("there is no proof")),
        };
        self.or_undo(proved).await
    }

    /// Stops the server of the old master, and keeps it from starting again.
    async fn stop(&mut self) -> anyhow::Result<()> {
        let (work, it) = (self.work, self.transition()?);
        work.context.note(format!("stopping the server of {}", self.lost()));
        let proof = self.servers.fence(&it).await?;
        if proof.ended == Ended::Lost {
            work.context.detail(format!("{} has stopped; its files can't be read", self.lost()));
            return Ok(());
        }
        let End { position, timeline } = proof.end;
        let detail = format!(
            "{} has stopped: its WAL ends at {position} (timeline {timeline})",
            self.lost()
        );
        work.context.detail(detail);
        self.end = Some(proof.end);
        Ok(())
    }

    /// Deletes the pod whose container does not run: what its node starts next reads that no pod is the master.
    async fn delete(&self) -> anyhow::Result<()> {
        let (work, name) = (self.work, self.lost());
        let Some(pod) = &self.plan.evidence.lost.pod else { return Ok(()) };
        let id = objects::pod(work.set, &name);
        lease::hold(work).await?;
        let there = work.cluster.delete(&id, &pod.uid).await?;
        // An earlier run may have asked its node to end it. Somebody else may have deleted it by force.
        if !there && !pod.terminating {
            let message = format!(
                "{name} was deleted meanwhile, by another command: nothing proves that its server does not run"
            );
            return Err(self.look_again(message));
        }
        let until = Instant::now() + DELETED_WITHIN.min(work.cluster.deadline.remaining());
        while let Some(there) = work.cluster.get(&id).await? {
            if live::uid_of(&there) != pod.uid {
                break;
            }
            if Instant::now() >= until {
                let message = format!(
                    "{name} was not deleted within {} s: its node does not answer",
                    DELETED_WITHIN.as_secs()
                );
                return Err(self.look_again(message));
            }
            sleep(LOOK_EVERY / 2).await;
        }
        work.context.detail(format!("{name} is deleted; its server did not run"));
        Ok(())
    }

    /// The node is off. A pod of a previous template must not start again when the node is back: its script may not know the
    /// topology.
    async fn forget(&self) -> anyhow::Result<()> {
        let (work, name) = (self.work, self.lost());
        let Some(pod) = self.plan.evidence.lost.pod.as_ref().filter(|pod| pod.previous) else {
            return Ok(());
        };
        lease::hold(work).await?;
        work.context.detail(format!("{name} runs a previous template: it is deleted by force"));
        work.cluster.delete_by_force(&objects::pod(work.set, &name), &pod.uid).await?;
        Ok(())
    }

    /// Ends what the replicas still receive, and chooses the one that has most.
    async fn choose(&mut self) -> anyhow::Result<()> {
        let chosen = self.detach_and_choose().await;
        self.choice = Some(self.or_undo(chosen).await?);
        Ok(())
    }

    /// Makes the new master keep WAL for the others. A replica that finds none is cloned, so a failure is no reason to stop.
    async fn keep_wal(&self, to: u32) {
        let others: Vec<String> = self
            .reached()
            .into_iter()
            .filter(|ordinal| *ordinal != to)
            .map(|ordinal| slots::name(self.work.set, ordinal))
            .collect();
        let to = self.work.set.pod(to);
        let script = takeover::create_slots(&to, &others);
        let created = sql::run(self.work.cluster, self.work.namespace(), &script).await;
        if let Some(why) = match created {
            Ok(output) => output.trouble().map(|it| it.to_string()),
            Err(error) => Some(error.to_string()),
        } {
            self.work
                .context
                .detail(format!("{to}: the replication slots were not created: {why}"));
        }
    }

    async fn detach_and_choose(&self) -> anyhow::Result<Choice> {
        let (work, it) = (self.work, self.transition()?);
        let call = format!("detach {} {}", it.id, self.record.topology.epoch);
        let detached = join_all(self.reached().into_iter().map(async |ordinal| {
            let pod = work.set.pod(ordinal);
            let output = self.servers.try_call(&pod, &call, FILES_WITHIN).await;
            let detached =
                output.map_err(|error| error.to_string()).and_then(|it| Detached::parse(&it));
            if let Err(why) = &detached {
                work.context.warn(format!("{pod} was not detached from the old master: {why}"));
            }
            let detached = detached.ok()?;
            let known = self.plan.evidence.replicas.iter().find(|it| it.ordinal == ordinal);
            let standing = known.and_then(|it| it.standing.as_ref().ok());
            let candidate = detached.end.map(|end| Candidate {
                ordinal,
                end,
                contact: standing.and_then(|it| it.contact),
                keeps: standing.map_or(0, |it| it.keeps),
            });
            Some((ordinal, candidate))
        }))
        .await;
        let silent: Vec<u32> = detached.iter().flatten().map(|(ordinal, _)| *ordinal).collect();
        if let Some(Way::Synchronous(it)) = &self.plan.way
            && !it.is_proved_by(&silent)
        {
            let message = format!("a replica may still listen to {}: it may write", self.lost());
            return Err(self.look_again(message));
        }
        let candidates: Vec<Candidate> =
            detached.into_iter().flatten().filter_map(|(_, candidate)| candidate).collect();
        if let Some(said) = &self.plan.choice
            && !self.plan.less
            && !candidates.iter().any(|it| it.ordinal == said.to.ordinal)
        {
            let pod = work.set.pod(said.to.ordinal);
            let message = format!("{pod}, which had most, does not answer any more");
            return Err(self.look_again(message));
        }
        choice::choose(&candidates, self.plan.wanted, self.plan.less)
            .map_err(|why: NoChoice| refusal::no_choice(work, &why).into())
    }

    async fn decide(&mut self) -> anyhow::Result<()> {
        let it = self.transition()?;
        let to = self.choice.as_ref().map_or(it.to, |choice| choice.to.ordinal);
        lease::still_ours(self.work).await?;
        let id = it.id.clone();
        self.write(Transition { step: Recorded::Promoting, to, end: self.end, ..it }, Some(&id))
            .await
    }

    async fn promote(&mut self) -> anyhow::Result<()> {
        let it = self.transition()?;
        let epoch = self.record.topology.epoch;
        // Not before the new master is decided: on another replica the slots would keep WAL for ever.
        self.keep_wal(it.to).await;
        self.timeline = self.servers.promote(&it, epoch, None).await?;
        self.promoted_at = Timestamp::now();
        self.master = Some(it.to);
        self.writable = Some(self.plan.began.elapsed());
        let to = self.work.set.pod(it.to);
        let detail = format!("{to} is promoted: epoch {epoch}, timeline {}", self.timeline);
        self.work.context.detail(detail);
        Ok(())
    }

    async fn clear(&mut self) -> anyhow::Result<()> {
        let it = self.transition()?;
        let lost = self.lost();
        let untold = self.untold.contains(&lost);
        // It was stopped, perhaps by an earlier run.
        if it.end.is_some() && !untold {
            self.servers.tidy(it.from).await;
        }
        let change = LastChange::of(&it, self.promoted_at, self.timeline);
        self.record.write(&Topology::after(self.work.set, &change), Some(&it.id)).await?;
        self.facts.transition = None;
        // Its server is fenced and its files can't be read: its bootstrap says what is wrong with them.
        let answer = &self.plan.evidence.lost.answer;
        if untold && !matches!(answer, Answer::Away(_) | Answer::NotRunning) {
            pods::delete(self.work, &lost).await?;
        }
        Ok(())
    }
}

impl Procedure for &mut Failover<'_> {
    type Facts = Facts;
    type Step = Step;

    async fn look(&mut self) -> anyhow::Result<Facts> {
        Ok(self.facts.clone())
    }

    fn next(facts: &Facts) -> Next<Step> {
        use Progress::{Agreed, Chosen, Cleared, Followed, Nothing, Promoted, Proved};
        let step = facts.transition.as_ref().map(|it| it.step);
        Next::Act(match (step, facts.done) {
            (_, Cleared) => return Next::Done,
            (Some(Recorded::Promoting), Nothing | Agreed | Proved | Chosen) => Step::Promote,
            (_, Nothing) => Step::Ask,
            (None, Agreed) => Step::Begin,
            (_, Agreed) => Step::Prove,
            (_, Proved) => Step::Choose,
            (_, Chosen) => Step::Decide,
            (_, Promoted) => Step::Follow,
            (_, Followed) => Step::Clear,
        })
    }

    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        self.facts.done = match step {
            Step::Ask => {
                self.ask().await?;
                Progress::Agreed
            }
            Step::Begin => {
                self.begin().await?;
                Progress::Agreed
            }
            Step::Prove => {
                self.prove().await?;
                Progress::Proved
            }
            Step::Choose => {
                self.choose().await?;
                Progress::Chosen
            }
            Step::Decide => {
                self.decide().await?;
                Progress::Chosen
            }
            Step::Promote => {
                self.promote().await?;
                Progress::Promoted
            }
            Step::Follow => {
                let it = self.transition()?;
                let (epoch, away) = (self.record.topology.epoch, self.plan.away(self.work));
                self.untold = self.servers.follow(&it, epoch, &away).await?;
                Progress::Followed
            }
            Step::Clear => {
                self.clear().await?;
                Progress::Cleared
            }
        };
        Ok(())
    }

    fn may_be_interrupted_before(step: &Step) -> bool {
        matches!(step, Step::Ask | Step::Begin)
    }

    fn done(&self) -> String {
        match self.facts.transition {
            None => "nothing was changed".to_owned(),
            Some(_) => "the master is being replaced".to_owned(),
        }
    }
}
