//! Quotas: adds up what the pods of each namespace use that has one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::kinds::{PODS, QUOTAS};
use super::super::refusal::Answer;
use super::super::registry::Registry;
use super::super::store::Key;
use super::{set_status, text};
use crate::values::quantity::Amount;

pub(super) fn sync(registry: &Registry) -> Answer<()> {
    for quota in registry.store.all(&QUOTAS) {
        let used = used(registry, text(&quota, "/metadata/namespace"), &quota["spec"]["hard"]);
        let used: BTreeMap<_, _> =
            used.into_iter().map(|(name, amount)| (name, amount.to_string())).collect();
        let status = json!({"hard": quota["spec"]["hard"], "used": used});
        if quota["status"] != status {
            set_status(registry, &Key::of(&QUOTAS, &quota), &status)?;
        }
    }
    Ok(())
}

/// Whether quotas for a resource are supported: those for pods and for what their containers use.
pub(in crate::sandbox) fn counts(resource: &str) -> bool {
    resource == "pods" || part(resource).is_some()
}

/// `("limits", "cpu")` for `limits.cpu`.
fn part(resource: &str) -> Option<(&str, &str)> {
    let (kind, name) = resource.split_once('.').unwrap_or(("requests", resource));
    (matches!(kind, "requests" | "limits") && matches!(name, "cpu" | "memory"))
        .then_some((kind, name))
}

/// What the pods of a namespace that have not ended use of the resources of a quota.
pub(in crate::sandbox) fn used(
    registry: &Registry,
    namespace: &str,
    hard: &Value,
) -> BTreeMap<String, Amount> {
    let ended = |pod: &Value| matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
    let pods = registry.store.list(&PODS, Some(namespace)).0;
    let resources = hard.as_object().into_iter().flatten().map(|(resource, _)| resource);
    let sum = |resource: &str| {
        let running = pods.iter().filter(|pod| !ended(pod));
        running.map(|pod| of_pod(pod, resource)).fold(Amount::ZERO, Amount::plus)
    };
    resources.map(|resource| (resource.clone(), sum(resource))).collect()
}

/// What one pod uses of a resource: the sum of its containers, or the most that one init container uses.
pub(in crate::sandbox) fn of_pod(pod: &Value, resource: &str) -> Amount {
    let Some((kind, name)) = part(resource) else { return Amount::ONE };
    let amounts = |list: &str| {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers.map(|container| of_container(container, kind, name)).collect::<Vec<_>>()
    };
    let together = amounts("containers").into_iter().fold(Amount::ZERO, Amount::plus);
    amounts("initContainers").into_iter().fold(together, Amount::max)
}

fn of_container(container: &Value, kind: &str, name: &str) -> Amount {
    let read = |kind: &str| stated(container, kind, name);
    read(kind).or_else(|| read("limits").filter(|_| kind == "requests")).unwrap_or(Amount::ZERO)
}

/// The amount that a container states.
pub(in crate::sandbox) fn stated(container: &Value, kind: &str, name: &str) -> Option<Amount> {
    match &container["resources"][kind][name] {
        Value::String(text) => Amount::read(text),
        Value::Number(number) => Amount::read(&number.to_string()),
        _ => None,
    }
}

/// The containers that do not state what a quota of these resources requires.
pub(in crate::sandbox) fn unstated(pod: &Value, resource: &str) -> Vec<String> {
    let Some((kind, name)) = part(resource) else { return Vec::new() };
    let both = ["initContainers", "containers"].into_iter();
    let containers = both.flat_map(|list| pod["spec"][list].as_array().into_iter().flatten());
    let silent = containers.filter(|container| {
        let limit = stated(container, "limits", name).filter(|_| kind == "requests");
        stated(container, kind, name).or(limit).is_none()
    });
    silent.filter_map(|container| Some(container["name"].as_str()?.to_owned())).collect()
}
