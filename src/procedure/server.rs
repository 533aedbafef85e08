//! Finding the server to talk to: the pod whose label and whose PostgreSQL say that it is the one.

use k8s_openapi::api::core::v1::Pod;

use super::{Work, pods, sql};
use crate::error::{Exit, Failure};
use crate::readiness::is_ready;
use crate::set::{Role, SetIdentity};

/// Which server is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The one that takes writes.
    Master,
    /// Any that follows.
    AnyReplica,
    /// The one of this ordinal, if it follows.
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

/// The pod of the master.
///
/// # Errors
/// When there is none, with what was seen of those that might be.
pub(crate) async fn master(work: Work<'_>) -> anyhow::Result<String> {
    let found = pods::list(work.cluster, work.set).await?;
    choose(work, found, Wanted::Master).await
}

/// The pod to connect to among the pods of the set: its label says its role, it is ready, and PostgreSQL says the
/// same.
///
/// # Errors
/// When there is none, with what was seen of those that might be.
pub(crate) async fn choose(
    work: Work<'_>,
    mut found: Vec<Pod>,
    wanted: Wanted,
) -> anyhow::Result<String> {
    let (set, label) = (work.set, work.set.label(wanted.role()));
    // The topology's master before any other pod that is labelled so.
    found.sort_by_key(|pod| {
        let first = wanted == Wanted::Master && pods::is_master(set, work.topology, pod);
        (!first, pods::ordinal(set, pod))
    });
    let mut seen = Vec::new();
    for pod in &found {
        let Some(ordinal) = pods::ordinal(set, pod) else { continue };
        let name = set.pod(ordinal);
        let role = pods::label(pod).unwrap_or("nothing");
        match wanted {
            Wanted::Replica(other) if other != ordinal => continue,
            // Nobody who asks for the master needs to hear of each replica.
            Wanted::Master | Wanted::AnyReplica if role != label => continue,
            _ if role != label => {
                seen.push(format!("{name} is labelled {role}, not {label}"));
                continue;
            }
            _ => {}
        }
        if !is_ready(pod) {
            seen.push(format!("{name} is not ready"));
            continue;
        }
        match sql::observe(work.cluster, work.namespace(), &name).await {
            Ok(server) if server.in_recovery != (wanted == Wanted::Master) => return Ok(name),
            Ok(server) => {
                let is = if server.in_recovery { "in recovery" } else { "not in recovery" };
                seen.push(format!("{name} is labelled {label}, but is {is}"));
            }
            Err(error) => seen.push(format!("{name} does not answer: {error}")),
        }
    }
    let place = format!("set {} in namespace {}", set.name, set.namespace);
    let what = wanted.described(set);
    Err(Failure::new(Exit::Failed, format!("there is no {what} to connect to: {place}"))
        .details(seen)
        .hint(format!("{}  # what is there, and what is wrong", work.context.sibling("status")))
        .into())
}
