//! StatefulSets: pods with stable names, created in the order of their ordinals, deleted in reverse
//! order, and replaced one by one when the template changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::faults::Faults;
use super::super::kinds::{PODS, STATEFUL_SETS};
use super::super::refusal::Answer;
use super::super::registry::Registry;
use super::super::store::Key;
use super::{adoption, condition, deleted, is_owned_by, revisions, set_status, stateful_pod, text};

pub(super) fn sync(registry: &Registry, faults: &Faults) -> Answer<()> {
    let mut result = Ok(());
    for set in registry.store.all(&STATEFUL_SETS) {
        if !deleted(&set) {
            // An error in one set does not block the others.
            result = result.and(sync_one(registry, faults, set));
        }
    }
    result
}

fn sync_one(registry: &Registry, faults: &Faults, object: Arc<Value>) -> Answer<()> {
    adoption::adopt(registry, &object)?;
    let update = revisions::update(registry, &object)?;
    let current = text(&object, "/status/currentRevision");
    let known = revisions::exists(registry, &object, current);
    let current = if known { current.to_owned() } else { update.clone() };
    let set = Set { registry, faults, object, update, current };
    let acted = set.act();
    set.report()?;
    acted
}

struct Set<'a> {
    registry: &'a Registry,
    faults: &'a Faults,
    object: Arc<Value>,
    /// The revision of the current template.
    update: String,
    /// The revision before the update; the same as `update` if no update is in progress.
    current: String,
}

impl Set<'_> {
    fn replicas(&self) -> u64 {
        self.object["spec"]["replicas"].as_u64().unwrap_or(1)
    }

    fn rolls(&self) -> bool {
        self.object["spec"]["updateStrategy"]["type"] == "RollingUpdate"
    }

    /// A rolling update does not replace pods with a lower ordinal.
    fn partition(&self) -> u64 {
        let strategy = &self.object["spec"]["updateStrategy"];
        strategy["rollingUpdate"]["partition"].as_u64().unwrap_or(0)
    }

    /// The set's pods by ordinal.
    fn pods(&self) -> BTreeMap<u64, Arc<Value>> {
        let pods =
            self.registry.store.list(&PODS, Some(text(&self.object, "/metadata/namespace"))).0;
        let own = pods.into_iter().filter(|pod| is_owned_by(pod, &self.object));
        own.filter_map(|pod| Some((stateful_pod::ordinal(&self.object, &pod)?, pod))).collect()
    }

    /// The revision for a missing pod. With `OnDelete` it is always the new one, so a deleted pod
    /// gets the new template.
    fn revision(&self, ordinal: u64) -> &str {
        if self.rolls() && ordinal < self.partition() { &self.current } else { &self.update }
    }

    /// One pass. An ordered set changes one pod and then waits for it. A parallel set creates and
    /// deletes pods without waiting, but it also updates them one by one.
    fn act(&self) -> Answer<()> {
        let ordered = text(&self.object, "/spec/podManagementPolicy") != "Parallel";
        let (pods, replicas) = (self.pods(), self.replicas());
        for ordinal in 0..replicas {
            let ready = self.maintain(ordinal, pods.get(&ordinal).map(Arc::as_ref))?;
            // An unready pod blocks an update even if the new template would repair it. The real
            // controller has the same flaw.
            if ordered && !ready {
                return Ok(());
            }
        }
        let first_unavailable = pods.range(replicas..).find(|(_, pod)| !available(pod));
        for (ordinal, pod) in pods.range(replicas..).rev() {
            let waits = !available(pod) && first_unavailable.is_some_and(|(n, _)| n != ordinal);
            if ordered && (deleted(pod) || waits) {
                return Ok(());
            }
            if !deleted(pod) {
                stateful_pod::delete(self.registry, &self.object, pod)?;
                stateful_pod::retire(self.registry, &self.object, pod)?;
            }
            if ordered {
                return Ok(());
            }
        }
        if self.rolls() { self.roll(&pods) } else { Ok(()) }
    }

    /// Creates the pod if it is missing, and deletes it if it has ended, so that the next pass
    /// creates it again. Returns whether the pod is available.
    fn maintain(&self, ordinal: u64, pod: Option<&Value>) -> Answer<bool> {
        let (registry, set) = (self.registry, self.object.as_ref());
        let Some(pod) = pod else {
            stateful_pod::create(registry, self.faults, set, ordinal, self.revision(ordinal))?;
            return Ok(false);
        };
        if ended(pod) && !deleted(pod) {
            stateful_pod::delete(registry, set, pod)?;
        }
        if text(pod, "/status/phase") == "Pending" {
            // A claim may be deleted before its pod is scheduled.
            stateful_pod::create_claims(registry, set, text(pod, "/metadata/name"))?;
        }
        Ok(available(pod))
    }

    /// Deletes the highest pod with an old revision, if all higher pods are available. `pods` is
    /// from the start of the pass: a pod that is missing there was created in this pass, and is not
    /// available yet.
    fn roll(&self, pods: &BTreeMap<u64, Arc<Value>>) -> Answer<()> {
        for ordinal in (self.partition()..self.replicas()).rev() {
            let Some(pod) = pods.get(&ordinal) else { return Ok(()) };
            if revision(pod) != self.update && !deleted(pod) {
                return stateful_pod::delete(self.registry, &self.object, pod);
            }
            if !available(pod) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn report(&self) -> Answer<()> {
        let pods = self.pods();
        let count = |test: &dyn Fn(&Value) -> bool| pods.values().filter(|pod| test(pod)).count();
        let of = |name: &str| count(&|pod| revision(pod) == name && !deleted(pod));
        let (ready, updated) = (count(&running_and_ready), of(&self.update));
        // `OnDelete` never completes an update: the current revision stays the old one.
        let complete = self.rolls()
            && [updated, ready, pods.len()].iter().all(|n| *n as u64 == self.replicas());
        let current = if complete { &self.update } else { &self.current };
        let status = json!({
            "observedGeneration": self.object["metadata"]["generation"],
            "replicas": pods.len(), "readyReplicas": ready, "availableReplicas": ready,
            "currentReplicas": of(current), "updatedReplicas": updated,
            "currentRevision": current, "updateRevision": self.update, "collisionCount": 0,
        });
        set_status(self.registry, &Key::of(&STATEFUL_SETS, &self.object), &status)?;
        let mut used: Vec<&str> = pods.values().map(|pod| revision(pod)).collect();
        used.extend([current.as_str(), self.update.as_str()]);
        revisions::trim(self.registry, &self.object, &used)
    }
}

fn revision(pod: &Value) -> &str {
    pod["metadata"]["labels"][revisions::LABEL].as_str().unwrap_or_default()
}

fn ended(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Failed" | "Succeeded")
}

fn running_and_ready(pod: &Value) -> bool {
    text(pod, "/status/phase") == "Running" && condition(pod, "Ready") == Some(true)
}

fn available(pod: &Value) -> bool {
    running_and_ready(pod) && !deleted(pod)
}

#[cfg(test)]
mod tests;
