//! Applies all rules to a snapshot.

use std::time::Duration;

use super::snapshot::{Expectation, Snapshot};
use super::state::{ObjectReadiness, ObjectState, WedgedPod};
use super::trouble::{Cause, Trouble};
use super::view::View;
use super::{claim, pod, service, statefulset, text, volume};

/// The result of the rules for a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assessment {
    /// The StatefulSet, its pods (also those that are expected but not created yet),
    /// PersistentVolumeClaims and Services, and volumes that can't be used.
    pub states: Vec<ObjectState>,
    /// Whether every rule holds.
    pub ready: bool,
    /// For each object the first rule that does not hold: `StatefulSet pgset: 1 of 2 pods ready`.
    pub waiting_for: Vec<String>,
    /// Current problems, root causes first. [`super::Graces`] knows which ones have lasted.
    pub troubles: Vec<Trouble>,
    /// The pods that are wedged now. Delete a pod only after the [`Cause::Wedged`] of the same UID has
    /// lasted longer than its grace period.
    pub wedged: Vec<WedgedPod>,
}

/// Applies the rules for each kind.
#[must_use]
pub fn assess(snapshot: &Snapshot, expectation: &Expectation) -> Assessment {
    let view = View { snapshot, expected: expectation };
    let volumes = volume::judge(view);
    let claims = claim::judge(view);
    let set = statefulset::judge(view);
    let claim_troubles: Vec<Trouble> =
        claims.iter().flat_map(|object| object.troubles.clone()).collect();
    let refused = set.troubles.iter().find(|trouble| trouble.cause == Cause::FailedCreate);
    let refused = refused.map(|trouble| trouble.message.clone());

    let mut wedged = Vec::new();
    let mut pods = Vec::new();
    for ordinal in 0..expectation.replicas {
        let (object, found) = pod::judge(view, ordinal, &claim_troubles, refused.as_deref());
        pods.push(object);
        wedged.extend(found);
    }
    pods.extend(view.pods_above().into_iter().map(|above| pod::judge_above(view, above)));

    let root_causes_first = volumes.iter().chain(&claims).chain(std::iter::once(&set)).chain(&pods);
    let troubles = root_causes_first.flat_map(|object| object.troubles.clone()).collect();
    let all: Vec<ObjectReadiness> = std::iter::once(set)
        .chain(pods)
        .chain(claims)
        .chain(service::judge(view))
        .chain(volumes)
        .collect();
    let waiting_for: Vec<String> = all
        .iter()
        .filter_map(|object| Some(format!("{}: {}", object.state.object, object.waiting.as_ref()?)))
        .collect();
    Assessment {
        ready: waiting_for.is_empty(),
        states: all.into_iter().map(|object| object.state).collect(),
        waiting_for,
        troubles,
        wedged,
    }
}

/// The message for a passed deadline without a known cause: it lists the rules that do not hold yet.
#[must_use]
pub fn timed_out(assessment: &Assessment, elapsed: Duration) -> Vec<String> {
    let mut lines = vec![format!("not ready after {}", text::duration(elapsed))];
    lines.extend(assessment.waiting_for.iter().cloned());
    lines.extend(
        assessment
            .troubles
            .iter()
            .map(|trouble| format!("{}: {}", trouble.object, trouble.message))
            .filter(|line| !assessment.waiting_for.contains(line)),
    );
    lines
}
