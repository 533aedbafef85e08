//! Takes over a set that was created from the same manifests with `pgset render | kubectl apply -f -`.

use serde_json::Value;

use super::fields;
use crate::manifest::object::MANAGER;
use crate::manifest::{Kind, Object};
use crate::values::quantity;

/// A manager owns claim templates as a whole, including the server's defaults. An apply without those
/// defaults conflicts with the owner, although it would change nothing. If the templates are equivalent,
/// this function therefore replaces the desired ones with the live ones. That stays correct, because claim
/// templates are immutable.
pub(super) fn claim_templates(object: &mut Object, live: &Value) {
    if object.id.kind != Kind::StatefulSet || fields::applied(live, MANAGER).is_some() {
        return;
    }
    let there = &live["spec"]["volumeClaimTemplates"];
    let wanted = &mut object.value["spec"]["volumeClaimTemplates"];
    if !wanted.is_null() && says_the_same(wanted, there) {
        wanted.clone_from(there);
    }
}

/// Whether `there` contains everything in `wanted`. The server has filled in the rest.
pub(super) fn says_the_same(wanted: &Value, there: &Value) -> bool {
    match (wanted, there) {
        (Value::Object(wanted), Value::Object(there)) => wanted
            .iter()
            .all(|(key, value)| there.get(key).is_some_and(|there| says_the_same(value, there))),
        (Value::Array(wanted), Value::Array(there)) => {
            wanted.len() == there.len()
                && wanted.iter().zip(there).all(|(wanted, there)| says_the_same(wanted, there))
        }
        (Value::String(wanted), Value::String(there)) => quantity::same(wanted, there),
        _ => wanted == there,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::ObjectId;

    fn set(templates: &Value, manager: &str) -> Value {
        json!({"kind": "StatefulSet", "spec": {"volumeClaimTemplates": templates}, "metadata": {
            "managedFields": [{"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {}}}]}})
    }

    fn adopted(wanted: &Value, there: &Value, manager: &str) -> Value {
        let id = ObjectId::new(Kind::StatefulSet, "pg", "pgset");
        let mut object = Object { id, value: set(wanted, ""), template: String::new() };
        claim_templates(&mut object, &set(there, manager));
        object.value["spec"]["volumeClaimTemplates"].clone()
    }

    #[test]
    fn what_says_the_same_is_applied_as_it_is_there() {
        let wanted = json!([{"metadata": {"name": "pgdata"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}]);
        let there = json!([{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "pgdata"},
            "spec": {"resources": {"requests": {"storage": "1024Mi"}}, "volumeMode": "Filesystem"},
            "status": {"phase": "Pending"}}]);
        assert_eq!(adopted(&wanted, &there, "kubectl"), there);
        assert_eq!(adopted(&wanted, &there, MANAGER), wanted, "ours already");
        let mut bigger = there.clone();
        bigger[0]["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
        assert_eq!(adopted(&wanted, &bigger, "kubectl"), wanted, "it says something else");
    }
}
