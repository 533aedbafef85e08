//! Pods: the state of each one, and what prevents it from becoming ready.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Event, Pod};

use super::milestone::{self, Milestone};
use super::phase::Phase;
use super::snapshot::Snapshot;
use super::state::{ObjectReadiness, WedgedPod};
use super::text::{one_line, says};
use super::trouble::{AT_ONCE, Cause, RETRIED_GRACE, Trouble, WEDGE_GRACE};
use super::view::{self, View};
use super::{container, events, mount};
use crate::manifest::{Kind, ObjectId};
use crate::set::Role;

/// Judges the pod of a wanted ordinal. `claims` are the troubles of the claims, `refused` is the reason
/// why the API server refuses pods.
pub(super) fn judge(
    view: View<'_>,
    ordinal: u32,
    claims: &[Trouble],
    refused: Option<&str>,
) -> (ObjectReadiness, Option<WedgedPod>) {
    let object = view.id(Kind::Pod, &view.expected.set.pod(ordinal));
    let Some(pod) = view.pod(ordinal) else {
        return (missing(view, object, ordinal, refused), None);
    };
    let pending =
        |state: &str| (ObjectReadiness::waiting(object.clone(), Phase::Pending, state), None);
    if view::is_terminating(&pod.metadata) {
        return (ObjectReadiness::waiting(object, Phase::Terminating, terminating(pod)), None);
    }
    if !view.owns(pod) {
        return pending(&stranger(pod));
    }
    let replaced = view.is_replaced_by_update(ordinal, pod);
    if view::is_ready(pod) {
        let ready = if replaced {
            ObjectReadiness::waiting(object, Phase::Pending, "Ready, will be updated")
        } else {
            serving(view, object, ordinal)
        };
        let mut reached = milestone::before_ready(view.snapshot, pod);
        reached.push(Milestone::Ready);
        if ready.waiting.is_none() {
            reached.extend(serves_as(view, ordinal));
        }
        return (ready.reached(reached), None);
    }
    let progress = Progress::of(view, &object, pod, claims);
    if !replaced {
        let troubles = if is_known_current(view) { progress.troubles } else { Vec::new() };
        let reached = milestone::before_ready(view.snapshot, pod);
        let readiness = ObjectReadiness::waiting(object, Phase::Pending, progress.state);
        return (readiness.troubled(troubles).reached(reached), None);
    }
    // Problems of an old pod do not count, because the update may fix them. With parallel pod management,
    // an update still proceeds from the highest ordinal down and waits until each pod is ready. That pod
    // may itself be waiting for this one.
    let until = match (view.ordered(), view.updated_above(ordinal)) {
        (true, _) => "it is ready".to_owned(),
        (false, Some(above)) => {
            format!("{above} is ready, and {above} may be waiting for {}", object.name)
        }
        (false, None) => return pending(&format!("{}, will be updated", progress.state)),
    };
    let (trouble, wedged) = wedge(&object, pod, &progress.state, &until);
    let readiness = ObjectReadiness::waiting(object, Phase::Pending, progress.state);
    (readiness.troubled(vec![trouble]), wedged)
}

/// Judges a pod above the number wanted.
pub(super) fn judge_above(view: View<'_>, pod: &Pod) -> ObjectReadiness {
    let object = view.id(Kind::Pod, view::name(&pod.metadata));
    if view::is_terminating(&pod.metadata) {
        return ObjectReadiness::waiting(object, Phase::Terminating, terminating(pod));
    }
    ObjectReadiness::waiting(object, Phase::Pending, "will be deleted")
}

/// Whether the controller has observed the applied template, so that old and new pods can be distinguished.
fn is_known_current(view: View<'_>) -> bool {
    view.statefulset().is_none() || view.update_revision().is_some()
}

fn wedge(object: &ObjectId, pod: &Pod, state: &str, until: &str) -> (Trouble, Option<WedgedPod>) {
    let uid = pod.metadata.uid.as_deref();
    let message = format!(
        "it runs an old revision and is not ready ({state}); the StatefulSet controller does not \
         replace it until {until}"
    );
    let trouble = Trouble::new(object.clone(), uid, Cause::Wedged, WEDGE_GRACE, message);
    let wedged = uid.map(|uid| WedgedPod {
        name: object.name.clone(),
        uid: uid.to_owned(),
        revision: super::revision(pod).unwrap_or_default().to_owned(),
    });
    (trouble, wedged)
}

