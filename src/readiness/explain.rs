//! Explains a trouble: what failed, what the cluster and the log say about it, and what to do next.

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::snapshot::{Logs, Snapshot};
use super::text;
use super::trouble::{Cause, Trouble};
use super::{events, group, hint};
use crate::manifest::ObjectId;

/// The number of log lines shown.
const LOG_LINES: usize = 20;
/// The number of warning events shown.
const EVENTS: usize = 5;

/// A failure as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The object and the cause in one line:
    /// `Pod pgset-0: container database crashes (3 restarts): exit code 1`.
    pub summary: String,
    /// The evidence, one printable line each: warning events, the container's exit, its log.
    pub details: Vec<String>,
    /// What to do: a literal command, or a sentence with the command that helps.
    pub hint: Option<String>,
}

/// Explains a trouble with the objects in the cluster and the container's log. `all` are the current
/// troubles: other objects with the same one are named with it.
#[must_use]
pub fn explain(
    trouble: &Trouble,
    all: &[Trouble],
    snapshot: &Snapshot,
    logs: &Logs,
) -> Explanation {
    // What a run before the change of the configuration has left is no evidence. Between two runs the current log is
    // that of the last run, too.
    let has_run = logs.current != logs.previous;
    let logs = &if trouble.ran_before_change {
        Logs { current: logs.current.clone().filter(|_| has_run), previous: None }
    } else {
        logs.clone()
    };
    let mut details = warnings(trouble, snapshot);
    details.extend(ending(trouble));
    let container = trouble.container.as_deref().unwrap_or_default();
    let crashed = trouble.cause == Cause::CrashLoop || trouble.restarts.is_some_and(|n| n > 0);
    let crashed = crashed && !trouble.ran_before_change;
    if crashed {
        details.extend(log_lines(&format!("previous log of {container}"), logs.previous.as_ref()));
    }
    // Between two runs the API server also returns the log of the crashed container as the current one.
    let same = crashed && logs.current == logs.previous;
    if !same {
        details.extend(log_lines(&format!("log of {container}"), logs.current.as_ref()));
    }
    Explanation {
        summary: format!("{}: {}", subject(trouble, all), text::one_line(&trouble.message)),
        details,
        hint: hint::hint(trouble, snapshot, logs),
    }
}

/// The objects that have this trouble.
fn subject(trouble: &Trouble, all: &[Trouble]) -> String {
    let is_same = |other: &&Trouble| {
        other.object.kind == trouble.object.kind && group::is_same_trouble(other, trouble)
    };
    let mut objects: Vec<&ObjectId> =
        all.iter().filter(is_same).map(|other| &other.object).collect();
    if !objects.contains(&&trouble.object) {
        objects.push(&trouble.object);
    }
    objects.sort_unstable();
    group::named(&objects)
}

/// The last warning events of the object, oldest first: `event FailedMount (3 times): ...`.
fn warnings(trouble: &Trouble, snapshot: &Snapshot) -> Vec<String> {
    let object = ObjectMeta {
        name: Some(trouble.object.name.clone()),
        uid: trouble.uid.clone(),
        ..ObjectMeta::default()
    };
    let mut warnings: Vec<&Event> = (snapshot.events.iter())
        .filter(|event| event.type_.as_deref() == Some("Warning"))
        .filter(|event| events::is_about(event, trouble.object.kind, &object))
        .filter(|event| adds(event, trouble))
        .collect();
    warnings.sort_by_key(|event| events::last_seen(event));
    let skipped = warnings.len().saturating_sub(EVENTS);
    warnings[skipped..]
        .iter()
        .map(|event| {
            let times = match events::count(event) {
                1 => String::new(),
                count => format!(" ({count} times)"),
            };
            let reason = text::one_line(events::reason(event));
            format!("event {reason}{times}: {}", events::message(event))
        })
        .collect()
}

/// Whether the event tells more than the trouble. The kubelet repeats a failed pull in three events, and a
/// crash in its back-off. A pod that has a container was scheduled, whatever failed before.
fn adds(event: &Event, trouble: &Trouble) -> bool {
    let message = events::message(event);
    let repeats = match events::reason(event) {
        "BackOff" => true,
        "Failed" => trouble.cause == Cause::ImagePull || message.starts_with("Error: "),
        "FailedScheduling" => trouble.container.is_some(),
        _ => false,
    };
    let cause = text::one_line(&trouble.message);
    !repeats && !group::is_alike(&message, &cause)
}

fn ending(trouble: &Trouble) -> Option<String> {
    let code = trouble.exit_code?;
    Some(if trouble.out_of_memory {
        format!("last run: killed, out of memory (exit code {code})")
    } else {
        format!("last run: exit code {code}")
    })
}

fn log_lines(title: &str, log: Option<&String>) -> Vec<String> {
    let Some(log) = log else { return Vec::new() };
    let lines = text::last_lines(log, LOG_LINES);
    if lines.is_empty() {
        return vec![format!("{title}: empty")];
    }
    let title = match lines.len() {
        1 => format!("{title}:"),
        count => format!("{title}, last {count} lines:"),
    };
    std::iter::once(title).chain(lines.into_iter().map(|line| format!("  {line}"))).collect()
}

#[cfg(test)]
mod tests;
