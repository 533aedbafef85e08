//! Operations that take several steps and can be resumed.
//!
//! A procedure collects facts, decides on the next step, performs it, and collects facts again. Facts are read
//! from the cluster, or remembered from the steps of this run. Everything that a later run needs is stored in
//! the cluster: to resume a procedure that was killed, run it again.
//! Waiting, the deadline and interrupts are the same for all procedures and are implemented once, in [`run`].

pub(crate) mod account;
pub(crate) mod apply;
pub(crate) mod bring_up;
pub(crate) mod configure;
pub(crate) mod connection;
pub(crate) mod credentials;
mod data_pod;
pub(crate) mod delete;
pub(crate) mod desired;
pub(crate) mod early;
pub(crate) mod erase;
pub(crate) mod existing;
pub(crate) mod expectation;
pub(crate) mod failover;
pub(crate) mod grow;
pub(crate) mod inspect;
pub(crate) mod inventory;
pub(crate) mod kept;
pub(crate) mod kubelet;
pub(crate) mod labels;
pub(crate) mod lease;
pub(crate) mod leftover;
pub(crate) mod live;
pub(crate) mod login;
pub(crate) mod namespace;
pub(crate) mod newest;
pub(crate) mod password_file;
pub(crate) mod permission;
pub(crate) mod pipe;
pub(crate) mod planning;
pub(crate) mod pod_numbers;
pub(crate) mod pods;
pub(crate) mod psql;
pub(crate) mod recipe;
pub(crate) mod refuse;
pub(crate) mod rejoin;
pub(crate) mod replay;
pub(crate) mod restart;
pub(crate) mod role;
pub(crate) mod rollout;
pub(crate) mod rotate;
pub(crate) mod run_state;
pub(crate) mod scale;
pub(crate) mod scripts;
pub(crate) mod server;
pub(crate) mod size;
pub(crate) mod slots;
pub(crate) mod sql;
pub(crate) mod stop;
pub(crate) mod stranger;
pub(crate) mod switchover;
pub(crate) mod tls;
pub(crate) mod topology;
pub(crate) mod undo;
pub(crate) mod wait;
pub(crate) mod wanted;

use std::time::Duration;

use tokio::time::{sleep, sleep_until};

use crate::cli::{DryRun, UpArgs};
use crate::cluster::Cluster;
use crate::cluster::lease::Loss;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::interrupt::interrupted;
use crate::set::{SetIdentity, Topology};

/// The pause between two polls when no event announces a change.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What every procedure works with: the command's context, a cluster and a set in it.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    /// The flags, the environment, and access to the user.
    pub(crate) context: &'a Context,
    /// The cluster, with the command's deadline.
    pub(crate) cluster: &'a Cluster,
    /// The set.
    pub(crate) set: &'a SetIdentity,
    /// Which pod is the master.
    pub(crate) topology: &'a Topology,
}

impl Work<'_> {
    /// The namespace of the set.
    #[must_use]
    pub(crate) fn namespace(&self) -> &str {
        self.set.namespace.as_str()
    }

    /// The failure at the deadline, with the command that resumes as its hint.
    #[must_use]
    pub(crate) fn too_late(&self, why: impl Into<String>) -> Failure {
        Failure::new(Exit::TimedOut, why).hint(self.resume())
    }

    /// The failure when another command has taken over the set.
    #[must_use]
    pub(crate) fn lost(&self, loss: &Loss) -> Failure {
        let set = &self.set.name;
        let message = match loss {
            Loss::TakenOver(holder) => {
                format!("{holder} has taken over set {set}: this command did not renew its Lease")
            }
            Loss::Deleted => format!("the Lease of set {set} was deleted by another client"),
        };
        Failure::new(Exit::Refused, message)
            .hint(format!("{}  # makes a new plan", self.context.again))
    }

    /// A hint with the command that resumes.
    #[must_use]
    pub(crate) fn resume(&self) -> String {
        format!("{}  # resumes", self.context.again)
    }
}

/// How many servers are updated at the same time. This is safe, because none of them stops serving.
const AT_ONCE: usize = 8;

/// What a command that writes does in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It writes nothing.
    DryRun(DryRun),
    /// It writes everything and does not wait for the pods.
    NoWait,
    /// It writes everything and waits until the set is ready.
    Wait,
}

impl Ending {
    /// What `up` does in the end.
    pub(crate) fn of(args: &UpArgs) -> Self {
        match args.dry_run {
            Some(dry_run) => Self::DryRun(dry_run),
            None if args.no_wait => Self::NoWait,
            None => Self::Wait,
        }
    }
}

/// Whether the user has agreed to what closes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    /// The user answered yes.
    Given,
    /// The user was not asked yet.
    NotAsked,
}

/// What a procedure does next, as decided by [`Procedure::next`].
#[derive(Debug, PartialEq)]
pub(crate) enum Next<S> {
    /// Perform this step, then observe again.
    Act(S),
    /// Nothing can be done yet, for this reason: pause, then observe again.
    Wait(String),
    /// Everything is in the desired state.
    Done,
}

