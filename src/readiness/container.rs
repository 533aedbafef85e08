//! Containers that do not run. The cause follows from the waiting reason, for init and main containers alike.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerStateTerminated, ContainerStatus, Event, Pod, Probe,
};

use super::events;
use super::pull;
use super::text::{one_line, says};
use super::trouble::{AT_ONCE, CONTAINER_GRACE, Cause, Trouble};
use crate::manifest::ObjectId;

/// From the second restart on, the container counts as crashing, even if the back-off is still short.
const RESTARTS: i32 = 2;

/// The statuses of all containers, init containers first.
pub(super) fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| {
        let inits = status.init_container_statuses.iter().flatten();
        inits.chain(status.container_statuses.iter().flatten())
    })
}

/// The waiting reason and message of a container.
pub(super) fn waiting(status: &ContainerStatus) -> Option<(&str, &str)> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    Some((
        waiting.reason.as_deref().unwrap_or_default(),
        waiting.message.as_deref().unwrap_or_default(),
    ))
}

/// The end of the container's last run: the current state if it has ended, otherwise the state before the
/// restart.
pub(super) fn last_end(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let state = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
        state.as_ref().is_some_and(|state| state.terminated.is_some())
    };
    let ended = if state(&status.state) { &status.state } else { &status.last_state };
    ended.as_ref()?.terminated.as_ref()
}

/// Whether the last run that has ended began before a change of the configuration, or in the same second: Kubernetes
/// has no finer times. It read the configuration before the change.
pub(super) fn ran_before(status: &ContainerStatus, change: Option<Timestamp>) -> bool {
    let began = last_end(status).and_then(|end| end.started_at.as_ref());
    began.zip(change).is_some_and(|(began, change)| began.0 <= change)
}

/// `exit code 1`, `out of memory`, `exit code 139 (signal 11)`; with the reason if that adds information.
pub(super) fn ending(end: &ContainerStateTerminated) -> String {
    if out_of_memory(end) {
        return format!("out of memory (exit code {})", end.exit_code);
    }
    let mut text = format!("exit code {}", end.exit_code);
    if let Some(reason) = end.reason.as_deref().filter(|r| !["Error", "Completed", ""].contains(r))
    {
        text = format!("{text} ({})", one_line(reason));
    } else if let Some(signal) = end.signal.filter(|signal| *signal > 0) {
        text = format!("{text} (signal {signal})");
    }
    match end.message.as_deref().map(last_words) {
        Some(message) if !message.is_empty() => format!("{text}: {message}"),
        _ => text,
    }
}

/// The relevant line of a termination message. The kubelet may have filled the message with the end of the
/// log, so this is the last line that reports an error, otherwise the last line.
fn last_words(message: &str) -> String {
    // What the server tells its clients while it starts or stops is not why it ended.
    let names_error = |line: &&str| {
        says(line, &["error: ", "fatal: ", "panic: "]) && !says(line, &["the database system is "])
    };
    let lines = || message.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().rfind(names_error).or(lines().next_back()).unwrap_or_default();
    one_line(line.strip_prefix("bootstrap: error: ").unwrap_or(line))
}

pub(super) fn out_of_memory(end: &ContainerStateTerminated) -> bool {
    end.reason.as_deref() == Some("OOMKilled")
}

/// The problem of a waiting container; `None` if it waits for a normal reason.
pub(super) fn trouble(
    object: &ObjectId,
    pod: &Pod,
    status: &ContainerStatus,
    events: &[&Event],
    configured: Option<Timestamp>,
) -> Option<Trouble> {
    let (reason, message) = waiting(status)?;
    let (cause, grace, text) = match reason {
        "InvalidImageName" => (Cause::InvalidImageName, AT_ONCE, one_line(message)),
        "ErrImageNeverPull" => (Cause::ImagePull, AT_ONCE, one_line(message)),
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => {
            let text = pull::shortened(&pull_message(status, message, events), &status.image);
            (Cause::ImagePull, if is_not_found(&text) { AT_ONCE } else { CONTAINER_GRACE }, text)
        }
        // The kubelet has not fetched the Secret or ConfigMap yet.
        "CreateContainerConfigError" if says(message, &["failed to sync"]) => return None,
        "CreateContainerConfigError" => (Cause::CreateContainerConfig, AT_ONCE, one_line(message)),
        "CreateContainerError" => (Cause::CreateContainer, CONTAINER_GRACE, one_line(message)),
        // The next run may find what the last one lacked.
        "CrashLoopBackOff" if ran_before(status, configured) => return None,
        "CrashLoopBackOff" => {
            let grace = if status.restart_count >= RESTARTS { AT_ONCE } else { CONTAINER_GRACE };
            (Cause::CrashLoop, grace, crash_message(status))
        }
        _ => return None,
    };
    let text = if text.is_empty() { reason.to_owned() } else { text };
    let end = last_end(status);
    Some(Trouble {
        restarts: Some(status.restart_count),
        exit_code: end.map(|end| end.exit_code),
        out_of_memory: end.is_some_and(out_of_memory),
        ..Trouble::new(object.clone(), pod.metadata.uid.as_deref(), cause, grace, text)
            .in_container(&status.name)
    })
}

