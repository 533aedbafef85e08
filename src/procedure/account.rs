//! The existing ServiceAccount of the pods (`--service-account`): whether it exists, and whether it has the rights
//! that the pods need.

use serde_json::Value;

use super::Work;
use crate::cluster::Cluster;
use crate::error::{Exit, Failure};
use crate::manifest::{Kind, Object, ObjectId};
use crate::render;
use crate::set::rights::{self, Right};
use crate::set::{SetIdentity, Topology, account, objects};
use crate::settings::Settings;

/// Checks the account before a plan is applied, if the plan adds pods, or changes their account or their scripts, which may
/// need more rights. Returns a note for the user, if the rights of the account are not known.
///
/// # Errors
/// When the account does not exist or lacks a right.
pub(crate) async fn check(
    cluster: &Cluster,
    settings: &Settings,
    statefulset: Option<&Value>,
    topology: &Topology,
    replicas: u32,
) -> anyhow::Result<Option<String>> {
    let set = &settings.set;
    let Some(account) = &settings.service_account else { return Ok(None) };
    let other_scripts = statefulset.zip(render::scripts(set, &settings.profile));
    let other_scripts =
        other_scripts.is_some_and(|(live, scripts)| !objects::mounts_config_map(live, &scripts));
    if !is_new(statefulset, account, replicas) && !other_scripts {
        return Ok(None);
    }
    let names = topology.pods(set, replicas);
    let rights = rights::of_pods(set, settings.profile.capabilities(), &names);
    check_rights(cluster, set, account, &rights).await
}

/// Checks the account of a set before pods are added to it. Returns whether the set uses pgset's own account, which
/// has a Role.
///
/// # Errors
/// When an existing account does not exist any more, or lacks a right.
pub(crate) async fn check_scale(
    work: Work<'_>,
    statefulset: &Value,
    replicas: u32,
) -> anyhow::Result<bool> {
    let (cluster, set) = (work.cluster, work.set);
    let recorded = match cluster.get(&objects::settings(set)).await {
        Err(e) if e.is_forbidden() => None,
        found => found?,
    };
    let existing = account::existing(set, Some(statefulset), recorded.as_ref());
    let Some(account) =
        account::of_template(statefulset).filter(|name| existing.iter().any(|e| e == name))
    else {
        return Ok(true);
    };
    if is_new(Some(statefulset), account, replicas) {
        let names = work.topology.pods(set, replicas);
        // The other rights of the new pods are those that the present pods have.
        let rights = rights::labelling(set, objects::capabilities(statefulset), &names);
        let note = check_rights(cluster, set, account, &rights).await?;
        if let Some(note) = note {
            work.context.note(note);
        }
    }
    Ok(false)
}

/// Whether pods are added, or use this account for the first time.
fn is_new(statefulset: Option<&Value>, account: &str, replicas: u32) -> bool {
    statefulset.is_none_or(|live| {
        account::of_template(live) != Some(account) || replicas > objects::replicas(live)
    })
}

/// Checks that the account exists and has these rights. Returns a note, if this user may not ask for the rights of
/// the account.
///
/// # Errors
/// When the account does not exist or lacks a right.
pub(crate) async fn check_rights(
    cluster: &Cluster,
    set: &SetIdentity,
    account: &str,
    rights: &[Right],
) -> anyhow::Result<Option<String>> {
    let namespace = set.namespace.as_str();
    let id = ObjectId::new(Kind::ServiceAccount, namespace, account);
    let (live, missing) =
        futures::join!(cluster.get(&id), cluster.missing_of(namespace, account, rights));
    match live {
        Ok(None) => return Err(absent(set, account).into()),
        Ok(Some(_)) => {}
        // Who may use the account need not be allowed to read it.
        Err(e) if e.is_forbidden() => {}
        Err(e) => return Err(e.into()),
    }
    match missing? {
        Some(missing) if missing.is_empty() => Ok(None),
        Some(missing) => Err(lacking(set, account, &missing).into()),
        None => Ok(Some(format!(
            "this user may not check the rights of ServiceAccount {account}; the pods need them: {}",
            rights::rules(rights).join("; ")
        ))),
    }
}

/// Checks that a Role of the user's templates grants what the pods need: without it they would never start.
///
/// # Errors
/// When a right is missing.
pub(crate) fn check_role(
    objects: &[Object],
    settings: &Settings,
    topology: &Topology,
    replicas: u32,
) -> Result<(), Failure> {
    let set = &settings.set;
    let Some(role) = objects.iter().find(|object| object.id == objects::role(set)) else {
        return Ok(());
    };
    let needed =
        rights::of_pods(set, settings.profile.capabilities(), &topology.pods(set, replicas));
    let missing = rights::not_granted(&role.value, needed);
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("{}: {} lacks rights that the pods need", role.template, role.id);
    Err(Failure::new(Exit::Usage, message)
        .details(rights::rules(&missing))
        .hint("add the rules above to the template; pgset templates export writes the current one"))
}

fn absent(set: &SetIdentity, account: &str) -> Failure {
    let namespace = &set.namespace;
    let message = format!("there is no ServiceAccount {account} in namespace {namespace}");
    Failure::new(Exit::Failed, message)
        .hint(format!("kubectl -n {namespace} get serviceaccounts"))
        .hint("--reset service-account: pgset creates a ServiceAccount and its Role, which needs more rights")
}

fn lacking(set: &SetIdentity, account: &str, missing: &[Right]) -> Failure {
    let message = format!("ServiceAccount {account} lacks rights that the pods need");
    Failure::new(Exit::NoCluster, message).details(rights::rules(missing)).hint(format!(
        "ask an administrator of the namespace for a Role with the rules above, bound to the account: kubectl -n {namespace} create rolebinding {account} --role=ROLE --serviceaccount={namespace}:{account}",
        namespace = set.namespace,
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_new_pods_and_another_account_are_checked() {
        let live =
            json!({"spec": {"replicas": 2, "template": {"spec": {"serviceAccountName": "a"}}}});
        for (statefulset, account, replicas, expected) in [
            (None, "a", 2, true),
            (Some(&live), "a", 2, false),
            (Some(&live), "a", 1, false),
            (Some(&live), "a", 3, true),
            (Some(&live), "b", 2, true),
        ] {
            assert_eq!(is_new(statefulset, account, replicas), expected, "{account} {replicas}");
        }
    }
}