fn missing(
    view: View<'_>,
    object: ObjectId,
    ordinal: u32,
    refused: Option<&str>,
) -> ObjectReadiness {
    let before = (0..ordinal)
        .find(|before| !view.pod(*before).is_some_and(view::is_ready))
        .filter(|_| view.ordered());
    let state = match (before, refused) {
        (Some(before), _) => {
            format!("not created yet: waiting for {} (OrderedReady)", view.expected.set.pod(before))
        }
        (None, Some(refused)) => format!("not created: {refused}"),
        (None, None) => "not created yet".to_owned(),
    };
    ObjectReadiness::waiting(object, Phase::Pending, state)
}

fn stranger(pod: &Pod) -> String {
    let owner = pod.metadata.owner_references.iter().flatten().find(|o| o.controller == Some(true));
    match owner {
        Some(owner) => format!("owned by {} {}, not by this StatefulSet", owner.kind, owner.name),
        None => "not owned by a StatefulSet yet".to_owned(),
    }
}

fn terminating(pod: &Pod) -> String {
    let lost = view::condition(pod, "Ready").is_some_and(|ready| {
        ready.status == "Unknown" || ready.reason.as_deref() == Some("NodeStatusUnknown")
    });
    if lost {
        format!("Terminating: {} does not answer", node(pod))
    } else {
        "Terminating".to_owned()
    }
}

/// `its node n1`, or `its node`.
fn node(pod: &Pod) -> String {
    let name = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    name.map_or_else(|| "its node".to_owned(), |name| format!("its node {name}"))
}

/// The last step of a pod that serves.
fn serves_as(view: View<'_>, ordinal: u32) -> Option<Milestone> {
    if view.expected.topology.role(ordinal) == Role::Master {
        return Some(Milestone::MasterReady);
    }
    view.expected.want_streaming.then_some(Milestone::Streaming)
}

/// The verdict for a ready pod. A replica must also stream if that is required.
fn serving(view: View<'_>, object: ObjectId, ordinal: u32) -> ObjectReadiness {
    if view.expected.topology.role(ordinal) == Role::Master {
        return ObjectReadiness::ready(object, "Ready, master");
    }
    let streaming = view.snapshot.streaming.as_ref();
    let states: Vec<&str> = streaming
        .iter()
        .flat_map(|streaming| &streaming.replicas)
        .filter(|replica| replica.pod == object.name)
        .map(|replica| replica.state.as_str())
        .collect();
    if states.contains(&"streaming") {
        return ObjectReadiness::ready(object, "Ready, streaming");
    }
    let error = streaming.and_then(|streaming| streaming.error.as_deref());
    let state = match (states.first(), error) {
        (Some(state), _) => format!("Ready, not streaming: {}", one_line(state)),
        (None, Some(error)) => format!("Ready, cannot check replication: {}", one_line(error)),
        (None, None) if view.expected.want_streaming && streaming.is_none() => {
            "Ready, checking replication".to_owned()
        }
        (None, None) if view.expected.want_streaming => "Ready, not streaming yet".to_owned(),
        (None, None) => "Ready".to_owned(),
    };
    if view.expected.want_streaming {
        ObjectReadiness::waiting(object, Phase::Pending, state)
    } else {
        ObjectReadiness::ready(object, state)
    }
}

/// The state of a pod that is not ready.
struct Progress {
    state: String,
    troubles: Vec<Trouble>,
}

impl Progress {
    fn of(view: View<'_>, object: &ObjectId, pod: &Pod, claims: &[Trouble]) -> Self {
        let events = view.events(Kind::Pod, &pod.metadata);
        Self::failed(object, pod)
            .or_else(|| Self::unscheduled(view, object, pod, claims))
            .or_else(|| Self::unmounted(object, pod, &events))
            .or_else(|| Self::stopped(view, object, pod, &events))
            .unwrap_or_else(|| Self::running(view, object, pod, &events))
    }

    fn quiet(state: impl Into<String>) -> Self {
        Self { state: state.into(), troubles: Vec::new() }
    }

    fn failed(object: &ObjectId, pod: &Pod) -> Option<Self> {
        let status = pod.status.as_ref()?;
        if status.phase.as_deref() != Some("Failed") {
            return None;
        }
        let reason = status.reason.as_deref().unwrap_or_default();
        let ended = container::statuses(pod)
            .filter_map(container::last_end)
            .find(|end| end.exit_code != 0)
            .map(container::ending);
        let said = status.message.as_deref().map(one_line).or(ended);
        let text: Vec<String> = [Some(one_line(reason)), said]
            .into_iter()
            .flatten()
            .filter(|text| !text.is_empty())
            .collect();
        let text = if text.is_empty() { "no reason reported".to_owned() } else { text.join(": ") };
        // The controller itself recreates an evicted pod.
        let evicted = reason == "Evicted"
            || view::condition(pod, "DisruptionTarget").is_some_and(|c| c.status == "True");
        if evicted {
            return Some(Self::quiet(format!("Failed, will be created again: {text}")));
        }
        let uid = pod.metadata.uid.as_deref();
        let message = format!("the pod failed: {text}");
        let trouble = Trouble::new(object.clone(), uid, Cause::PodFailed, AT_ONCE, message);
        Some(Self { state: format!("Failed: {text}"), troubles: vec![trouble] })
    }

