//! StatefulSets: pods with names, made and ended in their order, and replaced one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::faults::Faults;
use super::super::kinds::{PODS, STATEFUL_SETS};
use super::super::refusal::Answer;
use super::super::registry::Registry;
use super::super::store::Key;
use super::{condition, deleted, is_owned_by, revisions, set_status, stateful_pod, text};

pub(super) fn sync(registry: &Registry, faults: &Faults) -> Answer<()> {
    let mut result = Ok(());
    for set in registry.store.all(&STATEFUL_SETS) {
        if deleted(&set) {
            continue;
        }
        let update = revisions::update(registry, &set)?;
        let current = text(&set, "/status/currentRevision");
        let current = if current.is_empty() { update.clone() } else { current.to_owned() };
        let this = Set { registry, faults, object: set, update, current };
        let acted = this.act();
        this.report()?;
        // One set that can't go on does not hold the others up.
        result = result.and(acted);
    }
    result
}

struct Set<'a> {
    registry: &'a Registry,
    faults: &'a Faults,
    object: Arc<Value>,
    /// The revision that its template is.
    update: String,
    /// The revision that its pods had before.
    current: String,
}

impl Set<'_> {
    fn replicas(&self) -> u64 {
        self.object["spec"]["replicas"].as_u64().unwrap_or(1)
    }

    /// Its pods by their ordinals.
    fn pods(&self) -> BTreeMap<u64, Arc<Value>> {
        let prefix = format!("{}-", text(&self.object, "/metadata/name"));
        let pods =
            self.registry.store.list(&PODS, Some(text(&self.object, "/metadata/namespace"))).0;
        let own = pods.into_iter().filter(|pod| is_owned_by(pod, &self.object));
        own.filter_map(|pod| {
            let ordinal = text(&pod, "/metadata/name").strip_prefix(&prefix)?.parse().ok()?;
            Some((ordinal, pod))
        })
        .collect()
    }

    /// The revision of which a pod that is missing is to be: while an update goes on from the top,
    /// the lower ones come back as they were.
    fn revision(&self, ordinal: u64, pods: &BTreeMap<u64, Arc<Value>>) -> &str {
        let partition =
            self.object["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_u64();
        let old = pods.values().filter(|pod| revision(pod) == self.current).count() as u64;
        let kept = if partition.unwrap_or(0) > 0 {
            ordinal < partition.unwrap_or(0)
        } else {
            ordinal < old
        };
        if kept { &self.current } else { &self.update }
    }

    /// The next step, or with `Parallel` all of them.
    fn act(&self) -> Answer<()> {
        let one_by_one = text(&self.object, "/spec/podManagementPolicy") != "Parallel";
        let (pods, replicas) = (self.pods(), self.replicas());
        for ordinal in 0..replicas {
            match pods.get(&ordinal) {
                None => {
                    let revision = self.revision(ordinal, &pods);
                    stateful_pod::create(
                        self.registry,
                        self.faults,
                        &self.object,
                        ordinal,
                        revision,
                    )?;
                    if one_by_one {
                        return Ok(());
                    }
                }
                // One that has ended is replaced.
                Some(pod) if ended(pod) && !deleted(pod) => {
                    stateful_pod::delete(self.registry, &self.object, pod)?;
                    return Ok(());
                }
                // Each waits for the one before it: a pod that never gets ready holds up all others,
                // even when the template that would mend it is there already.
                Some(pod) if one_by_one && !healthy(pod) => return Ok(()),
                Some(_) => {}
            }
        }
        for (_, pod) in pods.range(replicas..).rev() {
            if !deleted(pod) {
                stateful_pod::delete(self.registry, &self.object, pod)?;
                stateful_pod::retire(self.registry, &self.object, pod)?;
            }
            if one_by_one {
                return Ok(());
            }
        }
        self.roll(&pods)
    }

    /// Replaces the highest pod of an old revision, when all above it are healthy.
    fn roll(&self, pods: &BTreeMap<u64, Arc<Value>>) -> Answer<()> {
        let strategy = &self.object["spec"]["updateStrategy"];
        if strategy["type"] == "OnDelete" {
            return Ok(());
        }
        let partition = strategy["rollingUpdate"]["partition"].as_u64().unwrap_or(0);
        for pod in pods.range(partition..).rev().map(|(_, pod)| pod) {
            if revision(pod) != self.update && !deleted(pod) {
                return stateful_pod::delete(self.registry, &self.object, pod);
            }
            if !healthy(pod) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn report(&self) -> Answer<()> {
        let pods = self.pods();
        let count = |test: &dyn Fn(&Value) -> bool| pods.values().filter(|pod| test(pod)).count();
        let of = |name: &str| count(&|pod| revision(pod) == name && !deleted(pod));
        let ready = count(&|pod| condition(pod, "Ready") == Some(true));
        let updated = of(&self.update);
        let rolled = updated as u64 == self.replicas() && ready == updated && pods.len() == updated;
        let partitioned =
            self.object["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_u64() > Some(0);
        let current = if rolled && !partitioned { &self.update } else { &self.current };
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

fn healthy(pod: &Value) -> bool {
    text(pod, "/status/phase") == "Running"
        && condition(pod, "Ready") == Some(true)
        && !deleted(pod)
}
