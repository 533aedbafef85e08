//! The labels that say which set an object belongs to.

use serde_json::{Map, Value};

use super::Kind;
use super::object::{LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_NAMESPACE, MANAGER};

/// Label: the name of the application (a well-known Kubernetes label). It is only a description; a template
/// may set another value.
const LABEL_NAME: &str = "app.kubernetes.io/name";

/// The set that an object belongs to, as its labels describe it.
#[derive(Clone, Copy, Debug)]
pub struct Ownership<'a> {
    /// The name of the set.
    pub instance: &'a str,
    /// The namespace of the set.
    pub namespace: &'a str,
}

impl<'a> Ownership<'a> {
    /// The labels that pgset uses to find the objects of the set.
    #[must_use]
    pub fn labels(self, kind: Kind) -> Vec<(&'static str, &'a str)> {
        let mut labels = vec![(LABEL_MANAGED_BY, MANAGER), (LABEL_INSTANCE, self.instance)];
        if !kind.namespaced() {
            labels.push((LABEL_NAMESPACE, self.namespace));
        }
        labels
    }
}

/// Adds the ownership labels to an object's metadata, so that every template has them.
///
/// # Errors
/// Returns the label, if the document sets it to another value.
pub(super) fn add(
    kind: Kind,
    metadata: &mut Map<String, Value>,
    owner: Ownership<'_>,
) -> Result<(), &'static str> {
    let labels = metadata.entry("labels").or_insert_with(|| Value::Object(Map::new()));
    if labels.is_null() {
        *labels = Value::Object(Map::new());
    }
    // The schema was checked before, so labels are a mapping.
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
