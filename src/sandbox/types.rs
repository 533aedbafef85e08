//! Finds unknown fields: an object is parsed as its type and serialized again; a field that is then
//! missing is unknown.

use k8s_openapi::api::{
    apps::v1 as apps, coordination::v1 as coordination, core::v1 as core,
    discovery::v1 as discovery, networking::v1 as networking, policy::v1 as policy,
    rbac::v1 as rbac, storage::v1 as storage,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The paths of the unknown fields of a document.
///
/// # Errors
/// If a field has the wrong type.
pub(super) fn unknown(kind: &str, document: &Value) -> Result<Vec<String>, String> {
    match kind {
        "Namespace" => of::<core::Namespace>(document),
        "Node" => of::<core::Node>(document),
        "ServiceAccount" => of::<core::ServiceAccount>(document),
        "Secret" => of::<core::Secret>(document),
        "ConfigMap" => of::<core::ConfigMap>(document),
        "PersistentVolume" => of::<core::PersistentVolume>(document),
        "PersistentVolumeClaim" => of::<core::PersistentVolumeClaim>(document),
        "Service" => of::<core::Service>(document),
        "Pod" => of::<core::Pod>(document),
        "Event" => of::<core::Event>(document),
        "ResourceQuota" => of::<core::ResourceQuota>(document),
        "LimitRange" => of::<core::LimitRange>(document),
        "StatefulSet" => of::<apps::StatefulSet>(document),
        "ControllerRevision" => of::<apps::ControllerRevision>(document),
        "Lease" => of::<coordination::Lease>(document),
        "Role" => of::<rbac::Role>(document),
        "RoleBinding" => of::<rbac::RoleBinding>(document),
        "StorageClass" => of::<storage::StorageClass>(document),
        "EndpointSlice" => of::<discovery::EndpointSlice>(document),
        "NetworkPolicy" => of::<networking::NetworkPolicy>(document),
        "PodDisruptionBudget" => of::<policy::PodDisruptionBudget>(document),
        _ => Ok(Vec::new()),
    }
}

fn of<K: Serialize + DeserializeOwned>(document: &Value) -> Result<Vec<String>, String> {
    let typed: K = serde_json::from_value(document.clone()).map_err(|e| e.to_string())?;
    let again = serde_json::to_value(typed).map_err(|e| e.to_string())?;
    let mut found = Vec::new();
    missing(document, &again, "", &mut found);
    Ok(found)
}

fn missing(document: &Value, again: &Value, path: &str, found: &mut Vec<String>) {
    match (document, again) {
        (Value::Object(document), Value::Object(again)) => {
            for (name, value) in document {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match again.get(name) {
                    Some(again) => missing(value, again, &path, found),
                    None if nothing(value) => {}
                    None => found.push(path),
                }
            }
        }
        (Value::Array(document), Value::Array(again)) => {
            for (index, (value, again)) in document.iter().zip(again).enumerate() {
                missing(value, again, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// Whether serializing may leave out this value.
fn nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_are_named() {
        let pod = json!({"metadata": {"name": "x", "labels": {"a": "b"}}, "spec": {"colour": 1,
            "containers": [{"name": "x", "images": "y"}]}});
        assert_eq!(unknown("Pod", &pod).unwrap(), ["spec.colour", "spec.containers[0].images"]);
        assert!(unknown("Pod", &json!({"spec": {"containers": 1}})).is_err());
    }
}
