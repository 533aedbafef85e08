//! A snapshot together with an expectation, with the queries that all rules share.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    Event, PersistentVolume, PersistentVolumeClaim, Pod, PodCondition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::snapshot::{Expectation, Snapshot};
use super::{events, revision};
use crate::manifest::{Kind, ObjectId};

/// A snapshot and its expectation.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) expected: &'a Expectation,
}

impl<'a> View<'a> {
    pub(super) fn id(&self, kind: Kind, name: &str) -> ObjectId {
        ObjectId::new(kind, self.expected.set.namespace.as_str(), name)
    }

    pub(super) fn statefulset(&self) -> Option<&'a StatefulSet> {
        self.snapshot.statefulset.as_ref()
    }

    pub(super) fn spec(&self) -> Option<&'a StatefulSetSpec> {
        self.statefulset().and_then(|set| set.spec.as_ref())
    }

    /// The ordinal of one of the set's pods; none for any other pod.
    pub(super) fn ordinal(&self, pod: &Pod) -> Option<u32> {
        self.expected.set.ordinal(name(&pod.metadata))
    }

    pub(super) fn pod(&self, ordinal: u32) -> Option<&'a Pod> {
        let wanted = self.expected.set.pod(ordinal);
        self.snapshot.pods.iter().find(|pod| name(&pod.metadata) == wanted)
    }

    /// The set's pods with ordinals that are no longer wanted, lowest first.
    pub(super) fn pods_above(&self) -> Vec<&'a Pod> {
        let mut above: Vec<(u32, &Pod)> = (self.snapshot.pods.iter())
            .filter_map(|pod| Some((self.ordinal(pod)?, pod)))
            .filter(|(ordinal, _)| *ordinal >= self.expected.replicas)
            .collect();
        above.sort_by_key(|(ordinal, _)| *ordinal);
        above.into_iter().map(|(_, pod)| pod).collect()
    }

    /// Whether the StatefulSet owns the pod. True if the StatefulSet's UID is unknown.
    pub(super) fn owns(&self, pod: &Pod) -> bool {
        let Some(uid) = self.statefulset().and_then(|set| set.metadata.uid.as_deref()) else {
            return true;
        };
        let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
        owners.iter().any(|owner| owner.controller == Some(true) && owner.uid == uid)
    }

    /// Whether the controller creates pods one by one, each when the previous ones are ready.
    pub(super) fn ordered(&self) -> bool {
        self.spec().is_none_or(|spec| spec.pod_management_policy.as_deref() != Some("Parallel"))
    }

    /// Whether pods keep their revision until they are deleted.
    pub(super) fn on_delete(&self) -> bool {
        let strategy = self.spec().and_then(|spec| spec.update_strategy.as_ref());
        strategy.is_some_and(|strategy| strategy.type_.as_deref() == Some("OnDelete"))
    }

    /// The partition of the rolling update: pods below this ordinal keep their revision.
    pub(super) fn partition(&self) -> u32 {
        self.spec()
            .and_then(|spec| spec.update_strategy.as_ref()?.rolling_update.as_ref()?.partition)
            .and_then(|partition| u32::try_from(partition).ok())
            .unwrap_or(0)
    }

    /// The revision of the newest template, once the controller has observed it.
    pub(super) fn update_revision(&self) -> Option<&'a str> {
        let set = self.statefulset()?;
        let least = self.expected.statefulset_generation;
        let applied = least.is_none_or(|least| set.metadata.generation >= Some(least));
        revision::newest(set).filter(|_| applied)
    }

    /// Whether the pod does not have the newest revision. False while that revision is unknown.
    pub(super) fn is_old(&self, pod: &Pod) -> bool {
        self.update_revision().is_some_and(|newest| super::revision(pod) != Some(newest))
    }

    /// Whether the controller will replace the pod.
    pub(super) fn is_replaced_by_update(&self, ordinal: u32, pod: &Pod) -> bool {
        !self.on_delete() && ordinal >= self.partition() && self.is_old(pod)
    }

    /// A pod with a higher ordinal that is updated but not ready. The controller waits for it.
    pub(super) fn updated_above(&self, ordinal: u32) -> Option<&'a str> {
        (ordinal + 1..self.expected.replicas)
            .filter_map(|above| self.pod(above))
            .find(|pod| !self.is_old(pod) && !is_terminating(&pod.metadata) && !is_ready(pod))
            .map(|pod| name(&pod.metadata))
    }

    /// Whether the pods below the number wanted mount the claim, or will.
    pub(super) fn is_wanted(&self, claim: &PersistentVolumeClaim) -> bool {
        let claim = name(&claim.metadata);
        let wanted = 0..self.expected.replicas;
        let Some(spec) = self.spec() else { return true };
        let shared = spec.template.spec.iter().flat_map(|pod| pod.volumes.iter().flatten());
        shared
            .filter_map(|volume| volume.persistent_volume_claim.as_ref())
            .any(|source| source.claim_name == claim)
            || spec.volume_claim_templates.iter().flatten().any(|template| {
                let template = name(&template.metadata);
                wanted.clone().any(|n| format!("{template}-{}", self.expected.set.pod(n)) == claim)
            })
            || wanted
                .clone()
                .filter_map(|n| self.pod(n))
                .any(|pod| Snapshot::claims_of(pod).contains(&claim))
    }

    /// The object's events since the apply, oldest first.
    pub(super) fn events(&self, kind: Kind, object: &ObjectMeta) -> Vec<&'a Event> {
        let mut found: Vec<&Event> = (self.snapshot.events.iter())
            .filter(|event| events::is_about(event, kind, object))
            .filter(|event| events::is_since(event, self.expected.not_before))
            .collect();
        found.sort_by_key(|event| events::last_seen(event));
        found
    }
}

impl Snapshot {
    /// The names of the claims that a pod mounts.
    pub(super) fn claims_of(pod: &Pod) -> Vec<&str> {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        volumes
            .filter_map(|volume| volume.persistent_volume_claim.as_ref())
            .map(|source| source.claim_name.as_str())
            .collect()
    }

    pub(super) fn is_bound(&self, claim: &str) -> bool {
        let status = self.claim(claim).and_then(|claim| claim.status.as_ref());
        status.and_then(|status| status.phase.as_deref()) == Some("Bound")
    }

    pub(super) fn claim(&self, wanted: &str) -> Option<&PersistentVolumeClaim> {
        self.claims.iter().find(|claim| name(&claim.metadata) == wanted)
    }

    pub(super) fn volume(&self, wanted: &str) -> Option<&PersistentVolume> {
        self.volumes.iter().find(|volume| name(&volume.metadata) == wanted)
    }
}

pub(super) fn name(object: &ObjectMeta) -> &str {
    object.name.as_deref().unwrap_or_default()
}

pub(super) fn is_terminating(object: &ObjectMeta) -> bool {
    object.deletion_timestamp.is_some()
}

pub(super) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether the condition Ready is True and the pod is not being deleted.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    !is_terminating(&pod.metadata)
        && condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}
