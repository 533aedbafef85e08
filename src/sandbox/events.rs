//! Events: messages from controllers and the node about an object.

use serde_json::{Value, json};

use super::kinds::EVENTS;
use super::ownership::Writer;
use super::registry::Registry;
use super::store::Key;

/// The source of an event: the scheduler.
pub(super) const SCHEDULER: &str = "default-scheduler";
/// The StatefulSet controller.
pub(super) const STATEFUL_SET: &str = "statefulset-controller";
/// The claim controller.
pub(super) const CLAIMS: &str = "persistentvolume-controller";
/// The controller of nodes.
pub(super) const NODES: &str = "node-controller";
/// The node.
pub(super) const KUBELET: &str = "kubelet";

/// The same event is not recorded again within this time.
const AGAIN_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_secs(10);

/// An event to record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<'a> {
    /// The component that reports it.
    pub(super) source: &'a str,
    /// The object that it is about.
    pub(super) about: &'a Value,
    /// The part of the object, as `spec.containers{postgres}`; empty for all of it.
    pub(super) part: &'a str,
    /// Whether its type is `Warning`.
    pub(super) warning: bool,
    /// The reason, in one word.
    pub(super) reason: &'a str,
    /// The message, one sentence.
    pub(super) message: &'a str,
}

/// Records an event. If the same event exists, only its count increases.
pub(super) fn tell(registry: &Registry, event: Event<'_>) {
    let metadata = &event.about["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or("default");
    let kind = if event.warning { "Warning" } else { "Normal" };
    let told = registry.store.list(&EVENTS, Some(namespace)).0.into_iter().find(|old| {
        old["involvedObject"]["uid"] == metadata["uid"]
            && old["involvedObject"]["fieldPath"].as_str().unwrap_or_default() == event.part
            && old["reason"] == event.reason
            && old["message"] == event.message
    });
    let writer = Writer { manager: event.source, subresource: "" };
    if let Some(old) = told {
        // A controller reports the same event in every pass.
        let last: Option<jiff::Timestamp> =
            old["lastTimestamp"].as_str().and_then(|time| time.parse().ok());
        if last.is_some_and(|last| jiff::Timestamp::now().duration_since(last) < AGAIN_AFTER) {
            return;
        }
        let count = old["count"].as_u64().unwrap_or(1) + 1;
        let again = registry.update(&Key::of(&EVENTS, &old), writer, false, |object| {
            object["count"] = json!(count);
            object["lastTimestamp"] = json!(super::now());
            Ok(())
        });
        return report(again);
    }
    let name = metadata["name"].as_str().unwrap_or_default();
    // Sorting events by name sorts them by time.
    let name = format!("{name}.{:016x}", jiff::Timestamp::now().as_nanosecond());
    let mut involved = json!({
        "apiVersion": event.about["apiVersion"], "kind": event.about["kind"],
        "name": metadata["name"], "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    });
    if metadata["namespace"].is_string() {
        involved["namespace"] = metadata["namespace"].clone();
    }
    if !event.part.is_empty() {
        involved["fieldPath"] = json!(event.part);
    }
    let object = json!({
        "involvedObject": involved, "type": kind, "reason": event.reason,
        "message": event.message, "count": 1, "source": {"component": event.source},
        "firstTimestamp": super::now(), "lastTimestamp": super::now(),
        "reportingComponent": event.source, "reportingInstance": "",
    });
    report(registry.create(&Key::new(&EVENTS, namespace, &name), object, event.source, false));
}

fn report<T>(told: Result<T, super::refusal::Refusal>) {
    if let Err(refusal) = told {
        tracing::debug!(refusal.message, "an event was not accepted");
    }
}
