//! Why a failover is not possible, and what to do.

use super::super::Work;
use super::choice::NoChoice;
use super::evidence::Evidence;
use super::proof::Missing;
use crate::error::{Exit, Failure};

/// The failure without a proof.
#[must_use]
pub(crate) fn unproved(work: Work<'_>, evidence: &Evidence, missing: &Missing) -> Failure {
    let (context, name) = (work.context, work.set.pod(evidence.lost.ordinal));
    let synchronous = evidence.synchronous;
    match missing {
        Missing::OtherNode(node) => {
            let message = format!("--node-is-off: {name} is on {node}");
            let command = context.sibling("failover");
            Failure::new(Exit::Usage, message)
                .hint(format!("{command} --node-is-off {node}  # only if {node} is off"))
        }
        Missing::Proof { why, node, reads_nodes } => {
            let message = format!("nothing proves that {name} does not write: {why}");
            let off = node.as_deref().unwrap_or("NODE");
            let mut proofs = vec![
                "one of these would be a proof:".to_owned(),
                format!("- you switch {off} off, and say so: --node-is-off {off}"),
            ];
            if *reads_nodes {
                proofs.push(format!(
                    "- {off} gets the taint node.kubernetes.io/out-of-service, which says the same"
                ));
            }
            let enough = match synchronous {
                0 => None,
                1 => Some("all other pods can be reached".to_owned()),
                n => Some(format!("at most {} of the other pods can't be reached", n - 1)),
            };
            proofs.extend(enough.map(|enough| {
                format!("- {enough}: then it acknowledges nothing (--synchronous {synchronous})")
            }));
            proofs.push(format!("- {name} can be reached again: then its server is stopped first"));
            let command = context.sibling("failover");
            Failure::new(Exit::Refused, message)
                .details(proofs)
                .hint(format!("{command} --node-is-off {off}  # once it is off"))
        }
    }
}

/// The failure without a new master.
#[must_use]
pub(crate) fn no_choice(work: Work<'_>, why: &NoChoice) -> Failure {
    let set = work.set;
    match why {
        NoChoice::NoReplica => {
            let message = "no replica that can be reached has data: no pod can become the master";
            Failure::new(Exit::Refused, message)
                .hint("bring the master's volume back, or restore it from a snapshot or a backup")
        }
        NoChoice::NotThis(ordinal) => {
            let message = format!("{} does not answer, or has no data", set.pod(*ordinal));
            Failure::new(Exit::Refused, message)
                .hint(format!("{}  # shows the pods and problems", work.context.sibling("status")))
        }
        NoChoice::Less { wanted, most } => {
            let (wanted_pod, most_pod) = (set.pod(wanted.ordinal), set.pod(most.ordinal));
            let message = format!(
                "{wanted_pod} has WAL up to {} (timeline {}), and {most_pod} up to {} (timeline {})",
                wanted.end.position, wanted.end.timeline, most.end.position, most.end.timeline
            );
            let command = work.context.sibling("failover");
            Failure::new(Exit::Refused, message)
                .hint(format!("{command} --to {most_pod}"))
                .hint(format!(
                    "{command} --to {wanted_pod} --accept-data-loss  # what only {most_pod} has is lost"
                ))
        }
    }
}
