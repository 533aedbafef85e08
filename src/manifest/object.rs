//! A Kubernetes object: its identity and its document.

use serde::Serialize;
use serde_json::Value;

use super::Kind;

/// Label: the set an object belongs to (a well-known Kubernetes label).
pub const LABEL_INSTANCE: &str = "app.kubernetes.io/instance";
/// Label: who manages the object (a well-known Kubernetes label); its value is [`MANAGER`].
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label of cluster-scoped objects: the namespace of the set they belong to.
pub const LABEL_NAMESPACE: &str = "pgset/namespace";
/// The field manager of everything that pgset applies, and the value of [`LABEL_MANAGED_BY`].
pub const MANAGER: &str = "pgset";

/// The identity of an object: kind, namespace (`None` for cluster-scoped kinds) and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectId {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace. `None` if the kind is cluster-scoped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectId {
    /// Creates the identity of an object. `namespace` is ignored if the kind is cluster-scoped.
    #[must_use]
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: kind.namespaced().then(|| namespace.to_owned()),
            name: name.to_owned(),
        }
    }
}

/// Formats the identity as `StatefulSet pgset`. The namespace is left out, because a command prints it once
/// at its start.
impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// An object to apply.
#[derive(Clone, PartialEq)]
pub struct Object {
    /// The identity of the object.
    pub id: ObjectId,
    /// The whole document, `apiVersion` and `kind` included.
    pub value: Value,
    /// The template that produced it.
    pub template: String,
}

/// Does not print the document, because it may be a Secret.
impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object")
            .field("id", &self.id)
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}