fn crash_message(status: &ContainerStatus) -> String {
    let end = last_end(status).map_or_else(|| "no exit code reported".to_owned(), ending);
    let times = if status.restart_count == 1 { "restart" } else { "restarts" };
    format!("container {} crashes ({} {times}): {end}", status.name, status.restart_count)
}

/// Why the image can't be pulled. The back-off message of older kubelets has no reason, but their events
/// have.
fn pull_message(status: &ContainerStatus, message: &str, events: &[&Event]) -> String {
    let bare = message.is_empty() || (says(message, &["back-off"]) && !says(message, &["err"]));
    let said = events.iter().rev().find(|event| {
        let text = event.message.as_deref().unwrap_or_default();
        events::reason(event) == "Failed"
            && says(text, &["failed to pull image"])
            && text.contains(&status.image)
    });
    match said {
        Some(event) if bare => events::message(event),
        _ => one_line(message),
    }
}

/// Whether the registry reported that the image does not exist. An unreachable registry or a failed DNS
/// lookup does not count: the next attempt may succeed.
fn is_not_found(message: &str) -> bool {
    says(message, &["not found", "manifest unknown"])
        && !says(
            message,
            &["dial tcp", "no such host", "i/o timeout", "connection refused", "tls handshake"],
        )
}

/// Extra time for a readiness probe while the kubelet has not reported a failure.
const UNSAID: Duration = Duration::from_secs(60);

/// What the readiness probe says while a pod waits for another one, or for a person (`ready` in server.sh): a replica is
/// more than the limit behind its master; it waits for the master to be compared with it; it is being cloned; no server
/// may start.
const PATIENT: [&str; 4] = [
    "not replayed yet",
    "not compared with the master yet",
    "cloning from the master",
    "is fenced",
];

/// The problem of a running container that is not ready: its readiness probe fails. The grace period is
/// the probe's time budget, because a probe that may still succeed in time is not a failure.
pub(super) fn probe_trouble(
    object: &ObjectId,
    pod: &Pod,
    status: &ContainerStatus,
    said: Option<&str>,
    configured: Option<Timestamp>,
) -> Option<Trouble> {
    status.state.as_ref()?.running.as_ref()?;
    let spec = container(pod, &status.name)?;
    let probe = spec.readiness_probe.as_ref()?;
    // The kubelet does not run the readiness probe until the startup probe has succeeded, and kills the
    // container if the startup probe fails.
    let starting = spec.startup_probe.is_some() && status.started != Some(true);
    let patient = said.is_some_and(|said| PATIENT.iter().any(|words| said.contains(words)));
    if status.ready || starting || patient {
        return None;
    }
    // A busy kubelet may run the first probe late, so without an event from it the budget is larger.
    let budget = budget(probe) + if said.is_some() { Duration::ZERO } else { UNSAID };
    let text = said.unwrap_or("no reason reported");
    let message = format!("the readiness probe fails: {text}");
    let uid = pod.metadata.uid.as_deref();
    Some(Trouble {
        restarts: Some(status.restart_count),
        ran_before_change: ran_before(status, configured),
        ..Trouble::new(object.clone(), uid, Cause::ProbeFailing, budget, message)
            .in_container(&status.name)
    })
}

/// Whether an init container is a sidecar, which keeps running beside the main containers.
pub(super) fn runs_beside(pod: &Pod, name: &str) -> bool {
    let inits = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    inits
        .into_iter()
        .any(|init| init.name == name && init.restart_policy.as_deref() == Some("Always"))
}

fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    pod.spec.as_ref()?.containers.iter().find(|container| container.name == name)
}

/// The longest time until a probe has succeeded or finally failed. Missing fields get the API server's
/// defaults.
pub(super) fn budget(probe: &Probe) -> Duration {
    let or = |value: Option<i32>, default: u64| {
        value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default)
    };
    let period = or(probe.period_seconds, 10).max(1);
    let tries = or(probe.failure_threshold, 3).max(1) + or(probe.success_threshold, 1).max(1) - 1;
    let seconds =
        or(probe.initial_delay_seconds, 0) + period * tries + or(probe.timeout_seconds, 1);
    Duration::from_secs(seconds)
}
