//! The StatefulSet: the controller's status of all pods, and refusals of the API server.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use k8s_openapi::api::core::v1::Event;

use super::events;
use super::phase::Phase;
use super::state::ObjectReadiness;
use super::text::says;
use super::trouble::{AT_ONCE, CREATE_GRACE, Cause, MISSING_GRACE, Trouble};
use super::view::{self, View};
use crate::manifest::Kind;
use crate::text::counted;

/// The first minor version of Kubernetes with `availableReplicas` in the status.
const AVAILABLE_REPLICAS_SINCE: u32 = 22;

/// The state while the controller has not processed the object or its last change.
const CONTROLLER: &str = "waiting for the StatefulSet controller";

/// Judges the StatefulSet.
pub(super) fn judge(view: View<'_>) -> ObjectReadiness {
    let object = view.id(Kind::StatefulSet, view.expected.set.name.as_str());
    let applied = view.expected.statefulset_uid.as_deref();
    let Some(set) = view.statefulset() else {
        let readiness = ObjectReadiness::waiting(object.clone(), Phase::Pending, "not created yet");
        return match applied {
            None => readiness,
            Some(_) => readiness.troubled(vec![Trouble::new(
                object,
                applied,
                Cause::Deleted,
                MISSING_GRACE,
                "deleted by another client",
            )]),
        };
    };
    let uid = set.metadata.uid.as_deref();
    if applied.is_some() && uid.is_some() && applied != uid {
        let message = "replaced by another client: its UID is not the UID of the applied object";
        let trouble = Trouble::new(object.clone(), uid, Cause::Replaced, AT_ONCE, message);
        return ObjectReadiness::waiting(object, Phase::Pending, "replaced by another client")
            .troubled(vec![trouble]);
    }
    if view::is_terminating(&set.metadata) {
        return ObjectReadiness::waiting(object, Phase::Terminating, "Terminating");
    }
    let troubles = refused(view, set).into_iter().collect();
    match first_unmet(view, set) {
        Some(unmet) => ObjectReadiness::waiting(object, Phase::Pending, unmet).troubled(troubles),
        None => ObjectReadiness::ready(object, ready_state(view)).troubled(troubles),
    }
}

fn ready_state(view: View<'_>) -> String {
    let count = view.expected.replicas;
    let old: Vec<String> = (0..count)
        .filter(|ordinal| view.pod(*ordinal).is_some_and(|pod| view.is_old(pod)))
        .map(|ordinal| view.expected.set.pod(ordinal))
        .collect();
    let ready = format!("Ready, {count} of {}", counted(count as usize, "pod"));
    if old.is_empty() {
        return ready;
    }
    let verb = if old.len() == 1 { "runs" } else { "run" };
    // With `OnDelete` this is usual, and has the name that `up` and `status` use.
    let what =
        if view.on_delete() { "the previous template" } else { "the old revision (partition)" };
    format!("{ready}; {} still {verb} {what}", old.join(", "))
}

/// The first rule that does not hold.
fn first_unmet(view: View<'_>, set: &StatefulSet) -> Option<String> {
    let generation = set.metadata.generation.unwrap_or(0);
    let (Some(spec), Some(status)) = (set.spec.as_ref(), set.status.as_ref()) else {
        return Some(CONTROLLER.to_owned());
    };
    if view.expected.statefulset_generation.is_some_and(|applied| generation < applied) {
        return Some("the applied change is not visible yet".to_owned());
    }
    if status.observed_generation != Some(generation) {
        return Some(CONTROLLER.to_owned());
    }
    count_unmet(view, spec, status)
        .or_else(|| (!view.on_delete()).then(|| update_unmet(view, status)).flatten())
        .or_else(|| pods_unmet(view))
}

