//! Whether the pods know a newer topology than the recorded one, which was deleted, or replaced by an earlier one.

use super::identity::SetIdentity;
use super::knowledge::Knowledge;
use super::objects;
use super::topology::Topology;
use crate::error::{Exit, Failure};

/// A pod, and what it knows.
pub type Known = (String, Knowledge);

/// What the pods know, if it is newer than the topology. While the master changes, the topology is right.
///
/// # Errors
/// When the pods contradict each other, or the topology, so that only the user can know what is right.
pub fn newer<'a>(
    set: &SetIdentity,
    recorded: &Topology,
    known: &'a [Known],
) -> Result<Option<&'a Known>, Failure> {
    let newest = known.iter().max_by_key(|(_, it)| it.epoch);
    let Some(newest) = newest.filter(|_| recorded.transition.is_none()) else { return Ok(None) };
    let (pod, it) = newest;
    let refused = |message: String| Err(Failure::new(Exit::Refused, message));
    let other = known.iter().find(|(_, it)| it.system_identifier != newest.1.system_identifier);
    if let Some((other, its)) = other {
        return refused(format!(
            "{pod} has the system identifier {}, and {other} has {}: one of them has the volume of another set",
            it.system_identifier, its.system_identifier
        ));
    }
    let Some(master) = set.ordinal(&it.master) else {
        return refused(format!(
            "{pod} knows {} as the master, which is not a pod of {}",
            it.master, set.name
        ));
    };
    if !recorded.is_older(master, it.epoch) {
        return Ok(None);
    }
    let other = known.iter().find(|(_, its)| its.epoch == it.epoch && its.master != it.master);
    if let Some((other, its)) = other {
        return refused(format!(
            "{pod} knows {} as the master of epoch {}, and {other} knows {}",
            it.master, it.epoch, its.master
        ));
    }
    match &recorded.system_identifier {
        Some(recorded) if *recorded != it.system_identifier => refused(format!(
            "{} records the system identifier {recorded}, and {pod} has {}",
            objects::topology(set),
            it.system_identifier
        )),
        _ => Ok(Some(newest)),
    }
}

/// What to say of a topology that is older: `ConfigMap pgset-topology has epoch 1, and pgset-1 knows epoch 2, master pgset-1`.
#[must_use]
pub fn difference(
    set: &SetIdentity,
    recorded: &Topology,
    is_absent: bool,
    newer: &Known,
) -> String {
    let id = objects::topology(set);
    let (pod, it) = newer;
    let has = match recorded.master_pod(set) {
        _ if is_absent => "does not exist".to_owned(),
        None => "names no master".to_owned(),
        Some(master) => format!("has epoch {}, master {master}", recorded.epoch),
    };
    format!("{id} {has}, and {pod} knows epoch {}, master {}", it.epoch, it.master)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set() -> SetIdentity {
        SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() }
    }

    fn recorded(data: &Value) -> Topology {
        Topology::recorded(&set(), Some(&json!({ "data": data }))).unwrap()
    }

    fn known(files: &[&str]) -> Vec<Known> {
        let pods = files.iter().enumerate().map(|(at, text)| (format!("pgset-{at}"), text));
        pods.map(|(pod, text)| (pod, Knowledge::parse(text).unwrap())).collect()
    }

    #[test]
    fn the_highest_epoch_is_newer_than_a_topology_that_is_lost_or_old() {
        let moved = known(&["7 1 pgset-0", "7 2 pgset-1", "7 2 pgset-1"]);
        let never = known(&["7 1 pgset-0", "7 1 pgset-0"]);
        let begun = "t7 switchover pgset-1 pgset-2 fenced 2026-11-30T10:00:00Z";
        for (data, known, epoch) in [
            (json!({}), &moved, Some(2)),
            (json!({"epoch": "1", "system-identifier": "7"}), &moved, Some(2)),
            (json!({"epoch": "2"}), &moved, Some(2)),
            (json!({"epoch": "2", "master": "none"}), &moved, Some(2)),
            (json!({"epoch": "2", "master": "pgset-1"}), &moved, None),
            (json!({"epoch": "3", "master": "pgset-2"}), &moved, None),
            (json!({"epoch": "1", "master": "none", "transition": begun}), &moved, None),
            (json!({}), &never, None),
            (json!({}), &known(&["7 1 pgset-1"]), Some(1)),
            (json!({}), &Vec::new(), None),
        ] {
            let found = newer(&set(), &recorded(&data), known).unwrap();
            assert_eq!(found.map(|(_, it)| it.epoch), epoch, "{data} {known:?}");
        }
    }

    #[test]
    fn contradictions_are_refused_with_both_sides() {
        let refused = |data: &Value, files: &[&str]| {
            let failure = newer(&set(), &recorded(data), &known(files)).unwrap_err();
            assert_eq!(failure.exit, Exit::Refused);
            failure.message
        };
        let both = refused(&json!({}), &["7 1 pgset-0", "8 2 pgset-1"]);
        let words = "pgset-1 has the system identifier 8, and pgset-0 has 7: ";
        assert!(both.starts_with(words), "{both}");
        let both = refused(&json!({}), &["7 2 pgset-0", "7 2 pgset-1"]);
        assert!(both.contains("pgset-0 as the master of epoch 2") || both.contains("pgset-1 as"));
        let other = refused(&json!({"system-identifier": "9"}), &["7 2 pgset-1"]);
        assert!(other.ends_with("records the system identifier 9, and pgset-0 has 7"), "{other}");
        assert!(refused(&json!({}), &["7 2 other-1"]).contains("not a pod of pgset"));
    }

    #[test]
    fn what_differs_is_said() {
        let known = known(&["7 2 pgset-1"]);
        let said = |data, absent| difference(&set(), &recorded(&data), absent, &known[0]);
        assert_eq!(
            said(json!({}), true),
            "ConfigMap pgset-topology does not exist, and pgset-0 knows epoch 2, master pgset-1"
        );
        assert!(said(json!({}), false).contains("has epoch 1, master pgset-0, and"));
        assert!(said(json!({"epoch": "2"}), false).contains("names no master, and"));
    }
}
