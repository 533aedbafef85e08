//! What takes several steps and can be resumed.
//!
//! A procedure looks at the cluster, decides by what it saw which step comes next, takes that step, and looks
//! again. It keeps nothing that it could not read: to resume one that was killed is to run it again. Waiting,
//! the deadline and interrupts are the same for all, and are written once: in [`run`].

pub(crate) mod apply;
pub(crate) mod configure;
pub(crate) mod connection;
pub(crate) mod credentials;
pub(crate) mod delete;
pub(crate) mod desired;
pub(crate) mod erase;
pub(crate) mod expectation;
pub(crate) mod grow;
pub(crate) mod inspect;
pub(crate) mod kubelet;
pub(crate) mod live;
pub(crate) mod login;
pub(crate) mod password_file;
pub(crate) mod planning;
pub(crate) mod pods;
pub(crate) mod psql;
pub(crate) mod role;
pub(crate) mod rotate;
pub(crate) mod scale;
pub(crate) mod server;
pub(crate) mod slots;
pub(crate) mod sql;
pub(crate) mod stop;
pub(crate) mod tls;
pub(crate) mod topology;
pub(crate) mod wait;

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::cli::DryRun;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::interrupt::interrupted;
use crate::set::{SetIdentity, Topology};

/// The pause between two looks, where nothing tells of a change.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What every procedure works with: a person, a cluster and a set in it.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    /// Flags, environment, the person.
    pub(crate) context: &'a Context,
    /// The cluster, with its deadline.
    pub(crate) cluster: &'a Cluster,
    /// The set.
    pub(crate) set: &'a SetIdentity,
    /// Who is its master.
    pub(crate) topology: &'a Topology,
}

impl Work<'_> {
    /// The namespace of the set.
    #[must_use]
    pub(crate) fn namespace(&self) -> &str {
        self.set.namespace.as_str()
    }

    /// A failure at the deadline; the command that resumes is its hint.
    #[must_use]
    pub(crate) fn too_late(&self, why: impl Into<String>) -> Failure {
        Failure::new(Exit::TimedOut, why).hint(self.resume())
    }

    /// The hint that names the command that resumes.
    #[must_use]
    pub(crate) fn resume(&self) -> String {
        format!("{}  # goes on", self.context.again)
    }
}

/// How many servers are brought up to date at once: none of them stops serving for it.
const AT_ONCE: usize = 8;

/// How a command that writes ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing is written.
    DryRun(DryRun),
    /// Everything is written, and the pods are not waited for.
    NoWait,
    /// The set is as it should be.
    Wait,
}

/// What comes next, as a procedure's [`Procedure::next`] decides it.
#[derive(Debug, PartialEq)]
pub(crate) enum Next<S> {
    /// Take this step, and look again.
    Act(S),
    /// Nothing can be done yet, for this reason: pause, and look again.
    Wait(String),
    /// Everything is as it should be.
    Done,
}

/// What takes several steps and can be resumed.
pub(crate) trait Procedure {
    /// What a step depends on.
    type Facts;
    /// What there is to do.
    type Step;

    /// Reads the facts.
    ///
    /// # Errors
    /// When they can't be read, or can't be mended by any step.
    async fn look(&mut self) -> anyhow::Result<Self::Facts>;

    /// Decides what comes next. A pure function: its table stands in the tests.
    fn next(facts: &Self::Facts) -> Next<Self::Step>;

    /// Takes a step.
    ///
    /// # Errors
    /// When the step fails, or is not agreed to.
    async fn act(&mut self, step: Self::Step) -> anyhow::Result<()>;

    /// What was done so far, should the procedure be interrupted now.
    fn done(&self) -> String;

    /// The failure when the deadline passes while `why` is waited for.
    fn too_late(&self, why: String) -> Failure;

    /// Waits until it is worth to look again.
    ///
    /// # Errors
    /// When there is nothing to wait for any more.
    async fn pause(&mut self) -> anyhow::Result<()> {
        sleep(LOOK_EVERY).await;
        Ok(())
    }
}

/// Runs a procedure to its end; its last facts.
///
/// # Errors
/// Those of the procedure; at the deadline; when a person interrupts, before the next step or in a pause.
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
                interrupt.check(|| procedure.done(), again)?;
                procedure.act(step).await?;
            }
            Next::Wait(why) => {
                if Instant::now() >= deadline {
                    return Err(procedure.too_late(why).into());
                }
                tokio::select! {
                    biased;
                    exit = interrupt.wait() => {
                        return Err(interrupted(exit, &procedure.done(), again).into());
                    }
                    // Before what is paused for: a busy namespace must not put the deadline off.
                    () = sleep_until(deadline) => return Err(procedure.too_late(why).into()),
                    paused = procedure.pause() => paused?,
                }
            }
        }
    }
}

/// What a look of [`poll`] found.
pub(crate) enum Poll<T> {
    /// What was waited for.
    Ready(T),
    /// It is not there yet, for this reason.
    Pending(String),
}

/// Looks until there is something. `done`: what to say when a person interrupts; `too_late`: makes the failure
/// at the deadline of the reason that was found last.
///
/// # Errors
/// Those of `look`; at the deadline; when a person interrupts.
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

    fn too_late(&self, why: String) -> Failure {
        (self.too_late)(why)
    }
}