    fn unscheduled(
        view: View<'_>,
        object: &ObjectId,
        pod: &Pod,
        claims: &[Trouble],
    ) -> Option<Self> {
        if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
            return None;
        }
        let Some(scheduled) = view::condition(pod, "PodScheduled") else {
            return Some(Self::quiet("Pending: waiting for a node"));
        };
        if scheduled.status == "True" {
            return None;
        }
        let said = one_line(scheduled.message.as_deref().unwrap_or_default());
        // The scheduler adds that preemption does not help, which is no cause.
        let said = said.split_once(". preemption: ").map_or(said.as_str(), |(said, _)| said);
        let said = said.to_owned();
        if scheduled.reason.as_deref() != Some("Unschedulable") {
            return Some(Self::quiet(format!("Pending: {said}")));
        }
        let mounted = Snapshot::claims_of(pod);
        let is_claims = is_about_claims(&said);
        let state = match unbound(view.snapshot, &mounted) {
            Some(claim) if is_claims => format!("Pending: unbound claim {claim}"),
            _ => format!("Pending: unschedulable: {said}"),
        };
        let root = claims.iter().find(|t| {
            is_claims
                && t.object.kind == Kind::PersistentVolumeClaim
                && mounted.contains(&t.object.name.as_str())
        });
        let message = match root {
            Some(root) => format!("waiting for {}: {}", root.object, root.message),
            None => said,
        };
        let uid = pod.metadata.uid.as_deref();
        let trouble =
            Trouble::new(object.clone(), uid, Cause::Unschedulable, RETRIED_GRACE, message);
        Some(Self { state, troubles: vec![trouble] })
    }

    fn unmounted(object: &ObjectId, pod: &Pod, events: &[&Event]) -> Option<Self> {
        let waits = container::statuses(pod).filter_map(container::waiting);
        let mut waits = waits.map(|(reason, _)| reason);
        if !waits.any(|reason| ["ContainerCreating", "PodInitializing"].contains(&reason)) {
            return None;
        }
        let failed = last(events, &mount::REASONS)?;
        // The kubelet pulls images after it has mounted all volumes, so a later pull means that the mount
        // succeeded.
        let since = last(events, &["Pulling", "Pulled", "Created", "Started"]);
        if since.is_some_and(|since| events::last_seen(since) >= events::last_seen(failed)) {
            return None;
        }
        let said = events::message(failed);
        let uid = pod.metadata.uid.as_deref();
        let trouble =
            Trouble::new(object.clone(), uid, Cause::FailedMount, RETRIED_GRACE, said.clone());
        Some(Self { state: format!("Starting: {said}"), troubles: vec![trouble] })
    }

    /// The progress of a pod with a container that does not run.
    fn stopped(view: View<'_>, object: &ObjectId, pod: &Pod, events: &[&Event]) -> Option<Self> {
        let configured = view.expected.configured;
        let troubles: Vec<Trouble> = container::statuses(pod)
            .filter_map(|status| container::trouble(object, pod, status, events, configured))
            .collect();
        if let Some(first) = troubles.first() {
            let reason = container::statuses(pod)
                .find(|status| Some(&status.name) == first.container.as_ref())
                .and_then(container::waiting)
                .map_or("", |(reason, _)| reason);
            let state = match first.cause {
                // Its message says all that the reason says.
                Cause::ImagePull => first.message.clone(),
                _ => format!("{reason}: {}", first.message),
            };
            return Some(Self { state, troubles });
        }
        let crashed = |status: &&ContainerStatus| {
            let crashes = container::waiting(status).is_some_and(|(r, _)| r == "CrashLoopBackOff");
            let failed = |end: &ContainerStateTerminated| end.exit_code != 0;
            let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
            (crashes || ended.is_some_and(failed)) && container::ran_before(status, configured)
        };
        if let Some(status) = container::statuses(pod).find(crashed) {
            return Some(Self::quiet(format!(
                "Starting: container {} has not started again since the configuration was changed",
                status.name
            )));
        }
        let inits = pod.status.as_ref()?.init_container_statuses.iter().flatten();
        let mains = pod.status.as_ref()?.container_statuses.iter().flatten();
        let state = (inits.map(|status| (!container::runs_beside(pod, &status.name), status)))
            .chain(mains.map(|status| (false, status)))
            .find_map(|(first, status)| describe(first, status, events))?;
        // An init container may do the cloning.
        let state = cloning(view, &object.name).unwrap_or(state);
        Some(Self::quiet(state))
    }

    fn running(view: View<'_>, object: &ObjectId, pod: &Pod, events: &[&Event]) -> Self {
        let statuses = pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten());
        let mut statuses = statuses.filter(|status| !status.ready).peekable();
        if let Some(cloning) = cloning(view, &object.name) {
            // The duration of a clone depends on the size of the data, so no probe budget applies.
            return Self::quiet(cloning);
        }
        if statuses.peek().is_none() {
            return Self::quiet(unready(pod));
        }
        // Failures of the startup probe within its budget are normal: the server isn't up yet.
        let starts = statuses.clone().all(|status| status.started == Some(false));
        // Once the server has started, old failures of the startup probe do not matter either.
        // And a server that read the configuration before its change was unhealthy for its own reasons.
        let configured = view.expected.configured;
        let said = last(events, &["Unhealthy"])
            .filter(|event| events::is_since(event, configured))
            .map(events::message);
        let said = said.filter(|said| !said.starts_with("Startup probe failed"));
        let said = said.as_deref().map(without_prefix);
        let troubles = statuses
            .filter_map(|s| container::probe_trouble(object, pod, s, said, configured))
            .collect();
        let state = match said {
            _ if starts => "Running, PostgreSQL is starting".to_owned(),
            Some(said) => format!("Running, not ready: {said}"),
            None => "Running, not ready".to_owned(),
        };
        Self { state, troubles }
    }
}

