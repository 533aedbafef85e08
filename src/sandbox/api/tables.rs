//! Tables: what `kubectl get` prints is made by the server.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::kinds::Resource;

/// A column: its name, and what it says of an object.
type Column = (&'static str, fn(&Value) -> String);

/// A table of objects.
#[must_use]
pub fn of(resource: &Resource, objects: &[Arc<Value>], metadata: &Value) -> Value {
    let columns = columns(resource.kind);
    let definitions: Vec<Value> = columns
        .iter()
        .map(|(name, _)| {
            let format = if *name == "Name" { "name" } else { "" };
            json!({"name": name, "type": "string", "format": format, "description": "", "priority": 0})
        })
        .collect();
    let row = |object: &Arc<Value>| {
        let cells: Vec<String> = columns.iter().map(|(_, cell)| cell(object)).collect();
        json!({"cells": cells, "object": {
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": object["metadata"],
        }})
    };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": metadata["resourceVersion"]},
        "columnDefinitions": definitions, "rows": objects.iter().map(row).collect::<Vec<_>>(),
    })
}

fn columns(kind: &str) -> Vec<Column> {
    let own: &[Column] = match kind {
        "Pod" => &[("Ready", ready), ("Status", pod_status), ("Restarts", restarts)],
        "StatefulSet" => &[("Ready", |o| {
            format!("{}/{}", number(o, "/status/readyReplicas"), number(o, "/spec/replicas"))
        })],
        "Service" => &[
            ("Type", |o| text(o, "/spec/type")),
            ("Cluster-IP", |o| text(o, "/spec/clusterIP")),
            ("External-IP", |_| "<none>".to_owned()),
            ("Port(s)", ports),
        ],
        "PersistentVolumeClaim" => &[
            ("Status", |o| text(o, "/status/phase")),
            ("Volume", |o| text(o, "/spec/volumeName")),
            ("Capacity", |o| text(o, "/status/capacity/storage")),
            ("Access Modes", modes),
            ("StorageClass", |o| text(o, "/spec/storageClassName")),
        ],
        "PersistentVolume" => &[
            ("Capacity", |o| text(o, "/spec/capacity/storage")),
            ("Access Modes", modes),
            ("Reclaim Policy", |o| text(o, "/spec/persistentVolumeReclaimPolicy")),
            ("Status", |o| text(o, "/status/phase")),
            ("Claim", |o| {
                let of = |field| text(o, field);
                let (namespace, name) = (of("/spec/claimRef/namespace"), of("/spec/claimRef/name"));
                if name.is_empty() { name } else { format!("{namespace}/{name}") }
            }),
            ("StorageClass", |o| text(o, "/spec/storageClassName")),
        ],
        "Event" => &[
            ("Last Seen", |o| since(&text(o, "/lastTimestamp"))),
            ("Type", |o| text(o, "/type")),
            ("Reason", |o| text(o, "/reason")),
            ("Object", |o| {
                let of = |field| text(o, field);
                let kind = of("/involvedObject/kind").to_lowercase();
                format!("{kind}/{}", of("/involvedObject/name"))
            }),
            ("Message", |o| text(o, "/message")),
        ],
        "Secret" => &[("Type", |o| text(o, "/type")), ("Data", data)],
        "ConfigMap" => &[("Data", data)],
        "Namespace" => &[("Status", |o| text(o, "/status/phase"))],
        "Node" => &[
            ("Status", |_| "Ready".to_owned()),
            ("Version", |o| text(o, "/status/nodeInfo/kubeletVersion")),
        ],
        "StorageClass" => &[
            ("Provisioner", |o| text(o, "/provisioner")),
            ("ReclaimPolicy", |o| text(o, "/reclaimPolicy")),
        ],
        "EndpointSlice" => &[("Endpoints", endpoints)],
        _ => &[],
    };
    if kind == "Event" {
        return own.to_vec();
    }
    let name: Column = ("Name", |o| text(o, "/metadata/name"));
    let age: Column = ("Age", |o| since(&text(o, "/metadata/creationTimestamp")));
    [&[name], own, &[age]].concat()
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number(object: &Value, pointer: &str) -> u64 {
    object.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

fn list<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn ready(pod: &Value) -> String {
    let ready = list(pod, "/status/containerStatuses").filter(|s| s["ready"] == true).count();
    format!("{ready}/{}", list(pod, "/spec/containers").count())
}

/// The phase, or what a person would rather know.
fn pod_status(pod: &Value) -> String {
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return "Terminating".to_owned();
    }
    for status in list(pod, "/status/containerStatuses") {
        for state in ["waiting", "terminated"] {
            if let Some(reason) = status["state"][state]["reason"].as_str() {
                return reason.to_owned();
            }
        }
    }
    text(pod, "/status/phase")
}

fn restarts(pod: &Value) -> String {
    let all =
        list(pod, "/status/containerStatuses").map(|s| s["restartCount"].as_u64().unwrap_or(0));
    all.sum::<u64>().to_string()
}

fn ports(service: &Value) -> String {
    let one = |port: &Value| format!("{}/{}", number(port, "/port"), text(port, "/protocol"));
    list(service, "/spec/ports").map(one).collect::<Vec<_>>().join(",")
}

fn modes(object: &Value) -> String {
    let short = |mode: &Value| match mode.as_str() {
        Some("ReadWriteOnce") => "RWO",
        Some("ReadWriteMany") => "RWX",
        Some("ReadOnlyMany") => "ROX",
        Some("ReadWriteOncePod") => "RWOP",
        _ => "",
    };
    list(object, "/spec/accessModes").map(short).collect::<Vec<_>>().join(",")
}

fn data(object: &Value) -> String {
    object["data"].as_object().map_or(0, serde_json::Map::len).to_string()
}

fn endpoints(slice: &Value) -> String {
    let all = list(slice, "/endpoints").map(|e| text(e, "/addresses/0"));
    all.collect::<Vec<_>>().join(",")
}

/// `42s`, `12m`, `5h`, `3d`.
fn since(time: &str) -> String {
    let Ok(time) = time.parse::<jiff::Timestamp>() else { return "<unknown>".to_owned() };
    let seconds = jiff::Timestamp::now().duration_since(time).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
