//! A trouble in words: what failed, what the cluster and the log say of it, and what to type next.

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::snapshot::{Logs, Snapshot};
use super::text;
use super::trouble::{Cause, Trouble};
use super::{events, hint};

/// How many lines of a container's log are shown.
const LOG_LINES: usize = 20;
/// How many warning events are shown.
const EVENTS: usize = 5;

/// A failure as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The object and the cause, one line: `Pod pgset-0: container database crashes: exit code 1, 3 restarts`.
    pub summary: String,
    /// What proves it: warning events, the end of the container, its log; a line each, fit to print.
    pub details: Vec<String>,
    /// What to do: a literal command or a sentence each, the likeliest first.
    pub hints: Vec<String>,
}

/// Explains a trouble from what is in the cluster and in the container's log.
#[must_use]
pub fn explain(trouble: &Trouble, snapshot: &Snapshot, logs: &Logs) -> Explanation {
    let mut details = warnings(trouble, snapshot);
    details.extend(ending(trouble));
    let container = trouble.container.as_deref().unwrap_or_default();
    let crashed = trouble.cause == Cause::CrashLoop || trouble.restarts.is_some_and(|n| n > 0);
    if crashed {
        details.extend(log_lines(&format!("previous log of {container}"), logs.previous.as_ref()));
    }
    // Between two runs the cluster gives the log of the one that crashed as the current one, too.
    let same = crashed && logs.current == logs.previous;
    if !same {
        details.extend(log_lines(&format!("log of {container}"), logs.current.as_ref()));
    }
    Explanation {
        summary: format!("{}: {}", trouble.object, text::one_line(&trouble.message)),
        details,
        hints: hint::hints(trouble, snapshot, logs),
    }
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
