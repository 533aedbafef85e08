//! Quotas: counts the pods of each namespace that has one.

use serde_json::{Value, json};

use super::super::kinds::{PODS, QUOTAS};
use super::super::refusal::Answer;
use super::super::registry::Registry;
use super::super::store::Key;
use super::{set_status, text};

pub(super) fn sync(registry: &Registry) -> Answer<()> {
    for quota in registry.store.all(&QUOTAS) {
        let used = pods(registry, text(&quota, "/metadata/namespace"));
        let status = json!({"hard": quota["spec"]["hard"], "used": {"pods": used.to_string()}});
        if quota["status"] != status {
            set_status(registry, &Key::of(&QUOTAS, &quota), &status)?;
        }
    }
    Ok(())
}

/// The number of pods in a namespace that have not ended.
pub(in crate::sandbox) fn pods(registry: &Registry, namespace: &str) -> usize {
    let ended = |pod: &Value| matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
    registry.store.list(&PODS, Some(namespace)).0.iter().filter(|pod| !ended(pod)).count()
}
