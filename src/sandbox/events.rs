//! Events: what controllers and the node tell a person about an object.

use serde_json::{Value, json};

use super::kinds::EVENTS;
use super::ownership::Writer;
use super::registry::Registry;
use super::store::Key;

/// Who tells.
pub(super) const SCHEDULER: &str = "default-scheduler";
/// The controller of StatefulSets.
pub(super) const STATEFUL_SET: &str = "statefulset-controller";
/// The controller of claims.
pub(super) const CLAIMS: &str = "persistentvolume-controller";
/// The node.
pub(super) const KUBELET: &str = "kubelet";

/// How long what was told is not told again.
const AGAIN_AFTER: jiff::SignedDuration = jiff::SignedDuration::from_secs(10);

/// Something to tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<'a> {
    /// Who tells it.
    pub(super) source: &'a str,
    /// About which object.
    pub(super) about: &'a Value,
    /// The part of it: `spec.containers{postgres}`; or empty.
    pub(super) part: &'a str,
    /// Whether it is bad.
    pub(super) warning: bool,
    /// In a word.
    pub(super) reason: &'a str,
    /// In a sentence.
    pub(super) message: &'a str,
}

/// Tells it. What has been told already is counted.
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
        // A controller tells the same at every turn.
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
    // By their names they are in the order in which they happened.
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
        tracing::debug!(refusal.message, "an event that nobody hears");
    }
}
