//! Nodes: one whose kubelet is silent becomes `NotReady`, and so do its pods. In a real cluster this
//! is the node lifecycle controller.
//!
//! The real one also deletes the pods of such a node after five minutes. Here they stay.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::super::events::{self, Event};
use super::super::kinds::{NODES, PODS};
use super::super::nodes::{self, time_until_not_ready};
use super::super::refusal::Answer;
use super::super::registry::Registry;
use super::super::store::Key;
use super::{STATUS, condition, text};

pub(super) fn sync(registry: &Registry) -> Answer<()> {
    for node in registry.store.all(&NODES) {
        let silent = time_until_not_ready(&node, Timestamp::now());
        if silent.is_none_or(|left| !left.is_zero()) {
            continue;
        }
        if condition(&node, "Ready") == Some(true) {
            report_silence(registry, &node)?;
        }
        let name = text(&node, "/metadata/name");
        for pod in registry.store.all(&PODS) {
            if text(&pod, "/spec/nodeName") == name && condition(&pod, "Ready") == Some(true) {
                report_pod(registry, &pod, name)?;
            }
        }
    }
    Ok(())
}

/// The time until the next node is not ready; none if no change is due.
pub(super) fn due_in(registry: &Registry) -> Option<Duration> {
    let nodes = registry.store.all(&NODES);
    let ready = nodes.iter().filter(|node| condition(node, "Ready") == Some(true));
    ready.filter_map(|node| time_until_not_ready(node, Timestamp::now())).min()
}

fn report_silence(registry: &Registry, node: &Arc<Value>) -> Answer<()> {
    registry.update(&Key::of(&NODES, node), STATUS, false, |node| {
        // It may have been started again since it was listed.
        if time_until_not_ready(node, Timestamp::now()).is_some() {
            let message = "Kubelet stopped posting node status.";
            nodes::set_ready(node, "Unknown", "NodeStatusUnknown", message);
        }
        Ok(())
    })?;
    let message = format!("Node {} status is now: NodeNotReady", text(node, "/metadata/name"));
    tell(registry, node, false, &message);
    Ok(())
}

fn report_pod(registry: &Registry, pod: &Arc<Value>, node: &str) -> Answer<()> {
    registry.update(&Key::of(&PODS, pod), STATUS, false, |pod| {
        // The kubelet may be connected again, and then it is the one that reports.
        if nodes::is_cut_off(registry, node) {
            for condition in pod["status"]["conditions"].as_array_mut().into_iter().flatten() {
                if condition["type"] == "Ready" {
                    condition["status"] = "False".into();
                    condition["lastTransitionTime"] = super::super::now().into();
                }
            }
        }
        Ok(())
    })?;
    tell(registry, pod, true, "Node is not ready");
    Ok(())
}

fn tell(registry: &Registry, about: &Value, warning: bool, message: &str) {
    let reason = "NodeNotReady";
    let source = events::NODES;
    events::tell(registry, Event { source, about, part: "", warning, reason, message });
}

#[cfg(test)]
mod tests {
    use super::super::super::nodes::NodeState;
    use super::super::fixture::Cluster;
    use super::*;
    use serde_json::json;

    const NODE: &str = "sandbox-1";

    fn change(cluster: &Cluster, name: &str, state: NodeState, since: Option<&str>) {
        let key = Key::new(&NODES, "", name);
        let changed = cluster.registry.update(&key, STATUS, false, |node| {
            nodes::set_state(node, state);
            if let Some(since) = since {
                node["metadata"]["annotations"]["pgset.sandbox/since"] = json!(since);
            }
            Ok(())
        });
        changed.unwrap();
    }

    fn ready(cluster: &Cluster, name: &str) -> Value {
        let node = cluster.registry.store.get(&Key::new(&NODES, "", name)).unwrap();
        node["status"]["conditions"][0]["status"].clone()
    }

    #[test]
    fn a_silent_node_and_its_pods_are_not_ready() {
        let cluster = Cluster::with_nodes(2);
        cluster.create_set("Parallel", &json!({"type": "OnDelete"}), 2);
        cluster.sync();
        cluster.start("db-0");
        cluster.start("db-1");
        cluster.sync();
        change(&cluster, NODE, NodeState::Frozen, None);
        assert!(due_in(&cluster.registry).is_some_and(|left| !left.is_zero()));
        cluster.sync();
        assert_eq!((ready(&cluster, NODE), cluster.available().len()), (json!("True"), 2));

        change(&cluster, NODE, NodeState::Frozen, Some("2026-01-01T00:00:00Z"));
        assert_eq!(due_in(&cluster.registry), Some(Duration::ZERO));
        cluster.sync();
        assert_eq!((ready(&cluster, NODE), due_in(&cluster.registry)), (json!("Unknown"), None));
        assert_eq!(cluster.available().into_iter().collect::<Vec<_>>(), ["db-1"]);
        assert_eq!(ready(&cluster, "sandbox-2"), "True");

        change(&cluster, NODE, NodeState::Running, None);
        cluster.start("db-0");
        cluster.sync();
        assert_eq!((ready(&cluster, NODE), cluster.available().len()), (json!("True"), 2));
    }

    #[test]
    fn a_deleted_pod_of_a_silent_node_stays_until_it_is_forced() {
        let cluster = Cluster::with_nodes(2);
        cluster.create_set("Parallel", &json!({"type": "OnDelete"}), 2);
        cluster.sync();
        change(&cluster, NODE, NodeState::Stopped, Some("2026-01-01T00:00:00Z"));
        cluster.delete(&PODS, "db-0");
        cluster.sync();
        assert!(cluster.terminating().contains("db-0"));
        cluster.end("db-0");
        cluster.sync();
        let pod = cluster.get(&PODS, "db-0").unwrap();
        assert_eq!(text(&pod, "/spec/nodeName"), "sandbox-2");
    }
}
