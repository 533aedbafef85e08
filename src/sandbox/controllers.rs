//! The controllers. Each one reads all objects of its kinds and writes what is missing or wrong. A
//! controller keeps no state between two passes, so it does not matter which change triggered a
//! pass, or how many changes there were since the last one.

mod adoption;
pub(super) mod claims;
#[cfg(test)]
mod fixture;
mod garbage;
mod namespaces;
mod nodes;
pub(super) mod quotas;
mod revisions;
mod scheduler;
mod services;
mod stateful_pod;
mod stateful_set;
mod volumes;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::admission::DEFAULT_CLASS;
use super::faults::Faults;
use super::kinds::{NAMESPACES, NODES, SERVICE_ACCOUNTS, STORAGE_CLASSES};
use super::ownership::Writer;
use super::refusal::Answer;
use super::registry::Registry;
use super::store::Key;

pub use self::services::SERVICE_NAME;

/// The provisioner of the class `standard`.
pub const PROVISIONER: &str = "pgset.sandbox/directory";

/// The field manager of the controllers.
const MANAGER: &str = "kube-controller-manager";
const WRITER: Writer<'_> = Writer { manager: MANAGER, subresource: "" };
const STATUS: Writer<'_> = Writer { manager: MANAGER, subresource: "status" };

/// How long a controller waits before it repeats a refused write, if no change triggers a pass
/// earlier.
const RETRY: Duration = Duration::from_millis(500);

/// Creates the objects that every cluster has from the start, and this number of nodes.
pub fn furnish(registry: &Registry, nodes: u8) {
    let class = json!({
        "metadata": {"annotations": {DEFAULT_CLASS: "true"}},
        "provisioner": PROVISIONER, "allowVolumeExpansion": false,
    });
    let capacity = capacity();
    let nodes = super::nodes::names(nodes)
        .into_iter()
        .map(|name| (Key::new(&NODES, "", &name), super::nodes::object(&name, &capacity)));
    for (key, object) in [
        (Key::new(&NAMESPACES, "", "default"), json!({})),
        (Key::new(&NAMESPACES, "", "kube-system"), json!({})),
        (Key::new(&SERVICE_ACCOUNTS, "default", "default"), json!({})),
        (Key::new(&STORAGE_CLASSES, "", "standard"), class),
    ]
    .into_iter()
    .chain(nodes)
    {
        if registry.store.get(&key).is_none() {
            // These objects are valid, and nobody else writes yet.
            let _ = registry.create(&key, object, MANAGER, false);
        }
    }
}

/// A node's capacity: this machine's processors and memory.
fn capacity() -> Value {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut capacity = json!({"pods": "110", "cpu": processors.to_string()});
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    if let Some(total) = total.and_then(|text| text.split_whitespace().next()) {
        capacity["memory"] = json!(format!("{total}Ki"));
    }
    capacity
}

/// Runs the controllers until the task is aborted.
pub async fn run(registry: Arc<Registry>, faults: Arc<Faults>) {
    let mut latest = registry.store.subscribe();
    let mut mended = faults.changes();
    loop {
        latest.borrow_and_update();
        mended.borrow_and_update();
        let refused = !pass(&registry, &faults);
        let due = nodes::due_in(&registry);
        tokio::select! {
            changed = latest.changed() => if changed.is_err() { return },
            _ = mended.changed() => {}
            () = tokio::time::sleep(RETRY), if refused => {}
            () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() => {}
        }
    }
}

/// Runs every controller once. Returns false if one of them was refused and has to try again.
fn pass(registry: &Registry, faults: &Faults) -> bool {
    let results = [
        ("namespaces", namespaces::sync(registry)),
        ("claims", claims::sync(registry)),
        ("volumes", volumes::sync(registry)),
        ("nodes", nodes::sync(registry)),
        ("statefulsets", stateful_set::sync(registry, faults)),
        ("scheduler", scheduler::sync(registry, faults)),
        ("services", services::sync(registry)),
        ("quotas", quotas::sync(registry)),
        ("garbage", garbage::sync(registry)),
    ];
    let mut done = true;
    for (controller, result) in results {
        if let Err(refusal) = result {
            tracing::debug!(controller, refusal.message, "retrying");
            done = false;
        }
    }
    done
}

/// Sets fields of an object's status. Does nothing if they already have these values.
fn set_status(registry: &Registry, key: &Key, status: &Value) -> Answer<()> {
    registry.update(key, STATUS, false, |object| {
        for (field, value) in status.as_object().into_iter().flatten() {
            object["status"][field] = value.clone();
        }
        Ok(())
    })?;
    Ok(())
}

/// Removes a finalizer from an object.
fn release(registry: &Registry, key: &Key, finalizer: &str) -> Answer<()> {
    registry.update(key, WRITER, false, |object| {
        if let Some(list) = object["metadata"]["finalizers"].as_array_mut() {
            list.retain(|own| own != finalizer);
        }
        Ok(())
    })?;
    Ok(())
}

fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    object["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|list| list.iter().any(|f| f == finalizer))
}

fn deleted(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// An owner reference: the object is deleted after its owner.
fn owned_by(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    })
}

/// Whether an object is controlled by this owner.
fn is_owned_by(object: &Value, owner: &Value) -> bool {
    let references = object["metadata"]["ownerReferences"].as_array();
    references.into_iter().flatten().any(|reference| {
        reference["controller"] == true && reference["uid"] == owner["metadata"]["uid"]
    })
}

/// Whether the condition of this type is true; none if it is missing.
pub(super) fn condition(object: &Value, kind: &str) -> Option<bool> {
    let conditions = object["status"]["conditions"].as_array()?;
    Some(conditions.iter().find(|c| c["type"] == kind)?["status"] == "True")
}

/// Adds or replaces a condition in a list. Its transition time changes only when its status does.
pub(super) fn with_condition(
    conditions: &Value,
    kind: &str,
    status: bool,
    reason: &str,
    message: &str,
) -> Value {
    let status = if status { "True" } else { "False" };
    let mut list = conditions.as_array().cloned().unwrap_or_default();
    let old = list.iter().position(|c| c["type"] == kind);
    let since = old
        .map(|old| list[old].clone())
        .filter(|old| old["status"] == status)
        .map_or_else(|| json!(super::now()), |old| old["lastTransitionTime"].clone());
    let mut new = json!({
        "type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": since,
    });
    for (field, text) in [("reason", reason), ("message", message)] {
        if !text.is_empty() {
            new[field] = json!(text);
        }
    }
    match old {
        Some(old) => list[old] = new,
        None => list.push(new),
    }
    Value::Array(list)
}
