//! The objects of a set that have a name of their own.

use serde_json::Value;

use super::identity::SetIdentity;
use crate::image::Capabilities;
use crate::manifest::{Kind, ObjectId};

/// The StatefulSet.
#[must_use]
pub fn statefulset(set: &SetIdentity) -> ObjectId {
    ObjectId::new(Kind::StatefulSet, set.namespace.as_str(), set.name.as_str())
}

/// A pod of the set, or of a task on it.
#[must_use]
pub fn pod(set: &SetIdentity, name: &str) -> ObjectId {
    ObjectId::new(Kind::Pod, set.namespace.as_str(), name)
}

/// The Secret with the passwords.
#[must_use]
pub fn passwords(set: &SetIdentity) -> ObjectId {
    secret(set, &set.secret())
}

/// The Secret with the certificates that pgset issues.
#[must_use]
pub fn certificates(set: &SetIdentity) -> ObjectId {
    secret(set, &set.tls_secret())
}

/// A Secret in the namespace of the set.
#[must_use]
pub fn secret(set: &SetIdentity, name: &str) -> ObjectId {
    ObjectId::new(Kind::Secret, set.namespace.as_str(), name)
}

/// The ConfigMap with the configuration of PostgreSQL and what the pods run.
#[must_use]
pub fn config(set: &SetIdentity) -> ObjectId {
    ObjectId::new(Kind::ConfigMap, set.namespace.as_str(), &set.config())
}

/// The ConfigMap with the topology: which data the set has, and who its master is.
#[must_use]
pub fn topology(set: &SetIdentity) -> ObjectId {
    ObjectId::new(Kind::ConfigMap, set.namespace.as_str(), &set.topology())
}

/// The Role that the pods label themselves by.
#[must_use]
pub fn role(set: &SetIdentity) -> ObjectId {
    ObjectId::new(Kind::Role, set.namespace.as_str(), &set.service_account())
}

/// Whether an object is the data, or is needed to read it: `down` keeps it.
#[must_use]
pub fn holds_data(set: &SetIdentity, id: &ObjectId) -> bool {
    id.kind.holds_data() || *id == topology(set)
}

/// The number of pods that a StatefulSet asks for.
#[must_use]
pub fn replicas(statefulset: &Value) -> u32 {
    // Unset means 1 (apps/v1).
    let replicas = statefulset["spec"]["replicas"].as_u64().unwrap_or(1);
    u32::try_from(replicas).unwrap_or(u32::MAX)
}

/// Annotation of the StatefulSet: the profile that it was created with.
const ANNOTATION_PROFILE: &str = "pgset/profile";

/// The name of the profile that a StatefulSet was created with, where it says so.
#[must_use]
pub fn profile(statefulset: &Value) -> Option<&str> {
    statefulset["metadata"]["annotations"][ANNOTATION_PROFILE].as_str()
}

/// What a set can do, by its StatefulSet.
#[must_use]
pub fn capabilities(statefulset: &Value) -> &'static Capabilities {
    Capabilities::of_profile(profile(statefulset))
}
