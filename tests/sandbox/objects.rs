//! The objects of a namespace, in a form that can be compared with another namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use pgset::sandbox::kinds::{CLAIMS, EVENTS, LEASES, PODS, RESOURCES, REVISIONS, SLICES, VOLUMES};
use serde_json::{Value, json};

use super::World;
use crate::support::{eventually, seconds};

/// Maps kind and name to the object without the fields that always differ.
pub(super) type Objects = BTreeMap<String, Value>;

impl World {
    /// All objects in a namespace, so that unexpected ones are found, too. The Lease of a command that was killed
    /// stays until the next change of the set.
    pub(super) fn objects(&self, namespace: &str) -> Objects {
        let mut all = Objects::new();
        let other = [&EVENTS, &LEASES, &SLICES];
        let kinds = RESOURCES.iter().filter(|r| r.namespaced && !other.contains(r));
        for resource in kinds {
            let objects = self.sandbox.registry.store.list(resource, Some(namespace)).0;
            for (at, object) in objects.iter().enumerate() {
                // The name is a hash that includes the namespace.
                let revision = *resource == &REVISIONS;
                let name = if revision { format!("number {at}") } else { name(object).to_owned() };
                let value = if *resource == &PODS { pod(object) } else { normal(object) };
                let text = value.to_string().replace(namespace, "NAMESPACE");
                let value = serde_json::from_str(&text).unwrap();
                all.insert(format!("{} {name}", resource.kind), value);
            }
        }
        all
    }

    /// Waits until a namespace has these objects.
    pub(super) async fn ends_as(&self, namespace: &str, expected: &Objects, what: &str) {
        eventually(what, seconds(30), async || {
            let difference = difference(expected, &self.objects(namespace));
            if difference.is_empty() { Ok(()) } else { Err(difference) }
        })
        .await;
    }

    /// The directories of the claims' volumes. Also checks that every volume has a claim.
    pub(super) fn volumes(&self, namespace: &str) -> Vec<PathBuf> {
        let store = &self.sandbox.registry.store;
        let claims = store.list(&CLAIMS, Some(namespace)).0;
        let mut bound: Vec<_> =
            claims.iter().map(|c| (name(c), &c["spec"]["volumeName"])).collect();
        bound.sort_by_key(|(claim, _)| *claim);
        let directories = self.sandbox.place().directory().join("volumes");
        let volumes = store.all(&VOLUMES);
        let ours = volumes.iter().filter(|v| v["spec"]["claimRef"]["namespace"] == namespace);
        assert_eq!(ours.count(), claims.len(), "volumes of {namespace}");
        bound.iter().filter_map(|(_, volume)| Some(directories.join(volume.as_str()?))).collect()
    }

    /// The mark that the first server on each volume left there.
    pub(super) fn data(&self, namespace: &str) -> Vec<String> {
        let read = |(ordinal, path): (usize, PathBuf)| {
            std::fs::read_to_string(path.join(format!("pgset-{ordinal}/first"))).unwrap_or_default()
        };
        self.volumes(namespace).into_iter().enumerate().map(read).collect()
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn pod(pod: &Value) -> Value {
    let conditions = pod["status"]["conditions"].as_array();
    let ready =
        conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True");
    json!({"ready": ready, "role": pod["metadata"]["labels"]["name"],
        "leaving": pod["metadata"]["deletionTimestamp"].is_string()})
}

fn normal(object: &Value) -> Value {
    let mut value = object.clone();
    let fields = value["metadata"]["managedFields"].take();
    let ours = fields.as_array().into_iter().flatten().filter(|f| f["manager"] == "pgset");
    let ours: Vec<Value> =
        ours.map(|f| json!([f["operation"], f["subresource"], f["fieldsV1"]])).collect();
    let without = |value: &mut Value, at: &str, names: &[&str]| {
        if let Some(Value::Object(map)) = value.pointer_mut(at) {
            map.retain(|name, _| !names.contains(&name.as_str()));
        }
    };
    without(&mut value, "", &["status"]);
    let own = [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "managedFields",
        "generation",
        "ownerReferences",
    ];
    without(&mut value, "/metadata", &own);
    without(&mut value, "/spec", &["clusterIP", "clusterIPs", "volumeName"]);
    // The revision number depends on how many templates were applied before.
    without(&mut value, "", &["revision"]);
    if value["kind"] == "ControllerRevision" {
        without(&mut value, "/metadata", &["name", "labels"]);
    }
    if value["kind"] == "Secret" {
        let keys: BTreeSet<String> =
            value["data"].as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect();
        value["data"] = json!(keys);
    }
    if value["data"]["stopped-since"].is_string() {
        value["data"]["stopped-since"] = json!("then");
    }
    value["managed by pgset"] = json!(ours);
    value
}

/// The differences, one field per line; empty if there are none.
pub(super) fn difference(left: &Objects, right: &Objects) -> String {
    let mut lines = Vec::new();
    compare("", &json!(left), &json!(right), &mut lines);
    lines.join("\n")
}

fn compare(at: &str, left: &Value, right: &Value, lines: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                compare(&format!("{at}/{key}"), &left[key], &right[key], lines);
            }
        }
        _ if left != right => lines.push(format!("{at}: undisturbed {left}, this one {right}")),
        _ => {}
    }
}
