//! Creates and deletes the pods of a StatefulSet and their claims.

use serde_json::{Value, json};

use super::super::events::{self, Event};
use super::super::faults::Faults;
use super::super::kinds::{CLAIMS, PODS};
use super::super::refusal::{Answer, Refusal};
use super::super::registry::{Delete, Registry};
use super::super::store::Key;
use super::{MANAGER, owned_by, revisions, text};

/// The ordinal in a pod's name; none if the name is not one of the set's.
pub(super) fn ordinal(set: &Value, pod: &Value) -> Option<u64> {
    let (set, pod) = (text(set, "/metadata/name"), text(pod, "/metadata/name"));
    pod.strip_prefix(set)?.strip_prefix('-')?.parse().ok()
}

/// Creates the claims and then the pod of an ordinal, with the template of this revision.
pub(super) fn create(
    registry: &Registry,
    faults: &Faults,
    set: &Value,
    ordinal: u64,
    revision: &str,
) -> Answer<()> {
    let name = format!("{}-{ordinal}", text(set, "/metadata/name"));
    let namespace = text(set, "/metadata/namespace");
    create_claims(registry, set, &name)?;
    let made = if let Some(words) = faults.broken("create pods") {
        Err(Refusal::forbidden(&PODS, &name, &words))
    } else {
        let pod = pod(registry, set, ordinal, &name, revision);
        registry.create(&Key::new(&PODS, namespace, &name), pod, MANAGER, false)
    };
    let what = format!("create Pod {name} in StatefulSet {}", text(set, "/metadata/name"));
    match made {
        Ok(_) => {
            tell(registry, set, false, "SuccessfulCreate", &format!("{what} successful"));
            Ok(())
        }
        // A pod with this name exists, and the set does not own it. The real controller tries again
        // without an event, too.
        Err(refusal) if refusal.reason == "AlreadyExists" => Err(refusal),
        Err(refusal) => {
            let message = format!("{what} failed error: {}", refusal.message);
            tell(registry, set, true, "FailedCreate", &message);
            Err(refusal)
        }
    }
}

/// Deletes a pod of a set.
pub(super) fn delete(registry: &Registry, set: &Value, pod: &Value) -> Answer<()> {
    let uid = Some(text(pod, "/metadata/uid").to_owned());
    registry.delete(&Key::of(&PODS, pod), &Delete { uid, ..Delete::default() })?;
    let (pod, set_name) = (text(pod, "/metadata/name"), text(set, "/metadata/name"));
    let message = format!("delete Pod {pod} in StatefulSet {set_name} successful");
    tell(registry, set, false, "SuccessfulDelete", &message);
    Ok(())
}

fn tell(registry: &Registry, set: &Value, warning: bool, reason: &str, message: &str) {
    let source = events::STATEFUL_SET;
    events::tell(registry, Event { source, about: set, part: "", warning, reason, message });
}

fn templates(set: &Value) -> impl Iterator<Item = &Value> {
    set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten()
}

/// The name of a pod's claim.
fn claim_name(template: &Value, pod: &str) -> String {
    format!("{}-{pod}", text(template, "/metadata/name"))
}

/// Creates the missing claims of a pod.
pub(super) fn create_claims(registry: &Registry, set: &Value, pod: &str) -> Answer<()> {
    let namespace = text(set, "/metadata/namespace");
    templates(set).try_for_each(|template| claim(registry, set, template, pod, namespace))
}

fn claim(
    registry: &Registry,
    set: &Value,
    template: &Value,
    pod: &str,
    namespace: &str,
) -> Answer<()> {
    let name = claim_name(template, pod);
    let key = Key::new(&CLAIMS, namespace, &name);
    if registry.store.get(&key).is_some() {
        return Ok(());
    }
    let mut labels = template["metadata"]["labels"].clone();
    for (label, value) in set["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten() {
        labels[label] = value.clone();
    }
    let mut object = json!({"metadata": {"labels": labels}, "spec": template["spec"]});
    if text(set, "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted") == "Delete" {
        object["metadata"]["ownerReferences"] = json!([owned_by(set)]);
    }
    registry.create(&key, object, MANAGER, false)?;
    let message = format!(
        "create Claim {name} Pod {pod} in StatefulSet {} success",
        text(set, "/metadata/name")
    );
    tell(registry, set, false, "SuccessfulCreate", &message);
    Ok(())
}

/// Deletes the claims of a pod that is scaled away, if the set's retention policy says so.
pub(super) fn retire(registry: &Registry, set: &Value, pod: &Value) -> Answer<()> {
    if text(set, "/spec/persistentVolumeClaimRetentionPolicy/whenScaled") != "Delete" {
        return Ok(());
    }
    for template in templates(set) {
        let name = claim_name(template, text(pod, "/metadata/name"));
        let key = Key::new(&CLAIMS, text(set, "/metadata/namespace"), &name);
        // A finalizer keeps the claim until its pod is gone.
        if registry.store.get(&key).is_some() {
            registry.delete(&key, &Delete::default())?;
        }
    }
    Ok(())
}

fn pod(registry: &Registry, set: &Value, ordinal: u64, name: &str, revision: &str) -> Value {
    let template = revisions::template(registry, set, revision);
    let mut labels = template["metadata"]["labels"].clone();
    labels[revisions::LABEL] = json!(revision);
    labels["statefulset.kubernetes.io/pod-name"] = json!(name);
    labels["apps.kubernetes.io/pod-index"] = json!(ordinal.to_string());
    let mut spec = template["spec"].clone();
    spec["hostname"] = json!(name);
    spec["subdomain"] = set["spec"]["serviceName"].clone();
    let mut volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
    for template in templates(set) {
        volumes.retain(|volume| volume["name"] != template["metadata"]["name"]);
        volumes.push(json!({
            "name": template["metadata"]["name"],
            "persistentVolumeClaim": {"claimName": claim_name(template, name)},
        }));
    }
    if !volumes.is_empty() {
        spec["volumes"] = Value::Array(volumes);
    }
    let mut metadata = json!({"labels": labels, "ownerReferences": [owned_by(set)]});
    if template["metadata"]["annotations"].is_object() {
        metadata["annotations"] = template["metadata"]["annotations"].clone();
    }
    json!({"metadata": metadata, "spec": spec})
}
