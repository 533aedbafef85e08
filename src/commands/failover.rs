//! `pgset failover`.

use std::time::Instant;

use super::switchover::named;
use crate::cli::FailoverArgs;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::procedure::existing::{self, Existing};
use crate::procedure::failover::choice::{self, Choice, Missing, NoChoice};
use crate::procedure::failover::evidence::{self, Answer, Evidence};
use crate::procedure::failover::proof::{self, Said};
use crate::procedure::failover::{self, Replacement, refusal, report};
use crate::procedure::switchover::moving;
use crate::procedure::{Work, lease, live, run_state};
use crate::set::transition::{Kind, Step};
use crate::set::{SetIdentity, Transition, objects, rights};

/// Makes a replica the master instead of one that does not come back. Running it again resumes an interrupted run.
pub async fn run(args: &FailoverArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let to = args.to.as_deref().map(|pod| named(&set, "--to", pod)).transpose()?;
    let cluster = context.cluster(&target).await?;
    context.begin("failover", &set, &target, Vec::new());
    let attempt = async || Box::pin(attempt(args, to, context, &cluster, &set, started)).await;
    lease::planned(attempt).await
}

async fn attempt(
    args: &FailoverArgs,
    to: Option<u32>,
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    started: Instant,
) -> anyhow::Result<Exit> {
    let version = cluster.version().await?;
    let found = existing::find(cluster, set, rights::switching(set, &version)).await?;
    let Some(Existing { statefulset, topology }) = found else {
        return Err(live::no_set(cluster, set, context).await.into());
    };
    moving::check_image(&statefulset)?;
    run_state::check(cluster, set, &statefulset).await?;
    let work = Work { context, cluster, set, topology: &topology };
    let recorded = topology.transition.as_ref();
    if args.back_out {
        let Some(it) = recorded else {
            context.finish("nothing to back out: no failover is under way", started);
            return Ok(Exit::Done);
        };
        if it.kind != Kind::Failover || it.step != Step::Fenced {
            return Err(it.refusal(set, &context.sibling(it.kind.word())).into());
        }
        let evidence = evidence::gather(work, &statefulset, it.from).await?;
        failover::back_out(work, it, &evidence).await?;
        context.finish(format!("{} is the master again", set.pod(it.from)), started);
        return Ok(Exit::Done);
    }
    let lost = lost_by(work)?;
    let evidence = evidence::gather(work, &statefulset, lost).await?;
    if let Some(it) = recorded.filter(|it| it.step == Step::Promoting || it.kind != Kind::Failover)
        && may_complete(it, &evidence, to)
    {
        if it.kind != Kind::Failover || to.is_some_and(|to| to != it.to) {
            let refusal = it.refusal(set, &context.sibling(it.kind.word()));
            return Err(if it.step == Step::Promoting && to.is_none() {
                refusal.hint(it.instead(set, &context.sibling("failover")))
            } else {
                refusal
            }
            .into());
        }
        if args.dry_run {
            let message = format!("{}: it would be completed (--dry-run)", it.incomplete(set));
            context.finish(message, started);
            return Ok(Exit::Done);
        }
        context.note(format!("{}: completing it", it.incomplete(set)));
        let again = evidence::gather(work, &statefulset, it.from).await?;
        let plan = plan_of(args, to, again, started);
        let done = failover::fail_over(work, plan).await?;
        return Ok(finish(work, &done, started));
    }
    let plan = planned(args, to, work, evidence, objects::replicas(&statefulset), started)?;
    if args.dry_run {
        context.finish("nothing was changed (--dry-run)", started);
        return Ok(Exit::Done);
    }
    let done = failover::fail_over(work, plan).await?;
    Ok(finish(work, &done, started))
}

/// The pod that does not come back: the master, or the one that a transition was to make the master.
fn lost_by(work: Work<'_>) -> Result<u32, Failure> {
    match &work.topology.transition {
        Some(it) if it.step == Step::Promoting => Ok(it.to),
        Some(it) => Ok(it.from),
        None => moving::master_of(work),
    }
}

