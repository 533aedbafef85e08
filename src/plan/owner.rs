//! The owner of a live object.

use std::fmt;

use serde_json::Value;

use super::fields;
use crate::manifest::object::{LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_NAMESPACE, MANAGER};
use crate::set::SetIdentity;

/// The owner of an object, as far as its metadata shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Another set of pgset.
    Set {
        /// The set's name.
        name: String,
        /// Its namespace, if it is a different one.
        namespace: Option<String>,
    },
    /// A Helm release.
    Helm {
        /// The release's name.
        release: String,
    },
    /// The controller in its owner references.
    Controller {
        /// The kind.
        kind: String,
        /// The name.
        name: String,
    },
    /// No owner in its labels, only the field manager that wrote it.
    Manager(String),
    /// No visible owner.
    Unknown,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set { name, namespace: None } => write!(f, "the set {name}"),
            Self::Set { name, namespace: Some(namespace) } => {
                write!(f, "the set {name} in namespace {namespace}")
            }
            Self::Helm { release } => write!(f, "the Helm release {release}"),
            Self::Controller { kind, name } => write!(f, "{kind} {name}"),
            Self::Manager(manager) => write!(f, "another client (created by {manager})"),
            Self::Unknown => f.write_str("another client (not created by pgset)"),
        }
    }
}

/// The owner of a live object that does not belong to the set; `None` if it belongs to the set.
#[must_use]
pub fn foreign(live: &Value, set: &SetIdentity) -> Option<Owner> {
    let label = |name: &str| live["metadata"]["labels"][name].as_str();
    let cluster_scoped = live["metadata"].get("namespace").is_none();
    if label(LABEL_MANAGED_BY) == Some(MANAGER)
        && let Some(name) = label(LABEL_INSTANCE)
    {
        let own_namespace = set.namespace.as_str();
        let other_namespace = label(LABEL_NAMESPACE)
            .filter(|namespace| cluster_scoped && *namespace != own_namespace);
        // Without the namespace label, a cluster-scoped object can't be attributed to this set.
        let unclear = cluster_scoped && label(LABEL_NAMESPACE).is_none();
        if name == set.name.as_str() && other_namespace.is_none() && !unclear {
            return None;
        }
        return Some(Owner::Set {
            name: name.to_owned(),
            namespace: other_namespace.map(str::to_owned),
        });
    }
    Some(
        helm(live).or_else(|| controller(live)).or_else(|| manager(live)).unwrap_or(Owner::Unknown),
    )
}

fn helm(live: &Value) -> Option<Owner> {
    let metadata = &live["metadata"];
    let release = metadata["annotations"]["meta.helm.sh/release-name"].as_str().or_else(|| {
        let by_helm = metadata["labels"][LABEL_MANAGED_BY] == "Helm";
        metadata["labels"][LABEL_INSTANCE].as_str().filter(|_| by_helm)
    })?;
    Some(Owner::Helm { release: release.to_owned() })
}

fn controller(live: &Value) -> Option<Owner> {
    let references = live["metadata"]["ownerReferences"].as_array()?;
    let reference = references
        .iter()
        .find(|reference| reference["controller"] == true)
        .or_else(|| references.first())?;
    let text = |field: &str| reference[field].as_str().map(str::to_owned);
    Some(Owner::Controller { kind: text("kind")?, name: text("name")? })
}

/// The manager that wrote the object itself and not only its status.
fn manager(live: &Value) -> Option<Owner> {
    fields::entries(live)
        .filter(|entry| fields::text(entry, "subresource").is_empty())
        .map(|entry| fields::text(entry, "manager"))
        .find(|manager| !manager.is_empty())
        .map(|manager| Owner::Manager(manager.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owner(metadata: &Value) -> Option<String> {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        foreign(&json!({ "metadata": metadata }), &set).map(|owner| owner.to_string())
    }

    fn labels(instance: &str, namespace: Option<&str>) -> Value {
        let mut labels = json!({LABEL_MANAGED_BY: "pgset", LABEL_INSTANCE: instance});
        if let Some(namespace) = namespace {
            labels[LABEL_NAMESPACE] = namespace.into();
        }
        labels
    }

    #[test]
    fn own_objects() {
        assert_eq!(owner(&json!({"namespace": "pg", "labels": labels("pgset", None)})), None);
        assert_eq!(owner(&json!({"labels": labels("pgset", Some("pg"))})), None);
    }

    #[test]
    fn other_owners_are_named() {
        for (metadata, name) in [
            (
                json!({"namespace": "pg", "labels": labels("pgset-master", None)}),
                "the set pgset-master",
            ),
            (json!({"labels": labels("pgset", Some("other"))}), "the set pgset in namespace other"),
            (json!({"labels": labels("pgset", None)}), "the set pgset"),
            (
                json!({"namespace": "pg", "labels": {LABEL_MANAGED_BY: "Helm", LABEL_INSTANCE: "db"}}),
                "the Helm release db",
            ),
            (
                json!({"namespace": "pg", "annotations": {"meta.helm.sh/release-name": "db"}}),
                "the Helm release db",
            ),
            (
                json!({"namespace": "pg", "ownerReferences": [{"kind": "Cluster", "name": "x"}]}),
                "Cluster x",
            ),
            (
                json!({"namespace": "pg", "managedFields": [
                    {"manager": "kcm", "operation": "Update", "subresource": "status"},
                    {"manager": "kubectl-create", "operation": "Update"},
                ]}),
                "another client (created by kubectl-create)",
            ),
            (json!({"namespace": "pg"}), "another client (not created by pgset)"),
        ] {
            assert_eq!(owner(&metadata).as_deref(), Some(name));
        }
    }
}
