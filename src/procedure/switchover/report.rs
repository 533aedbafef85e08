//! What a switchover says.

use std::time::Duration;

use super::super::Work;
use super::Done;
use super::choice::{Obstacle, Pod};
use crate::error::{Exit, Failure};
use crate::set::SetIdentity;

/// The failure when the master can't move, with every reason.
pub(crate) fn refused(work: Work<'_>, master: u32, obstacles: &[Obstacle]) -> Failure {
    let reasons: Vec<String> = obstacles.iter().map(|it| it.reason.clone()).collect();
    let restart = obstacles.iter().any(|it| it.restart);
    let command = work.context.sibling(if restart { "restart" } else { "status" });
    let what = if restart { "updates them" } else { "shows the pods and problems" };
    let message = format!("the master {} can't move now", work.set.pod(master));
    Failure::new(Exit::Refused, message).details(reasons).hint(format!("{command}  # {what}"))
}

/// A line of `--dry-run`.
pub(crate) fn described(set: &SetIdentity, pod: &Pod, master: u32) -> String {
    let role = if pod.ordinal == master { "the master" } else { "a replica" };
    let name = set.pod(pod.ordinal);
    let node = pod.node.as_deref().unwrap_or("no node");
    let ready = if pod.ready { "ready" } else { "not ready" };
    match &pod.server {
        Ok(server) => {
            let at = server.position.map_or("no position".to_owned(), |it| format!("at {it}"));
            let timeline = server.timeline.map_or("none".to_owned(), |it| it.to_string());
            format!("{name}: {role} on {node}, {ready}, {at}, timeline {timeline}")
        }
        Err(why) => format!("{name}: {role} on {node}, {ready}, no answer: {why}"),
    }
}

/// What was done.
pub(crate) fn said(set: &SetIdentity, done: &Done) -> String {
    let master = set.pod(done.master);
    let paused =
        done.paused.map(seconds).map_or_else(String::new, |it| format!(", no writes for {it}"));
    format!("{master} is the master: timeline {}{paused}", done.timeline)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The command that drains a node, once the master has left it.
pub(crate) fn drain(node: &str) -> String {
    format!("kubectl drain {node} --ignore-daemonsets --delete-emptydir-data")
}
