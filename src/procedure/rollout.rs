//! Which pods a change restarts: those with another value of a setting in their template, and those whose server
//! reads a changed setting only at its start. The user is asked once, before anything is written.
//!
//! A template that differs in anything else (another version of pgset, another client) restarts no pod.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::planning::Planned;
use super::restart::{self, Consent, Pending, Written};
use super::undo::Undo;
use super::wait::Wait;
use super::{Ending, Work, configure, pods};
use crate::manifest::{Kind, ObjectId};
use crate::plan::{Action, Plan};
use crate::postgres::configuration::FOLLOWED;
use crate::postgres::status;
use crate::readiness::{self, Snapshot};
use crate::set::objects;
use crate::settings::changes::{Change, changes};

/// What the user has agreed to before anything was written.
#[derive(Debug)]
pub(crate) struct Agreed {
    /// Whether pods that serve may restart.
    pub(crate) consent: Consent,
    /// The UIDs of the pods that are replaced before pgset waits for them: they are not ready, and the change
    /// may be what they need.
    pub(crate) replace: Vec<String>,
}

/// Finds out which pods the plan restarts, and asks for confirmation.
///
/// # Errors
/// When PostgreSQL does not accept its settings, or the user does not agree.
pub(crate) async fn agree(
    work: Work<'_>,
    planned: &Planned,
    ending: Ending,
) -> anyhow::Result<Agreed> {
    let (plan, live) = (&planned.plan, &planned.live);
    let at_start = configure::check(work, plan, live).await?;
    let id = objects::statefulset(work.set);
    let statefulset = live.objects.get(&id);
    let wanted = plan.steps.iter().find(|step| step.object.id == id).map(|step| &step.object.value);
    let (Some(statefulset), Some(wanted)) = (statefulset, wanted) else {
        return Ok(Agreed { consent: Consent::NotAsked, replace: Vec::new() });
    };
    let running: Vec<&Pod> =
        live.pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
    let outdated = outdated(work, wanted, statefulset, &running).await?;
    let mut why = at_start.changes.clone();
    why.extend(outdated.iter().flat_map(|(_, changes)| changes).map(ToString::to_string));
    why.extend(rolls(plan, &id, wanted));
    why.sort();
    why.dedup();
    // A pod whose server does not run serves nobody.
    let mut restarts: Vec<String> = running
        .iter()
        .filter(|pod| pods::runs(pod))
        .filter(|pod| {
            let changed = outdated.iter().any(|(name, _)| name == pods::name(pod));
            changed || !at_start.changes.is_empty() || rolls(plan, &id, wanted).is_some()
        })
        .map(|pod| pods::name(pod).to_owned())
        .collect();
    let replace = running.iter().filter(|pod| {
        !readiness::is_ready(pod) && outdated.iter().any(|(name, _)| name == pods::name(pod))
    });
    let replace = replace.filter_map(|pod| pod.metadata.uid.clone()).collect();
    let order = at_start.order;
    work.topology.sort_for_restart(&mut restarts, order, |pod| work.set.ordinal(pod));
    if restarts.is_empty() {
        return Ok(Agreed { consent: Consent::NotAsked, replace });
    }
    match ending {
        Ending::Wait => {
            restart::agree(work, &restarts, &why, "nothing was changed").await?;
            Ok(Agreed { consent: Consent::Given, replace })
        }
        Ending::NoWait => Ok(Agreed { consent: Consent::NotAsked, replace: Vec::new() }),
        Ending::DryRun(_) => {
            let order = restart::in_order(work.set, work.topology, &restarts);
            work.context.note(format!("this would restart {order}: {}", why.join(", ")));
            Ok(Agreed { consent: Consent::NotAsked, replace: Vec::new() })
        }
    }
}

