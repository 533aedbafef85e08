//! `pgset rejoin`.

use std::time::Instant;

use super::switchover::named;
use crate::cli::RejoinArgs;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::procedure::existing::{self, Existing};
use crate::procedure::failover::evidence;
use crate::procedure::switchover::moving;
use crate::procedure::{Work, lease, live, rejoin, run_state};
use crate::set::{SetIdentity, objects, rights};

/// Makes a pod follow the master again. Running it again resumes an interrupted run.
pub async fn run(args: &RejoinArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let ordinal = named(&set, "POD", &args.pod)?;
    let cluster = context.cluster(&target).await?;
    context.begin("rejoin", &set, &target, Vec::new());
    let attempt = async || Box::pin(attempt(args, ordinal, context, &cluster, &set, started)).await;
    lease::planned(attempt).await
}

async fn attempt(
    args: &RejoinArgs,
    ordinal: u32,
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
    let pod = set.pod(ordinal);
    moving::check_image(&statefulset)?;
    run_state::check(cluster, set, &statefulset).await?;
    let pods = objects::replicas(&statefulset);
    if ordinal >= pods {
        let message = format!("{pod} is no pod of this set, which has {pods}");
        return Err(Failure::new(Exit::Refused, message).into());
    }
    let work = Work { context, cluster, set, topology: &topology };
    lease::check_transition(work)?;
    let master = moving::master_of(work)?;
    if ordinal == master {
        let message = format!("{pod} is the master: the others follow it");
        return Err(Failure::new(Exit::Refused, message).into());
    }
    let asked = rejoin::asked(work, ordinal, args.clone).await?;
    match rejoin::streams(work, &pod).await {
        Ok(false) => {}
        Ok(true) => {
            let kept = rejoin::kept(work, &pod).await;
            let is_done = asked.is_done(&kept);
            if is_done || !args.clone {
                if asked.before() {
                    rejoin::forget(work).await?;
                }
                rejoin::relabel(work).await?;
                if is_done {
                    finish(work, &pod, &kept.directories, started);
                } else {
                    let message = format!("nothing to do: {pod} streams from {}", set.pod(master));
                    context.finish(message, started);
                }
                return Ok(Exit::Done);
            }
        }
        Err(why) => {
            let message = format!("the master {} does not answer: {why}", set.pod(master));
            return Err(Failure::new(Exit::Refused, message)
                .hint(format!("{}  # shows the pods and problems", context.sibling("status")))
                .into());
        }
    }
    // Its pod would stay as it is until its node is back.
    if let Some(why) = evidence::away(work, &pod).await {
        let message = format!("{pod} can't be reached: {why}");
        return Err(Failure::new(Exit::Refused, message)
            .hint("once its node is back, the pod follows, or `pgset status` says that it has diverged")
            .into());
    }
    let to = set.pod(master);
    let when =
        if args.clone { "Its".to_owned() } else { format!("If it has data that {to} lacks, its") };
    let question = format!(
        "Restart {pod} as a replica of {to}? {when} directory is kept under another name, and it is cloned."
    );
    if !context.confirm(&question).await? {
        return Err(Failure::cancelled().into());
    }
    rejoin::rejoin(work, &statefulset, version, &asked).await?;
    let kept = rejoin::kept(work, &pod).await;
    finish(work, &pod, &kept.directories, started);
    Ok(Exit::Done)
}

/// `kept` are the directories that are kept on the volume of the pod.
fn finish(work: Work<'_>, pod: &str, kept: &[String], started: Instant) {
    let context = work.context;
    for path in kept {
        context.note(format!("the old data is kept in {path} on the volume of {pod}"));
    }
    let next = kept.iter().map(|path| ("delete", delete(work, pod, path))).collect();
    let master = work.topology.master_pod(work.set).unwrap_or_default();
    context.finish_with(format!("{pod} streams from {master}"), started, None, next);
}

/// What deletes a directory that is kept.
fn delete(work: Work<'_>, pod: &str, path: &str) -> String {
    let namespace = work.namespace();
    format!("kubectl exec -n {namespace} {pod} -- rm -r {path}  # when you no longer need it")
}
