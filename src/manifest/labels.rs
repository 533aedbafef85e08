//! The labels that say whose an object is.

use serde_json::{Map, Value};

use super::Kind;
use super::object::{LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_NAMESPACE, MANAGER};
use crate::settings::SetIdentity;

/// Label: what runs (a well-known Kubernetes label). Only a description; a template may set another.
const LABEL_NAME: &str = "app.kubernetes.io/name";

/// The labels by which pgset finds an object of the set again.
#[must_use]
pub fn ownership(kind: Kind, set: &SetIdentity) -> Vec<(&'static str, &str)> {
    let mut labels = vec![(LABEL_MANAGED_BY, MANAGER), (LABEL_INSTANCE, set.name.as_str())];
    if !kind.namespaced() {
        labels.push((LABEL_NAMESPACE, set.namespace.as_str()));
    }
    labels
}

/// Adds the ownership labels to an object's metadata, so that no template can forget them.
///
/// # Errors
/// The label, when the document gives it another value.
pub(super) fn add(
    kind: Kind,
    metadata: &mut Map<String, Value>,
    set: &SetIdentity,
) -> Result<(), &'static str> {
    let labels = metadata.entry("labels").or_insert_with(|| Value::Object(Map::new()));
    if labels.is_null() {
        *labels = Value::Object(Map::new());
    }
    // The schema has been checked: labels are a mapping.
    let Some(labels) = labels.as_object_mut() else { return Ok(()) };
    for (label, value) in ownership(kind, set) {
        match labels.insert(label.to_owned(), value.into()) {
            Some(other) if other != *value => return Err(label),
            _ => {}
        }
    }
    labels.entry(LABEL_NAME).or_insert_with(|| "postgresql".into());
    Ok(())
}