/// Tells that the StatefulSet controller restarts the pods itself: a template of the user's own may set this
/// strategy.
fn rolls(plan: &Plan, id: &ObjectId, wanted: &Value) -> Option<String> {
    if wanted["spec"]["updateStrategy"]["type"] == "OnDelete" {
        return None;
    }
    let template = crate::plan::Path::of(&["spec", "template"]);
    let step = plan.steps.iter().find(|step| step.object.id == *id)?;
    let Action::Update(difference) = &step.action else { return None };
    difference.paths().any(|path| path.is_within(&template)).then(|| {
        "the StatefulSet controller restarts them: updateStrategy of the template is RollingUpdate"
            .to_owned()
    })
}

/// The pods that run with other settings than the wanted StatefulSet has, with what differs. `live` is the
/// StatefulSet as it is now.
///
/// # Errors
/// When a revision can't be read.
async fn outdated(
    work: Work<'_>,
    wanted: &Value,
    live: &Value,
    pods: &[&Pod],
) -> anyhow::Result<Vec<(String, Vec<Change>)>> {
    let newest = newest_revision(live);
    let revisions: BTreeSet<Option<&str>> =
        pods.iter().map(|pod| readiness::revision(pod)).collect();
    let mut by_revision: BTreeMap<Option<&str>, Vec<Change>> = BTreeMap::new();
    for revision in revisions {
        let changes = if newest.is_some() && revision == newest {
            changes(work.set, live, wanted)
        } else {
            let from = of_revision(work, live, revision).await?;
            from.map(|from| changes(work.set, &from, wanted)).unwrap_or_default()
        };
        by_revision.insert(revision, changes);
    }
    let of = |pod: &&Pod| {
        let changes = by_revision.get(&readiness::revision(pod)).filter(|it| !it.is_empty())?;
        Some((pods::name(pod).to_owned(), changes.clone()))
    };
    Ok(pods.iter().filter_map(of).collect())
}

/// The revision of the StatefulSet's template, if the controller has observed it.
fn newest_revision(live: &Value) -> Option<&str> {
    let observed = live["status"]["observedGeneration"] == live["metadata"]["generation"];
    live["status"]["updateRevision"].as_str().filter(|_| observed)
}

/// The StatefulSet with the template of a revision. `None` if this account may not read revisions: then nothing
/// is known about the settings of the pod, which is not restarted for them.
async fn of_revision(
    work: Work<'_>,
    live: &Value,
    revision: Option<&str>,
) -> anyhow::Result<Option<Value>> {
    let Some(revision) = revision else { return Ok(None) };
    let id = ObjectId::new(Kind::ControllerRevision, work.namespace(), revision);
    let found = match work.cluster.get(&id).await {
        Err(error) if error.is_forbidden() => {
            work.context.detail(format!(
                "which settings pods of revision {revision} have is not known: this account may not get controllerrevisions"
            ));
            None
        }
        found => found?,
    };
    Ok(found.map(|revision| {
        json!({
            "metadata": { "annotations": live["metadata"]["annotations"] },
            "spec": { "template": revision["data"]["spec"]["template"] },
        })
    }))
}

/// What became of the pods after the change was written.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Whether pods were restarted.
    pub(crate) restarted: bool,
    /// The pods that run a previous template with the same settings.
    pub(crate) previous: Vec<String>,
}

/// Makes the pods of a set that is ready use its settings: reloads PostgreSQL's configuration, and restarts the
/// pods that need it.
///
/// # Errors
/// When a file does not arrive in time, the user declines, or a pod does not become ready again.
pub(crate) async fn settle(
    work: Work<'_>,
    wait: &Wait<'_>,
    snapshot: &Snapshot,
    consent: Consent,
    undo: Option<Undo>,
) -> anyhow::Result<Settled> {
    let statefulset = serde_json::to_value(&snapshot.statefulset)?;
    let configured = objects::capabilities(&statefulset).configuration.is_there();
    let at_start = if configured { configure::load(work).await? } else { Vec::new() };
    let old = readiness::previous(snapshot, work.set);
    let outdated = outdated(work, &statefulset, &statefulset, &old).await?;
    let pending = pending(at_start, &outdated);
    let restarted: Vec<String> = pending.iter().map(|pending| pending.pod.clone()).collect();
    restart::restart(work, wait, pending, consent, Written::Settings(undo)).await?;
    let previous = old.iter().map(|pod| pods::name(pod).to_owned());
    let previous = previous.filter(|pod| !restarted.contains(pod)).collect();
    Ok(Settled { restarted: !restarted.is_empty(), previous })
}

