//! What a failover says: what is known before it asks, and what was done.

use super::Done;
use super::choice::{Choice, Missing};
use super::evidence::{Answer, Evidence, Replica};
use super::proof::Way;
use crate::set::SetIdentity;

/// What is known: a line for the master, one for each replica, the proof, what may be missing, and what becomes of the
/// replicas.
#[must_use]
pub(crate) fn known(
    set: &SetIdentity,
    evidence: &Evidence,
    way: &Way,
    choice: Option<&Choice>,
    missing: Missing,
) -> Vec<String> {
    let lost = &evidence.lost;
    let name = set.pod(lost.ordinal);
    let node = lost.pod.as_ref().and_then(|pod| pod.node.as_deref());
    let state = match &lost.answer {
        Answer::Works => "works".to_owned(),
        Answer::Broken(why) => format!("does not work: {why}"),
        Answer::NotRunning => "its container does not run".to_owned(),
        Answer::Away(why) => format!("can't be reached: {why}"),
    };
    let mut lines = vec![format!("{name}, the master{}: {state}", on(node))];
    lines.extend(evidence.replicas.iter().map(|replica| described(set, replica)));
    lines.push(format!("proof that {name} does not write: {}", proof_of(set, lost.ordinal, way)));
    let Some(choice) = choice else { return lines };
    let to = set.pod(choice.to.ordinal);
    lines.push(match way {
        // Until then a replica may receive more than another one.
        Way::Stop => {
            format!("new master: {to}, if no other replica has more once {name} has stopped")
        }
        _ => format!("new master: {to}"),
    });
    lines.push(match missing {
        Missing::NothingAcknowledged { synchronous } => format!(
            "nothing that was acknowledged is missing: {} to confirm each commit (--synchronous {synchronous}), except commits with synchronous_commit off or local",
            had(synchronous)
        ),
        Missing::AfterContact if *way == Way::Stop => format!(
            "{to} may lack what {name} wrote after {}: this is known when {name} has stopped",
            choice.to.end.position
        ),
        Missing::AfterContact => format!(
            "missing afterwards: what {name} acknowledged after its last contact with {to} ({}, at {})",
            contact(choice.to.contact),
            choice.to.end.position
        ),
    });
    let ahead = choice.ahead.iter().map(|ordinal| {
        let pod = set.pod(*ordinal);
        format!(
            "{pod} has more than {to} and can't follow it: it needs pgset rejoin {pod} afterwards"
        )
    });
    lines.extend(ahead);
    let cloned = choice.cloned.iter().map(|ordinal| {
        format!("{} is far behind {to}: it will probably be cloned", set.pod(*ordinal))
    });
    lines.extend(cloned);
    lines
}

/// `a replica had`.
fn had(replicas: u32) -> String {
    if replicas == 1 { "a replica had".to_owned() } else { format!("{replicas} replicas had") }
}

fn on(node: Option<&str>) -> String {
    node.map_or_else(String::new, |node| format!(", on {node}"))
}

fn described(set: &SetIdentity, replica: &Replica) -> String {
    let (pod, node) = (set.pod(replica.ordinal), on(replica.node.as_deref()));
    let standing = match &replica.standing {
        Ok(standing) => standing,
        Err(why) => return format!("{pod}, a replica{node}: does not answer: {why}"),
    };
    let position =
        |it: Option<crate::values::Lsn>| it.map_or("nothing".to_owned(), |it| it.to_string());
    format!(
        "{pod}, a replica{node}: received {}, replayed {}, timeline {}, last contact {}",
        position(standing.received),
        position(standing.replayed),
        standing.timeline.map_or("unknown".to_owned(), |it| it.to_string()),
        contact(standing.contact),
    )
}

/// When a replica last heard from the master: `12 s ago`.
fn contact(contact: Option<(i64, i64)>) -> String {
    match contact {
        Some((at, now)) => format!("{} s ago", now.saturating_sub(at).max(0)),
        None => "not known".to_owned(),
    }
}

fn proof_of(set: &SetIdentity, lost: u32, way: &Way) -> String {
    let name = set.pod(lost);
    match way {
        Way::Stop => "its server is stopped first".to_owned(),
        Way::Delete { never_started: true } => {
            format!("its server has not started; the pod {name} is deleted first")
        }
        Way::Delete { never_started: false } => {
            format!("its server does not run; the pod {name} is deleted first")
        }
        Way::NodeIsOff(node) => format!("you say that {node} is switched off"),
        Way::OutOfService(node) => format!("{node} has the taint out-of-service"),
        Way::Synchronous(it) => format!(
            "the replicas stop listening to it, and {} to confirm each commit (--synchronous {}): it can acknowledge none, except with synchronous_commit off or local",
            had(it.number),
            it.number
        ),
    }
}

/// What is asked.
#[must_use]
pub(crate) fn question(
    set: &SetIdentity,
    evidence: &Evidence,
    way: &Way,
    choice: Option<&Choice>,
    commits: Option<u32>,
) -> String {
    let lost = set.pod(evidence.lost.ordinal);
    let to = choice.map_or("the replica that has most".to_owned(), |it| set.pod(it.to.ordinal));
    let earlier = (*way == (Way::Delete { never_started: true })).then(|| {
        format!(
            " Answer no if an earlier pod {lost} was deleted by force, or its node was removed while it ran: it may still write."
        )
    });
    let commits = commits.map(|synchronous| {
        format!(
            " No commit completes until {synchronous} of its replicas stream (--synchronous {synchronous})."
        )
    });
    let conditions: String = earlier.into_iter().chain(commits).collect();
    format!("Make {to} the master instead of {lost}? It can't be taken back.{conditions}")
}

/// What was done.
#[must_use]
pub(crate) fn said(set: &SetIdentity, done: &Done) -> String {
    let writable = done
        .writable
        .map_or_else(String::new, |it| format!(", writable after {:.1} s", it.as_secs_f64()));
    format!(
        "{} is the master: epoch {}, timeline {}{writable}",
        set.pod(done.master),
        done.epoch,
        done.timeline
    )
}
