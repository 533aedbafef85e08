//! The namespace of a set: whether it exists, and its creation (`pgset up --create-namespace`).

use serde_json::json;

use super::{Ending, Work};
use crate::cli::DryRun;
use crate::cluster::{Cluster, ClusterError};
use crate::error::{Exit, Failure};
use crate::event::{Event, Outcome};
use crate::manifest::{Kind, Object, ObjectId};
use crate::set::SetIdentity;

/// Whether the namespace of a set exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// It exists.
    #[default]
    Exists,
    /// It does not exist.
    Missing,
    /// The account is not allowed to read it. Rights in one namespace do not include this right, so the
    /// namespace probably exists.
    Unreadable,
}

impl Namespace {
    /// Whether it exists, as far as this account can see.
    pub(crate) fn exists(self) -> bool {
        self != Self::Missing
    }
}

fn id(set: &SetIdentity) -> ObjectId {
    ObjectId::new(Kind::Namespace, set.namespace.as_str(), set.namespace.as_str())
}

/// Reads whether the namespace exists.
///
/// # Errors
/// When it is being deleted.
pub(crate) async fn read(cluster: &Cluster, set: &SetIdentity) -> anyhow::Result<Namespace> {
    let live = match cluster.get(&id(set)).await {
        Ok(Some(live)) => live,
        Ok(None) => return Ok(Namespace::Missing),
        Err(e) if e.is_forbidden() => return Ok(Namespace::Unreadable),
        Err(e) => return Err(e.into()),
    };
    if live["status"]["phase"] == "Terminating" {
        let message = format!("namespace {} is being deleted", set.namespace);
        return Err(Failure::new(Exit::Refused, message)
            .hint("wait until it is deleted, or name another with -n")
            .into());
    }
    Ok(Namespace::Exists)
}

/// The failure when the namespace does not exist.
pub(crate) fn missing(set: &SetIdentity) -> Failure {
    let name = &set.namespace;
    Failure::new(Exit::Failed, format!("there is no namespace {name}"))
        .hint(format!("{} --create-namespace", set.command("up")))
        .hint(format!("kubectl create namespace {name}"))
        .hint("another namespace: -n NAME")
}

/// Creates the namespace, if it does not exist. Returns how the command ends: a server can't check objects of
/// a namespace that does not exist, so a dry run compares them itself.
///
/// # Errors
/// When the namespace can't be created.
pub(crate) async fn create(
    work: Work<'_>,
    namespace: Namespace,
    ending: Ending,
) -> Result<Ending, ClusterError> {
    let dry = matches!(ending, Ending::DryRun(_));
    if namespace == Namespace::Exists || (namespace == Namespace::Unreadable && dry) {
        return Ok(ending);
    }
    let id = id(work.set);
    let emit = |outcome, detail: Option<&str>| {
        let detail = detail.map(str::to_owned);
        work.context.reporter.emit(Event::object(id.clone(), outcome, detail));
    };
    if ending != Ending::DryRun(DryRun::Client) {
        let name = work.namespace();
        let value = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let object = Object { id: id.clone(), value, template: "--create-namespace".to_owned() };
        match work.cluster.create(&object, dry).await {
            Ok(_) => {}
            // Another client was faster, or the response to the first request was lost.
            Err(e) if e.is_conflict() => {
                emit(Outcome::Unchanged, None);
                return Ok(ending);
            }
            Err(e) if e.is_forbidden() && namespace == Namespace::Unreadable => return Ok(ending),
            Err(e) => return Err(e),
        }
    }
    if dry {
        let detail = (ending == Ending::DryRun(DryRun::Server))
            .then_some("its objects are not sent to the API server, because it does not exist");
        emit(Outcome::WouldCreate, detail);
        return Ok(Ending::DryRun(DryRun::Client));
    }
    emit(Outcome::Created, None);
    Ok(ending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Diagnose as _;

    #[test]
    fn a_namespace_that_does_not_exist_has_the_command_that_creates_it() {
        let set = SetIdentity { name: "orders".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let failure = missing(&set);
        assert_eq!(failure.to_string(), "there is no namespace pg");
        assert_eq!(
            failure.hints()[0],
            format!("{} --create-namespace", set.command("up")),
            "{failure:?}"
        );
        assert!(failure.hints()[0].starts_with("pgset up "));
        assert_eq!(failure.hints()[1], "kubectl create namespace pg");
    }
}
