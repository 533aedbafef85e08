//! Judges replication slots: whether the WAL that they keep is still there, and how much it is.

use super::lag::{ReplicaLag, limit_of_master};
use super::{Facts, PodFacts};
use crate::postgres::replication::SlotRow;
use crate::postgres::rotation::literal;
use crate::text::{shell_word, size};

/// Which part of `max_slot_wal_keep_size` must be left, in percent.
pub const SAFE_PERCENT: u64 = 10;

/// The slot that a client has lost. `None` if its WAL is there.
#[must_use]
pub fn lost(slot: &SlotRow, pods: &[PodFacts]) -> Option<String> {
    if slot.wal_status.as_deref() != Some("lost") {
        return None;
    }
    let name = &slot.name;
    let next = if let Some(pod) = pod_of(slot, pods) {
        format!("`pgset restart {}` clones the replica again", pod.name)
    } else {
        let sql = format!("select pg_drop_replication_slot({})", literal(name));
        format!("`pgset psql -- -c {}` drops it", shell_word(&sql))
    };
    Some(format!("slot {name} is lost, because it kept more than max_slot_wal_keep_size; {next}"))
}

/// The pod that a slot was created for.
fn pod_of<'a>(slot: &SlotRow, pods: &'a [PodFacts]) -> Option<&'a PodFacts> {
    pods.iter().find(|pod| pod.name.replace('-', "_") == slot.name)
}

/// The problem of a slot that is not lost. `limit` is how much WAL a client may leave unread.
fn problem(slot: &SlotRow, limit: u64) -> Option<String> {
    let name = &slot.name;
    let kept = slot.retained_bytes.unwrap_or_default();
    let keeps = size(kept);
    if slot.wal_status.as_deref() == Some("unreserved") {
        return Some(format!(
            "slot {name} is unreserved: the next checkpoint removes WAL that it keeps ({keeps}); its client must read faster, or max_slot_wal_keep_size must be larger (pgset up --set)"
        ));
    }
    // What is kept and what may be added are together about the whole limit.
    if let Some(safe) = slot.safe_wal_bytes
        && safe.saturating_mul(100) < safe.saturating_add(kept).saturating_mul(SAFE_PERCENT)
    {
        return Some(format!(
            "slot {name} keeps {keeps} and is lost after {} more (max_slot_wal_keep_size); its client must read faster, or the setting must be larger (pgset up --set)",
            size(safe)
        ));
    }
    if !slot.active {
        return Some(match slot.retained_bytes {
            Some(bytes) => format!("slot {name} is inactive and retains {bytes} bytes of WAL"),
            None => format!("slot {name} is inactive"),
        });
    }
    (kept > limit).then(|| {
        format!("slot {name} keeps {keeps} of WAL, more than {} (--max-lag): its client does not keep up", size(limit))
    })
}

/// The problems of the master's slots. The slot of a replica that is behind is no news, nor that the slot of a pod
/// that does not run is inactive.
pub(super) fn problems(facts: &Facts, lags: &[ReplicaLag]) -> Vec<String> {
    let Some(observation) = &facts.observation else { return Vec::new() };
    let limit = limit_of_master(&facts.pods);
    let one = |slot: &SlotRow| {
        if let Some(lost) = lost(slot, &facts.pods) {
            return Some(lost);
        }
        let pod = pod_of(slot, &facts.pods);
        let is_behind = pod.is_some_and(|pod| {
            lags.iter().any(|lag| lag.pod == pod.name && lag.problem().is_some())
        });
        let starts = !slot.active && pod.is_some_and(|pod| !pod.ready);
        let limit = if is_behind { u64::MAX } else { limit };
        problem(slot, limit).filter(|_| !starts)
    };
    observation.slots.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> SlotRow {
        SlotRow {
            name: "pgset_1".into(),
            kind: "physical".into(),
            active: true,
            retained_bytes: Some(90 << 20),
            wal_status: Some("reserved".into()),
            safe_wal_bytes: Some(10 << 20),
        }
    }

    #[test]
    fn a_slot_is_judged_by_what_it_keeps_and_what_is_left() {
        let limit = 1 << 30;
        assert_eq!(problem(&slot(), limit), None);
        let slots = [
            (
                SlotRow { safe_wal_bytes: Some(9 << 20), ..slot() },
                "slot pgset_1 keeps 90 MiB and is lost after 9 MiB more ",
            ),
            (
                SlotRow { wal_status: Some("unreserved".into()), ..slot() },
                "slot pgset_1 is unreserved: ",
            ),
            (
                SlotRow { active: false, ..slot() },
                "slot pgset_1 is inactive and retains 94371840 bytes of WAL",
            ),
            (
                SlotRow { safe_wal_bytes: None, retained_bytes: Some(limit + 1), ..slot() },
                "slot pgset_1 keeps 1 GiB of WAL, more than 1 GiB (--max-lag)",
            ),
        ];
        for (slot, words) in slots {
            let problem = problem(&slot, limit).unwrap();
            assert!(problem.starts_with(words), "{problem}");
        }
    }

    #[test]
    fn a_lost_slot_is_told_with_what_replaces_or_drops_it() {
        assert_eq!(lost(&slot(), &[]), None);
        let slot = SlotRow {
            name: "backup's".into(),
            wal_status: Some("lost".into()),
            active: false,
            ..slot()
        };
        let problem = lost(&slot, &[]).unwrap();
        assert!(problem.starts_with("slot backup's is lost, "), "{problem}");
        assert!(problem.contains("pg_drop_replication_slot(E'backup"), "{problem}");
    }
}
