//! The state of a set in a form that can be compared between two namespaces.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::{NamespaceResourceScope, api::apps::v1::StatefulSet};
use kube::api::ListParams;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::space::{Space, ready};

/// Maps the kind and name of each object to its specification, and each pod to its state. Fields that the
/// server generates (IDs, times, addresses) and random passwords are left out. The name of the namespace is
/// replaced.
pub(crate) type State = BTreeMap<String, Value>;

/// Reads the state of all sets in a namespace.
pub(crate) async fn of(space: &Space) -> State {
    let mut state = State::new();
    add::<ServiceAccount>(space, &mut state).await;
    add::<Role>(space, &mut state).await;
    add::<RoleBinding>(space, &mut state).await;
    add::<Secret>(space, &mut state).await;
    add::<ConfigMap>(space, &mut state).await;
    add::<NetworkPolicy>(space, &mut state).await;
    add::<PersistentVolumeClaim>(space, &mut state).await;
    add::<Service>(space, &mut state).await;
    add::<StatefulSet>(space, &mut state).await;
    let all = ListParams::default();
    for pod in space.api::<Pod>().list(&all).await.expect("pods can be listed") {
        let revision = pod.labels().get("controller-revision-hash").is_some();
        let role = pod.labels().get("name").cloned();
        let facts = serde_json::json!({"ready": ready(&pod), "of the set": revision, "name": role});
        state.insert(format!("Pod {}", pod.name_any()), facts);
    }
    state
}

async fn add<K>(space: &Space, state: &mut State)
where
    K: Resource<Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone,
    K: std::fmt::Debug,
    K::DynamicType: Default,
{
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=pgset");
    let list = space.api::<K>().list(&ours).await.expect("objects can be listed");
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    for item in list {
        let name = item.name_any();
        let mut value = serde_json::to_value(item).expect("an object is JSON");
        normalise(&kind, &name, &mut value);
        let text = value.to_string().replace(&space.name, "NAMESPACE");
        let value = serde_json::from_str(&text).expect("a name stays within its string");
        state.insert(format!("{kind} {name}"), value);
    }
}

fn normalise(kind: &str, name: &str, value: &mut Value) {
    remove(value, "", &["status"]);
    let made_up = [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "managedFields",
        "generation",
        "selfLink",
        "finalizers",
        "ownerReferences",
    ];
    remove(value, "/metadata", &made_up);
    remove(value, "/spec", &["clusterIP", "clusterIPs", "volumeName"]);
    if let Some(Value::Object(notes)) = value.pointer_mut("/metadata/annotations") {
        notes.retain(|name, _| !name.contains("kubernetes.io/"));
        if notes.is_empty() {
            remove(value, "/metadata", &["annotations"]);
        }
    }
    // The names of its token Secrets are random. Servers up to 1.23 create these Secrets.
    if kind == "ServiceAccount" {
        remove(value, "", &["secrets"]);
    }
    // `initdb` generates a different system identifier each time.
    let made_anew = kind == "Secret" || name.ends_with("-topology");
    if made_anew && let Some(Value::Object(data)) = value.pointer_mut("/data") {
        data.values_mut().for_each(|value| *value = Value::from("random"));
    }
}

fn remove(value: &mut Value, at: &str, names: &[&str]) {
    if let Some(Value::Object(map)) = value.pointer_mut(at) {
        for name in names {
            map.remove(*name);
        }
    }
}

/// Describes the differences, one entry per object. Empty if there are none.
pub(crate) fn difference(left: &State, right: &State) -> String {
    let mut lines = Vec::new();
    for name in left.keys().chain(right.keys()).collect::<std::collections::BTreeSet<_>>() {
        let (a, b) = (left.get(name), right.get(name));
        if a != b {
            let show =
                |v: Option<&Value>| v.map_or_else(|| "not there".to_owned(), Value::to_string);
            lines.push(format!("{name}:\n  undisturbed: {}\n  this one:    {}", show(a), show(b)));
        }
    }
    lines.join("\n")
}
