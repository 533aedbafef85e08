//! Claims: each gets a volume, one that is there or one that its class makes.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::events::{self, Event};
use super::super::kinds::{CLAIMS, PODS, STORAGE_CLASSES, VOLUMES};
use super::super::refusal::Answer;
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
            // Whoever has it mounted keeps it.
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
            Some(volume) if is_for(&volume, &claim) => bound(registry, &key, &volume)?,
            Some(volume) if text(&volume, "/spec/claimRef/name").is_empty() => {
                bind(registry, &key, &claim, &volume)?;
            }
            // Bound once, and the volume is gone or another's.
            _ if text(&claim, "/status/phase") == "Bound" => {
                set_status(registry, &key, &json!({"phase": "Lost"}))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a pod that has not ended mounts the claim.
fn is_used(registry: &Registry, key: &Key) -> bool {
    let pods = registry.store.list(&PODS, Some(&key.namespace)).0;
    pods.iter().any(|pod| {
        !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
            && pod["spec"]["volumes"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|volume| text(volume, "/persistentVolumeClaim/claimName") == key.name)
    })
}

/// Whether a volume says that it is this claim's.
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

/// Tells what becomes of a claim.
fn tell(registry: &Registry, claim: &Value, warning: bool, reason: &str, message: &str) {
    let event = Event { source: events::CLAIMS, about: claim, part: "", warning, reason, message };
    events::tell(registry, event);
}

/// Whether a volume can be a claim's.
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

/// First the volume says whose it is, then the claim which it has: as in a real cluster, so that two
/// claims never get one volume.
fn bind(registry: &Registry, key: &Key, claim: &Value, volume: &Value) -> Answer<()> {
    let reference = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": key.name,
        "namespace": key.namespace, "uid": claim["metadata"]["uid"],
    });
    let volume = registry.update(&Key::of(&VOLUMES, volume), WRITER, false, |volume| {
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

/// Makes a volume for a claim: a directory, which the node makes when it mounts it.
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
    use super::*;

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
