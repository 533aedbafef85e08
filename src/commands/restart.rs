//! `pgset restart`.

use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;

use crate::cli::RestartArgs;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::procedure::existing::{self, Existing};
use crate::procedure::expectation::{expectation, scope};
use crate::procedure::restart::{self, Pending, Restarts, Written};
use crate::procedure::switchover::moving::{self, Moves};
use crate::procedure::wait::Wait;
use crate::procedure::{Consent, Work, lease, live, pods, rollout, scripts};
use crate::readiness::Snapshot;
use crate::set::{SetIdentity, objects, rights};

/// Restarts pods: those that need it, one, or all.
pub async fn run(args: &RestartArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let cluster = context.cluster(&target).await?;
    context.begin("restart", &set, &target, Vec::new());
    lease::planned(async || attempt(args, context, &cluster, &set, started).await).await
}

/// Chooses the pods, and restarts them.
async fn attempt(
    args: &RestartArgs,
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    started: Instant,
) -> anyhow::Result<Exit> {
    let version = cluster.version().await?;
    let needed = rights::restarting(set, &version);
    let found = existing::find(cluster, set, needed).await?;
    let Some(Existing { statefulset, topology }) = found else {
        return Err(live::no_set(cluster, set, context).await.into());
    };
    let work = Work { context, cluster, set, topology: &topology };
    moving::complete(work, &statefulset, &version, args.switchover).await?;
    let snapshot = pods::snapshot(cluster, set, &statefulset).await?;
    let choice = choice(args, set, &snapshot.pods)?;
    let pending = choose(choice, rollout::needed(work, &statefulset, &snapshot).await?, &snapshot);
    let restarted: Vec<String> = pending.iter().map(|pending| pending.pod.clone()).collect();
    if restarted.is_empty() {
        let message = format!("nothing to restart: {}", up_to_date(set, &snapshot.pods));
        context.finish(message, started);
        return Ok(Exit::Done);
    }
    context.interrupt.check(|| "no pod was restarted".to_owned(), &context.again)?;
    let replicas = objects::replicas(&statefulset);
    let wait = Wait {
        scope: scope(set, &statefulset, version.clone()),
        expectation: expectation(set, &topology, &statefulset, replicas, &version),
        done: "not every pod is restarted",
        replace: &[],
    };
    let restarts = Restarts {
        statefulset: &statefulset,
        pending,
        consent: Consent::NotAsked,
        moves: Moves::of(args.switchover),
        written: Written::Nothing,
    };
    Box::pin(restart::restart(work, &wait, restarts)).await?;
    scripts::tidy(work).await;
    context.finish(done(set, &restarted), started);
    Ok(Exit::Done)
}

/// Which pods the user wants to restart.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice {
    /// Those that need it.
    Needed,
    /// Every pod.
    All,
    /// This one.
    One(String),
}

fn choice(args: &RestartArgs, set: &SetIdentity, pods: &[Pod]) -> anyhow::Result<Choice> {
    let (_, Some(pod)) = args.named() else {
        return Ok(if args.all { Choice::All } else { Choice::Needed });
    };
    if args.all {
        return Err(Failure::new(Exit::Usage, format!("both {pod} and --all are given"))
            .hint("give one of them")
            .into());
    }
    if pods.iter().any(|there| pods::name(there) == pod) {
        return Ok(Choice::One(pod.to_owned()));
    }
    let names: Vec<&str> = pods.iter().map(pods::name).collect();
    Err(Failure::new(Exit::Usage, format!("{} has no pod {pod}", set.name))
        .details(vec![format!("its pods: {}", names.join(", "))])
        .into())
}

/// The pods to restart, with the reasons that are known.
fn choose(choice: Choice, needed: Vec<Pending>, snapshot: &Snapshot) -> Vec<Pending> {
    let named = |name: &str| needed.iter().find(|pending| pending.pod == name).cloned();
    let of = |pod: &Pod| {
        let name = pods::name(pod);
        let broken = !crate::readiness::is_ready(pod);
        let pending = named(name).unwrap_or_default();
        Pending { pod: name.to_owned(), broken, ..pending }
    };
    match choice {
        Choice::Needed => needed,
        Choice::All => snapshot.pods.iter().map(of).collect(),
        Choice::One(name) => {
            snapshot.pods.iter().filter(|pod| pods::name(pod) == name).map(of).collect()
        }
    }
}

fn up_to_date(set: &SetIdentity, pods: &[Pod]) -> String {
    match pods {
        [] => format!("{} has no pods", set.name),
        [pod] => format!("{} runs the current template and settings", pods::name(pod)),
        _ => "every pod runs the current template and settings (--all restarts them)".to_owned(),
    }
}

fn done(set: &SetIdentity, pods: &[String]) -> String {
    match pods {
        [pod] => format!("{pod} is restarted and ready"),
        pods => format!("{} pods of {} are restarted and ready", pods.len(), set.name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, ready: &str) -> Pod {
        let conditions = json!([{"type": "Ready", "status": ready}]);
        let pod = json!({"metadata": {"name": name}, "status": {"conditions": conditions}});
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn which_pods_restart() {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let pods = vec![pod("pgset-0", "True"), pod("pgset-1", "False")];
        let snapshot = Snapshot { pods, ..Snapshot::default() };
        let args = |target: Option<&str>, all| RestartArgs {
            target: target.map(str::to_owned),
            all,
            ..RestartArgs::default()
        };
        let needed = || {
            vec![Pending {
                pod: "pgset-0".to_owned(),
                why: vec!["image a -> b".to_owned()],
                ..Pending::default()
            }]
        };
        let chosen = |args: &RestartArgs| {
            let choice = choice(args, &set, &snapshot.pods).unwrap();
            let chosen = choose(choice, needed(), &snapshot).into_iter();
            chosen.map(|p| (p.pod, p.why.len(), p.broken)).collect::<Vec<_>>()
        };
        let (master, replica) = (("pgset-0".to_owned(), 1, false), ("pgset-1".to_owned(), 0, true));
        assert_eq!(chosen(&args(None, false)), [("pgset-0".to_owned(), 1, false)]);
        assert_eq!(chosen(&args(Some("pgset"), true)), [master, replica.clone()]);
        assert_eq!(chosen(&args(Some("pgset-1"), false)), [replica]);
        for (wrong, words) in [
            (args(Some("pgset-7"), false), "pgset has no pod pgset-7"),
            (args(Some("pgset-1"), true), "both pgset-1 and --all are given"),
        ] {
            let error = choice(&wrong, &set, &snapshot.pods).unwrap_err();
            assert_eq!(error.to_string(), words);
        }
    }
}