/// Whether a transition can be completed, or undone, with the pod that it needs. One that can be reached and is still a
/// standby may not be able to become the master, and the user names another one.
fn may_complete(it: &Transition, evidence: &Evidence, to: Option<u32>) -> bool {
    let reached = match evidence.lost.answer {
        Answer::Works => true,
        Answer::Broken(_) => it.step != Step::Promoting || to.is_none_or(|to| to == it.to),
        Answer::NotRunning | Answer::Away(_) => false,
    };
    reached && (it.kind != Kind::Failover || it.step == Step::Promoting)
}

fn plan_of(
    args: &FailoverArgs,
    to: Option<u32>,
    evidence: Evidence,
    began: Instant,
) -> Replacement {
    Replacement {
        evidence,
        way: None,
        choice: None,
        wanted: to,
        less: args.accept_data_loss,
        question: String::new(),
        began,
    }
}

/// Decides what can be done, and says what is known.
fn planned(
    args: &FailoverArgs,
    to: Option<u32>,
    work: Work<'_>,
    evidence: Evidence,
    pods: u32,
    began: Instant,
) -> anyhow::Result<Replacement> {
    let (set, lost) = (work.set, evidence.lost.ordinal);
    let under_way = work.topology.transition.is_some();
    if evidence.lost.answer == Answer::Works && !under_way {
        let message = format!("the master {} works", set.pod(lost));
        return Err(Failure::new(Exit::Refused, message)
            .hint(format!("{}  # moves it, without loss", work.context.sibling("switchover")))
            .into());
    }
    let candidates = choice::candidates(&evidence.replicas);
    let choice = match choice::choose(&candidates, to, args.accept_data_loss) {
        Ok(choice) => Some(choice),
        // Its old master is fenced: what it has is known once it runs as a replica.
        Err(NoChoice::NoReplica | NoChoice::NotThis(_)) if under_way => None,
        Err(why) => return Err(refusal::no_choice(work, &why).into()),
    };
    let said = Said { node_is_off: args.node_is_off.as_deref() };
    let standings = || evidence.replicas.iter().filter_map(|it| it.standing.as_ref().ok());
    let synchronous = standings().map(|it| it.synchronous).min().unwrap_or(0);
    let way = proof::find(set, work.topology, &evidence, pods, said);
    let way = way.map_err(|missing| refusal::unproved(work, &evidence, &missing))?;
    let (asked, replicas) = (count(candidates.len()), pods.saturating_sub(1));
    let missing = choice.as_ref().map_or(Missing::AfterContact, |choice| {
        choice::missing(choice, synchronous, replicas, asked)
    });
    for line in report::known(set, &evidence, &way, choice.as_ref(), missing) {
        work.context.note(line);
    }
    let follow = |choice: &Choice| asked.saturating_sub(1 + count(choice.ahead.len()));
    let commits = choice.as_ref().filter(|it| follow(it) < synchronous).map(|_| synchronous);
    let question = report::question(set, &evidence, &way, choice.as_ref(), commits);
    Ok(Replacement { way: Some(way), choice, question, ..plan_of(args, to, evidence, began) })
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn finish(work: Work<'_>, done: &failover::Done, started: Instant) -> Exit {
    let (context, set) = (work.context, work.set);
    let ahead = done.choice.iter().flat_map(|choice| &choice.ahead);
    for ordinal in ahead {
        let (pod, command) = (set.pod(*ordinal), context.sibling("rejoin"));
        context.warn(format!("{pod} has data that the new master lacks: {command} {pod}"));
    }
    if let (Some(choice), Some(end)) = (&done.choice, done.end)
        && choice::has_all(choice, end)
    {
        context.note("nothing is missing: the new master has everything that the old one wrote");
    }
    if !done.behind.is_empty() {
        context.warn(format!("not streaming yet: {}", done.behind.join(", ")));
    }
    let next = vec![("next", context.sibling("status"))];
    context.finish_with(report::said(set, done), started, None, next);
    Exit::Done
}
