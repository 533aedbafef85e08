//! The scheduler: assigns each pod to the only node, as soon as its claims are bound.

use serde_json::{Value, json};

use super::super::events::{self, Event};
use super::super::faults::Faults;
use super::super::kinds::{CLAIMS, NODES, PODS};
use super::super::ownership::Writer;
use super::super::refusal::Answer;
use super::super::registry::Registry;
use super::super::store::Key;
use super::{NODE, STATUS, deleted, text, with_condition};

const WRITER: Writer<'_> = Writer { manager: "kube-scheduler", subresource: "" };

/// The message for a pod whose node selector does not match the node.
const NO_MATCH: &str = "1 node(s) didn't match Pod's node affinity/selector. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";

pub(super) fn sync(registry: &Registry, faults: &Faults) -> Answer<()> {
    for pod in registry.store.all(&PODS) {
        if !text(&pod, "/spec/nodeName").is_empty() || deleted(&pod) {
            continue;
        }
        let key = Key::of(&PODS, &pod);
        let obstacle = faults.broken("schedule").or_else(|| obstacle(registry, &pod));
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
        if let Some(obstacle) = obstacle {
            let message = format!("0/1 nodes are available: {obstacle}");
            report(registry, &key, false, "Unschedulable", &message)?;
            told(true, "FailedScheduling", &message);
            continue;
        }
        registry.update(&key, WRITER, false, |pod| {
            pod["spec"]["nodeName"] = json!(NODE);
            Ok(())
        })?;
        report(registry, &key, true, "", "")?;
        let place = format!("{}/{}", key.namespace, key.name);
        told(false, "Scheduled", &format!("Successfully assigned {place} to {NODE}"));
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
    let labels =
        registry.store.get(&Key::new(&NODES, "", NODE)).map(|n| n["metadata"]["labels"].clone());
    let wanted = pod["spec"]["nodeSelector"].as_object().into_iter().flatten();
    let fits = |(label, value): (&String, &Value)| {
        labels.as_ref().is_some_and(|labels| labels[label] == *value)
    };
    (!wanted.into_iter().all(fits)).then(|| NO_MATCH.to_owned())
}
