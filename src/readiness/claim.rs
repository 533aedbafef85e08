//! PersistentVolumeClaims: whether each one is bound, and why not.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;

use super::phase::Phase;
use super::snapshot::Snapshot;
use super::state::ObjectReadiness;
use super::text::says;
use super::trouble::{AT_ONCE, Cause, RETRIED_GRACE, Trouble};
use super::view::{self, View};
use super::{events, volume};
use crate::manifest::Kind;
use crate::values::quantity;

const DEFAULT_CLASS: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

/// Judges the claims that the set's pods mount. Claims kept from a larger set are not among them.
pub(super) fn judge(view: View<'_>) -> Vec<ObjectReadiness> {
    let mut claims: Vec<&PersistentVolumeClaim> =
        view.snapshot.claims.iter().filter(|claim| view.is_wanted(claim)).collect();
    claims.sort_by_key(|claim| view::name(&claim.metadata));
    claims.into_iter().map(|claim| judge_one(view, claim)).collect()
}

fn judge_one(view: View<'_>, claim: &PersistentVolumeClaim) -> ObjectReadiness {
    let object = view.id(Kind::PersistentVolumeClaim, view::name(&claim.metadata));
    if view::is_terminating(&claim.metadata) {
        return ObjectReadiness::waiting(object, Phase::Terminating, "Terminating");
    }
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
    match phase {
        Some("Bound") => {
            if let Some(growing) = growing(claim) {
                return ObjectReadiness::waiting(object, Phase::Pending, growing);
            }
            let to = volume.map_or_else(String::new, |volume| format!(" to {volume}"));
            ObjectReadiness::ready(object, format!("Bound{to}"))
        }
        Some("Lost") => {
            let message = format!("its volume {} does not exist", volume.unwrap_or("(unknown)"));
            let trouble = trouble(view, claim, Cause::ClaimLost, AT_ONCE, message.clone());
            let state = format!("Lost: {message}");
            ObjectReadiness::waiting(object, Phase::Pending, state).troubled(vec![trouble])
        }
        _ => pending(view, claim),
    }
}

/// `Growing: 100M of 200M`, if the volume is smaller than the requested size.
fn growing(claim: &PersistentVolumeClaim) -> Option<String> {
    let has = &claim.status.as_ref()?.capacity.as_ref()?.get("storage")?.0;
    let wants = volume::request(claim.spec.as_ref()?)?;
    quantity::less(has, wants).then(|| format!("Growing: {has} of {wants}"))
}

fn trouble(
    view: View<'_>,
    claim: &PersistentVolumeClaim,
    cause: Cause,
    grace: Duration,
    message: String,
) -> Trouble {
    let object = view.id(Kind::PersistentVolumeClaim, view::name(&claim.metadata));
    Trouble::new(object, claim.metadata.uid.as_deref(), cause, grace, message)
}

fn pending(view: View<'_>, claim: &PersistentVolumeClaim) -> ObjectReadiness {
    let object = view.id(Kind::PersistentVolumeClaim, view::name(&claim.metadata));
    let events = view.events(Kind::PersistentVolumeClaim, &claim.metadata);
    if waits_for_pod(view, claim, &events) {
        let mut readiness = ObjectReadiness::ready(object, "Pending: waiting for its first pod");
        readiness.state.phase = Phase::Pending;
        return readiness;
    }
    let found = missing_class(view, claim, &events)
        .or_else(|| failed_event(view, claim, &events, &["ProvisioningFailed"]))
        .or_else(|| unfit(view, claim))
        .or_else(|| failed_event(view, claim, &events, &["FailedBinding"]));
    let state = match &found {
        Some(trouble) => format!("Pending: {}", trouble.message),
        None => "Pending: no volume yet".to_owned(),
    };
    ObjectReadiness::waiting(object, Phase::Pending, state).troubled(found.into_iter().collect())
}

/// Whether the claim is not bound until a pod uses it (`WaitForFirstConsumer`), and no pod does yet.
/// pgset must not wait for such a claim: it would wait until its deadline.
fn waits_for_pod(view: View<'_>, claim: &PersistentVolumeClaim, events: &[&Event]) -> bool {
    let name = view::name(&claim.metadata);
    if view.snapshot.pods.iter().any(|pod| Snapshot::claims_of(pod).contains(&name)) {
        return false;
    }
    match Class::of(view, claim) {
        Class::Known(class) => class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"),
        Class::Unreadable => {
            events.last().is_some_and(|event| events::reason(event) == "WaitForFirstConsumer")
        }
        Class::None | Class::NoDefault | Class::Missing(_) => false,
    }
}