/// An operation that takes several steps and can be resumed.
pub(crate) trait Procedure {
    /// The facts that decide on the next step.
    type Facts;
    /// A step of the procedure.
    type Step;

    /// The pause between two looks, unless [`Procedure::pause`] waits for something else.
    const EVERY: Duration = LOOK_EVERY;

    /// Reads the facts.
    ///
    /// # Errors
    /// When they can't be read, or when no step can fix what they show.
    async fn look(&mut self) -> anyhow::Result<Self::Facts>;

    /// Decides what to do next. A pure function, which each procedure's tests check with a table.
    fn next(facts: &Self::Facts) -> Next<Self::Step>;

    /// Performs a step.
    ///
    /// # Errors
    /// When the step fails, or the user does not confirm it.
    async fn act(&mut self, step: Self::Step) -> anyhow::Result<()>;

    /// Whether an interrupt may end the procedure before a step. Not where the state before it would lock a client
    /// out.
    fn may_be_interrupted_before(_step: &Self::Step) -> bool {
        true
    }

    /// What was done so far, for the message at an interrupt.
    fn done(&self) -> String;

    /// The failure when the deadline passes while waiting for `why`.
    fn too_late(&self, work: Work<'_>, why: String) -> Failure {
        work.too_late(why)
    }

    /// Waits until it is worth observing again.
    ///
    /// # Errors
    /// When waiting can no longer succeed.
    async fn pause(&mut self) -> anyhow::Result<()> {
        sleep(Self::EVERY).await;
        Ok(())
    }
}

/// Runs a procedure to its end. Returns the last facts.
///
/// # Errors
/// The procedure's errors; the deadline; an interrupt before a step or during a pause.
pub(crate) async fn run<P: Procedure>(
    work: Work<'_>,
    mut procedure: P,
) -> anyhow::Result<P::Facts> {
    let (interrupt, again) = (&work.context.interrupt, work.context.again.as_str());
    let deadline = work.cluster.deadline.at();
    loop {
        let facts = procedure.look().await?;
        match P::next(&facts) {
            Next::Done => return Ok(facts),
            Next::Act(step) => {
                if P::may_be_interrupted_before(&step) {
                    interrupt.check(|| procedure.done(), again)?;
                }
                procedure.act(step).await?;
            }
            Next::Wait(why) => {
                tokio::select! {
                    biased;
                    exit = interrupt.wait() => {
                        return Err(interrupted(exit, &procedure.done(), again).into());
                    }
                    // Checked before the pause: frequent events in a busy namespace must not delay the
                    // deadline.
                    () = sleep_until(deadline) => return Err(procedure.too_late(work, why).into()),
                    loss = work.context.lease.lost() => return Err(work.lost(&loss).into()),
                    paused = procedure.pause() => paused?,
                }
            }
        }
    }
}

/// The result of one poll in [`poll`].
pub(crate) enum Poll<T> {
    /// The awaited value.
    Ready(T),
    /// The value is not available yet, for this reason.
    Pending(String),
}

/// Polls until there is a value. `done` is the message at an interrupt. `too_late` turns the last reason into
/// the failure at the deadline.
///
/// # Errors
/// The errors of `look`; the deadline; an interrupt.
pub(crate) async fn poll<T>(
    work: Work<'_>,
    done: &str,
    look: impl AsyncFnMut() -> anyhow::Result<Poll<T>>,
    too_late: impl Fn(String) -> Failure,
) -> anyhow::Result<T> {
    match run(work, Polling { done, look, too_late, found: std::marker::PhantomData }).await? {
        Poll::Ready(found) => Ok(found),
        Poll::Pending(why) => Err(work.too_late(why).into()),
    }
}

/// A procedure without steps.
struct Polling<'a, L, F, T> {
    done: &'a str,
    look: L,
    too_late: F,
    found: std::marker::PhantomData<T>,
}

impl<T, L, F> Procedure for Polling<'_, L, F, T>
where
    L: AsyncFnMut() -> anyhow::Result<Poll<T>>,
    F: Fn(String) -> Failure,
{
    type Facts = Poll<T>;
    type Step = std::convert::Infallible;

    async fn look(&mut self) -> anyhow::Result<Poll<T>> {
        (self.look)().await
    }

    fn next(facts: &Poll<T>) -> Next<Self::Step> {
        match facts {
            Poll::Ready(_) => Next::Done,
            Poll::Pending(why) => Next::Wait(why.clone()),
        }
    }

    async fn act(&mut self, step: Self::Step) -> anyhow::Result<()> {
        match step {}
    }

    fn done(&self) -> String {
        self.done.to_owned()
    }

    fn too_late(&self, _: Work<'_>, why: String) -> Failure {
        (self.too_late)(why)
    }
}