/// The state of a container that neither runs nor has a problem; `None` if it runs or has completed.
/// `first`: it is an init container, and the others wait for its end.
fn describe(first: bool, status: &ContainerStatus, events: &[&Event]) -> Option<String> {
    let state = status.state.as_ref();
    if let Some(end) = state.and_then(|state| state.terminated.as_ref()) {
        let done = first && end.exit_code == 0;
        return (!done).then(|| format!("Stopped: {}", container::ending(end)));
    }
    if state.is_some_and(|state| state.running.is_some()) {
        return first.then(|| format!("Starting: init container {}", status.name));
    }
    match container::waiting(status) {
        Some(("" | "ContainerCreating" | "PodInitializing", _)) | None => {
            Some(if is_pulling(events) { "Pulling image" } else { "Starting" }.to_owned())
        }
        Some((reason, message)) => Some(format!("{reason}: {}", one_line(message))),
    }
}

/// Why a pod is not ready although all containers are fine: its node is lost, or a readiness gate is false.
fn unready(pod: &Pod) -> String {
    let any = container::statuses(pod).next().is_some();
    let Some(ready) = view::condition(pod, "Ready").filter(|_| any) else {
        return "Starting".to_owned();
    };
    if ready.status == "Unknown" || ready.reason.as_deref() == Some("NodeStatusUnknown") {
        return format!("Running, not ready: {} does not answer", node(pod));
    }
    match ready.message.as_deref().or(ready.reason.as_deref()).map(one_line) {
        Some(said) if !said.is_empty() => format!("Running, not ready: {said}"),
        _ => "Running, not ready".to_owned(),
    }
}

fn is_pulling(events: &[&Event]) -> bool {
    let Some(pulling) = last(events, &["Pulling"]) else { return false };
    let ended = last(events, &["Pulled", "Failed", "BackOff", "Created"]);
    ended.is_none_or(|ended| events::last_seen(ended) < events::last_seen(pulling))
}

fn cloning(view: View<'_>, pod: &str) -> Option<String> {
    let streaming = view.snapshot.streaming.as_ref()?;
    if let Some(percent) = streaming.clone_percent.get(pod) {
        return Some(format!("Cloning {:.0} %", percent.clamp(0.0, 100.0)));
    }
    let backup = streaming.replicas.iter().any(|r| r.pod == pod && r.state == "backup");
    backup.then(|| "Cloning".to_owned())
}

/// The first claim that is not bound; if all seem to be bound, the first one.
fn unbound<'a>(snapshot: &Snapshot, claims: &[&'a str]) -> Option<&'a str> {
    claims.iter().find(|claim| !snapshot.is_bound(claim)).or(claims.first()).copied()
}

/// Whether the scheduler waits for claims and not for nodes.
fn is_about_claims(message: &str) -> bool {
    says(message, &["persistentvolumeclaim", "persistent volumes to bind"])
}

fn without_prefix(message: &str) -> &str {
    message.split_once(" probe failed: ").map_or(message, |(_, said)| said)
}

/// The latest of these events. `events` is sorted, oldest first.
fn last<'a>(events: &[&'a Event], reasons: &[&str]) -> Option<&'a Event> {
    events.iter().rev().find(|event| events::is_one_of(event, reasons)).copied()
}

#[cfg(test)]
mod tests;
