//! Applies all rules to a snapshot.

use super::group::{groups, is_alike};
use super::phase::Phase;
use super::snapshot::{Expectation, Snapshot};
use super::state::{ObjectReadiness, ObjectState, WedgedPod};
use super::trouble::{Cause, Trouble};
use super::view::View;
use super::{claim, pod, problems, service, statefulset, volume};
use crate::manifest::Kind;

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

    let mut wedged: Vec<WedgedPod> = Vec::new();
    let mut pods = Vec::new();
    for ordinal in 0..expectation.replicas {
        let (object, found) = pod::judge(view, ordinal, &claim_troubles, refused.as_deref());
        pods.push(object);
        wedged.extend(found);
    }
    pods.extend(view.pods_above().into_iter().map(|above| pod::judge_above(view, above)));

    let matters = |object: &&ObjectReadiness| {
        let id = &object.state.object;
        expectation.only.as_ref().is_none_or(|pod| match id.kind {
            Kind::Pod => id.name == *pod,
            Kind::PersistentVolumeClaim => id.name.ends_with(&format!("-{pod}")),
            _ => false,
        })
    };
    let root_causes_first = volumes.iter().chain(&claims).chain(std::iter::once(&set)).chain(&pods);
    let troubles =
        root_causes_first.filter(matters).flat_map(|object| object.troubles.clone()).collect();
    wedged.retain(|pod| expectation.only.as_ref().is_none_or(|only| *only == pod.name));
    let all: Vec<ObjectReadiness> = std::iter::once(set)
        .chain(pods)
        .chain(claims)
        .chain(service::judge(view))
        .chain(volumes)
        .collect();
    let waiting_for: Vec<String> = all
        .iter()
        .filter(matters)
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

/// What is still missing at a passed deadline, each cause once: the current problems, root causes first.
/// Without a problem, the states of the pods that are not ready, or else the rules that do not hold.
#[must_use]
pub fn unmet(assessment: &Assessment) -> Vec<String> {
    let troubles = problems::texts(&assessment.troubles);
    if troubles.is_empty() { waiting(assessment) } else { troubles }
}

/// What is waited for: the states of the pods that are not ready, each once, or else the rules that do not hold.
#[must_use]
pub fn waiting(assessment: &Assessment) -> Vec<String> {
    let is_waiting = |one: &&ObjectState| one.object.kind == Kind::Pod && one.phase != Phase::Ready;
    let pods = assessment.states.iter().filter(is_waiting).map(|one| (&one.object, &one.state));
    let pods: Vec<String> =
        groups(pods, |a, b| is_alike(a, b)).iter().map(|group| group.text(group.common)).collect();
    if pods.is_empty() { assessment.waiting_for.clone() } else { pods }
}
