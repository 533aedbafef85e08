//! Static volumes: which claim each one can satisfy, and which ones can't be used any more.

use k8s_openapi::api::core::v1::{
    PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec,
};

use super::phase::Phase;
use super::state::ObjectReadiness;
use super::text::one_line;
use super::trouble::{AT_ONCE, Cause, Trouble};
use super::view::{self, View};
use crate::manifest::Kind;
use crate::manifest::object::{LABEL_INSTANCE, LABEL_NAMESPACE};
use crate::values::quantity;

/// Judges the set's own volumes that can't be used. A volume that is Available or bound to a claim of the set
/// is not reported. If every claim is bound or can be bound, no volume is: spare volumes may be unusable.
pub(super) fn judge(view: View<'_>) -> Vec<ObjectReadiness> {
    let wanted = view.snapshot.claims.iter().filter(|claim| view.is_wanted(claim));
    let starved = wanted
        .filter(|claim| phase_of_claim(claim) != Some("Bound"))
        .any(|claim| !candidates(view, claim).iter().any(|volume| fits(volume, claim)));
    if !starved {
        return Vec::new();
    }
    let own = view.snapshot.volumes.iter().filter(|volume| is_own(view, volume));
    own.filter_map(|volume| {
        let (cause, message) = unusable(view, volume)?;
        let object = view.id(Kind::PersistentVolume, view::name(&volume.metadata));
        let uid = volume.metadata.uid.as_deref();
        let trouble = Trouble::new(object.clone(), uid, cause, AT_ONCE, message.clone());
        let readiness = ObjectReadiness::waiting(object, Phase::Pending, message);
        Some(readiness.troubled(vec![trouble]))
    })
    .collect()
}

/// The size that a claim requests.
pub(super) fn request(spec: &PersistentVolumeClaimSpec) -> Option<&str> {
    let quantity = spec.resources.as_ref()?.requests.as_ref()?.get("storage")?;
    Some(quantity.0.as_str())
}

fn phase_of_claim(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.status.as_ref()?.phase.as_deref()
}

/// Whether pgset created it for this set.
fn is_own(view: View<'_>, volume: &PersistentVolume) -> bool {
    let label = |name: &str| volume.metadata.labels.as_ref().and_then(|labels| labels.get(name));
    let set = &view.expected.set;
    label(LABEL_INSTANCE).is_some_and(|value| value == set.name.as_str())
        && label(LABEL_NAMESPACE).is_some_and(|value| value == set.namespace.as_str())
}

fn unusable(view: View<'_>, volume: &PersistentVolume) -> Option<(Cause, String)> {
    let status = volume.status.as_ref();
    let said = status.and_then(|status| status.message.as_deref()).map(one_line);
    let said = said.filter(|said| !said.is_empty());
    match phase(volume) {
        "Released" => Some((Cause::VolumeReleased, released(volume))),
        "Failed" => {
            let said = said.map_or_else(String::new, |said| format!(": {said}"));
            Some((Cause::VolumeFailed, format!("it could not be reclaimed{said}")))
        }
        _ => {
            let (namespace, name) = claimed_by(volume)?;
            let ours = namespace == view.expected.set.namespace.as_str()
                && view.snapshot.claim(name).is_some_and(|claim| view.is_wanted(claim));
            (!ours).then(|| {
                let message = format!("it is bound to the claim {namespace}/{name}");
                (Cause::VolumeClaimedByOther, message)
            })
        }
    }
}

fn released(volume: &PersistentVolume) -> String {
    let (namespace, name) = claimed_by(volume).unwrap_or_default();
    format!("it is Released: it still refers to the deleted claim {namespace}/{name}")
}

fn phase(volume: &PersistentVolume) -> &str {
    volume.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Namespace and name of the claim that it is bound to or reserved for.
fn claimed_by(volume: &PersistentVolume) -> Option<(&str, &str)> {
    let claim = volume.spec.as_ref()?.claim_ref.as_ref()?;
    Some((claim.namespace.as_deref()?, claim.name.as_deref()?))
}

/// The name of its StorageClass; empty if it has none.
pub(super) fn class(volume: &PersistentVolume) -> &str {
    volume.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default()
}

/// The volumes intended for the claim: the one that it names, those of its class, the set's own.
pub(super) fn candidates<'a>(
    view: View<'a>,
    claim: &PersistentVolumeClaim,
) -> Vec<&'a PersistentVolume> {
    let spec = claim.spec.as_ref();
    let named = spec.and_then(|spec| spec.volume_name.as_deref()).filter(|name| !name.is_empty());
    let wanted = spec.and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default();
    let volumes = view.snapshot.volumes.iter();
    volumes
        .filter(|volume| match named {
            Some(named) => view::name(&volume.metadata) == named,
            None => class(volume) == wanted || is_own(view, volume),
        })
        .collect()
}

/// Whether it can be bound to the claim.
pub(super) fn fits(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    misfit(volume, claim).is_none()
}

/// The first reason why it can't be bound to the claim: `is 100M, not 200M`.
pub(super) fn misfit(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<String> {
    if view::is_terminating(&volume.metadata) {
        return Some("is being deleted".to_owned());
    }
    match phase(volume) {
        "Released" => return Some("is Released".to_owned()),
        "Failed" => return Some("is Failed".to_owned()),
        _ => {}
    }
    taken(volume, claim).or_else(|| unlike(volume, claim))
}

fn taken(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<String> {
    let by = volume.spec.as_ref()?.claim_ref.as_ref()?;
    let uid = by.uid.as_deref().filter(|uid| !uid.is_empty());
    let same = by.namespace == claim.metadata.namespace
        && by.name == claim.metadata.name
        && (uid.is_none() || uid == claim.metadata.uid.as_deref());
    let (namespace, name) = claimed_by(volume)?;
    (!same).then(|| format!("is bound to the claim {namespace}/{name}"))
}

fn unlike(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<String> {
    let (has, wants) = (volume.spec.as_ref()?, claim.spec.as_ref()?);
    let wanted = wants.storage_class_name.as_deref().unwrap_or_default();
    if class(volume) != wanted {
        return Some(format!("is of storage class {:?}, not {wanted:?}", class(volume)));
    }
    let modes = has.access_modes.as_deref().unwrap_or_default();
    if let Some(mode) = wants.access_modes.iter().flatten().find(|mode| !modes.contains(mode)) {
        return Some(format!("is {}, not {mode}", modes.join(", ")));
    }
    let size = has.capacity.as_ref().and_then(|capacity| capacity.get("storage"));
    if let (Some(size), Some(request)) = (size, request(wants))
        && quantity::less(&size.0, request)
    {
        return Some(format!("is {}, not {request}", size.0));
    }
    let mode = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "Filesystem".to_owned());
    if mode(&has.volume_mode) != mode(&wants.volume_mode) {
        return Some(format!("is a {} volume", mode(&has.volume_mode)));
    }
    let labels = volume.metadata.labels.clone().unwrap_or_default();
    let selector = wants.selector.as_ref().and_then(|selector| selector.match_labels.as_ref());
    let (name, value) =
        selector.into_iter().flatten().find(|(name, value)| labels.get(*name) != Some(value))?;
    Some(format!("has no label {name}={value}"))
}
