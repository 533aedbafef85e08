//! Services: which pods receive connections.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;

use super::phase::Phase;
use super::state::ObjectReadiness;
use super::view::{self, View};
use crate::manifest::Kind;
use crate::text::counted;

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
    let expected = view.expected.topology.master();
    let unmet = match ready.iter().collect::<Vec<_>>().as_slice() {
        [] if view.expected.replicas == 0 || expected.is_none() => None,
        // The master's pod labels itself. If it has no permission to do so, the images report no error.
        [] => match expected.and_then(|ordinal| view.pod(ordinal)) {
            Some(pod) if view::is_ready(pod) && !is_labelled(pod, name) => Some(format!(
                "no ready endpoint: {} has no label name={name}",
                view::name(&pod.metadata)
            )),
            _ => Some("no ready endpoint".to_owned()),
        },
        [only] => match expected.map(|ordinal| view.expected.set.pod(ordinal)) {
            Some(expected) if expected == **only => None,
            Some(expected) => Some(format!("its endpoint is {only}, not {expected}")),
            None => Some(format!("its endpoint is {only}, and the topology names no master")),
        },
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
    let master = view.expected.topology.master_pod(&view.expected.set);
    let unmet = if let Some(master) = master.filter(|master| ready.contains(master)) {
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

/// The pods that receive connections, each once, even if it has several addresses. An endpoint without a
/// pod is matched by its address; if no pod has the address, the address itself is returned.
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
