//! Whether the master is away while a replica holds the data: then another pod can become the master.

use k8s_openapi::api::core::v1::Pod;

use super::snapshot::Snapshot;
use super::{container, view};
use crate::set::{SetIdentity, Topology};

/// A master that does not run, although a replica does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostMaster {
    /// `the master pgset-1 does not run: node node-2 does not answer`.
    pub text: String,
    /// The command that makes a replica the master.
    pub hint: String,
}

/// Finds out whether the pod of the master is missing, can't be scheduled, or is on a node that does not answer, and
/// another pod runs. While the master changes, that change has to be completed first.
#[must_use]
pub fn lost_master(
    set: &SetIdentity,
    topology: &Topology,
    snapshot: &Snapshot,
) -> Option<LostMaster> {
    let master = topology.master_pod(set).filter(|_| topology.transition.is_none())?;
    let pod = snapshot.pods.iter().find(|pod| view::name(&pod.metadata) == master);
    let why = match pod {
        None => "there is no such pod".to_owned(),
        Some(pod) if is_cut_off(pod) => format!("{} does not answer", node(pod)),
        Some(pod) if is_unscheduled(pod) => "no node takes it".to_owned(),
        Some(_) => return None,
    };
    let runs = |pod: &&Pod| {
        let name = view::name(&pod.metadata);
        set.ordinal(name).is_some() && name != master && !is_cut_off(pod) && is_running(pod)
    };
    snapshot.pods.iter().find(runs)?;
    Some(LostMaster {
        text: format!("the master {master} does not run: {why}"),
        hint: failover(set, &master, pod.and_then(|pod| pod.spec.as_ref()?.node_name.as_deref())),
    })
}

/// The command for a master that does not come back. A node that does not answer may still run it.
fn failover(set: &SetIdentity, master: &str, node: Option<&str>) -> String {
    let then = "does not come back: makes a replica the master";
    match node {
        Some(node) => {
            let command = set.command(&format!("failover --node-is-off {node}"));
            format!("{command}  # if {node} is switched off, and {then}")
        }
        None => format!("{}  # if {master} {then}", set.command("failover")),
    }
}

fn node(pod: &Pod) -> String {
    let name = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    name.map_or_else(|| "its node".to_owned(), |name| format!("node {name}"))
}

pub(super) fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

/// Whether its node does not answer: then the pod is not ready, and its containers still seem to be.
fn is_cut_off(pod: &Pod) -> bool {
    let Some(ready) = view::condition(pod, "Ready").filter(|ready| ready.status != "True") else {
        return false;
    };
    let reason = ready.reason.as_deref();
    if ready.status == "Unknown" || reason == Some("NodeStatusUnknown") {
        return true;
    }
    let mut containers = container::statuses(pod).peekable();
    let is_gate = reason == Some("ReadinessGatesNotReady");
    let all_ready = view::condition(pod, "ContainersReady").is_some_and(|it| it.status == "True");
    !is_gate && all_ready && containers.peek().is_some() && containers.all(|status| status.ready)
}

fn is_unscheduled(pod: &Pod) -> bool {
    view::condition(pod, "PodScheduled").is_some_and(|it| it.status == "False")
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{healthy, patch};
    use super::*;

    const UNREACHABLE: &str = r#"
spec: {nodeName: n1}
status:
  conditions: [{type: Ready, status: "False"}, {type: ContainersReady, status: "True"}]
"#;

    fn lost(replicas: u32, change: &str) -> Option<LostMaster> {
        let mut world = healthy(replicas);
        patch(&mut world.snapshot.pods[0], change);
        lost_master(&world.expected.set, &Topology::default(), &world.snapshot)
    }

    #[test]
    fn a_master_on_a_node_that_does_not_answer_is_lost_if_a_replica_runs() {
        let found = lost(2, UNREACHABLE).unwrap();
        assert_eq!(found.text, "the master pgset-0 does not run: node n1 does not answer");
        let hint = "pgset failover --node-is-off n1 -n pg  # if n1 is switched off, and ";
        assert!(found.hint.starts_with(hint), "{}", found.hint);
        assert_eq!(lost(1, UNREACHABLE), None);
        assert_eq!(lost(2, "{}"), None);
        let crashing = r#"status: {conditions: [{type: Ready, status: "False"}]}"#;
        assert_eq!(lost(2, crashing), None);
        let pending =
            r#"status: {phase: Pending, conditions: [{type: PodScheduled, status: "False"}]}"#;
        assert!(lost(2, pending).unwrap().text.ends_with("no node takes it"));
    }

    #[test]
    fn a_master_without_a_pod_is_lost() {
        let mut world = healthy(2);
        world.snapshot.pods.remove(0);
        let found = lost_master(&world.expected.set, &Topology::default(), &world.snapshot);
        assert!(found.unwrap().text.ends_with("there is no such pod"));
    }
}
