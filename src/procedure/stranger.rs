//! A change of the StatefulSet by another client while pgset waits for the pods: what pgset waits for will not come.

use k8s_openapi::api::apps::v1::StatefulSet;

use super::Work;
use crate::error::{Exit, Failure};
use crate::manifest::Kind;
use crate::plan::{self, Drift};
use crate::readiness::{Cause, Expectation, Snapshot, Trouble};

/// How many changed fields are shown.
const SHOWN: usize = 5;

/// The failure if another client has changed the StatefulSet since pgset applied it.
pub(crate) fn interference(
    work: Work<'_>,
    expected: &Expectation,
    snapshot: &Snapshot,
) -> Option<Failure> {
    let changes = changes(expected.applied.as_deref()?, snapshot.statefulset.as_ref()?);
    let first = changes.first()?;
    let set = &work.set.name;
    let failure = Failure::new(Exit::Refused, format!("StatefulSet {set}: {first}"))
        .details(changes.iter().skip(1).take(SHOWN).map(ToString::to_string));
    Some(
        failure
            .hint(format!("{}  # what differs now", work.context.sibling("diff")))
            .hint(format!("{}  # makes a new plan", work.context.again)),
    )
}

/// Whether another client has deleted or replaced the StatefulSet.
pub(crate) fn is_interference(trouble: &Trouble) -> bool {
    trouble.object.kind == Kind::StatefulSet
        && matches!(trouble.cause, Cause::Deleted | Cause::Replaced)
}

/// The changes of `spec` after the apply. An older version than the applied one, from a watch that lags behind, has
/// no changes.
fn changes(applied: &StatefulSet, live: &StatefulSet) -> Vec<Drift> {
    let (ours, theirs) = (&applied.metadata, &live.metadata);
    if ours.uid != theirs.uid || theirs.generation <= ours.generation {
        return Vec::new();
    }
    let value = |set: &StatefulSet| serde_json::to_value(set).unwrap_or_default();
    plan::drift(&value(applied), &value(live))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(uid: &str, generation: i64, replicas: i32) -> StatefulSet {
        let value = serde_json::json!({
            "metadata": {"uid": uid, "generation": generation},
            "spec": {"replicas": replicas, "selector": {}, "template": {}, "serviceName": "pgset"},
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_a_newer_version_of_the_same_object_is_a_change() {
        let applied = set("u", 3, 2);
        for (live, count) in [
            (set("u", 3, 2), 0),
            (set("u", 4, 3), 1),
            // Somebody changed it and changed it back.
            (set("u", 5, 2), 0),
            // The watch has not seen the apply yet.
            (set("u", 2, 1), 0),
            // Another object: that is told elsewhere.
            (set("v", 1, 3), 0),
        ] {
            assert_eq!(changes(&applied, &live).len(), count, "{live:?}");
        }
    }
}
