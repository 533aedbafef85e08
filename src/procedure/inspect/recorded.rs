//! Compares the recorded topology with what the pods know about it.

use crate::postgres::status::PodFacts;
use crate::procedure::topology::Recorded;
use crate::set::newest::{self, Known};
use crate::set::{SetIdentity, Topology, objects};

/// A problem with the command that helps, if there is one.
pub(super) type Problem = (String, Option<String>);

/// Compares the topology with what the pods know about it: a problem, and a warning.
pub(super) fn judge(
    set: &SetIdentity,
    recorded: &Recorded,
    pods: &[PodFacts],
) -> (Option<Problem>, Option<String>) {
    let known = pods
        .iter()
        .filter_map(|pod| Some((pod.name.clone(), pod.measurements.as_ref()?.knows.clone()?)));
    let known: Vec<Known> = known.collect();
    let absent = Topology::default();
    let topology = match recorded {
        Recorded::There(topology) => topology,
        Recorded::Absent => &absent,
        Recorded::Hidden => return (None, None),
    };
    let (id, up) = (objects::topology(set), set.command("up"));
    let is_absent = matches!(recorded, Recorded::Absent);
    let up = format!("{up}  # records what the pods know");
    let warning = match &topology.last_change {
        _ if is_absent && !known.is_empty() => {
            Some(format!("{id} does not exist: `pgset up` records it again"))
        }
        Some(Err(text)) => {
            Some(format!("{id} has {text:?} as last-change, which this pgset can't read"))
        }
        _ => None,
    };
    match newest::newer(set, topology, &known) {
        Err(contradiction) => (Some((contradiction.message, None)), warning),
        Ok(Some(newer)) => {
            let difference = newest::difference(set, topology, is_absent, newer);
            let result = "a pod that starts follows no master";
            (Some((format!("{difference}: {result}"), Some(up))), None)
        }
        Ok(None) => (waiting(set, topology, pods), warning),
    }
}

/// The master that started as a standby, because it did not follow the topology of that time.
fn waiting(set: &SetIdentity, topology: &Topology, pods: &[PodFacts]) -> Option<Problem> {
    let recorded = topology.knowledge(set)?;
    let master = pods.iter().find(|pod| pod.name == recorded.master)?;
    let knows = master.measurements.as_ref()?.knows.as_ref();
    (master.in_recovery == Some(true) && knows == Some(&recorded)).then(|| {
        let problem = format!(
            "{} is the master of epoch {} and runs as a standby",
            master.name, recorded.epoch
        );
        (problem, Some(format!("{}  # promotes it", set.command("up"))))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::super::pod_facts;
    use super::*;
    use crate::postgres::measurements::Measurements;
    use crate::set::Knowledge;

    fn set() -> SetIdentity {
        SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() }
    }

    #[test]
    fn a_topology_that_is_older_than_what_the_pods_know_is_a_problem() {
        let facts = |recovers: bool| {
            let pod = json!({"metadata": {"name": "pgset-1"}});
            let pod = serde_json::from_value(pod).unwrap();
            let facts = pod_facts(&set(), &pod, &BTreeMap::new()).unwrap();
            let knows = Knowledge::parse("7 2 pgset-1");
            let measurements = Some(Measurements { knows, ..Measurements::default() });
            PodFacts { measurements, in_recovery: Some(recovers), ..facts }
        };
        let there = |data: &Value| {
            let there = json!({ "data": data });
            Recorded::There(Topology::recorded(&set(), Some(&there)).unwrap())
        };
        let current = there(&json!({"system-identifier": "7", "epoch": "2", "master": "pgset-1"}));
        let unreadable = there(&json!({"epoch": "2", "master": "pgset-1", "last-change": "x"}));
        let stranger = there(&json!({"system-identifier": "9", "epoch": "1"}));
        for (recorded, recovers, problem, warning) in [
            (&current, false, None, None),
            (&current, true, Some("pgset-1 is the master of epoch 2 and runs as a standby"), None),
            (&Recorded::Absent, false, Some("ConfigMap pgset-topology does not exist, and"), None),
            (&Recorded::Hidden, false, None, None),
            (&stranger, false, Some("ConfigMap pgset-topology records the system"), None),
            (&unreadable, false, None, Some("has \"x\" as last-change, which")),
        ] {
            let (found, warned) = judge(&set(), recorded, &[facts(recovers)]);
            let found = found.map(|(text, _)| text);
            assert_eq!(found.is_some(), problem.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().starts_with(problem.unwrap_or_default()));
            assert!(warned.unwrap_or_default().contains(warning.unwrap_or_default()));
        }
    }
}
