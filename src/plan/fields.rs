//! Field ownership: `metadata.managedFields`.
//!
//! The `fieldsV1` of a manager is a tree. `f:NAME` is a field, `k:{KEYS}` a list item identified by its
//! key fields, `v:VALUE` a value of a set, `.` the value itself. An empty tree is a leaf: a scalar, or a
//! list or mapping that is owned as a whole.

use serde_json::{Map, Value, json};

use super::lists;
use super::path::{Path, Segment};
use crate::manifest::ObjectId;
use crate::manifest::object::MANAGER;

/// A manager that owns a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// The field manager's name: `pgset`, `kubectl`.
    pub name: String,
    /// `Apply` or `Update`.
    pub operation: String,
    /// The subresource that it wrote to, for example `scale`; `None` for the object itself.
    pub subresource: Option<String>,
}

/// The managers that own a field of a live object.
#[must_use]
pub fn owners(live: &Value, path: &Path) -> Vec<Manager> {
    entries(live)
        .filter(|entry| entry.get("fieldsV1").is_some_and(|fields| owns(fields, path.segments())))
        .map(|entry| Manager {
            name: text(entry, "manager").to_owned(),
            operation: text(entry, "operation").to_owned(),
            subresource: Some(text(entry, "subresource"))
                .filter(|s| !s.is_empty())
                .map(str::to_owned),
        })
        .collect()
}

/// Rebuilds what a manager applied from the live object: its fields, and kind, name and namespace. `None`
/// if it applied nothing.
#[must_use]
pub fn extract(live: &Value, manager: &str) -> Option<Value> {
    let fields = applied(live, manager)?;
    let mut document = pick(fields, live);
    // Items of a list response have no apiVersion and kind.
    for field in ["apiVersion", "kind"] {
        if let Some(value) = live.get(field) {
            document[field] = value.clone();
        }
    }
    for field in ["name", "namespace"] {
        if let Some(value) = live["metadata"].get(field) {
            document["metadata"][field] = value.clone();
        }
    }
    without_defaults_of_claim_templates(&mut document);
    Some(document)
}

/// A live object as pgset last applied it, to be applied again with a change. Only its identity, if pgset has not
/// applied it. The UID is a precondition: an object that was deleted in the meantime is not created again.
#[must_use]
pub fn reapplied(live: &Value, id: &ObjectId) -> Value {
    let mut value = extract(live, MANAGER).unwrap_or_else(|| {
        json!({
            "apiVersion": id.kind.api_version(),
            "kind": id.kind.name(),
            "metadata": { "name": id.name, "namespace": id.namespace },
        })
    });
    value["metadata"]["uid"] = live["metadata"]["uid"].clone();
    value
}

/// The tree of the fields that a manager applied.
pub(super) fn applied<'a>(live: &'a Value, manager: &str) -> Option<&'a Map<String, Value>> {
    entries(live)
        .find(|entry| {
            text(entry, "manager") == manager
                && text(entry, "operation") == "Apply"
                && text(entry, "subresource").is_empty()
        })
        .and_then(|entry| entry.get("fieldsV1")?.as_object())
}

/// The trees of all managers.
pub(super) fn all(live: &Value) -> Vec<&Map<String, Value>> {
    entries(live).filter_map(|entry| entry.get("fieldsV1")?.as_object()).collect()
}

/// The entries of `managedFields`.
pub(super) fn entries(live: &Value) -> impl Iterator<Item = &Value> {
    live["metadata"]["managedFields"].as_array().into_iter().flatten()
}

pub(super) fn text<'a>(entry: &'a Value, field: &str) -> &'a str {
    entry.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The subtree one step below.
pub(super) fn step<'a>(
    fields: &'a Map<String, Value>,
    segment: &Segment,
) -> Option<&'a Map<String, Value>> {
    let below = match segment {
        Segment::Field(name) => fields.get(&format!("f:{name}")),
        Segment::Index(_) => None,
        Segment::Key(key) => items(fields).find(|(own, _)| own == key).map(|(_, below)| below),
        Segment::Value(value) => fields.iter().find_map(|(name, below)| {
            let own: Value = serde_json::from_str(name.strip_prefix("v:")?).ok()?;
            (own == *value).then_some(below)
        }),
    };
    below.and_then(Value::as_object)
}

/// The items of a list in a tree: key fields and subtree.
pub(super) fn items(
    fields: &Map<String, Value>,
) -> impl Iterator<Item = (Map<String, Value>, &Value)> {
    fields.iter().filter_map(|(name, below)| {
        Some((serde_json::from_str(name.strip_prefix("k:")?).ok()?, below))
    })
}

fn owns(fields: &Value, path: &[Segment]) -> bool {
    let Some(mut fields) = fields.as_object() else { return false };
    for (position, segment) in path.iter().enumerate() {
        // A leaf above the field owns everything inside it. The root is never a leaf.
        if position > 0 && fields.is_empty() {
            return true;
        }
        match step(fields, segment) {
            Some(below) => fields = below,
            None => return false,
        }
    }
    fields.is_empty() || fields.contains_key(".")
}

/// The part of a live value that a tree covers.
fn pick(fields: &Map<String, Value>, live: &Value) -> Value {
    match live {
        _ if fields.is_empty() => live.clone(),
        Value::Object(map) => Value::Object(
            map.iter()
                .filter_map(|(name, value)| {
                    let below = step(fields, &Segment::Field(name.clone()))?;
                    Some((name.clone(), pick(below, value)))
                })
                .collect(),
        ),
        Value::Array(list) => list.iter().filter_map(|item| pick_item(fields, item)).collect(),
        scalar => scalar.clone(),
    }
}

/// A list item, if the tree contains it. The key fields are included, because they identify the item.
fn pick_item(fields: &Map<String, Value>, item: &Value) -> Option<Value> {
    if let Some(below) = step(fields, &Segment::Value(item.clone())) {
        return Some(pick(below, item));
    }
    let (key, below) = items(fields).find(|(key, _)| lists::matches(item, key))?;
    let mut picked = match below.as_object() {
        Some(below) if !below.is_empty() => pick(below, item),
        _ => json!({}),
    };
    for (name, value) in key {
        picked[name] = value;
    }
    Some(picked)
}

/// Removes the server's defaults from claim templates. Their manager owns them as a whole, including the
/// defaults, and the server fills them in again.
fn without_defaults_of_claim_templates(document: &mut Value) {
    let templates = document
        .pointer_mut("/spec/volumeClaimTemplates")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten();
    for template in templates.filter_map(Value::as_object_mut) {
        for field in ["apiVersion", "kind", "status"] {
            template.remove(field);
        }
        if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|_, value| !value.is_null());
        }
    }
}
