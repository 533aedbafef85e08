//! The scheduler: assigns each pod to a node, as soon as its claims are bound. It spreads the pods of
//! an owner over the nodes. It knows node selectors; affinity and taints are ignored.

use serde_json::{Value, json};

use super::super::events::{self, Event};
use super::super::faults::Faults;
use super::super::kinds::{CLAIMS, NODES, PODS};
use super::super::ownership::Writer;
use super::super::refusal::Answer;
use super::super::registry::Registry;
use super::super::store::Key;
use super::{STATUS, condition, deleted, text, with_condition};

const WRITER: Writer<'_> = Writer { manager: "kube-scheduler", subresource: "" };

/// A node, as the scheduler sees it for one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    name: String,
    ready: bool,
    /// Whether it has the labels that the pod selects.
    selected: bool,
    /// How many pods of the same owner it has.
    siblings: usize,
}

/// The node for a pod: the one with the fewest pods of the same owner; among these, the first one.
/// The error is the scheduler's message.
fn choose(candidates: &[Candidate]) -> Result<&str, String> {
    let fit = candidates.iter().filter(|node| node.ready && node.selected);
    // Of equal nodes, this is the first one.
    if let Some(node) = fit.min_by_key(|node| node.siblings) {
        return Ok(&node.name);
    }
    let all = candidates.len();
    if all == 0 {
        return Err("no nodes available to schedule pods".to_owned());
    }
    let other = candidates.iter().filter(|node| !node.selected).count();
    let silent = all - other;
    let mut reasons = Vec::new();
    if other > 0 {
        reasons.push(format!("{other} node(s) didn't match Pod's node affinity/selector"));
    }
    if silent > 0 {
        let taint = "{node.kubernetes.io/unreachable: }";
        reasons.push(format!("{silent} node(s) had untolerated taint {taint}"));
    }
    Err(format!(
        "{}. preemption: 0/{all} nodes are available: {all} Preemption is not helpful for scheduling.",
        reasons.join(", ")
    ))
}

pub(super) fn sync(registry: &Registry, faults: &Faults) -> Answer<()> {
    for pod in registry.store.all(&PODS) {
        if !text(&pod, "/spec/nodeName").is_empty() || deleted(&pod) {
            continue;
        }
        let key = Key::of(&PODS, &pod);
        let obstacle = faults.broken("schedule").or_else(|| obstacle(registry, &pod));
        let candidates = candidates(registry, &pod);
        let chosen = match obstacle {
            Some(obstacle) => Err(obstacle),
            None => choose(&candidates),
        };
        let told = |warning, reason: &str, message: &str| {
            events::tell(
                registry,
                Event {
                    source: events::SCHEDULER,
                    about: &pod,
                    part: "",
                    warning,
                    reason,
                    message,
                },
            );
        };
        let node = match chosen {
            Ok(node) => node,
            Err(obstacle) => {
                let message = format!("0/{} nodes are available: {obstacle}", candidates.len());
                report(registry, &key, false, "Unschedulable", &message)?;
                told(true, "FailedScheduling", &message);
                continue;
            }
        };
        registry.update(&key, WRITER, false, |pod| {
            pod["spec"]["nodeName"] = json!(node);
            Ok(())
        })?;
        report(registry, &key, true, "", "")?;
        let place = format!("{}/{}", key.namespace, key.name);
        told(false, "Scheduled", &format!("Successfully assigned {place} to {node}"));
    }
    Ok(())
}

/// Sets the condition `PodScheduled`. It reads the other conditions again, because the node may
/// already have written some.
fn report(registry: &Registry, key: &Key, status: bool, reason: &str, message: &str) -> Answer<()> {
    registry.update(key, STATUS, false, |pod| {
        let conditions = &mut pod["status"]["conditions"];
        *conditions = with_condition(conditions, "PodScheduled", status, reason, message);
        Ok(())
    })?;
    Ok(())
}