/// The pods that need a restart: they run a previous template, or their server reads a setting only at its start.
///
/// # Errors
/// When a server can't load its configuration.
pub(crate) async fn needed(
    work: Work<'_>,
    statefulset: &Value,
    snapshot: &Snapshot,
) -> anyhow::Result<Vec<Pending>> {
    let configured = objects::capabilities(statefulset).configuration.is_there();
    let at_start = if configured { configure::load_ready(work).await? } else { Vec::new() };
    let old = readiness::previous(snapshot, work.set);
    let mut outdated = outdated(work, statefulset, statefulset, &old).await?;
    for pod in &old {
        let name = pods::name(pod);
        if !outdated.iter().any(|(outdated, _)| outdated == name) {
            outdated.push((name.to_owned(), Vec::new()));
        }
    }
    let mut pending = pending(at_start, &outdated);
    for one in &mut pending {
        if one.why.is_empty() {
            one.why.push("it runs the previous template".to_owned());
        }
        let mut broken = snapshot.pods.iter().filter(|pod| !readiness::is_ready(pod));
        one.broken = broken.any(|pod| pods::name(pod) == one.pod);
    }
    Ok(pending)
}

/// The pods to restart, each once.
fn pending(
    at_start: Vec<(String, Vec<crate::postgres::configuration::Pending>)>,
    outdated: &[(String, Vec<Change>)],
) -> Vec<Pending> {
    let mut pending: BTreeMap<String, Pending> = BTreeMap::new();
    let mut of = |pod: &str, why: Vec<String>, followed: bool| {
        let one = pending.entry(pod.to_owned()).or_default();
        pod.clone_into(&mut one.pod);
        one.why.extend(why);
        one.followed |= followed;
    };
    for (pod, changes) in outdated {
        of(pod, changes.iter().map(ToString::to_string).collect(), false);
    }
    for (pod, settings) in at_start {
        let followed = settings.iter().any(|setting| FOLLOWED.contains(&setting.name.as_str()));
        of(&pod, settings.iter().map(ToString::to_string).collect(), followed);
    }
    pending.into_values().collect()
}

/// Tells which pods run a previous template.
pub(crate) fn tell_previous(work: Work<'_>, settled: &Settled) {
    if let Some(message) = status::previous_template(&settled.previous) {
        work.context.note(work.context.for_set(&message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::configuration::Pending as AtStart;

    #[test]
    fn a_pod_restarts_once_for_all_its_reasons() {
        let change = |setting: &str| Change {
            setting: setting.to_owned(),
            from: "a".to_owned(),
            to: "b".to_owned(),
        };
        let at_start = |name: &str| AtStart {
            name: name.to_owned(),
            running: "1".to_owned(),
            wanted: Some("2".to_owned()),
        };
        let pod = |name: &str, why: &[&str], followed| Pending {
            pod: name.to_owned(),
            why: why.iter().map(ToString::to_string).collect(),
            followed,
            broken: false,
        };
        let outdated = [("pgset-1".to_owned(), vec![change("image")])];
        let both = vec![
            ("pgset-0".to_owned(), vec![at_start("wal_buffers")]),
            ("pgset-1".to_owned(), vec![at_start("max_connections")]),
        ];
        assert_eq!(
            pending(both, &outdated),
            [
                pod("pgset-0", &["wal_buffers 1 -> 2"], false),
                pod("pgset-1", &["image a -> b", "max_connections 1 -> 2"], true),
            ]
        );
        assert_eq!(pending(Vec::new(), &[]), []);
    }
}
