//! Fields of objects: their paths, sets of paths, and how each field is merged.
//!
//! Paths have the format of `metadata.managedFields`: `f:NAME` is a field, `k:{KEYS}` an item of a
//! list with these key fields, `v:VALUE` an item of a set.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The path of a field.
pub(super) type FieldPath = Vec<String>;

/// The fields that a manager owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldSet(pub(super) BTreeSet<FieldPath>);

/// How the server merges a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// An object whose fields are merged one by one.
    Granular,
    /// A value that is replaced as a whole.
    Atomic,
    /// A list of unique values.
    Set,
    /// A list whose items are identified by these key fields.
    Keyed(&'static [&'static str]),
}

/// How a field is merged, by the kind of the object and the parent field.
pub(super) fn shape(kind: &str, parent: &str, field: &str) -> Shape {
    match (field, kind) {
        (
            "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets",
            "Pod" | "StatefulSet",
        )
        | ("secrets", "ServiceAccount") => Shape::Keyed(&["name"]),
        ("volumeMounts", _) => Shape::Keyed(&["mountPath"]),
        ("volumeDevices", _) => Shape::Keyed(&["devicePath"]),
        ("ports", "Service") => Shape::Keyed(&["port", "protocol"]),
        ("ports", "StatefulSet" | "Pod") => Shape::Keyed(&["containerPort", "protocol"]),
        ("hostAliases", _) => Shape::Keyed(&["ip"]),
        ("topologySpreadConstraints", _) => Shape::Keyed(&["topologyKey", "whenUnsatisfiable"]),
        ("ownerReferences", _) => Shape::Keyed(&["uid"]),
        ("conditions", _) => Shape::Keyed(&["type"]),
        ("finalizers", _) => Shape::Set,
        ("selector", _) if parent == "spec" => Shape::Atomic,
        (
            "nodeSelector" | "roleRef" | "secretKeyRef" | "configMapKeyRef" | "fieldRef"
            | "resourceFieldRef" | "labelSelector" | "podSelector" | "namespaceSelector",
            _,
        ) => Shape::Atomic,
        _ => Shape::Granular,
    }
}

/// Whether only the server writes the field, so that no manager owns it.
fn untracked(path: &[String]) -> bool {
    match path {
        [only] => matches!(only.as_str(), "f:apiVersion" | "f:kind"),
        [first, second] if first == "f:metadata" => matches!(
            second.as_str(),
            "f:name"
                | "f:namespace"
                | "f:uid"
                | "f:resourceVersion"
                | "f:generation"
                | "f:creationTimestamp"
                | "f:managedFields"
                | "f:deletionTimestamp"
                | "f:deletionGracePeriodSeconds"
        ),
        _ => false,
    }
}

/// The path segment of a list item; none if a key field is missing. The default protocol is TCP.
pub(super) fn item_segment(item: &Value, keys: &[&str]) -> Option<String> {
    let mut found = Map::new();
    for key in keys {
        let value = match item.get(*key) {
            Some(value) => value.clone(),
            None if *key == "protocol" => json!("TCP"),
            None => return None,
        };
        found.insert((*key).to_owned(), value);
    }
    Some(format!("k:{}", Value::Object(found)))
}

impl FieldSet {
    /// The fields of a document of this kind.
    pub(super) fn of(kind: &str, document: &Value) -> Self {
        let mut set = Self::default();
        set.add(kind, "", Shape::Granular, document, &mut Vec::new());
        set
    }

    fn add(&mut self, kind: &str, field: &str, how: Shape, value: &Value, path: &mut FieldPath) {
        if untracked(path) {
            return;
        }
        match (value, how) {
            (Value::Null, _) => {}
            (Value::Object(map), Shape::Granular) if !map.is_empty() => {
                for (name, below) in map {
                    path.push(format!("f:{name}"));
                    self.add(kind, name, shape(kind, field, name), below, path);
                    path.pop();
                }
            }
            (Value::Array(list), Shape::Keyed(keys)) if !list.is_empty() => {
                for item in list {
                    let Some(segment) = item_segment(item, keys) else { continue };
                    path.push(segment);
                    self.0.insert(path.clone());
                    self.add(kind, field, Shape::Granular, item, path);
                    path.pop();
                }
            }
            (Value::Array(list), Shape::Set) if !list.is_empty() => {
                for item in list {
                    path.push(format!("v:{item}"));
                    self.0.insert(path.clone());
                    path.pop();
                }
            }
            _ if path.is_empty() => {}
            _ => {
                self.0.insert(path.clone());
            }
        }
    }

    /// Parses `fieldsV1`.
    pub(super) fn parse(tree: &Value) -> Self {
        fn walk(set: &mut FieldSet, tree: &Value, path: &mut FieldPath) {
            let Some(map) = tree.as_object() else { return };
            if (map.is_empty() || map.contains_key(".")) && !path.is_empty() {
                set.0.insert(path.clone());
            }
            for (name, below) in map.iter().filter(|(name, _)| *name != ".") {
                path.push(name.clone());
                walk(set, below, path);
                path.pop();
            }
        }
        let mut set = Self::default();
        walk(&mut set, tree, &mut Vec::new());
        set
    }