/// The StorageClass of a claim, if known.
enum Class<'a> {
    /// It exists.
    Known(&'a StorageClass),
    /// There is no StorageClass with this name. Volumes may refer to it nevertheless: the set's static
    /// volumes do.
    Missing(&'a str),
    /// The claim names no StorageClass, and the cluster has no default.
    NoDefault,
    /// The claim asks for a volume without a class (`""`).
    None,
    /// pgset may not read StorageClasses.
    Unreadable,
}

impl<'a> Class<'a> {
    fn of(view: View<'a>, claim: &'a PersistentVolumeClaim) -> Self {
        let wanted = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
        let classes = view.snapshot.storage_classes.as_deref();
        match (wanted, classes) {
            (Some(""), _) => Self::None,
            (_, None) => Self::Unreadable,
            (Some(wanted), Some(classes)) => {
                let known = classes.iter().find(|class| view::name(&class.metadata) == wanted);
                known.map_or(Self::Missing(wanted), Self::Known)
            }
            (None, Some(classes)) => {
                classes.iter().find(|class| is_default(class)).map_or(Self::NoDefault, Self::Known)
            }
        }
    }
}

fn is_default(class: &StorageClass) -> bool {
    let annotations = class.metadata.annotations.as_ref();
    annotations.is_some_and(|annotations| {
        DEFAULT_CLASS.iter().any(|name| annotations.get(*name).is_some_and(|v| v == "true"))
    })
}

fn missing_class(
    view: View<'_>,
    claim: &PersistentVolumeClaim,
    events: &[&Event],
) -> Option<Trouble> {
    if is_static(view, claim)
        || volume::candidates(view, claim).iter().any(|pv| volume::fits(pv, claim))
    {
        return None;
    }
    let wanted = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    let message = match Class::of(view, claim) {
        Class::Missing(class) => format!("there is no StorageClass {class}"),
        Class::NoDefault => {
            "it names no StorageClass, and the cluster has no default one".to_owned()
        }
        // pgset can't read StorageClasses, but the controller can and reports it in an event.
        Class::Unreadable => {
            let class = wanted?;
            let recent = events.iter().rev().filter(|event| {
                // The class may exist by now.
                events::is_since(event, view.expected.began)
            });
            let mut said = recent.map(|event| events::message(event));
            let not_found = format!("storageclass.storage.k8s.io \"{class}\" not found");
            said.find(|text| says(text, &[&not_found.to_lowercase()]))?;
            format!("there is no StorageClass {class}")
        }
        Class::Known(_) | Class::None => return None,
    };
    Some(trouble(view, claim, Cause::NoStorageClass, AT_ONCE, message))
}

/// Whether only a manually created volume can satisfy the claim.
fn is_static(view: View<'_>, claim: &PersistentVolumeClaim) -> bool {
    let spec = claim.spec.as_ref();
    let wanted = spec.and_then(|spec| spec.storage_class_name.as_deref());
    let named = spec.and_then(|spec| spec.volume_name.as_deref()).is_some_and(|v| !v.is_empty());
    let own = wanted == Some(view.expected.set.static_storage_class().as_str());
    named
        || own
        || match Class::of(view, claim) {
            Class::None => true,
            Class::Known(class) => class.provisioner == "kubernetes.io/no-provisioner",
            Class::Missing(class) => {
                view.snapshot.volumes.iter().any(|pv| volume::class(pv) == class)
            }
            Class::NoDefault | Class::Unreadable => false,
        }
}

/// The reasons why no candidate volume satisfies the claim.
fn unfit(view: View<'_>, claim: &PersistentVolumeClaim) -> Option<Trouble> {
    if view.snapshot.volumes.is_empty() || !is_static(view, claim) {
        return None;
    }
    let candidates = volume::candidates(view, claim);
    let mut reasons: Vec<String> = Vec::new();
    for candidate in &candidates {
        let reason = volume::misfit(candidate, claim)?;
        reasons.push(format!("{} {reason}", view::name(&candidate.metadata)));
    }
    let message = if reasons.is_empty() {
        "no PersistentVolume fits: none has its storage class".to_owned()
    } else {
        format!("no PersistentVolume fits: {}", reasons.join("; "))
    };
    Some(trouble(view, claim, Cause::FailedBinding, RETRIED_GRACE, message))
}

fn failed_event(
    view: View<'_>,
    claim: &PersistentVolumeClaim,
    events: &[&Event],
    reasons: &[&str],
) -> Option<Trouble> {
    let event = events.iter().rev().find(|event| events::is_one_of(event, reasons))?;
    let message = events::message(event);
    // The binder reports this for every missing class, but static volumes use a class that does not exist.
    let of_class = says(&message, &["storageclass.storage.k8s.io"]) && is_static(view, claim);
    if of_class && !view.snapshot.volumes.is_empty() {
        return None;
    }
    let (cause, message) = match events::reason(event) {
        "ProvisioningFailed" if of_class => {
            (Cause::FailedBinding, "no PersistentVolume fits".to_owned())
        }
        "ProvisioningFailed" => (Cause::ProvisioningFailed, message),
        _ => (Cause::FailedBinding, message),
    };
    Some(trouble(view, claim, cause, RETRIED_GRACE, message))
}

#[cfg(test)]
mod tests;
