//! Which pods a change restarts: those with another value of a setting in their template, and those whose server
//! reads a changed setting only at its start. The user is asked once, before anything is written.
//!
//! A template that differs in anything else (another version of pgset, another client) restarts no pod.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::planning::Planned;
use super::restart::{self, Pending, Restarts, Written};
use super::switchover::moving::{self, Moves};
use super::undo::Undo;
use super::wait::Wait;
use super::{Consent, Ending, Work, configure, pods};
use crate::error::{Exit, Failure};
use crate::manifest::{Kind, ObjectId};
use crate::plan::{Plan, Step};
use crate::postgres::configuration::{FOLLOWED, State};
use crate::postgres::status;
use crate::readiness::{self, Snapshot};
use crate::set::{SetIdentity, Topology, newest, objects};
use crate::settings::changes::{Change, changes};

/// What the user has agreed to before anything was written.
#[derive(Debug)]
pub(crate) struct Agreed {
    /// Whether pods that serve may restart.
    pub(crate) consent: Consent,
    /// Whether the master moves before its pod restarts.
    pub(crate) moves: Moves,
    /// The UIDs of the pods that are replaced before pgset waits for them: they are not ready, and the change
    /// may be what they need.
    pub(crate) replace: Vec<String>,
}

/// Finds out which pods the plan restarts, and asks for confirmation. `moves` says whether the master moves first.
///
/// # Errors
/// When PostgreSQL does not accept its settings, the master can't move, or the user does not agree.
pub(crate) async fn agree(
    work: Work<'_>,
    planned: &Planned,
    ending: Ending,
    moves: Moves,
) -> anyhow::Result<Agreed> {
    let (plan, live) = (&planned.plan, &planned.live);
    let at_start = configure::check(work, plan, live).await?;
    let not_asked = |replace| Agreed { consent: Consent::NotAsked, moves, replace };
    let id = objects::statefulset(work.set);
    let (Some(statefulset), Some(step)) = (live.objects.get(&id), plan.step(&id)) else {
        return Ok(not_asked(Vec::new()));
    };
    let running: Vec<&Pod> =
        live.pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
    let own = plan.own_values(&id).unwrap_or_default();
    let wanted = Wanted { statefulset: &step.object.value, own: &own };
    let outdated = outdated(work, wanted, statefulset, &running).await?;
    let is_outdated = |pod: &Pod| outdated.iter().any(|(name, _)| name == pods::name(pod));
    let mut why = at_start.changes;
    why.extend(rolls(step));
    // These restart all pods.
    let all = !why.is_empty();
    why.extend(outdated.iter().flat_map(|(_, changes)| changes).map(ToString::to_string));
    why.sort();
    why.dedup();
    // A pod whose server does not run serves nobody.
    let restarting = running.iter().filter(|pod| pods::runs(pod) && (all || is_outdated(pod)));
    let mut restarts: Vec<String> = restarting.map(|pod| pods::name(pod).to_owned()).collect();
    let replace = running.iter().filter(|pod| !readiness::is_ready(pod) && is_outdated(pod));
    let replace = replace.filter_map(|pod| pod.metadata.uid.clone()).collect();
    let order = at_start.order;
    work.topology.sort_for_restart(&mut restarts, order, |pod| work.set.ordinal(pod));
    if restarts.is_empty() {
        return Ok(not_asked(replace));
    }
    let master = work.topology.master_pod(work.set);
    let moves_now = moves == Moves::Yes
        && ending != Ending::NoWait
        && master.is_some_and(|master| restarts.contains(&master));
    let moves = if moves_now {
        if rolls(step).is_some() {
            return Err(rolls_first().into());
        }
        let target = moving::target(work, statefulset, &live.version, &restarts, order);
        Moves::To(target.await?)
    } else {
        moves
    };
    match ending {
        Ending::Wait => {
            restart::agree(work, &restarts, &why, moves.to(), "nothing was changed").await?;
            Ok(Agreed { consent: Consent::Given, moves, replace })
        }
        Ending::NoWait => Ok(not_asked(Vec::new())),
        Ending::DryRun(_) => {
            let order = restart::in_order(work.set, work.topology, &restarts, moves.to());
            work.context.note(format!("this would restart {order}: {}", why.join(", ")));
            Ok(not_asked(Vec::new()))
        }
    }
}

/// Tells that the StatefulSet controller restarts the pods itself: a template of the user's own may set this
/// strategy.
fn rolls(step: &Step) -> Option<String> {
    let rolling = step.object.value["spec"]["updateStrategy"]["type"] != "OnDelete";
    (rolling && step.changes_template()).then(|| {
        "the StatefulSet controller restarts them: updateStrategy of the template is RollingUpdate"
            .to_owned()
    })
}

/// The failure when the controller does not wait for the master to move.
fn rolls_first() -> Failure {
    let message = "the StatefulSet controller restarts the pods itself (updateStrategy of the template is RollingUpdate): the master can't move before its pod restarts";
    Failure::new(Exit::Refused, message)
        .hint("a template with the strategy OnDelete leaves the restarts to pgset")
}

