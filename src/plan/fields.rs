//! `metadata.managedFields`: who owns which field, and what an applier applied.
//!
//! `fieldsV1` is a tree: `f:NAME` a field, `k:{...}` a list item by its keys, `v:VALUE` a set's item, `.`
//! the thing itself (Kubernetes' structured-merge-diff, "fieldpath").

use serde_json::{Map, Value, json};

/// Who owns a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// Its name: `pgset`, `kubectl`, `kube-controller-manager`.
    pub name: String,
    /// `Apply` or `Update`.
    pub operation: String,
    /// The subresource it wrote through: `scale`, `status`.
    pub subresource: Option<String>,
}

fn entries(live: &Value) -> impl Iterator<Item = &Value> {
    live["metadata"]["managedFields"].as_array().into_iter().flatten()
}

/// The managers that own the field at a path of plain fields: `["spec", "replicas"]`.
#[must_use]
pub fn owners(live: &Value, path: &[&str]) -> Vec<Manager> {
    entries(live)
        .filter(|entry| {
            let mut tree = &entry["fieldsV1"];
            for field in path {
                tree = &tree[format!("f:{field}")];
            }
            tree.is_object()
        })
        .map(|entry| Manager {
            name: entry["manager"].as_str().unwrap_or_default().to_owned(),
            operation: entry["operation"].as_str().unwrap_or_default().to_owned(),
            subresource: entry["subresource"].as_str().map(str::to_owned),
        })
        .collect()
}

/// The tree of what `manager` applied.
pub(super) fn applied<'a>(live: &'a Value, manager: &str) -> Option<&'a Value> {
    entries(live)
        .find(|e| e["manager"] == manager && e["operation"] == "Apply" && e["subresource"].is_null())
        .map(|entry| &entry["fieldsV1"])
}

/// What `manager` applied, with the values that are there now: applying it again changes nothing.
/// None when it never applied the object.
#[must_use]
pub fn extract(live: &Value, manager: &str) -> Option<Value> {
    let tree = applied(live, manager)?;
    let mut extracted = pick(tree, live).unwrap_or_else(|| json!({}));
    for key in ["apiVersion", "kind"] {
        extracted[key] = live[key].clone();
    }
    for key in ["name", "namespace"] {
        if let Some(value) = live["metadata"].get(key) {
            extracted["metadata"][key] = value.clone();
        }
    }
    Some(extracted)
}

/// The part of `value` that a tree covers.
fn pick(tree: &Value, value: &Value) -> Option<Value> {
    let branches = tree.as_object()?;
    let children = || branches.iter().filter(|(key, _)| *key != ".");
    if children().next().is_none() {
        return Some(value.clone());
    }
    match value {
        Value::Object(fields) => {
            let mut picked = Map::new();
            for (key, subtree) in children() {
                let Some(name) = key.strip_prefix("f:") else { continue };
                if let Some(inner) = fields.get(name).and_then(|v| pick(subtree, v)) {
                    picked.insert(name.to_owned(), inner);
                }
            }
            Some(Value::Object(picked))
        }
        // In the order of the list itself: the order of containers or variables may matter.
        Value::Array(items) => Some(Value::Array(
            items
                .iter()
                .filter_map(|item| {
                    let (_, subtree) = children().find(|(key, _)| names(key, item))?;
                    let mut picked = pick(subtree, item)?;
                    // The keys belong to an item even where the tree does not list them.
                    if let (Some(keys), Some(object)) = (keys(branches, item), picked.as_object_mut()) {
                        for (key, value) in keys {
                            object.entry(key).or_insert(value);
                        }
                    }
                    Some(picked)
                })
                .collect(),
        )),
        scalar => Some(scalar.clone()),
    }
}

fn keys(branches: &Map<String, Value>, item: &Value) -> Option<Map<String, Value>> {
    let (key, _) = branches.iter().find(|(key, _)| names(key, item))?;
    serde_json::from_str(key.strip_prefix("k:")?).ok()
}

/// Whether `k:{...}` or `v:...` names this item.
pub(super) fn names(key: &str, item: &Value) -> bool {
    if let Some(keys) = key.strip_prefix("k:") {
        let Ok(Value::Object(keys)) = serde_json::from_str(keys) else { return false };
        return keys.iter().all(|(name, value)| item.get(name) == Some(value));
    }
    key.strip_prefix("v:").and_then(|v| serde_json::from_str::<Value>(v).ok()).as_ref() == Some(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "x", "namespace": "n", "uid": "u", "managedFields": [
                {"manager": "pgset", "operation": "Apply", "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:a": {}}},
                    "f:spec": {"f:serviceName": {}, "f:template": {"f:spec": {"f:containers": {
                        "k:{\"name\":\"c\"}": {".": {}, "f:name": {}, "f:image": {}, "f:ports": {
                            "k:{\"containerPort\":1,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}}}}}}}}},
                {"manager": "kubectl", "operation": "Update", "subresource": "scale",
                 "fieldsV1": {"f:spec": {"f:replicas": {}}}}]},
            "spec": {"replicas": 4, "serviceName": "s", "template": {"spec": {"containers": [
                {"name": "sidecar", "image": "i"},
                {"name": "c", "image": "j", "imagePullPolicy": "Always", "ports": [
                    {"containerPort": 1, "protocol": "TCP", "name": "p"}]}]}}},
            "status": {"replicas": 4},
        })
    }

    #[test]
    fn what_was_applied_is_found_again() {
        assert_eq!(
            extract(&live(), "pgset"),
            Some(json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet",
                "metadata": {"name": "x", "namespace": "n"},
                "spec": {"serviceName": "s", "template": {"spec": {"containers": [
                    {"name": "c", "image": "j", "ports": [{"containerPort": 1, "protocol": "TCP"}]}]}}},
            }).as_object().map(|o| { let mut o = o.clone(); o.get_mut("metadata").unwrap()["labels"] = json!({}); Value::Object(o) }).unwrap()).map(|mut v| { v["metadata"]["labels"] = json!({}); v })
        );
        assert_eq!(extract(&live(), "nobody"), None);
    }

    #[test]
    fn owners_of_a_field() {
        let owners = owners(&live(), &["spec", "replicas"]);
        assert_eq!(owners.len(), 1);
        assert_eq!((owners[0].name.as_str(), owners[0].subresource.as_deref()), ("kubectl", Some("scale")));
    }
}