/// Why a pod can't be scheduled yet.
fn obstacle(registry: &Registry, pod: &Value) -> Option<String> {
    let namespace = text(pod, "/metadata/namespace");
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        let name = text(volume, "/persistentVolumeClaim/claimName");
        if name.is_empty() {
            continue;
        }
        let Some(claim) = registry.store.get(&Key::new(&CLAIMS, namespace, name)) else {
            return Some(format!("persistentvolumeclaim {name:?} not found."));
        };
        if deleted(&claim) {
            return Some(format!("persistentvolumeclaim {name:?} is being deleted."));
        }
        match text(&claim, "/status/phase") {
            "Bound" => {}
            "Lost" => {
                return Some(format!(
                    "persistentvolumeclaim {name:?} bound to non-existent persistentvolume."
                ));
            }
            _ => return Some("pod has unbound immediate PersistentVolumeClaims.".to_owned()),
        }
    }
    None
}

/// The nodes in the order of their numbers.
fn candidates(registry: &Registry, pod: &Value) -> Vec<Candidate> {
    let wanted = &pod["spec"]["nodeSelector"];
    let others = registry.store.all(&PODS);
    let siblings = |node: &str| {
        let there = others.iter().filter(|other| {
            text(other, "/spec/nodeName") == node
                && !matches!(text(other, "/status/phase"), "Succeeded" | "Failed")
        });
        there.filter(|other| owner(other) == owner(pod)).count()
    };
    let nodes = registry.store.all(&NODES);
    nodes
        .iter()
        .map(|node| {
            let name = text(node, "/metadata/name").to_owned();
            let mut labels = wanted.as_object().into_iter().flatten();
            Candidate {
                ready: condition(node, "Ready") == Some(true),
                selected: labels.all(|(label, value)| node["metadata"]["labels"][label] == *value),
                siblings: siblings(&name),
                name,
            }
        })
        .collect()
}

/// The UID of the pod's controller; empty if it has none.
fn owner(pod: &Value) -> &str {
    let owners = pod["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let mut controllers = owners.filter(|owner| owner["controller"] == true);
    controllers.next().map_or("", |owner| text(owner, "/uid"))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Cluster;
    use super::*;

    fn node(name: &str, ready: bool, selected: bool, siblings: usize) -> Candidate {
        Candidate { name: name.to_owned(), ready, selected, siblings }
    }

    #[test]
    fn a_pod_gets_the_first_ready_node_with_the_fewest_siblings() {
        for (candidates, expected) in [
            (vec![node("a", true, true, 0), node("b", true, true, 0)], "a"),
            (vec![node("a", true, true, 1), node("b", true, true, 0)], "b"),
            (vec![node("a", false, true, 0), node("b", true, true, 3)], "b"),
            (vec![node("a", true, false, 0), node("b", true, true, 3)], "b"),
        ] {
            assert_eq!(choose(&candidates), Ok(expected), "{candidates:?}");
        }
    }

    #[test]
    fn the_message_counts_the_nodes_of_each_reason() {
        let none = "didn't match Pod's node affinity/selector";
        assert_eq!(
            choose(&[node("a", true, false, 0)]),
            Err(format!(
                "1 node(s) {none}. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
            ))
        );
        assert_eq!(
            choose(&[node("a", true, false, 0), node("b", false, true, 0)]),
            Err(format!(
                "1 node(s) {none}, 1 node(s) had untolerated taint {{node.kubernetes.io/unreachable: }}. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
            ))
        );
    }

    #[test]
    fn the_pods_of_a_set_are_spread() {
        let cluster = Cluster::with_nodes(3);
        let lone = json!({"spec": {"containers": [{"name": "c", "image": "postgres:1"}]}});
        cluster.create(&PODS, "lone", lone);
        cluster.create_set("Parallel", &json!({"type": "OnDelete"}), 4);
        cluster.sync();
        let place =
            |pod: &str| text(&cluster.get(&PODS, pod).unwrap(), "/spec/nodeName").to_owned();
        // A pod of another owner does not count.
        let places = ["lone", "db-0", "db-1", "db-2", "db-3"].map(place);
        assert_eq!(places, ["sandbox-1", "sandbox-1", "sandbox-2", "sandbox-3", "sandbox-1"]);
    }
}