/// What the pods should run.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// The StatefulSet, in which some fields keep the values of other field managers.
    statefulset: &'a Value,
    /// The same with pgset's own values for these fields.
    own: &'a Value,
}

impl Wanted<'_> {
    /// The settings of which pods with this template have neither the value that is kept nor pgset's own: a value
    /// that another client set is no reason to restart a pod.
    fn changes(self, set: &SetIdentity, from: &Value) -> Vec<Change> {
        let own = changes(set, from, self.own);
        let differs = |change: &Change| own.iter().any(|own| own.setting == change.setting);
        changes(set, from, self.statefulset).into_iter().filter(differs).collect()
    }
}

/// The pods that run with other settings than the wanted StatefulSet has, with what differs. `live` is the
/// StatefulSet as it is now.
///
/// # Errors
/// When a revision can't be read.
async fn outdated(
    work: Work<'_>,
    wanted: Wanted<'_>,
    live: &Value,
    pods: &[&Pod],
) -> anyhow::Result<Vec<(String, Vec<Change>)>> {
    let newest = newest_revision(live);
    let revisions: BTreeSet<Option<&str>> =
        pods.iter().map(|pod| readiness::revision(pod)).collect();
    let mut by_revision: BTreeMap<Option<&str>, Vec<Change>> = BTreeMap::new();
    for revision in revisions {
        let changes = if newest.is_some() && revision == newest {
            wanted.changes(work.set, live)
        } else {
            let from = of_revision(work, live, revision).await?;
            from.map(|from| wanted.changes(work.set, &from)).unwrap_or_default()
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
    /// Whether the pods know a newer topology than this command: then nothing was restarted.
    pub(crate) is_outdated: bool,
    /// The topology, if the master may have moved.
    pub(crate) topology: Option<Topology>,
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
    plan: &Plan,
    agreed: &Agreed,
    undo: Option<Undo>,
) -> anyhow::Result<Settled> {
    let statefulset = serde_json::to_value(&snapshot.statefulset)?;
    let configured = objects::capabilities(&statefulset).configuration.is_there();
    let servers = if configured { configure::load(work).await? } else { Vec::new() };
    configure::tell_altered(work, &servers);
    let known = servers.iter().filter_map(|(pod, it)| Some((pod.clone(), it.knows.clone()?)));
    if newest::newer(work.set, work.topology, &known.collect::<Vec<_>>())?.is_some() {
        return Ok(Settled { is_outdated: true, ..Settled::default() });
    }
    let old = readiness::previous(snapshot, work.set);
    let own = plan.own_values(&objects::statefulset(work.set));
    let own = own.as_ref().unwrap_or(&statefulset);
    let wanted = Wanted { statefulset: &statefulset, own };
    let outdated = outdated(work, wanted, &statefulset, &old).await?;
    let pending = pending(servers, &outdated);
    let restarted: Vec<String> = pending.iter().map(|pending| pending.pod.clone()).collect();
    let restarts = Restarts {
        statefulset: &statefulset,
        pending,
        consent: agreed.consent,
        moves: agreed.moves,
        written: Written::Settings(undo),
    };
    let topology = Some(restart::restart(work, wait, restarts).await?);
    let previous = old.iter().map(|pod| pods::name(pod).to_owned());
    let previous = previous.filter(|pod| !restarted.contains(pod)).collect();
    Ok(Settled { restarted: !restarted.is_empty(), previous, is_outdated: false, topology })
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
    let servers = if configured { configure::load_ready(work).await? } else { Vec::new() };
    let old = readiness::previous(snapshot, work.set);
    let wanted = Wanted { statefulset, own: statefulset };
    let mut outdated = outdated(work, wanted, statefulset, &old).await?;
    for pod in &old {
        let name = pods::name(pod);
        if !outdated.iter().any(|(outdated, _)| outdated == name) {
            outdated.push((name.to_owned(), Vec::new()));
        }
    }
    let mut pending = pending(servers, &outdated);
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
fn pending(servers: Vec<(String, State)>, outdated: &[(String, Vec<Change>)]) -> Vec<Pending> {
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
    for (pod, State { pending: settings, .. }) in servers {
        if settings.is_empty() {
            continue;
        }
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
        let state = |pending| State { pending, ..State::default() };
        let pod = |name: &str, why: &[&str], followed| Pending {
            pod: name.to_owned(),
            why: why.iter().map(ToString::to_string).collect(),
            followed,
            broken: false,
        };
        let outdated = [("pgset-1".to_owned(), vec![change("image")])];
        let both = vec![
            ("pgset-0".to_owned(), state(vec![at_start("wal_buffers")])),
            ("pgset-1".to_owned(), state(vec![at_start("max_connections")])),
            ("pgset-2".to_owned(), state(Vec::new())),
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
