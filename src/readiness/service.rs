//! Services: which pods get the connections.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;

use super::phase::Phase;
use super::state::ObjectReadiness;
use super::text::counted;
use super::view::{self, View};
use crate::manifest::Kind;

/// Judges the headless Service, the master's and the replicas'.
pub(super) fn judge(view: View<'_>) -> Vec<ObjectReadiness> {
    let set = &view.expected.set;
    vec![
        headless(view, set.name.as_str()),
        master(view, &set.master()),
        replica(view, &set.replica()),
    ]
}

fn headless(view: View<'_>, name: &str) -> ObjectReadiness {
    let ready = ready(view, name);
    let object = view.id(Kind::Service, name);
    if ready.is_empty() && view.expected.replicas > 0 {
        return ObjectReadiness::waiting(object, Phase::Pending, "no ready endpoint");
    }
    ObjectReadiness::ready(object, listed(&ready))
}

fn master(view: View<'_>, name: &str) -> ObjectReadiness {
    let ready = ready(view, name);
    let object = view.id(Kind::Service, name);
    let expected = view.expected.set.pod(0);
    let unmet = match ready.iter().collect::<Vec<_>>().as_slice() {
        [] if view.expected.replicas == 0 => None,
        // The images label the master's pod themselves, and go on without a word when they may not.
        [] if view.pod(0).is_some_and(|pod| view::is_ready(pod) && !is_labelled(pod, name)) => {
            Some(format!("no ready endpoint: {expected} does not carry the label name={name}"))
        }
        [] => Some("no ready endpoint".to_owned()),
        [only] if **only == expected => None,
        [only] => Some(format!("its endpoint is {only}, not {expected}")),
        several => Some(format!("{} endpoints, not one: {}", several.len(), names(&ready))),
    };
    match unmet {
        Some(unmet) => ObjectReadiness::waiting(object, Phase::Pending, unmet),
        None => ObjectReadiness::ready(object, listed(&ready)),
    }
}

fn is_labelled(pod: &Pod, role: &str) -> bool {
    let label = pod.metadata.labels.as_ref().and_then(|labels| labels.get("name"));
    label.is_some_and(|label| label == role)
}

fn replica(view: View<'_>, name: &str) -> ObjectReadiness {
    let ready = ready(view, name);
    let object = view.id(Kind::Service, name);
    let wanted = view.expected.replicas.saturating_sub(1) as usize;
    let master = view.expected.set.pod(0);
    let unmet = if ready.contains(&master) {
        Some(format!("{master}, the master, is among its endpoints: {}", names(&ready)))
    } else if ready.len() < wanted {
        Some(format!("{} of {} ready", ready.len(), counted(wanted, "endpoint")))
    } else if ready.len() > wanted {
        Some(format!("{}, not {wanted}: {}", counted(ready.len(), "endpoint"), names(&ready)))
    } else {
        None
    };
    match unmet {
        Some(unmet) => ObjectReadiness::waiting(object, Phase::Pending, unmet),
        None if wanted == 0 => {
            ObjectReadiness::ready(object, "Ready, no endpoint: there is no replica")
        }
        None => ObjectReadiness::ready(object, listed(&ready)),
    }
}

fn listed(ready: &BTreeSet<String>) -> String {
    match ready.len() {
        0 => "Ready, no endpoint".to_owned(),
        count => format!("Ready, {}: {}", counted(count, "endpoint"), names(ready)),
    }
}

fn names(ready: &BTreeSet<String>) -> String {
    ready.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The pods that get connections, each once however many addresses it has. An endpoint that names no
/// pod is looked up by its address, and stands for itself when no pod has it.
fn ready(view: View<'_>, service: &str) -> BTreeSet<String> {
    let endpoints = view.snapshot.endpoints.get(service);
    let ready = endpoints.into_iter().flatten().filter(|endpoint| endpoint.ready);
    ready
        .map(|endpoint| {
            (endpoint.pod.clone())
                .or_else(|| pod_of(view, &endpoint.address))
                .unwrap_or_else(|| endpoint.address.clone())
        })
        .collect()
}

fn pod_of(view: View<'_>, address: &str) -> Option<String> {
    let has = |pod: &&Pod| {
        pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()) == Some(address)
    };
    let pod = view.snapshot.pods.iter().find(has)?;
    pod.metadata.name.clone()
}

#[cfg(test)]
mod tests;
