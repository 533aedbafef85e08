//! `pgset switchover`.

use std::time::Instant;

use serde_json::Value;

use crate::cli::SwitchoverArgs;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::manifest::ServerVersion;
use crate::procedure::existing::{self, Existing};
use crate::procedure::switchover::choice::{self, Wanted};
use crate::procedure::switchover::moving;
use crate::procedure::switchover::report::{described, drain, refused, said};
use crate::procedure::switchover::{self, Move};
use crate::procedure::{Consent, Work, lease, live, run_state};
use crate::set::transition::Kind;
use crate::set::{SetIdentity, Transition, rights};

/// Makes a replica the master. Running it again resumes an interrupted run.
pub async fn run(args: &SwitchoverArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let to = args.to.as_deref().map(|pod| named(&set, "--to", pod)).transpose()?;
    let cluster = context.cluster(&target).await?;
    context.begin("switchover", &set, &target, Vec::new());
    let attempt = async || Box::pin(attempt(args, to, context, &cluster, &set, started)).await;
    lease::planned(attempt).await
}

/// The ordinal of a pod of the set.
pub(super) fn named(set: &SetIdentity, argument: &str, pod: &str) -> Result<u32, Failure> {
    set.ordinal(pod).ok_or_else(|| {
        let example = set.pod(1);
        Failure::new(Exit::Usage, format!("{argument}: {pod:?} is no pod of the set {}", set.name))
            .hint(format!("give the name of a pod, such as {example}"))
    })
}

async fn attempt(
    args: &SwitchoverArgs,
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
    let set_up = SetUp { work, statefulset: &statefulset, version };
    match &topology.transition {
        Some(it) if args.back_out => set_up.back_out(it, started).await,
        Some(it) => set_up.resume(args, to, it, started).await,
        None if args.back_out => {
            context.finish("nothing to back out: no switchover is under way", started);
            Ok(Exit::Done)
        }
        None => set_up.begin(args, to, started).await,
    }
}

/// The set, and what beginning, resuming and backing out need.
struct SetUp<'a> {
    work: Work<'a>,
    statefulset: &'a Value,
    version: ServerVersion,
}

impl SetUp<'_> {
    async fn begin(
        &self,
        args: &SwitchoverArgs,
        to: Option<u32>,
        started: Instant,
    ) -> anyhow::Result<Exit> {
        let (work, context, set) = (self.work, self.work.context, self.work.set);
        let master = moving::master_of(work)?;
        if to == Some(master) {
            // Perhaps by a run that was killed before everything streamed.
            switchover::streams(work, self.statefulset, self.version.clone(), "it is the master")
                .await?;
            let name = set.pod(master);
            context.finish(format!("nothing to do: {name} is the master already"), started);
            return Ok(Exit::Done);
        }
        let candidates = moving::candidates(work, self.statefulset).await?;
        let off = args.drain.as_deref();
        if let Some(node) = off
            && let Some(there) = candidates.iter().find(|pod| pod.ordinal == master)
            && there.node.as_deref() != Some(node)
        {
            let where_it_is = there.node.as_deref().unwrap_or("no node");
            let message = format!(
                "nothing to do: the master {} is on {where_it_is}, not on {node}",
                set.pod(master)
            );
            context.finish_with(message, started, None, vec![("next", drain(node))]);
            return Ok(Exit::Done);
        }
        if args.dry_run {
            for pod in &candidates {
                context.note(described(set, pod, master));
            }
        }
        let to = choice::choose(set, &candidates, master, Wanted { to, off, below: None })
            .map_err(|obstacles| refused(work, master, &obstacles))?;
        if args.dry_run {
            let (from, to) = (set.pod(master), set.pod(to));
            let message = format!("{from} would stop, and {to} would be the master (--dry-run)");
            context.finish(message, started);
            return Ok(Exit::Done);
        }
        self.switch(master, to, off, started).await
    }

    async fn resume(
        &self,
        args: &SwitchoverArgs,
        to: Option<u32>,
        it: &Transition,
        started: Instant,
    ) -> anyhow::Result<Exit> {
        let (context, set) = (self.work.context, self.work.set);
        if it.kind != Kind::Switchover || to.is_some_and(|to| to != it.to) {
            return Err(it.refusal(set, &context.sibling(it.kind.word())).into());
        }
        let message = format!("{}, since {}", it.incomplete(set), it.since);
        if args.dry_run {
            context.finish(format!("{message}: it would be completed (--dry-run)"), started);
            return Ok(Exit::Done);
        }
        context.note(format!("{message}: completing it"));
        self.switch(it.from, it.to, args.drain.as_deref(), started).await
    }

    async fn switch(
        &self,
        from: u32,
        to: u32,
        off: Option<&str>,
        started: Instant,
    ) -> anyhow::Result<Exit> {
        let (work, version) = (self.work, self.version.clone());
        let it = Move { from, to, consent: Consent::NotAsked };
        let done = switchover::switch(work, self.statefulset, version, it).await?;
        let next = off.map(|node| ("next", drain(node))).into_iter().collect();
        work.context.finish_with(said(work.set, &done), started, None, next);
        Ok(Exit::Done)
    }

    async fn back_out(&self, it: &Transition, started: Instant) -> anyhow::Result<Exit> {
        let (work, version) = (self.work, self.version.clone());
        switchover::back_out(work, it, self.statefulset, version).await?;
        work.context.finish(format!("{} is the master again", work.set.pod(it.from)), started);
        Ok(Exit::Done)
    }
}
