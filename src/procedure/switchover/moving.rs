//! A switchover as a part of another command: `--switchover` of the commands that restart or delete the master's pod.

use futures::future::join_all;
use serde_json::Value;
use tokio::time::{Duration, Instant};

use super::super::{Consent, Ending, Poll, Work, lease, live, pods, poll, sql};
use super::choice::{self, Obstacle, Pod, Wanted};
use super::{Move, ask, report, switch};
use crate::error::{Exit, Failure};
use crate::manifest::ServerVersion;
use crate::postgres::script;
use crate::readiness;
use crate::set::topology::Order;
use crate::set::transition::Kind;
use crate::set::{Topology, objects, rights};

/// How long a replica that has just restarted may take to be fit for the master.
const FIT_WITHIN: Duration = Duration::from_secs(30);

/// Whether the master moves to a replica before its pod restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moves {
    /// It restarts as the master.
    No,
    /// To a replica that is not chosen yet.
    Yes,
    /// To the pod with this ordinal.
    To(u32),
}

impl Moves {
    /// What `--switchover` says.
    pub(crate) fn of(switchover: bool) -> Self {
        if switchover { Self::Yes } else { Self::No }
    }

    /// The ordinal of the new master, once it is chosen.
    pub(crate) fn to(self) -> Option<u32> {
        match self {
            Self::To(ordinal) => Some(ordinal),
            Self::No | Self::Yes => None,
        }
    }
}

/// Refuses an image that decides itself who is the master.
///
/// # Errors
/// When it does.
pub(crate) fn check_image(statefulset: &Value) -> Result<(), Failure> {
    if objects::capabilities(statefulset).has_topology {
        return Ok(());
    }
    let message = "the image decides that the pod with ordinal 0 is the master: no other can be";
    Err(Failure::new(Exit::Refused, message)
        .hint("the official image of PostgreSQL has no such limit"))
}

/// The pods of the set, and what their servers report.
///
/// # Errors
/// When they can't be listed, or there are not as many as there should be.
pub(crate) async fn candidates(work: Work<'_>, statefulset: &Value) -> anyhow::Result<Vec<Pod>> {
    let snapshot = pods::snapshot(work.cluster, work.set, statefulset).await?;
    let previous = readiness::previous(&snapshot, work.set);
    let previous: Vec<&str> = previous.iter().map(|pod| pods::name(pod)).collect();
    let asked = snapshot.pods.iter().map(async |pod| {
        let name = pods::name(pod);
        let can_not = previous.contains(&name) && !knows_fences(work, name).await;
        ask(work, pod, can_not).await
    });
    let mut found: Vec<Pod> = join_all(asked).await.into_iter().flatten().collect();
    found.sort_by_key(|pod| pod.ordinal);
    let wanted = objects::replicas(statefulset);
    if found.len() != wanted as usize {
        let message = format!("{} pods run, and the set should have {wanted}", found.len());
        return Err(Failure::new(Exit::Refused, message)
            .hint(format!("{}  # shows the pods and problems", work.context.sibling("status")))
            .into());
    }
    Ok(found)
}

/// Whether the script of a pod can fence it. A pod that does not answer has another obstacle.
async fn knows_fences(work: Work<'_>, pod: &str) -> bool {
    let output = sql::call(work, pod, script::FENCE, script::FILES_WITHIN).await;
    output.map_or(true, |output| script::knows_fences(&output))
}

/// The ordinal of the master.
///
/// # Errors
/// When the topology names none.
pub(crate) fn master_of(work: Work<'_>) -> Result<u32, Failure> {
    work.topology.master().ok_or_else(|| {
        let id = objects::topology(work.set);
        Failure::new(Exit::Refused, format!("{id} names no master"))
            .hint(format!("{}  # records it", work.context.sibling("up")))
    })
}

/// With `--switchover`, completes the switchover that an earlier run has begun, as `pgset switchover` would.
///
/// # Errors
/// [`lease::plan_again`] once it is complete: this run has read a set without a master. Without `--switchover`: that it is open.
pub(crate) async fn complete(
    work: Work<'_>,
    statefulset: &Value,
    version: &ServerVersion,
    switchover: bool,
) -> anyhow::Result<()> {
    let open = work.topology.transition.as_ref();
    let Some(it) = open.filter(|it| switchover && it.kind == Kind::Switchover) else {
        return Ok(lease::check_transition(work)?);
    };
    live::check_rights(work.cluster, rights::switching(work.set, version)).await?;
    work.context.note(format!("{}, since {}: completing it", it.incomplete(work.set), it.since));
    let it = Move { from: it.from, to: it.to, consent: Consent::Given };
    move_now(work, statefulset, version, it).await?;
    Err(lease::plan_again(work))
}

