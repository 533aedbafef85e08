//! The rights that a command needs, and the RBAC rules that grant missing rights.

use std::collections::BTreeMap;

use crate::manifest::ServerVersion;
use serde_json::Value;

use super::identity::SetIdentity;
use crate::manifest::{Kind, Object};

/// A right: a verb on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Right {
    /// `get`, `patch`, ...
    pub verb: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// `pods`, or `pods/exec` with a subresource.
    pub resource: String,
    /// The namespace. `None` for cluster-scoped kinds.
    pub namespace: Option<String>,
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => f.write_str(" in the whole cluster"),
        }
    }
}

/// The verbs that pgset needs for each kind that it applies.
const APPLY: [&str; 3] = ["get", "create", "patch"];

/// The rights that `up` needs: on the kind of each object that it applies, and for waiting if `wait` is
/// true.
#[must_use]
pub fn up(
    set: &SetIdentity,
    objects: &[Object],
    wait: bool,
    version: &ServerVersion,
) -> Vec<Right> {
    let mut kinds: Vec<Kind> = objects.iter().map(|object| object.id.kind).collect();
    // The recipe.
    kinds.push(Kind::ConfigMap);
    kinds.sort();
    kinds.dedup();
    let mut rights: Vec<Right> = Vec::new();
    for kind in kinds {
        rights.extend(APPLY.iter().map(|verb| on(kind, verb, set)));
    }
    for object in objects {
        rights.extend(granted(&object.value, set));
    }
    let configured = objects.iter().any(|object| object.id.kind == Kind::ConfigMap);
    if configured {
        // pgset asks a running server whether it would accept the new configuration.
        rights.push(on(Kind::Pod, "list", set));
        rights.extend(executing(set));
    }
    if configured && wait {
        // An annotation on the pod tells the kubelet that the ConfigMap has changed.
        rights.push(on(Kind::Pod, "patch", set));
    }
    if !wait {
        rights.push(on(Kind::PersistentVolumeClaim, "list", set));
    }
    if wait {
        rights.extend(waiting(set, version));
        // Kubernetes does not replace a pod that is stuck on an old revision, so pgset must delete it.
        rights.push(on(Kind::Pod, "delete", set));
    }
    once(rights)
}

/// The right to create the set's namespace (`up --create-namespace`).
#[must_use]
pub fn creating_namespace(set: &SetIdentity) -> Vec<Right> {
    vec![on(Kind::Namespace, "create", set)]
}

/// Removes duplicates. Keeps the order of the first occurrences.
fn once(rights: Vec<Right>) -> Vec<Right> {
    let mut seen = std::collections::BTreeSet::new();
    rights.into_iter().filter(|right| seen.insert(right.clone())).collect()
}

/// The rights that a Role grants. Kubernetes lets users grant only rights that they have themselves.
fn granted(role: &Value, set: &SetIdentity) -> Vec<Right> {
    if role["kind"] != Kind::Role.name() {
        return Vec::new();
    }
    let texts = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|v| v.as_str().map(str::to_owned))
            .collect()
    };
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                rights.extend(
                    texts(&rule["verbs"]).iter().map(|verb| in_set(verb, &group, &resource, set)),
                );
            }
        }
    }
    rights
}

/// The rights to wait for a set: watch its objects, query its PostgreSQL servers, and read events and logs
/// when it does not become ready.
#[must_use]
pub fn waiting(set: &SetIdentity, version: &ServerVersion) -> Vec<Right> {
    let endpoints = if version.has_endpoint_slices() {
        ("discovery.k8s.io", "endpointslices")
    } else {
        ("", "endpoints")
    };
    let mut rights = Vec::new();
    for verb in ["list", "watch"] {
        for kind in [Kind::StatefulSet, Kind::Pod, Kind::PersistentVolumeClaim] {
            rights.push(on(kind, verb, set));
        }
        for (group, resource) in [("", "events"), endpoints] {
            rights.push(in_set(verb, group, resource, set));
        }
    }
    rights.push(in_set("get", "", "pods/log", set));
    rights.extend(executing(set));
    rights
}

/// The rights that `down` needs: to stop the pods and to delete each object. With `erase`, also to run the
/// pod that deletes the files of a shared volume.
#[must_use]
pub fn down(set: &SetIdentity, kinds: &[Kind], erase: bool, version: &ServerVersion) -> Vec<Right> {
    // pgset reads each object until it is gone.
    let mut rights: Vec<Right> =
        kinds.iter().flat_map(|kind| ["get", "delete"].map(|verb| on(*kind, verb, set))).collect();
    if kinds.contains(&Kind::StatefulSet) {
        rights.extend(scaling(set));
        rights.extend(waiting(set, version));
        // The number of pods is recorded in the recipe.
        rights.extend(APPLY.map(|verb| on(Kind::ConfigMap, verb, set)));
    }
    if erase {
        rights.extend(["get", "create", "patch", "delete"].map(|verb| on(Kind::Pod, verb, set)));
    }
    rights
}

/// The rights to change the number of pods.
#[must_use]
pub fn scaling(set: &SetIdentity) -> Vec<Right> {
    ["get", "patch"].iter().map(|verb| on(Kind::StatefulSet, verb, set)).collect()
}

/// The rights that `psql` needs: to find the pod, and to run a command in it.
#[must_use]
pub fn psql(set: &SetIdentity) -> Vec<Right> {
    let mut rights = vec![on(Kind::Pod, "list", set)];
    rights.extend(executing(set));
    rights
}