    /// Formats the set as `fieldsV1`.
    pub(super) fn tree(&self) -> Value {
        let mut tree = json!({});
        for path in &self.0 {
            let mut at = &mut tree;
            for segment in path {
                at = &mut at[segment.as_str()];
                if at.is_null() {
                    *at = json!({});
                }
            }
            at["."] = json!({});
        }
        prune(&mut tree);
        tree
    }

    /// Whether the set contains the field or a field below it.
    pub(super) fn covers(&self, path: &FieldPath) -> bool {
        self.0.range(path.clone()..).next().is_some_and(|first| first.starts_with(path))
    }
}

/// Writes a field without subfields as an empty object.
fn prune(tree: &mut Value) {
    let Some(map) = tree.as_object_mut() else { return };
    if map.len() == 1 && map.contains_key(".") {
        map.clear();
    }
    map.iter_mut().filter(|(name, _)| *name != ".").for_each(|(_, below)| prune(below));
}

/// The value at a path.
pub(super) fn at<'a>(document: &'a Value, path: &[String]) -> Option<&'a Value> {
    let Some((segment, rest)) = path.split_first() else { return Some(document) };
    let below = match segment.split_once(':')? {
        ("f", name) => document.get(name)?,
        ("k", key) => {
            let key: Value = serde_json::from_str(key).ok()?;
            document.as_array()?.iter().find(|item| is_item(item, &key))?
        }
        (_, value) => {
            let value: Value = serde_json::from_str(value).ok()?;
            document.as_array()?.iter().find(|item| **item == value)?
        }
    };
    at(below, rest)
}

/// Removes the value at a path, and the parents that become empty.
pub(super) fn remove(document: &mut Value, path: &[String]) {
    let Some((segment, rest)) = path.split_first() else { return };
    let Some((kind, text)) = segment.split_once(':') else { return };
    match document {
        Value::Object(map) if kind == "f" => {
            if !rest.is_empty()
                && let Some(below) = map.get_mut(text)
            {
                remove(below, rest);
            }
            let empty = |v: &Value| {
                v.as_object().is_some_and(Map::is_empty) || v.as_array().is_some_and(Vec::is_empty)
            };
            if rest.is_empty() || map.get(text).is_some_and(empty) {
                map.remove(text);
            }
        }
        Value::Array(list) => {
            let Ok(wanted) = serde_json::from_str::<Value>(text) else { return };
            let is =
                |item: &Value| if kind == "k" { is_item(item, &wanted) } else { *item == wanted };
            if rest.is_empty() {
                list.retain(|item| !is(item));
            } else if let Some(item) = list.iter_mut().find(|item| is(item)) {
                remove(item, rest);
            }
        }
        _ => {}
    }
}

fn is_item(item: &Value, key: &Value) -> bool {
    let fields = key.as_object().into_iter().flatten();
    fields.into_iter().all(|(name, value)| match item.get(name) {
        Some(own) => own == value,
        None => name == "protocol" && value == "TCP",
    })
}

/// Merges a document of this kind into another one.
pub(super) fn merge(kind: &str, into: &mut Value, from: &Value) {
    merge_field(kind, "", Shape::Granular, into, from);
}

fn merge_field(kind: &str, field: &str, how: Shape, into: &mut Value, from: &Value) {
    match (how, into, from) {
        (_, _, Value::Null) => {}
        (Shape::Granular, Value::Object(into), Value::Object(from)) => {
            for (name, value) in from.iter().filter(|(_, value)| !value.is_null()) {
                let below = into.entry(name.clone()).or_insert(Value::Null);
                merge_field(kind, name, shape(kind, field, name), below, value);
            }
        }
        (Shape::Keyed(keys), Value::Array(into), Value::Array(from)) => {
            for item in from {
                let wanted = item_segment(item, keys);
                let own = into.iter_mut().find(|i| item_segment(i, keys) == wanted);
                match own {
                    Some(own) => merge_field(kind, field, Shape::Granular, own, item),
                    None => into.push(item.clone()),
                }
            }
        }
        (Shape::Set, Value::Array(into), Value::Array(from)) => {
            for item in from {
                if !into.contains(item) {
                    into.push(item.clone());
                }
            }
        }
        (_, into, from) => *into = from.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_and_a_set_are_the_same() {
        let document = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x",
            "labels": {"app": "x"}}, "spec": {"selector": {"a": "b"},
            "ports": [{"port": 1, "name": "p"}]}});
        let tree = json!({"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:selector": {},
            "f:ports": {"k:{\"port\":1,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}, "f:port": {}}}}});
        let set = FieldSet::of("Service", &document);
        assert_eq!(set.tree(), tree);
        assert_eq!(FieldSet::parse(&tree), set);
        for path in &set.0 {
            assert!(at(&document, path).is_some(), "{path:?}");
        }
    }

    #[test]
    fn what_is_taken_away_leaves_nothing_empty() {
        let mut document = json!({"metadata": {"labels": {"a": "b"}, "name": "x"}});
        remove(&mut document, &["f:metadata", "f:labels", "f:a"].map(str::to_owned));
        assert_eq!(document, json!({"metadata": {"name": "x"}}));
    }
}