/// Moves the master, and says so.
async fn move_now(
    work: Work<'_>,
    statefulset: &Value,
    version: &ServerVersion,
    it: Move,
) -> anyhow::Result<Topology> {
    let done = switch(work, statefulset, version.clone(), it).await?;
    work.context.note(report::said(work.set, &done));
    Ok(done.topology)
}

/// Chooses the replica to which the master moves before it restarts. `restarts` are the pods that restart, and `order`
/// is theirs. To be called before the user is asked.
///
/// # Errors
/// Why the master can't move.
pub(crate) async fn target(
    work: Work<'_>,
    statefulset: &Value,
    version: &ServerVersion,
    restarts: &[String],
    order: Order,
) -> anyhow::Result<u32> {
    check_image(statefulset)?;
    if objects::replicas(statefulset) < 2 {
        let message = format!(
            "{} has one pod: there is no replica to which the master could move",
            work.set.name
        );
        return Err(Failure::new(Exit::Refused, message).hint(in_place(work)).into());
    }
    if order == Order::MasterFirst {
        let message = "a setting becomes smaller that must not be smaller on a replica than on the master: the master has to restart first, and can't move before";
        return Err(Failure::new(Exit::Refused, message).hint(in_place(work)).into());
    }
    live::check_rights(work.cluster, rights::switching(work.set, version)).await?;
    let master = master_of(work)?;
    let pods = candidates(work, statefulset).await?;
    let pods =
        choice::once_restarted(pods, master, |ordinal| restarts.contains(&work.set.pod(ordinal)));
    let chosen = choice::choose(work.set, &pods, master, Wanted::default());
    Ok(chosen
        .map_err(|obstacles| report::refused(work, master, &obstacles).hint(in_place(work)))?)
}

/// A hint with the command that restarts the master where it is.
fn in_place(work: Work<'_>) -> String {
    let without = work.context.again.replace(" --switchover", "");
    format!("{without}  # restarts the master where it is")
}

/// Moves the master to the pod with the ordinal `to`, after the user has agreed. Returns the new topology.
///
/// # Errors
/// Why the master can't move; the errors of [`switch`].
pub(crate) async fn before_restart(
    work: Work<'_>,
    statefulset: &Value,
    version: &ServerVersion,
    to: u32,
) -> anyhow::Result<Topology> {
    let master = master_of(work)?;
    fit(work, statefulset, master, to).await?;
    move_now(work, statefulset, version, Move { from: master, to, consent: Consent::Given }).await
}

/// Waits until a replica is fit for the master. It may have restarted just now.
async fn fit(work: Work<'_>, statefulset: &Value, master: u32, to: u32) -> anyhow::Result<()> {
    let until = Instant::now() + FIT_WITHIN;
    let wanted = Wanted { to: Some(to), ..Wanted::default() };
    let look = async || {
        let pods = candidates(work, statefulset).await?;
        match choice::choose(work.set, &pods, master, wanted) {
            Ok(_) => Ok(Poll::Ready(())),
            Err(obstacles) if Instant::now() >= until => {
                Err(report::refused(work, master, &obstacles).into())
            }
            Err(obstacles) => Ok(Poll::Pending(reasons(&obstacles))),
        }
    };
    let done = "the replicas are restarted, but not the master";
    poll(work, done, look, |why| work.too_late(why)).await
}

fn reasons(obstacles: &[Obstacle]) -> String {
    let reasons: Vec<&str> = obstacles.iter().map(|it| it.reason.as_str()).collect();
    reasons.join(", ")
}

/// Moves the master to one of the first `pods` pods, if it is not one of them: the others are to be deleted. A dry run
/// says it.
///
/// # Errors
/// [`lease::plan_again`] once the master has moved; why it can't move.
pub(crate) async fn before_scaling(
    work: Work<'_>,
    statefulset: &Value,
    version: &ServerVersion,
    replicas: u32,
    ending: Ending,
) -> anyhow::Result<()> {
    if work.topology.check_replicas(work.set, replicas).is_ok() {
        return Ok(());
    }
    check_image(statefulset)?;
    live::check_rights(work.cluster, rights::switching(work.set, version)).await?;
    let master = master_of(work)?;
    let pods = candidates(work, statefulset).await?;
    let wanted = Wanted { below: Some(replicas), ..Wanted::default() };
    let to = choice::choose(work.set, &pods, master, wanted)
        .map_err(|obstacles| report::refused(work, master, &obstacles))?;
    let (from, new) = (work.set.pod(master), work.set.pod(to));
    if matches!(ending, Ending::DryRun(_)) {
        work.context.note(format!("the master would first move from {from} to {new}"));
        return Ok(());
    }
    work.context.note(format!("the master first moves to {new}, because {from} is to be deleted"));
    let it = Move { from: master, to, consent: Consent::NotAsked };
    move_now(work, statefulset, version, it).await?;
    Err(lease::plan_again(work))
}
