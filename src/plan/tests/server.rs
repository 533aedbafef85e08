//! A small simulation of server-side apply: managed fields, defaults, normalized quantities.

use serde_json::{Map, Value, json};

use crate::plan::lists;

/// Mappings that the server replaces as a whole.
const WHOLE: [&str; 6] =
    ["selector", "roleRef", "secretKeyRef", "fieldRef", "nodeSelector", "claimRef"];

/// The object after pgset applied a document, with or without an existing live object.
pub(super) fn apply(document: &Value, live: Option<&Value>) -> Value {
    let mut object = document.clone();
    if let Some(live) = live {
        assert_eq!(live["kind"], document["kind"]);
    }
    defaults(&mut object);
    let mut fields = tree(document, document["kind"].as_str().unwrap());
    fields.remove("f:apiVersion");
    fields.remove("f:kind");
    if let Some(metadata) = fields.get_mut("f:metadata").and_then(Value::as_object_mut) {
        metadata.remove("f:name");
        metadata.remove("f:namespace");
    }
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.insert("uid".to_owned(), "7".into());
    metadata.insert("resourceVersion".to_owned(), "9".into());
    metadata.insert("creationTimestamp".to_owned(), "2026-01-01T00:00:00Z".into());
    metadata.insert(
        "managedFields".to_owned(),
        json!([
            {"manager": "pgset", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields},
            {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status",
             "fieldsV1": {"f:status": {"f:phase": {}}}},
        ]),
    );
    object
}

/// Simulates another manager that changes an object and takes over the field at `path`.
pub(super) fn update(
    live: &mut Value,
    manager: &str,
    path: &[&str],
    change: impl FnOnce(&mut Value),
) {
    change(live);
    let entries = live["metadata"]["managedFields"].as_array_mut().unwrap();
    if let Some((last, parents)) = path.split_last() {
        let mut own = &mut entries[0]["fieldsV1"];
        for parent in parents {
            own = &mut own[format!("f:{parent}")];
        }
        own.as_object_mut().unwrap().remove(&format!("f:{last}"));
    }
    let mut fields = json!({});
    for field in path.iter().rev() {
        fields = json!({ format!("f:{field}"): fields });
    }
    entries.push(json!({"manager": manager, "operation": "Update", "fieldsV1": fields}));
}

fn tree(value: &Value, kind: &str) -> Map<String, Value> {
    let Some(map) = value.as_object() else { return Map::new() };
    map.iter()
        .map(|(name, value)| {
            let below = match value {
                Value::Object(_) if WHOLE.contains(&name.as_str()) => Map::new(),
                Value::Object(_) => tree(value, kind),
                Value::Array(items) => match lists::keys(kind, name) {
                    Some(keys) => items
                        .iter()
                        .map(|item| {
                            let key = Value::Object(lists::key_of(item, keys).unwrap());
                            let mut below = tree(item, kind);
                            below.insert(".".to_owned(), json!({}));
                            (format!("k:{key}"), below.into())
                        })
                        .collect(),
                    None => Map::new(),
                },
                _ => Map::new(),
            };
            (format!("f:{name}"), below.into())
        })
        .collect()
}

fn defaults(object: &mut Value) {
    canonical(object, false);
    match object["kind"].as_str().unwrap() {
        "StatefulSet" => {
            let spec = &mut object["spec"];
            if spec["replicas"].is_null() {
                spec["replicas"] = 1.into();
            }
            spec["revisionHistoryLimit"] = 10.into();
            if spec["updateStrategy"].is_null() {
                spec["updateStrategy"] =
                    json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}});
            }
            let pod = &mut spec["template"]["spec"];
            pod["dnsPolicy"] = "ClusterFirst".into();
            pod["serviceAccount"] = pod["serviceAccountName"].clone();
            pod["containers"][0]["terminationMessagePath"] = "/dev/termination-log".into();
            pod["containers"][0]["livenessProbe"]["successThreshold"] = 1.into();
            for template in spec["volumeClaimTemplates"].as_array_mut().into_iter().flatten() {
                template["apiVersion"] = "v1".into();
                template["kind"] = "PersistentVolumeClaim".into();
                template["metadata"]["creationTimestamp"] = Value::Null;
                template["status"] = json!({"phase": "Pending"});
            }
        }
        "Service" => {
            object["spec"]["type"] = "ClusterIP".into();
            object["spec"]["ports"][0]["targetPort"] = 5432.into();
        }
        "PersistentVolume" => object["spec"]["volumeMode"] = "Filesystem".into(),
        "PersistentVolumeClaim" => {
            object["spec"]["volumeMode"] = "Filesystem".into();
            object["spec"]["volumeName"] = "pv2".into();
            object["status"] = json!({"phase": "Bound"});
        }
        _ => {}
    }
}

/// Normalizes quantities like the server.
fn canonical(value: &mut Value, quantity: bool) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                canonical(value, quantity || ["requests", "capacity"].contains(&name.as_str()));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| canonical(value, quantity)),
        Value::String(text) if quantity => {
            for (from, to) in [("1024Mi", "1Gi"), ("1000000000", "1G"), ("2000M", "2G")] {
                if text == from {
                    to.clone_into(text);
                }
            }
        }
        _ => {}
    }
}
