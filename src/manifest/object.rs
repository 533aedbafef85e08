//! One object: which it is, and its document.

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

/// Which object: kind, namespace (none for cluster-scoped kinds) and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectId {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, where the kind has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectId {
    /// The object `name` of a kind, in `namespace` where the kind is namespaced.
    #[must_use]
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: kind.namespaced().then(|| namespace.to_owned()),
            name: name.to_owned(),
        }
    }
}

/// `StatefulSet pgset`: the namespace is said once, at the start of a command.
impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// An object to apply.
#[derive(Clone, PartialEq)]
pub struct Object {
    /// Which.
    pub id: ObjectId,
    /// The whole document, `apiVersion` and `kind` included.
    pub value: Value,
    /// The template that it comes from.
    pub template: String,
}

/// Never prints the document: it may be a Secret.
impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object")
            .field("id", &self.id)
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}