/// The rights that `connect` needs.
#[must_use]
pub fn connect(set: &SetIdentity) -> Vec<Right> {
    let mut rights = reading_passwords(set);
    rights.push(on(Kind::StatefulSet, "get", set));
    // The ConfigMap says whether clients must verify certificates.
    rights.push(on(Kind::ConfigMap, "get", set));
    rights
}

/// The rights that `password rotate` needs: to change the password in PostgreSQL and in the Secret.
#[must_use]
pub fn rotating(set: &SetIdentity) -> Vec<Right> {
    let mut rights = connect(set);
    rights.push(on(Kind::Secret, "patch", set));
    rights.extend(psql(set));
    rights
}

/// The right to read the passwords and the names of their roles.
#[must_use]
pub fn reading_passwords(set: &SetIdentity) -> Vec<Right> {
    vec![on(Kind::Secret, "get", set)]
}

/// The rights to increase the requested size of claims, and to delete and recreate the StatefulSet while
/// its pods keep running.
#[must_use]
pub fn growing(set: &SetIdentity) -> Vec<Right> {
    vec![
        on(Kind::PersistentVolumeClaim, "patch", set),
        on(Kind::StatefulSet, "get", set),
        on(Kind::StatefulSet, "create", set),
        on(Kind::StatefulSet, "patch", set),
        on(Kind::StatefulSet, "delete", set),
    ]
}

/// The rights to change the list of pods in the set's Role. Kubernetes lets users grant only rights that
/// they have themselves.
#[must_use]
pub fn naming(set: &SetIdentity) -> Vec<Right> {
    let mut rights = ["get", "patch"].map(|verb| on(Kind::Role, verb, set)).to_vec();
    rights.push(in_set("patch", "", "pods/status", set));
    rights
}

/// The rights to run a command in a pod. Depending on their version, servers require `get` or `create`.
#[must_use]
pub fn executing(set: &SetIdentity) -> Vec<Right> {
    ["get", "create"].iter().map(|verb| in_set(verb, "", "pods/exec", set)).collect()
}

fn on(kind: Kind, verb: &str, set: &SetIdentity) -> Right {
    let right = in_set(verb, kind.group(), kind.plural(), set);
    if kind.namespaced() { right } else { Right { namespace: None, ..right } }
}

fn in_set(verb: &str, group: &str, resource: &str, set: &SetIdentity) -> Right {
    Right {
        verb: verb.to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: Some(set.namespace.to_string()),
    }
}

/// Formats the rules that would grant the missing rights, as YAML for a Role or ClusterRole.
#[must_use]
pub fn rules(missing: &[Right]) -> Vec<String> {
    let mut by_resource: BTreeMap<(bool, &str, &str), Vec<&str>> = BTreeMap::new();
    for right in missing {
        let key = (right.namespace.is_none(), right.group.as_str(), right.resource.as_str());
        let verbs = by_resource.entry(key).or_default();
        if !verbs.contains(&right.verb.as_str()) {
            verbs.push(&right.verb);
        }
    }
    by_resource
        .into_iter()
        .map(|((cluster, group, resource), verbs)| {
            let role = if cluster { "ClusterRole" } else { "Role" };
            let quoted = |names: &[&str]| {
                names.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", ")
            };
            format!(
                "{role}: {{apiGroups: [{group:?}], resources: [{resource:?}], verbs: [{}]}}",
                quoted(&verbs)
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(rights: &[Right]) -> Vec<String> {
        rights.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn down_deletes_what_is_there_and_nothing_else() {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let version = ServerVersion::default();
        let rest = down(&set, &[Kind::PersistentVolume, Kind::Service], false, &version);
        assert_eq!(
            words(&rest),
            [
                "get persistentvolumes in the whole cluster",
                "delete persistentvolumes in the whole cluster",
                "get services in namespace pg",
                "delete services in namespace pg",
            ]
        );
        let stops = words(&down(&set, &[Kind::StatefulSet], true, &version));
        for needed in ["patch statefulsets.apps", "watch pods", "create pods", "delete pods"] {
            assert!(stops.iter().any(|right| right.starts_with(needed)), "{needed}");
        }
    }

    #[test]
    fn a_missing_right_becomes_a_rule() {
        let right = |verb: &str, namespace: Option<&str>| Right {
            verb: verb.to_owned(),
            group: String::new(),
            resource: if namespace.is_some() { "pods/exec" } else { "persistentvolumes" }
                .to_owned(),
            namespace: namespace.map(str::to_owned),
        };
        let missing = [right("get", Some("pg")), right("create", Some("pg")), right("patch", None)];
        assert_eq!(
            rules(&missing),
            [
                r#"Role: {apiGroups: [""], resources: ["pods/exec"], verbs: ["get", "create"]}"#,
                r#"ClusterRole: {apiGroups: [""], resources: ["persistentvolumes"], verbs: ["patch"]}"#,
            ]
        );
    }

    #[test]
    fn whoever_makes_a_role_needs_what_it_grants() {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let role = serde_json::json!({"kind": "Role", "rules": [
            {"apiGroups": [""], "resources": ["pods", "pods/status"], "verbs": ["get", "patch"]}]});
        let rights: Vec<String> = granted(&role, &set).iter().map(ToString::to_string).collect();
        assert_eq!(
            rights,
            [
                "get pods in namespace pg",
                "patch pods in namespace pg",
                "get pods/status in namespace pg",
                "patch pods/status in namespace pg",
            ]
        );
        assert_eq!(granted(&serde_json::json!({"kind": "Service"}), &set), []);
    }
}
