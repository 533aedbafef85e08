//! What another client has changed in an object since pgset applied it.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::difference::change;
use super::fields::owners;
use super::lists;
use super::path::{Path, Segment};
use crate::manifest::object::MANAGER;

/// Fields below these may hold a password: their values are not shown.
const HIDDEN: [&str; 3] = ["env", "args", "command"];

/// A field that another client has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// The field.
    pub path: Path,
    /// `2 -> 3`, if both values are short and not secret.
    pub change: Option<String>,
    /// The other field manager, where the server records it.
    pub by: Option<String>,
}

impl fmt::Display for Drift {
    /// `spec.replicas 2 -> 3, changed by kubectl`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let change = self.change.as_ref().map(|change| format!(" {change}")).unwrap_or_default();
        let by = self.by.as_deref().unwrap_or("another client");
        write!(f, "{}{change}, changed by {by}", self.path)
    }
}

/// The fields of `spec` that differ between an object as the server returned it after the apply, and now.
#[must_use]
pub fn drift(applied: &Value, live: &Value) -> Vec<Drift> {
    let kind = live["kind"].as_str().unwrap_or("StatefulSet");
    let mut paths = Vec::new();
    compare(kind, Some(&applied["spec"]), Some(&live["spec"]), &Path::of(&["spec"]), &mut paths);
    let described = |(path, before, after): Found| {
        let other = owners(live, &path).into_iter().map(|manager| manager.name);
        let is_hidden = path
            .segments()
            .iter()
            .any(|step| matches!(step, Segment::Field(name) if HIDDEN.contains(&name.as_str())));
        let change = match (before, after) {
            (Some(before), Some(after)) if !is_hidden => change(&before, &after),
            _ => None,
        };
        Drift { change, by: other.into_iter().find(|name| name != MANAGER), path }
    };
    paths.into_iter().map(described).collect()
}

type Found = (Path, Option<Value>, Option<Value>);

fn compare(
    kind: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    path: &Path,
    found: &mut Vec<Found>,
) {
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            for name in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
                compare(kind, before.get(name), after.get(name), &path.field(name), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            items(kind, before, after, path, found);
        }
        (before, after) => found.push((path.clone(), before.cloned(), after.cloned())),
    }
}

fn items(kind: &str, before: &[Value], after: &[Value], path: &Path, found: &mut Vec<Found>) {
    let keys = path.name_from_end(0).and_then(|field| lists::keys(kind, field));
    let keyed =
        keys.and_then(|keys| Some((lists::keys_of(before, keys)?, lists::keys_of(after, keys)?)));
    if let Some((of_before, of_after)) = keyed {
        let added = of_after.iter().filter(|key| !of_before.contains(key));
        for key in of_before.iter().chain(added) {
            let of = |items: &[Value]| items.iter().find(|item| lists::matches(item, key)).cloned();
            let path = path.with(Segment::Key(key.clone()));
            compare(kind, of(before).as_ref(), of(after).as_ref(), &path, found);
        }
    } else if before.len() == after.len() {
        for (index, (before, after)) in before.iter().zip(after).enumerate() {
            compare(kind, Some(before), Some(after), &path.with(Segment::Index(index)), found);
        }
    } else {
        found.push((path.clone(), None, None));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(replicas: u32, image: &str, managers: &Value) -> Value {
        json!({"kind": "StatefulSet", "metadata": {"managedFields": managers}, "spec": {
            "replicas": replicas,
            "template": {"spec": {"containers": [
                {"name": "postgres", "image": image, "env": [{"name": "A", "value": "old"}]}]}},
        }})
    }

    fn said(applied: &Value, live: &Value) -> Vec<String> {
        drift(applied, live).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_another_client_changed_is_named_with_its_manager() {
        let none = json!([]);
        let applied = set(2, "postgres:17", &none);
        assert_eq!(said(&applied, &applied), [""; 0]);
        let scale = json!([
            {"manager": "pgset", "operation": "Apply", "fieldsV1": {"f:spec": {"f:serviceName": {}}}},
            {"manager": "kubectl", "operation": "Update", "subresource": "scale",
             "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
        let scaled = set(3, "postgres:17", &scale);
        assert_eq!(said(&applied, &scaled), ["spec.replicas 2 -> 3, changed by kubectl"]);
        // Kubernetes 1.20 does not record who uses a subresource.
        let old = json!([{"manager": "pgset", "operation": "Apply",
            "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
        let scaled = set(3, "postgres:17", &old);
        assert_eq!(said(&applied, &scaled), ["spec.replicas 2 -> 3, changed by another client"]);
        let image = json!([{"manager": "kubectl-set", "operation": "Update",
            "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {
                "k:{\"name\":\"postgres\"}": {"f:image": {}}}}}}}}]);
        assert_eq!(
            said(&applied, &set(2, "postgres:18", &image)),
            [
                "spec.template.spec.containers[name=postgres].image postgres:17 -> postgres:18, changed by kubectl-set"
            ]
        );
    }

    #[test]
    fn what_was_added_or_removed_is_named_and_values_of_variables_are_hidden() {
        let applied = set(2, "a", &json!([]));
        let mut live = applied.clone();
        live["spec"]["template"]["metadata"] = json!({"annotations": {"x": "y"}});
        live["spec"]["template"]["spec"]["containers"][0]["env"] =
            json!([{"name": "A", "value": "hunter2"}, {"name": "B", "value": "b"}]);
        live["status"] = json!({"replicas": 9});
        assert_eq!(
            said(&applied, &live),
            [
                "spec.template.metadata, changed by another client",
                "spec.template.spec.containers[name=postgres].env[name=A].value, changed by another client",
                "spec.template.spec.containers[name=postgres].env[name=B], changed by another client",
            ]
        );
        live["spec"] = json!({"replicas": 2});
        assert_eq!(said(&applied, &live), ["spec.template, changed by another client"]);
    }
}
