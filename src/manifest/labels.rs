//! The labels that say whose an object is.

use serde_json::{Map, Value};

use super::Kind;
use super::object::{LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_NAMESPACE, MANAGER};

/// Label: what runs (a well-known Kubernetes label). Only a description; a template may set another.
const LABEL_NAME: &str = "app.kubernetes.io/name";

/// The set that an object belongs to, as its labels say it.
#[derive(Clone, Copy, Debug)]
pub struct Ownership<'a> {
    /// The name of the set.
    pub instance: &'a str,
    /// The namespace of the set.
    pub namespace: &'a str,
}

impl<'a> Ownership<'a> {
    /// The labels by which pgset finds an object of the set again.
    #[must_use]
    pub fn labels(self, kind: Kind) -> Vec<(&'static str, &'a str)> {
        let mut labels = vec![(LABEL_MANAGED_BY, MANAGER), (LABEL_INSTANCE, self.instance)];
        if !kind.namespaced() {
            labels.push((LABEL_NAMESPACE, self.namespace));
        }
        labels
    }
}

/// Adds the ownership labels to an object's metadata, so that no template can forget them.
///
/// # Errors
/// The label, when the document gives it another value.
pub(super) fn add(
    kind: Kind,
    metadata: &mut Map<String, Value>,
    owner: Ownership<'_>,
) -> Result<(), &'static str> {
    let labels = metadata.entry("labels").or_insert_with(|| Value::Object(Map::new()));
    if labels.is_null() {
        *labels = Value::Object(Map::new());
    }
    // The schema has been checked: labels are a mapping.
    let Some(labels) = labels.as_object_mut() else { return Ok(()) };
    for (label, value) in owner.labels(kind) {
        match labels.insert(label.to_owned(), value.into()) {
            Some(other) if other != *value => return Err(label),
            _ => {}
        }
    }
    labels.entry(LABEL_NAME).or_insert_with(|| "postgresql".into());
    Ok(())
}
