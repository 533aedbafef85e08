//! Claims: binds each one to an existing volume, or to a new one of its class.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::values::Quantity;

use super::super::events::{self, Event};
use super::super::kinds::{CLAIMS, PODS, STORAGE_CLASSES, VOLUMES};
use super::super::refusal::{Answer, Refusal};
use super::super::registry::Registry;
use super::super::selectors::Selector;
use super::super::store::Key;
use super::{MANAGER, PROVISIONER, WRITER, deleted, has_finalizer, release, set_status, text};
use crate::values::quantity::Amount;

const PROTECTION: &str = "kubernetes.io/pvc-protection";

pub(super) fn sync(registry: &Registry) -> Answer<()> {
    for claim in registry.store.all(&CLAIMS) {
        let key = Key::of(&CLAIMS, &claim);
        if deleted(&claim) {
            // A claim that a pod has mounted stays until the pod is gone.
            if has_finalizer(&claim, PROTECTION) && !is_used(registry, &key) {
                release(registry, &key, PROTECTION)?;
            }
            continue;
        }
        let volume = text(&claim, "/spec/volumeName");
        if volume.is_empty() {
            find(registry, &key, &claim)?;
            continue;
        }
        match registry.store.get(&Key::new(&VOLUMES, "", volume)) {
            Some(volume) if is_for(&volume, &claim) => {
                let volume = expand(registry, &claim, volume)?;
                bound(registry, &key, &volume)?;
            }
            Some(volume) if text(&volume, "/spec/claimRef/name").is_empty() => {
                bind(registry, &key, &claim, &volume)?;
            }
            // The claim was bound, and its volume is gone or bound to another claim.
            _ if text(&claim, "/status/phase") == "Bound" => {
                set_status(registry, &key, &json!({"phase": "Lost"}))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a pod that has a node and has not ended mounts the claim.
fn is_used(registry: &Registry, key: &Key) -> bool {
    let pods = registry.store.list(&PODS, Some(&key.namespace)).0;
    pods.iter().any(|pod| {
        !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
            && !text(pod, "/spec/nodeName").is_empty()
            && pod["spec"]["volumes"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|volume| text(volume, "/persistentVolumeClaim/claimName") == key.name)
    })
}

/// Whether a volume is reserved for this claim.
fn is_for(volume: &Value, claim: &Value) -> bool {
    let reference = &volume["spec"]["claimRef"];
    let metadata = &claim["metadata"];
    reference["name"] == metadata["name"]
        && reference["namespace"] == metadata["namespace"]
        && (reference["uid"].is_null() || reference["uid"] == metadata["uid"])
}

fn find(registry: &Registry, key: &Key, claim: &Arc<Value>) -> Answer<()> {
    let mut volumes = registry.store.all(&VOLUMES);
    volumes.retain(|volume| !deleted(volume) && fits(volume, claim));
    // The one that waits for it, else the smallest.
    volumes.sort_by_key(|v| (!is_for(v, claim), Amount::read(text(v, "/spec/capacity/storage"))));
    if let Some(volume) = volumes.first() {
        return bind(registry, key, claim, volume);
    }
    let class = text(claim, "/spec/storageClassName");
    let warn = |reason: &str, message: &str| {
        tell(registry, claim, true, reason, message);
        Ok(())
    };
    if class.is_empty() {
        return warn(
            "FailedBinding",
            "no persistent volumes available for this claim and no storage class is set",
        );
    }
    match registry.store.get(&Key::new(&STORAGE_CLASSES, "", class)) {
        None => {
            warn("ProvisioningFailed", &format!("storageclass.storage.k8s.io {class:?} not found"))
        }
        Some(class) if text(&class, "/provisioner") == PROVISIONER => {
            provision(registry, claim, &class)
        }
        Some(class) => warn(
            "ExternalProvisioning",
            &format!(
                "Waiting for a volume to be created either by the external provisioner '{}' or manually by the system administrator.",
                text(&class, "/provisioner")
            ),
        ),
    }
}

/// Records an event about a claim.
fn tell(registry: &Registry, claim: &Value, warning: bool, reason: &str, message: &str) {
    let event = Event { source: events::CLAIMS, about: claim, part: "", warning, reason, message };
    events::tell(registry, event);
}

/// Whether a volume can be bound to a claim.
fn fits(volume: &Value, claim: &Value) -> bool {
    let free = text(volume, "/spec/claimRef/name").is_empty() || is_for(volume, claim);
    let modes =
        |object: &Value| object["spec"]["accessModes"].as_array().cloned().unwrap_or_default();
    let offered = modes(volume);
    let size = |object: &Value, pointer| Amount::read(text(object, pointer));
    free && text(volume, "/spec/storageClassName") == text(claim, "/spec/storageClassName")
        && modes(claim).iter().all(|mode| offered.contains(mode))
        && size(volume, "/spec/capacity/storage") >= size(claim, "/spec/resources/requests/storage")
        && Selector::labels(&claim["spec"]["selector"]["matchLabels"]).matches(volume)
}

/// A quantity in bytes: `1Gi`. A text that can't be parsed counts as zero.
pub(in crate::sandbox) fn quantity(text: &str) -> u64 {
    text.parse().map_or(0, |quantity: Quantity| quantity.bytes())
}

/// Sets a volume's size to what its claim requests. The server accepts a larger request only if the
/// class allows it. A volume here is a directory, so nothing else has to change.
fn expand(registry: &Registry, claim: &Value, volume: Arc<Value>) -> Answer<Arc<Value>> {
    let wanted = text(claim, "/spec/resources/requests/storage");
    let provisioner = &volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"];
    if provisioner != PROVISIONER
        || quantity(wanted) <= quantity(text(&volume, "/spec/capacity/storage"))
    {
        return Ok(volume);
    }
    registry.update(&Key::of(&VOLUMES, &volume), WRITER, false, |volume| {
        volume["spec"]["capacity"]["storage"] = json!(wanted);
        Ok(())
    })
}

/// Binds the volume first and the claim second, as in a real cluster: this way two claims never get
/// the same volume.
fn bind(registry: &Registry, key: &Key, claim: &Value, volume: &Value) -> Answer<()> {
    let reference = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": key.name,
        "namespace": key.namespace, "uid": claim["metadata"]["uid"],
    });
    let volume_key = Key::of(&VOLUMES, volume);
    let volume = registry.update(&volume_key, WRITER, false, |volume| {
        // A client may have reserved the volume for another claim since it was listed.
        if !text(volume, "/spec/claimRef/name").is_empty() && !is_for(volume, claim) {
            let why = "the volume was reserved for another claim";
            return Err(Refusal::conflict(&VOLUMES, &volume_key.name, why));
        }
        volume["spec"]["claimRef"] = reference;
        Ok(())
    })?;
    registry.update(key, WRITER, false, |claim| {
        claim["spec"]["volumeName"] = volume["metadata"]["name"].clone();
        claim["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = json!("yes");
        Ok(())
    })?;
    bound(registry, key, &volume)
}

fn bound(registry: &Registry, key: &Key, volume: &Value) -> Answer<()> {
    let (spec, status) = (&volume["spec"], json!({"phase": "Bound"}));
    set_status(registry, &Key::of(&VOLUMES, volume), &status)?;
    let status = json!({
        "phase": "Bound", "capacity": spec["capacity"], "accessModes": spec["accessModes"],
    });
    set_status(registry, key, &status)
}

/// Creates a volume for a claim. The node creates its directory when it mounts it.
fn provision(registry: &Registry, claim: &Value, class: &Value) -> Answer<()> {
    let name = format!("pvc-{}", text(claim, "/metadata/uid"));
    let key = Key::new(&VOLUMES, "", &name);
    if registry.store.get(&key).is_some() {
        return Ok(());
    }
    let path = registry.volumes.join(&name);
    let object = json!({
        "metadata": {"annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "storageClassName": class["metadata"]["name"],
            "persistentVolumeReclaimPolicy": class["reclaimPolicy"],
            "hostPath": {"path": path, "type": "DirectoryOrCreate"},
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "name": claim["metadata"]["name"], "namespace": claim["metadata"]["namespace"],
                "uid": claim["metadata"]["uid"],
            },
        },
    });
    registry.create(&key, object, MANAGER, false)?;
    let message = format!("Successfully provisioned volume {name} using {PROVISIONER}");
    tell(registry, claim, false, "ProvisioningSucceeded", &message);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Cluster;
    use super::*;

    /// A bound claim of 1Gi. Its class allows expansion or does not.
    fn bound_claim(expands: bool) -> Cluster {
        let cluster = Cluster::new();
        let class = json!({"provisioner": PROVISIONER, "allowVolumeExpansion": expands});
        cluster.create(&STORAGE_CLASSES, "class", class);
        let spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "class",
            "resources": {"requests": {"storage": "1Gi"}}});
        cluster.create(&CLAIMS, "data", json!({"spec": spec}));
        cluster.sync();
        cluster
    }

    fn request(cluster: &Cluster, size: &str) -> Answer<Arc<Value>> {
        cluster.edit(&CLAIMS, "data", |claim| {
            claim["spec"]["resources"]["requests"]["storage"] = json!(size);
        })
    }

    #[test]
    fn a_claim_whose_class_does_not_allow_it_can_not_grow() {
        let cluster = bound_claim(false);
        let refusal = request(&cluster, "2Gi").unwrap_err();
        assert_eq!((refusal.code, refusal.reason), (403, "Forbidden"));
        assert_eq!(
            refusal.message,
            "persistentvolumeclaims \"data\" is forbidden: only dynamically provisioned pvc can be \
             resized and the storageclass that provisions the pvc must support resize"
        );
        request(&cluster, "1024Mi").unwrap();
        // A class that does not exist allows no expansion.
        cluster.delete(&STORAGE_CLASSES, "class");
        assert_eq!(request(&cluster, "2Gi").unwrap_err().code, 403);
    }

    #[test]
    fn a_claim_can_not_shrink() {
        for expands in [false, true] {
            let refusal = request(&bound_claim(expands), "1023Mi").unwrap_err();
            assert_eq!((refusal.code, refusal.reason), (422, "Invalid"));
            assert_eq!(
                refusal.message,
                "PersistentVolumeClaim \"data\" is invalid: spec.resources.requests.storage: \
                 Forbidden: field can not be less than status.capacity"
            );
        }
    }

    #[test]
    fn a_claim_that_has_no_volume_yet_can_not_change() {
        let cluster = Cluster::new();
        let spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "none",
            "resources": {"requests": {"storage": "1Gi"}}});
        cluster.create(&CLAIMS, "data", json!({"spec": spec}));
        cluster.sync();
        for size in ["2Gi", "500Mi"] {
            let refusal = request(&cluster, size).unwrap_err();
            assert_eq!(
                refusal.message,
                "PersistentVolumeClaim \"data\" is invalid: spec: Forbidden: spec is immutable \
                 after creation except resources.requests and volumeAttributesClassName for bound claims"
            );
        }
        request(&cluster, "1024Mi").unwrap();
    }

    #[test]
    fn a_claim_grows_with_its_volume_where_the_class_allows_it() {
        let cluster = bound_claim(true);
        request(&cluster, "2Gi").unwrap();
        cluster.sync();
        let claim = cluster.get(&CLAIMS, "data").unwrap();
        assert_eq!(claim["status"]["capacity"]["storage"], "2Gi");
        let volume = cluster.get(&VOLUMES, text(&claim, "/spec/volumeName")).unwrap();
        assert_eq!(volume["spec"]["capacity"]["storage"], "2Gi");
        assert_eq!(request(&cluster, "1Gi").unwrap_err().code, 422);
    }

    #[test]
    fn a_volume_that_somebody_reserved_meanwhile_is_not_bound() {
        let cluster = Cluster::new();
        let spec = json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "storageClassName": "", "hostPath": {"path": "/nonexistent"}});
        cluster.create(&VOLUMES, "volume", json!({"spec": spec}));
        let listed = cluster.get(&VOLUMES, "volume").unwrap();
        let theirs = json!({"name": "theirs", "namespace": "default"});
        cluster
            .edit(&VOLUMES, "volume", |volume| volume["spec"]["claimRef"] = theirs.clone())
            .unwrap();
        let spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "",
            "resources": {"requests": {"storage": "1Gi"}}});
        cluster.create(&CLAIMS, "ours", json!({"spec": spec}));
        let ours = cluster.get(&CLAIMS, "ours").unwrap();
        bind(&cluster.registry, &Key::of(&CLAIMS, &ours), &ours, &listed).unwrap_err();
        assert_eq!(cluster.get(&VOLUMES, "volume").unwrap()["spec"]["claimRef"], theirs);
    }

    #[test]
    fn a_volume_fits_by_class_mode_and_size() {
        let volume = |size: &str, class: &str| {
            json!({"spec": {"capacity": {"storage": size},
            "accessModes": ["ReadWriteMany"], "storageClassName": class}})
        };
        let claim = json!({"metadata": {"name": "a", "namespace": "n", "uid": "u"}, "spec": {
            "accessModes": ["ReadWriteMany"], "storageClassName": "s",
            "resources": {"requests": {"storage": "1Gi"}}}});
        assert!(fits(&volume("1Gi", "s"), &claim));
        assert!(!fits(&volume("1G", "s"), &claim));
        assert!(!fits(&volume("2Gi", ""), &claim));
        let mut taken = volume("1Gi", "s");
        taken["spec"]["claimRef"] = json!({"name": "b", "namespace": "n"});
        assert!(!fits(&taken, &claim));
    }
}
