//! Records the numbers of pods in the topology: how many there ever were, and how many there should be.
//!
//! The pods read them: a pod must know which other pods may have data of the set. So the numbers are raised before the
//! StatefulSet gets more pods. Other clients change the number of pods without recording it, so pgset also counts the
//! pods and claims that exist.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::live::{self, Live};
use super::{Work, lease, pods};
use crate::cluster::objects::Freshness;
use crate::cluster::{Cluster, ClusterError};
use crate::event::{Audience, Event, Outcome};
use crate::manifest::Kind;
use crate::set::topology::{PodNumbers, pods_seen};
use crate::set::{SetIdentity, Topology, objects};

/// How often a write is repeated when another client has changed the topology since it was read.
const ATTEMPTS: u32 = 10;

/// The numbers of pods that a change of the StatefulSet has to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The numbers.
    pub(crate) numbers: PodNumbers,
    /// The number of pods before the change.
    before: u32,
    /// Whether they have to be written.
    needed: bool,
}

impl Record {
    /// The record for a change from `before` pods to `pods`, of a set that shows `seen` pods.
    pub(crate) fn new(topology: &Topology, seen: u32, before: u32, pods: u32) -> Self {
        let numbers = topology.numbers(seen.max(before), pods);
        Self { numbers, before, needed: topology.outdated(numbers).is_some() }
    }

    /// The same, if nothing has to be written.
    pub(crate) fn unneeded(self) -> Self {
        Self { needed: false, ..self }
    }

    /// Whether something has to be written.
    pub(crate) fn is_needed(self) -> bool {
        self.needed
    }

    /// Whether it must be written before the StatefulSet: it gets more pods.
    pub(crate) fn is_condition(self) -> bool {
        self.needed && self.numbers.pods > self.before
    }

    /// Whether it is written after the StatefulSet: it gets fewer pods, and until then they must be known.
    pub(crate) fn comes_last(self) -> bool {
        self.numbers.pods < self.before
    }

    /// Writes the numbers, if that is needed.
    ///
    /// # Errors
    /// When the topology can't be written. An account that may not write it can still do what adds no pod.
    pub(crate) async fn write(self, work: Work<'_>) -> anyhow::Result<()> {
        if !self.needed {
            return Ok(());
        }
        match record(work, self.numbers).await {
            Err(error)
                if !self.is_condition()
                    && error.downcast_ref().is_some_and(ClusterError::is_forbidden) =>
            {
                work.context.detail(format!("the number of pods is not recorded: {error:#}"));
                Ok(())
            }
            recorded => recorded,
        }
    }
}

/// The most pods that a set shows: by its pods, by its claims, by its StatefulSet, and by its recipe, which matters
/// after `down` where the pods share a claim.
pub(crate) fn seen(set: &SetIdentity, live: &Live) -> u32 {
    let claims = live.objects.keys().filter(|id| id.kind == Kind::PersistentVolumeClaim);
    let claims = claims.map(|id| id.name.as_str());
    let shown = pods_seen(set, live.pods.iter().map(pods::name), claims);
    let statefulset = live.objects.get(&objects::statefulset(set)).map_or(0, objects::replicas);
    let recorded = live.objects.get(&objects::settings(set));
    let recorded = recorded.and_then(|recipe| recipe["data"]["replicas"].as_str()?.parse().ok());
    shown.max(statefulset).max(recorded.unwrap_or_default())
}

/// The most pods that a set shows by its pods and claims, read from the cluster.
///
/// # Errors
/// When they can't be listed.
pub(crate) async fn look(cluster: &Cluster, set: &SetIdentity) -> Result<u32, ClusterError> {
    let (namespace, selector) = (set.namespace.as_str(), set.selector());
    let list = |kind| cluster.list(kind, namespace, &selector, Freshness::Latest);
    let (pods, claims) = futures::try_join!(list(Kind::Pod), list(Kind::PersistentVolumeClaim))?;
    Ok(pods_seen(set, names(&pods), names(&claims)))
}

fn names(objects: &[Value]) -> impl Iterator<Item = &str> {
    objects.iter().filter_map(|object| object["metadata"]["name"].as_str())
}

/// Records the numbers. A higher record of the most pods stays: another client may have written it since this command
/// read the topology.
async fn record(work: Work<'_>, wanted: PodNumbers) -> anyhow::Result<()> {
    let (cluster, set, id) = (work.cluster, work.set, objects::topology(work.set));
    lease::hold(work).await?;
    let mut attempt = 1;
    let (outcome, numbers) = loop {
        let there = cluster.get(&id).await.context("reading the topology")?;
        if let Some(there) = &there {
            live::check_ours(there, &id, set)?;
        }
        let recorded = Topology::recorded(set, there.as_ref())?;
        let Some(numbers) = recorded.outdated(wanted) else { return Ok(()) };
        let (outcome, written) = match &there {
            None => {
                let object = objects::config_map(set, id.clone(), &numbers.data(), "the topology");
                (Outcome::Created, cluster.create(&object, false).await)
            }
            Some(there) => {
                let metadata = &there["metadata"];
                // A pod may write the system identifier at the same time.
                let patch = json!({
                    "metadata": {
                        "uid": metadata["uid"],
                        "resourceVersion": metadata["resourceVersion"],
                    },
                    "data": numbers.data(),
                });
                (Outcome::Configured, cluster.merge(&id, &patch, false).await)
            }
        };
        match written {
            Ok(_) => break (outcome, numbers),
            Err(error) if attempt < ATTEMPTS && (error.is_conflict() || error.is_not_found()) => {
                attempt += 1;
            }
            Err(error) => return Err(error).context("recording the number of pods"),
        }
    };
    let detail = Some(format!("pods {}, most pods {}", numbers.pods, numbers.most));
    // Bookkeeping: the user asked for another number of pods.
    let audience = Audience::Verbose;
    work.context.reporter.emit(Event::Object { object: id, outcome, detail, audience });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_raised_before_and_lowered_after_the_pods_change() {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let map = json!({ "data": PodNumbers { most: 3, pods: 3 }.data() });
        let recorded = Topology::recorded(&set, Some(&map)).unwrap();
        let unknown = Topology::default();
        for (topology, seen, before, pods, expected) in [
            // The topology, the pods seen, before and after; needed, a condition, after the StatefulSet.
            (&recorded, 3, 3, 3, (false, false, false)),
            (&recorded, 3, 3, 4, (true, true, false)),
            (&recorded, 3, 3, 2, (true, false, true)),
            // A stopped set starts.
            (&recorded, 3, 0, 3, (false, false, false)),
            // Killed after the StatefulSet was changed.
            (&recorded, 3, 2, 2, (true, false, false)),
            // Another client has added pods.
            (&recorded, 5, 5, 5, (true, false, false)),
            (&unknown, 2, 2, 2, (true, false, false)),
            (&unknown, 2, 2, 1, (true, false, true)),
        ] {
            let record = Record::new(topology, seen, before, pods);
            let seen = (record.is_needed(), record.is_condition(), record.comes_last());
            assert_eq!(seen, expected, "{record:?}");
        }
        assert!(!Record::new(&unknown, 2, 2, 2).unneeded().is_needed());
    }
}
