//! The replication slots of deleted pods. An unused slot keeps WAL until the disk is full.

use std::ops::Range;

use super::psql::{ExecOutput, Script};
use super::rotation::literal;
use crate::set::SetIdentity;

/// The slot of a pod on the master, and its current user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSlot {
    /// Its name.
    pub name: String,
    /// The ordinal of the pod that it was created for.
    pub ordinal: u32,
    /// Which client uses it, a replica or a tool; `None` if it is inactive.
    pub user: Option<String>,
}

/// The slot of the pod with this ordinal.
#[must_use]
pub fn name(set: &SetIdentity, ordinal: u32) -> String {
    set.pod(ordinal).replace('-', "_")
}

/// Queries the physical slots of the master.
#[must_use]
pub fn list(master: &str) -> Script {
    Script::new(
        master,
        "select row_to_json(r) from (select s.slot_name, s.active, s.active_pid, r.application_name, \
         r.client_addr from pg_replication_slots s left join pg_stat_replication r on r.pid = s.active_pid \
         where s.slot_type = 'physical' order by s.slot_name) r;\n",
    )
}

/// The slots of deleted pods: those with an ordinal in `pods`, which ends at the most pods that there ever were. The
/// slot of a pod has the pod's name, with underscores instead of dashes. Other slots do not belong to the set: they are
/// ignored, also those whose name is that of a pod that the set never had.
#[must_use]
pub fn beyond(set: &SetIdentity, pods: &Range<u32>, answer: &ExecOutput) -> Vec<PodSlot> {
    let slots = slots(set, answer).into_iter();
    slots.filter(|slot| pods.contains(&slot.ordinal)).collect()
}

/// The most pods that a set had whose topology does not record it: `most`, and those whose slots follow directly. A
/// slot with a higher ordinal is more likely another client's.
#[must_use]
pub fn most(set: &SetIdentity, most: u32, answer: &ExecOutput) -> u32 {
    let slots = slots(set, answer);
    let has = |ordinal: &u32| slots.iter().any(|slot| slot.ordinal == *ordinal);
    let last = (most..u32::MAX).take_while(has).last();
    last.map_or(most, |ordinal| ordinal + 1)
}

/// The slots with names of pods of the set.
fn slots(set: &SetIdentity, answer: &ExecOutput) -> Vec<PodSlot> {
    let prefix = format!("{}_", set.name.as_str().replace('-', "_"));
    let slot = |row: serde_json::Map<String, serde_json::Value>| {
        let text = |key: &str| row.get(key).and_then(|value| value.as_str());
        let name = text("slot_name")?.to_owned();
        let digits = name.strip_prefix(&prefix)?;
        let ordinal: u32 = digits.parse().ok()?;
        let is_pods = ordinal.to_string() == digits;
        let user = (row.get("active") == Some(&true.into())).then(|| {
            let who = text("application_name").unwrap_or("a client").to_owned();
            match text("client_addr") {
                Some(address) => format!("{who} at {address}"),
                None => who,
            }
        });
        is_pods.then_some(PodSlot { name, ordinal, user })
    };
    answer.rows().filter_map(slot).collect()
}

/// Drops a slot. The statement does nothing if the slot is active or does not exist.
#[must_use]
pub fn drop(master: &str, slot: &PodSlot) -> Script {
    let sql = format!(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = {} and not active;\n",
        literal(&slot.name)
    );
    Script::new(master, &sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_slots_of_pods_that_are_gone_are_the_sets() {
        let set = SetIdentity { name: "my-set".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let row = |name: &str, active: bool| {
            format!(
                "{{\"slot_name\":\"{name}\",\"active\":{active},\"active_pid\":null,\
                 \"application_name\":\"walreceiver\",\"client_addr\":\"10.0.0.9\"}}"
            )
        };
        let rows = [
            row("my_set_1", true),
            row("my_set_2", false),
            row("my_set_10", true),
            row("my_set_02", false),
            row("my_set_11", false),
            row("my_set_99", false),
            row("my_set_x", false),
            row("my_set_99999999999", false),
            row("backup", true),
        ];
        let answer = ExecOutput { stdout: rows.join("\n"), ..ExecOutput::default() };
        let found = beyond(&set, &(2..11), &answer);
        let seen: Vec<_> = found.iter().map(|s| (s.ordinal, s.user.as_deref())).collect();
        assert_eq!(seen, [(2, None), (10, Some("walreceiver at 10.0.0.9"))]);
        assert_eq!(beyond(&set, &(3..3), &answer), []);
        // A set of a pgset that recorded no number: slots without a gap are those of its pods.
        for (seen, expected) in [(0, 0), (1, 3), (2, 3), (3, 3), (9, 9), (10, 12), (99, 100)] {
            assert_eq!(most(&set, seen, &answer), expected, "{seen}");
        }
        assert!(drop("my-set-0", &found[0]).stdin.contains("E'my_set_2' and not active"));
    }
}
