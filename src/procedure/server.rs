//! Finding the server to talk to: the pod whose label and whose PostgreSQL say that it is the one.

use crate::cli::PsqlArgs;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::procedure::{live, sql, wait};
use crate::readiness;
use crate::set::SetIdentity;

/// The pod of the master, by its label and by what PostgreSQL says.
///
/// # Errors
/// When there is none, with what was seen of those that might be.
pub(crate) async fn master(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
) -> anyhow::Result<String> {
    choose(context, cluster, set, Wanted::Master).await
}

/// Which server is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Master,
    AnyReplica,
    Replica(u32),
}

impl Wanted {
    pub(crate) fn of(args: &PsqlArgs) -> Self {
        match args.replica {
            None => Self::Master,
            Some(None) => Self::AnyReplica,
            Some(Some(ordinal)) => Self::Replica(ordinal),
        }
    }

    fn label(self, set: &SetIdentity) -> String {
        if self == Self::Master { set.master() } else { set.replica() }
    }

    fn described(self, set: &SetIdentity) -> String {
        match self {
            Self::Master => "master".to_owned(),
            Self::AnyReplica => "replica".to_owned(),
            Self::Replica(ordinal) => format!("replica {}", set.pod(ordinal)),
        }
    }
}

/// The pod to connect to: its label says its role, it is ready, and PostgreSQL says the same.
pub(crate) async fn choose(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    wanted: Wanted,
) -> anyhow::Result<String> {
    let label = wanted.label(set);
    let mut pods = live::pods(cluster, set).await?;
    pods.sort_by_key(|pod| live::ordinal(set, pod));
    let mut seen = Vec::new();
    for pod in &pods {
        let Some(ordinal) = live::ordinal(set, pod) else { continue };
        let name = set.pod(ordinal);
        let role = wait::role(pod).unwrap_or("nothing");
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
        if !readiness::is_ready(pod) {
            seen.push(format!("{name} is not ready"));
            continue;
        }
        match sql::observe(cluster, set.namespace.as_str(), &name).await {
            Ok(server) if server.in_recovery != (wanted == Wanted::Master) => return Ok(name),
            Ok(server) => {
                let is = if server.in_recovery { "in recovery" } else { "not in recovery" };
                seen.push(format!("{name} is labelled {label}, but is {is}"));
            }
            Err(error) => seen.push(format!("{name} does not answer: {error}")),
        }
    }
    let (what, place) =
        (wanted.described(set), format!("set {} in namespace {}", set.name, set.namespace));
    Err(Failure::new(Exit::Failed, format!("there is no {what} to connect to: {place}"))
        .details(seen)
        .hint(format!("{}  # what is there, and what is wrong", context.sibling("status")))
        .into())
}
