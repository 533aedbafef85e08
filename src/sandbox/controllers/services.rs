//! Services: writes the EndpointSlices with the pods behind each one.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::kinds::{PODS, SERVICES, SLICES};
use super::super::refusal::Answer;
use super::super::registry::Registry;
use super::super::selectors::Selector;
use super::super::store::Key;
use super::{MANAGER, WRITER, condition, deleted, is_owned_by, owned_by, text};

/// The label of an EndpointSlice that names its Service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

pub(super) fn sync(registry: &Registry) -> Answer<()> {
    for service in registry.store.all(&SERVICES) {
        if service["spec"]["selector"].is_object() && !deleted(&service) {
            sync_one(registry, &service)?;
        }
    }
    Ok(())
}

fn sync_one(registry: &Registry, service: &Arc<Value>) -> Answer<()> {
    let name = text(service, "/metadata/name");
    let namespace = text(service, "/metadata/namespace");
    let selector = Selector::labels(&service["spec"]["selector"]);
    let pods = registry.store.list(&PODS, Some(namespace)).0;
    let early = service["spec"]["publishNotReadyAddresses"] == true;
    let endpoints: Value = (pods.iter())
        .filter(|pod| selector.matches(pod) && !text(pod, "/status/podIP").is_empty())
        .filter(|pod| !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed"))
        .map(|pod| endpoint(pod, early))
        .collect();
    let ports: Value =
        service["spec"]["ports"].as_array().into_iter().flatten().map(port).collect();
    let slices = registry.store.list(&SLICES, Some(namespace)).0;
    if let Some(slice) = slices.iter().find(|slice| is_owned_by(slice, service)) {
        if slice["endpoints"] == endpoints && slice["ports"] == ports {
            return Ok(());
        }
        registry.update(&Key::of(&SLICES, slice), WRITER, false, |slice| {
            slice["endpoints"] = endpoints;
            slice["ports"] = ports;
            Ok(())
        })?;
        return Ok(());
    }
    let mut labels = service["metadata"]["labels"].clone();
    labels[SERVICE_NAME] = json!(name);
    labels["endpointslice.kubernetes.io/managed-by"] = json!("endpointslice-controller.k8s.io");
    if text(service, "/spec/clusterIP") == "None" {
        labels["service.kubernetes.io/headless"] = json!("");
    }
    let object = json!({
        "metadata": {"labels": labels, "ownerReferences": [owned_by(service)]},
        "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
    });
    let key = Key::new(&SLICES, namespace, &format!("{name}-{}", super::super::random(5)));
    registry.create(&key, object, MANAGER, false)?;
    Ok(())
}

fn endpoint(pod: &Value, early: bool) -> Value {
    let (running, terminating) = (condition(pod, "Ready") == Some(true), deleted(pod));
    json!({
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": early || (running && !terminating), "serving": early || running,
            "terminating": terminating,
        },
        "hostname": pod["spec"]["hostname"],
        "nodeName": pod["spec"]["nodeName"],
        "targetRef": {
            "kind": "Pod", "name": pod["metadata"]["name"],
            "namespace": pod["metadata"]["namespace"], "uid": pod["metadata"]["uid"],
        },
    })
}

fn port(port: &Value) -> Value {
    let target = if port["targetPort"].is_u64() { &port["targetPort"] } else { &port["port"] };
    json!({"name": text(port, "/name"), "port": target, "protocol": port["protocol"]})
}
