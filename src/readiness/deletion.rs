//! Why a deleted object still exists.

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::snapshot::Snapshot;
use super::text::one_line;
use super::view;

/// What blocks the deletion of an object: its finalizers and, for a PersistentVolumeClaim, the pods that
/// mount it. `pods` are those of its namespace. `None` if the object is not being deleted, or nothing
/// blocks its deletion.
#[must_use]
pub fn deletion_blocked(object: &Value, pods: &[Pod]) -> Option<String> {
    let metadata = object.get("metadata")?;
    metadata.get("deletionTimestamp").filter(|time| !time.is_null())?;
    let finalizers: Vec<String> = (metadata.get("finalizers").and_then(Value::as_array))
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(one_line)
        .collect();
    let held = match finalizers.as_slice() {
        [] => None,
        [only] => Some(format!("blocked by finalizer {only}")),
        several => Some(format!("blocked by finalizers {}", several.join(", "))),
    };
    let who = holders(object, metadata, pods);
    match (held, who) {
        (Some(held), Some(who)) => Some(format!("{held}: {who}")),
        (held, who) => held.or(who),
    }
}

fn holders(object: &Value, metadata: &Value, pods: &[Pod]) -> Option<String> {
    let name = metadata.get("name").and_then(Value::as_str)?;
    match object.get("kind").and_then(Value::as_str)? {
        "PersistentVolumeClaim" => {
            let mounting = pods.iter().filter(|pod| Snapshot::claims_of(pod).contains(&name));
            listed("mounted by", mounting.filter(|pod| !is_over(pod)))
        }
        "PersistentVolume" => {
            let claim = object.pointer("/spec/claimRef")?;
            let part = |key: &str| claim.get(key).and_then(Value::as_str).map(one_line);
            Some(format!("bound to PersistentVolumeClaim {}/{}", part("namespace")?, part("name")?))
        }
        "StatefulSet" => {
            let uid = metadata.get("uid").and_then(Value::as_str)?;
            let owned = pods.iter().filter(|pod| {
                pod.metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid)
            });
            listed("its pods still exist:", owned)
        }
        "Pod" => {
            let node = object.pointer("/spec/nodeName").and_then(Value::as_str)?;
            let node = one_line(node);
            Some(format!(
                "the kubelet of node {node} has not reported yet that its containers have stopped"
            ))
        }
        _ => None,
    }
}

/// Whether the pod has finished. Then it no longer uses its volumes.
fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn listed<'a>(introduction: &str, pods: impl Iterator<Item = &'a Pod>) -> Option<String> {
    let names: Vec<String> = pods.map(described).collect();
    (!names.is_empty()).then(|| format!("{introduction} {}", names.join(", ")))
}

/// `Pod pgset-0 (Running on n1)`.
fn described(pod: &Pod) -> String {
    let phase = if view::is_terminating(&pod.metadata) {
        "Terminating"
    } else {
        pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Unknown")
    };
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let node = node.map_or_else(String::new, |node| format!(" on {node}"));
    format!("Pod {} ({phase}{node})", view::name(&pod.metadata))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pods() -> Vec<Pod> {
        let pod = |name: &str, phase: &str, claim: &str| {
            let volume = json!({"name": "d", "persistentVolumeClaim": {"claimName": claim}});
            let pod = json!({
                "metadata": {"name": name, "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "pgset", "uid": "set"}]},
                "spec": {"nodeName": "n1", "containers": [], "volumes": [volume]},
                "status": {"phase": phase},
            });
            serde_json::from_value(pod).unwrap()
        };
        vec![
            pod("pgset-0", "Running", "pgset-pvc"),
            pod("pgset-1", "Succeeded", "pgset-pvc"),
            pod("other-0", "Running", "other"),
        ]
    }

    fn deleted(kind: &str, finalizers: &[&str], rest: &Value) -> Value {
        let mut object = json!({"kind": kind, "metadata": {"name": "pgset-pvc", "uid": "set",
            "deletionTimestamp": "2026-11-24T02:00:00Z", "finalizers": finalizers}});
        object["spec"] = rest.clone();
        object
    }

    #[test]
    fn a_claim_is_held_by_the_pods_that_mount_it() {
        let claim =
            deleted("PersistentVolumeClaim", &["kubernetes.io/pvc-protection"], &Value::Null);
        assert_eq!(
            deletion_blocked(&claim, &pods()).as_deref(),
            Some(
                "blocked by finalizer kubernetes.io/pvc-protection: mounted by Pod pgset-0 \
                 (Running on n1)"
            )
        );
    }

    #[test]
    fn a_finalizer_is_named_whoever_set_it() {
        let object = deleted("Service", &["a.example/x", "b.example/y"], &Value::Null);
        assert_eq!(
            deletion_blocked(&object, &[]).as_deref(),
            Some("blocked by finalizers a.example/x, b.example/y")
        );
    }

    #[test]
    fn a_volume_is_held_by_its_claim_and_a_set_by_its_pods() {
        let rest = json!({"claimRef": {"namespace": "pg", "name": "pgset-pvc"}});
        let volume = deleted("PersistentVolume", &["kubernetes.io/pv-protection"], &rest);
        let text = deletion_blocked(&volume, &[]).unwrap();
        assert!(text.ends_with(": bound to PersistentVolumeClaim pg/pgset-pvc"), "{text}");

        let set = deleted("StatefulSet", &["foregroundDeletion"], &Value::Null);
        let text = deletion_blocked(&set, &pods()).unwrap();
        assert!(text.contains("its pods still exist: Pod pgset-0 (Running on n1), Pod"), "{text}");
    }

    #[test]
    fn a_pod_on_a_dead_node_is_explained() {
        let pod = deleted("Pod", &[], &json!({"nodeName": "n1"}));
        assert_eq!(
            deletion_blocked(&pod, &[]).as_deref(),
            Some("the kubelet of node n1 has not reported yet that its containers have stopped")
        );
    }

    #[test]
    fn what_nobody_deleted_is_not_held() {
        let object = json!({"kind": "Service", "metadata": {"name": "x", "finalizers": ["a/b"]}});
        assert_eq!(deletion_blocked(&object, &[]), None);
        assert_eq!(deletion_blocked(&deleted("Service", &[], &Value::Null), &[]), None);
    }
}
