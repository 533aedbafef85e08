//! Volumes: sets their phase to `Available`, `Bound` or `Released`, and deletes released ones.

use serde_json::{Value, json};

use super::super::kinds::{CLAIMS, VOLUMES};
use super::super::refusal::Answer;
use super::super::registry::{Delete, Registry};
use super::super::store::Key;
use super::{PROVISIONER, deleted, has_finalizer, release, set_status, text};

const PROTECTION: &str = "kubernetes.io/pv-protection";

pub(super) fn sync(registry: &Registry) -> Answer<()> {
    for volume in registry.store.all(&VOLUMES) {
        let key = Key::of(&VOLUMES, &volume);
        let phase = phase(registry, &volume);
        if deleted(&volume) {
            if has_finalizer(&volume, PROTECTION) && phase != "Bound" {
                release(registry, &key, PROTECTION)?;
            }
            continue;
        }
        if text(&volume, "/status/phase") != phase {
            set_status(registry, &key, &json!({"phase": phase}))?;
        }
        let made = &volume["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"];
        if phase == "Released"
            && text(&volume, "/spec/persistentVolumeReclaimPolicy") == "Delete"
            && made == PROVISIONER
        {
            reclaim(registry, &key, &volume)?;
        }
    }
    Ok(())
}

fn phase(registry: &Registry, volume: &Value) -> &'static str {
    let reference = &volume["spec"]["claimRef"];
    let name = text(reference, "/name");
    if name.is_empty() {
        return "Available";
    }
    let claim = registry.store.get(&Key::new(&CLAIMS, text(reference, "/namespace"), name));
    let uid = &reference["uid"];
    match claim {
        // The volume is reserved for a claim that does not exist yet.
        _ if uid.is_null() => "Available",
        Some(claim) if claim["metadata"]["uid"] == *uid => {
            if claim["spec"]["volumeName"] == volume["metadata"]["name"] {
                "Bound"
            } else {
                "Available"
            }
        }
        _ => "Released",
    }
}

/// Deletes a volume that was provisioned for a claim, with its directory.
fn reclaim(registry: &Registry, key: &Key, volume: &Value) -> Answer<()> {
    let path = registry.volumes.join(&key.name);
    // Delete only a directory that the sandbox created.
    if text(volume, "/spec/hostPath/path") == path.to_string_lossy()
        && let Err(error) = std::fs::remove_dir_all(&path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        let status = json!({"phase": "Failed", "message": error.to_string()});
        return set_status(registry, key, &status);
    }
    registry.delete(key, &Delete::default())?;
    Ok(())
}