fn count_unmet(
    view: View<'_>,
    spec: &StatefulSetSpec,
    status: &StatefulSetStatus,
) -> Option<String> {
    let wanted = view.expected.replicas;
    let asked = spec.replicas.unwrap_or(1);
    if i64::from(asked) != i64::from(wanted) {
        return Some(format!("another client set replicas to {asked}, expected {wanted}"));
    }
    let number = |count: Option<i32>| count.and_then(|c| u32::try_from(c).ok()).unwrap_or(0);
    let exist = number(Some(status.replicas));
    let noun = if wanted == 1 { "pod" } else { "pods" };
    if exist < wanted {
        return Some(format!("{exist} of {wanted} {noun} created"));
    }
    let ready = number(status.ready_replicas);
    if ready < wanted {
        return Some(format!("{ready} of {wanted} {noun} ready"));
    }
    let keeps = view.expected.server_minor >= AVAILABLE_REPLICAS_SINCE;
    if let Some(least) = spec.min_ready_seconds.filter(|least| keeps && *least > 0) {
        let available = number(status.available_replicas);
        if available < wanted {
            return Some(format!("{available} of {wanted} {noun} ready for {least} s"));
        }
    }
    (exist > wanted)
        .then(|| format!("{} still to be deleted", counted((exist - wanted) as usize, "pod")))
}

fn update_unmet(view: View<'_>, status: &StatefulSetStatus) -> Option<String> {
    let partition = view.partition();
    let wanted = view.expected.replicas.saturating_sub(partition);
    let updated = status.updated_replicas.and_then(|u| u32::try_from(u).ok()).unwrap_or(0);
    if updated < wanted {
        return Some(format!("{updated} of {wanted} pods updated"));
    }
    // The controller sets it when the last pod of the update is ready.
    let done = status.current_revision == status.update_revision;
    (partition == 0 && !done).then(|| "the update is not finished".to_owned())
}

/// Checks the pods themselves, because the controller's counts may lag behind.
fn pods_unmet(view: View<'_>) -> Option<String> {
    for ordinal in 0..view.expected.replicas {
        let name = view.expected.set.pod(ordinal);
        let Some(pod) = view.pod(ordinal) else { return Some(format!("{name} does not exist")) };
        if !view.owns(pod) {
            return Some(format!("{name} is not owned by this StatefulSet"));
        }
        if !view::is_ready(pod) {
            return Some(format!("{name} is not ready"));
        }
        if view.is_replaced_by_update(ordinal, pod) {
            return Some(format!("{name} runs the old revision"));
        }
    }
    let above = view.pods_above();
    above.first().map(|pod| format!("{} still to be deleted", view::name(&pod.metadata)))
}

/// Why the API server refuses to create the missing pods.
fn refused(view: View<'_>, set: &StatefulSet) -> Option<Trouble> {
    let missing: Vec<String> = (0..view.expected.replicas)
        .filter(|ordinal| view.pod(*ordinal).is_none())
        .map(|ordinal| view.expected.set.pod(ordinal))
        .collect();
    let event = view.events(Kind::StatefulSet, &set.metadata).into_iter().rev().find(|event| {
        events::reason(event) == "FailedCreate"
            && is_refusal(event)
            && events::is_since(event, view.expected.began)
            && missing.iter().any(|pod| names_pod(event, pod))
    })?;
    let since = view.expected.began.max(view.expected.not_before);
    let times = events::count_since(event, since);
    let grace = if times >= 2 { AT_ONCE } else { CREATE_GRACE };
    let object = view.id(Kind::StatefulSet, view::name(&set.metadata));
    let uid = set.metadata.uid.as_deref();
    let message = server_text(&events::message(event));
    Some(Trouble::new(object, uid, Cause::FailedCreate, grace, message))
}

fn is_refusal(event: &Event) -> bool {
    let message = event.message.as_deref().unwrap_or_default();
    says(message, &["quota", "forbidden", "denied", "podsecurity"])
}

/// Whether the event refers to the pod: `create Pod pgset-1 in StatefulSet pgset failed error: ...`,
/// `create Claim ... Pod pgset-1 in ...`.
fn names_pod(event: &Event, pod: &str) -> bool {
    let message = event.message.as_deref().unwrap_or_default();
    let mut words = message.split(|c: char| c.is_whitespace() || c == '"');
    words.any(|word| word == pod)
}

/// The API server's message, without the prefix that the controller adds.
fn server_text(message: &str) -> String {
    let text = message.split_once("failed error: ").map_or(message, |(_, text)| text);
    text.to_owned()
}

#[cfg(test)]
mod tests;
