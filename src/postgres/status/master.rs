//! Who the master is, since when, and how it became the master.

use jiff::Timestamp;
use serde::Serialize;

use super::PodFacts;
use crate::set::{LastChange, SetIdentity, Topology};

/// The master of the set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MasterStatus {
    /// Its pod, as the topology names it; `None` while no pod may be the master.
    pub pod: Option<String>,
    /// It is higher by 1 after each change of the master.
    pub epoch: u64,
    /// The timeline of the server that accepts writes; `None` if none does.
    pub timeline: Option<u32>,
    /// When it was promoted; `None` if that is not recorded.
    pub since: Option<Timestamp>,
    /// The last switchover or failover that was completed.
    pub last_change: Option<Change>,
}

/// A switchover or failover that was completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `switchover`, `failover`.
    pub kind: &'static str,
    /// The pod that was the master before.
    pub from: String,
    /// The pod that became the master.
    pub to: String,
    /// When it was promoted.
    #[serde(serialize_with = "second")]
    pub when: Timestamp,
    /// Its timeline.
    pub timeline: u32,
}

fn second<S: serde::Serializer>(when: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&when.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

impl MasterStatus {
    /// What the topology records. The timeline is measured in the servers.
    #[must_use]
    pub fn of(set: &SetIdentity, topology: &Topology) -> Self {
        let change = topology.last_change.as_ref().and_then(|recorded| recorded.as_ref().ok());
        let current = change.filter(|it| topology.master() == Some(it.to));
        Self {
            pod: topology.master_pod(set),
            epoch: topology.epoch,
            timeline: None,
            since: current.map(|it| it.when),
            last_change: change.map(|it| Change::of(set, it)),
        }
    }

    /// The same, with the timeline of the pod that accepts writes.
    #[must_use]
    pub(super) fn measured(self, pods: &[PodFacts]) -> Self {
        let timelines = pods.iter().filter(|pod| pod.is_writable());
        let timeline = timelines.filter_map(|pod| pod.measurements.as_ref()?.timeline).max();
        Self { timeline, ..self }
    }

    /// The line for people: `pgset-1 is the master since 2026-11-30 10:00 UTC (epoch 2, timeline 2), by a switchover from
    /// pgset-0`. `None` if the master never changed.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        let pod = self.pod.as_deref().filter(|_| self.epoch > 1)?;
        let timeline = self.timeline.map_or_else(String::new, |it| format!(", timeline {it}"));
        let place = format!("(epoch {}{timeline})", self.epoch);
        let at = |when: Timestamp| when.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
        Some(match (self.since, &self.last_change) {
            (Some(since), Some(it)) => format!(
                "{pod} is the master since {} {place}, by a {} from {}",
                at(since),
                it.kind,
                it.from
            ),
            (_, Some(it)) => {
                let (from, to, when) = (&it.from, &it.to, at(it.when));
                format!(
                    "{pod} is the master {place}; last {}: from {from} to {to} at {when}",
                    it.kind
                )
            }
            (_, None) => format!("{pod} is the master {place}"),
        })
    }
}

impl Change {
    fn of(set: &SetIdentity, change: &LastChange) -> Self {
        Self {
            kind: change.kind.word(),
            from: set.pod(change.from),
            to: set.pod(change.to),
            when: change.when,
            timeline: change.timeline,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::postgres::measurements::Measurements;
    use crate::postgres::status::tests::pod;
    use crate::set::Role;

    fn status(data: &Value) -> MasterStatus {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "ns".parse().unwrap() };
        let topology = Topology::recorded(&set, Some(&json!({ "data": data }))).unwrap();
        let mut pods = [pod(0, Role::Replica), pod(1, Role::Master)];
        let timeline = Some(3);
        pods[1].measurements = Some(Measurements { timeline, ..Measurements::default() });
        MasterStatus::of(&set, &topology).measured(&pods)
    }

    #[test]
    fn it_is_told_how_and_when_the_master_became_the_master() {
        let change = "switchover pgset-0 pgset-1 2026-11-30T10:00:00Z 3";
        let it = status(&json!({"master": "pgset-1", "epoch": "2", "last-change": change}));
        assert_eq!(
            it.line().unwrap(),
            "pgset-1 is the master since 2026-11-30 10:00:00 UTC (epoch 2, timeline 3), by a switchover from pgset-0"
        );
        assert_eq!(
            json!(it),
            json!({
                "pod": "pgset-1", "epoch": 2, "timeline": 3, "since": "2026-11-30T10:00:00Z",
                "last_change": {"kind": "switchover", "from": "pgset-0", "to": "pgset-1",
                    "when": "2026-11-30T10:00:00Z", "timeline": 3},
            })
        );
        // The next change is not complete.
        let it = status(&json!({"master": "pgset-0", "epoch": "3", "last-change": change}));
        assert_eq!(it.since, None);
        assert_eq!(
            it.line().unwrap(),
            "pgset-0 is the master (epoch 3, timeline 3); last switchover: from pgset-0 to pgset-1 at 2026-11-30 10:00:00 UTC"
        );
    }

    #[test]
    fn without_a_change_there_is_nothing_to_tell() {
        let never = status(&json!({}));
        assert_eq!((never.line(), never.pod.as_deref()), (None, Some("pgset-0")));
        let unreadable = json!({"master": "pgset-1", "epoch": "2", "last-change": "by hand"});
        let it = status(&unreadable);
        assert_eq!(it.line().unwrap(), "pgset-1 is the master (epoch 2, timeline 3)");
        assert_eq!((it.since, it.last_change), (None, None));
    }
}
