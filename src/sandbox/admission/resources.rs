//! Limit ranges and quotas: what the containers of a pod may use, with the messages of the real server.

use serde_json::{Value, json};

use super::super::controllers::quotas;
use super::super::kinds::{LIMIT_RANGES, QUOTAS};
use super::super::refusal::{Answer, Refusal};
use super::super::registry::Registry;
use super::super::store::Key;
use crate::values::quantity::Amount;

/// Sets the defaults of the namespace's limit ranges for containers, and refuses containers that are outside of
/// their limits.
pub(super) fn limit(registry: &Registry, key: &Key, pod: &mut Value) -> Answer<()> {
    let mut wrong = Vec::new();
    for range in registry.store.list(&LIMIT_RANGES, Some(&key.namespace)).0 {
        let limits = range["spec"]["limits"].as_array().cloned().unwrap_or_default();
        for item in limits.iter().filter(|item| item["type"] == "Container") {
            for list in ["initContainers", "containers"] {
                for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
                    fill(item, container);
                    wrong.extend(beyond(item, container));
                }
            }
        }
    }
    let why = match wrong.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        all => format!("[{}]", all.join(", ")),
    };
    Err(Refusal::forbidden(key.resource, &key.name, &why))
}

/// Sets what the container does not state.
fn fill(item: &Value, container: &mut Value) {
    for (kind, defaults) in [("limits", "default"), ("requests", "defaultRequest")] {
        for (name, amount) in item[defaults].as_object().into_iter().flatten() {
            let there = &mut container["resources"][kind][name];
            if there.is_null() {
                *there = json!(amount);
            }
        }
    }
}

/// How a container is outside of the limits.
fn beyond(item: &Value, container: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let amounts = |field: &str| {
        let all = item[field].as_object().into_iter().flatten();
        all.filter_map(|(name, value)| {
            let text = value.as_str()?.to_owned();
            Some((name.clone(), Amount::read(&text)?, text))
        })
        .collect::<Vec<_>>()
    };
    let stated = |kind: &str, name: &str| quotas::stated(container, kind, name);
    for (name, most, text) in amounts("max") {
        let usage = format!("maximum {name} usage per Container is {text}");
        match (stated("limits", &name), stated("requests", &name)) {
            (None, _) => found.push(format!("{usage}.  No limit is specified")),
            (Some(limit), _) if limit > most => {
                found.push(format!("{usage}, but limit is {limit}"));
            }
            (_, Some(request)) if request > most => {
                found.push(format!("{usage}, but request is {request}"));
            }
            _ => {}
        }
    }
    for (name, least, text) in amounts("min") {
        let usage = format!("minimum {name} usage per Container is {text}");
        match stated("requests", &name).or(stated("limits", &name)) {
            None => found.push(format!("{usage}.  No request is specified")),
            Some(request) if request < least => {
                found.push(format!("{usage}, but request is {request}"));
            }
            _ => {}
        }
    }
    found
}

/// Checks that a namespace's quotas allow one more pod like this.
pub(super) fn within_quota(registry: &Registry, key: &Key, pod: &Value) -> Answer<()> {
    for quota in registry.store.list(&QUOTAS, Some(&key.namespace)).0 {
        // A quota applies only after its controller has processed it.
        let hard = &quota["status"]["hard"];
        let name = quota["metadata"]["name"].as_str().unwrap_or_default();
        let refuse = |why: &str| Err(Refusal::forbidden(key.resource, &key.name, why));
        let limits = hard.as_object().into_iter().flatten();
        let silent = limits.clone().filter_map(|(resource, _)| {
            let containers = quotas::unstated(pod, resource);
            (!containers.is_empty()).then(|| format!("{resource} for: {}", containers.join(",")))
        });
        let silent: Vec<String> = silent.collect();
        if !silent.is_empty() {
            return refuse(&format!("failed quota: {name}: must specify {}", silent.join("; ")));
        }
        let used = quotas::used(registry, &key.namespace, hard);
        let mut exceeded: [Vec<String>; 3] = Default::default();
        for (resource, hard) in limits {
            let Some(most) = hard.as_str().and_then(Amount::read) else { continue };
            let more = quotas::of_pod(pod, resource);
            let before = used.get(resource).copied().unwrap_or(Amount::ZERO);
            if before.plus(more) > most && more > Amount::ZERO {
                for (list, amount) in exceeded.iter_mut().zip([more, before, most]) {
                    list.push(format!("{resource}={amount}"));
                }
            }
        }
        let [requested, used, limited] = exceeded.map(|list| list.join(","));
        if !requested.is_empty() {
            return refuse(&format!(
                "exceeded quota: {name}, requested: {requested}, used: {used}, limited: {limited}"
            ));
        }
    }
    Ok(())
}
