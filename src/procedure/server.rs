//! Finds the server to connect to: both the pod's label and its PostgreSQL must report the wanted role.

use k8s_openapi::api::core::v1::Pod;

use super::{Work, live, pods, run_state, sql};
use crate::error::{Exit, Failure};
use crate::readiness::is_ready;
use crate::set::{Role, SetIdentity, objects};

/// Which server to find.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The master.
    Master,
    /// Any replica.
    AnyReplica,
    /// The pod with this ordinal, if it is a replica.
    Replica(u32),
}

impl Wanted {
    fn role(self) -> Role {
        if self == Self::Master { Role::Master } else { Role::Replica }
    }

    fn described(self, set: &SetIdentity) -> String {
        match self {
            Self::Master => "master".to_owned(),
            Self::AnyReplica => "replica".to_owned(),
            Self::Replica(ordinal) => format!("replica {}", set.pod(ordinal)),
        }
    }
}

/// Finds the master's pod.
///
/// # Errors
/// When there is none, with details about the candidates.
pub(crate) async fn master(work: Work<'_>) -> anyhow::Result<String> {
    let found = pods::list(work.cluster, work.set).await?;
    choose(work, found, Wanted::Master).await
}

/// Says why the set has no pods, if that is known.
///
/// # Errors
/// When it is known.
async fn check(work: Work<'_>) -> anyhow::Result<()> {
    // It only makes the message more precise.
    match work.cluster.get(&objects::statefulset(work.set)).await {
        Ok(Some(statefulset)) => run_state::check(work.cluster, work.set, &statefulset).await,
        Ok(None) => Err(live::no_set(work.cluster, work.set, work.context).await.into()),
        Err(_) => Ok(()),
    }
}

/// Chooses a pod to connect to: it is labelled with the wanted role, it is ready, and its PostgreSQL has that
/// role.
///
/// # Errors
/// When there is none, with details about the candidates.
pub(crate) async fn choose(
    work: Work<'_>,
    found: Vec<Pod>,
    wanted: Wanted,
) -> anyhow::Result<String> {
    let (name, ()) = choose_and(work, found, wanted, async |_| ()).await?;
    Ok(name)
}

/// The same, and prepares something with each pod while its PostgreSQL is queried. What was prepared with a pod that
/// is not chosen is dropped.
///
/// # Errors
/// The errors of [`choose`].
pub(crate) async fn choose_and<T>(
    work: Work<'_>,
    mut found: Vec<Pod>,
    wanted: Wanted,
    prepare: impl AsyncFn(&str) -> T,
) -> anyhow::Result<(String, T)> {
    let (set, label) = (work.set, work.set.label(wanted.role()));
    if found.is_empty() {
        check(work).await?;
    }
    // Prefer the topology's master to other pods with the master's label.
    found.sort_by_key(|pod| {
        let first = wanted == Wanted::Master && pods::is_master(set, work.topology, pod);
        (!first, pods::ordinal(set, pod))
    });
    let mut seen = Vec::new();
    for pod in &found {
        let Some(ordinal) = pods::ordinal(set, pod) else { continue };
        let name = set.pod(ordinal);
        let role = pods::label(pod).unwrap_or("(none)");
        match wanted {
            Wanted::Replica(other) if other != ordinal => continue,
            // Do not report each replica when the master is wanted, or the other way round.
            Wanted::Master | Wanted::AnyReplica if role != label => continue,
            _ if role != label => {
                seen.push(format!("pod {name} is labelled name={role}, not name={label}"));
                continue;
            }
            _ => {}
        }
        if !is_ready(pod) {
            seen.push(format!("pod {name} is not ready"));
            continue;
        }
        let observing = sql::observe(work.cluster, work.namespace(), &name);
        let (observed, prepared) = futures::join!(observing, prepare(&name));
        match observed {
            Ok(server) if server.in_recovery != (wanted == Wanted::Master) => {
                return Ok((name, prepared));
            }
            Ok(server) => {
                let is = if server.in_recovery { "in recovery" } else { "not in recovery" };
                seen.push(format!("pod {name} is labelled name={label}, but PostgreSQL is {is}"));
            }
            Err(error) => seen.push(format!("PostgreSQL in pod {name} does not answer: {error}")),
        }
    }
    let place = format!("set {} in namespace {}", set.name, set.namespace);
    let what = wanted.described(set);
    Err(Failure::new(Exit::Failed, format!("{place} has no {what} to connect to"))
        .details(seen)
        .hint(format!("{}  # shows the pods and problems", work.context.sibling("status")))
        .into())
}
