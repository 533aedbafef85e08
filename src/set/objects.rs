//! The IDs of a set's objects.

use serde_json::{Value, json};

use super::identity::SetIdentity;
use crate::image::Capabilities;
use crate::manifest::{Kind, Object, ObjectId};

/// The StatefulSet.
#[must_use]
pub fn statefulset(set: &SetIdentity) -> ObjectId {
    ObjectId::new(Kind::StatefulSet, set.namespace.as_str(), set.name.as_str())
}

/// A pod of the set, or a pod that runs a task for it.
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

/// The ConfigMap with PostgreSQL's configuration and the scripts of the pods.
#[must_use]
pub fn config(set: &SetIdentity) -> ObjectId {
    ObjectId::new(Kind::ConfigMap, set.namespace.as_str(), &set.config())
}

/// The ConfigMap with the topology: the system identifier of the set's data, and the master.
#[must_use]
pub fn topology(set: &SetIdentity) -> ObjectId {
    ObjectId::new(Kind::ConfigMap, set.namespace.as_str(), &set.topology())
}

/// The ConfigMap with the recipe: the settings of the set.
#[must_use]
pub fn settings(set: &SetIdentity) -> ObjectId {
    ObjectId::new(Kind::ConfigMap, set.namespace.as_str(), &set.settings())
}

/// The objects that only a set has: one of another owner with the same name means that the set's labels were
/// rewritten, or that the name is taken. The StatefulSet comes first.
#[must_use]
pub fn named(set: &SetIdentity) -> Vec<ObjectId> {
    let service = |name: &str| ObjectId::new(Kind::Service, set.namespace.as_str(), name);
    vec![
        statefulset(set),
        service(set.name.as_str()),
        service(&set.master()),
        service(&set.replica()),
        passwords(set),
        config(set),
        topology(set),
        settings(set),
    ]
}

/// The Lease that says which command changes the set.
#[must_use]
pub fn lease(set: &SetIdentity) -> ObjectId {
    ObjectId::new(Kind::Lease, set.namespace.as_str(), set.name.as_str())
}

/// The Role that allows pods to label themselves.
#[must_use]
pub fn role(set: &SetIdentity) -> ObjectId {
    ObjectId::new(Kind::Role, set.namespace.as_str(), &set.service_account())
}

/// A ConfigMap of the set that no template renders. `origin` tells where it comes from, for errors.
#[must_use]
pub fn config_map(set: &SetIdentity, id: ObjectId, data: &Value, origin: &str) -> Object {
    let mut value = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": id.name,
            "namespace": set.namespace.as_str(),
            "labels": { "app": set.name.as_str() },
        },
        "data": data,
    });
    for (label, is) in set.ownership().labels(Kind::ConfigMap) {
        value["metadata"]["labels"][label] = json!(is);
    }
    Object { id, value, template: origin.to_owned() }
}

/// Whether an object holds data or is needed to use the data again. `down` keeps such objects.
#[must_use]
pub fn holds_data(set: &SetIdentity, id: &ObjectId) -> bool {
    id.kind.holds_data() || [topology(set), settings(set)].contains(id)
}

/// Whether the pods of a StatefulSet mount a ConfigMap.
#[must_use]
pub fn mounts_config_map(statefulset: &Value, name: &str) -> bool {
    let volumes = statefulset["spec"]["template"]["spec"]["volumes"].as_array();
    volumes.into_iter().flatten().any(|volume| volume["configMap"]["name"] == name)
}

/// The number of pods in a StatefulSet's specification.
#[must_use]
pub fn replicas(statefulset: &Value) -> u32 {
    // The default is 1 (apps/v1).
    let replicas = statefulset["spec"]["replicas"].as_u64().unwrap_or(1);
    u32::try_from(replicas).unwrap_or(u32::MAX)
}

/// The Secret with certificates that the pods of a StatefulSet mount.
#[must_use]
pub fn mounted_certificates(statefulset: &Value) -> Option<&str> {
    let volumes = statefulset["spec"]["template"]["spec"]["volumes"].as_array()?;
    let volume = volumes.iter().find(|volume| volume["name"] == "tls")?;
    volume["secret"]["secretName"].as_str()
}

/// The number of pods that the controller has created and not deleted yet.
#[must_use]
pub fn existing(statefulset: &Value) -> u64 {
    statefulset["status"]["replicas"].as_u64().unwrap_or(0)
}

/// Annotation of the StatefulSet: the profile that it was created with.
const ANNOTATION_PROFILE: &str = "pgset/profile";

/// The profile that a StatefulSet was created with, if it is recorded.
#[must_use]
pub fn profile(statefulset: &Value) -> Option<&str> {
    statefulset["metadata"]["annotations"][ANNOTATION_PROFILE].as_str()
}

/// The capabilities of a set, from the profile recorded in its StatefulSet.
#[must_use]
pub fn capabilities(statefulset: &Value) -> &'static Capabilities {
    Capabilities::of_profile(profile(statefulset))
}
