//! The rights that a command needs, and the RBAC rules that grant missing rights.

mod pods;
mod rule;

use serde_json::Value;

use super::identity::SetIdentity;
use super::objects;
use crate::manifest::{Kind, Object, ObjectId, ServerVersion};

pub use pods::{labelling, not_granted, of_pods};
pub use rule::{Right, rules};

/// The verbs that pgset needs for each kind that it applies.
const APPLY: [&str; 3] = ["get", "create", "patch"];

/// What `up` does to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Not known yet.
    Unknown,
    /// It does not exist: it is created.
    Create,
    /// It is changed.
    Update,
    /// It stays as it is.
    Nothing,
}

impl Change {
    /// The verbs that the change needs. Every object is read, too. An apply that creates an object needs `patch`
    /// and `create`.
    fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::Unknown | Self::Create => &APPLY,
            Self::Update => &["get", "patch"],
            Self::Nothing => &["get"],
        }
    }

    /// Whether something may be written.
    fn writes(self) -> bool {
        self != Self::Nothing
    }

    /// Whether an object that exists may change.
    fn changes(self) -> bool {
        matches!(self, Self::Unknown | Self::Update)
    }
}

/// The rights that `up` needs for these changes, and for waiting if `wait` is true.
#[must_use]
pub fn up(
    set: &SetIdentity,
    changes: &[(&Object, Change)],
    wait: bool,
    version: &ServerVersion,
) -> Vec<Right> {
    let mut rights: Vec<Right> = Vec::new();
    for (object, change) in changes {
        rights.extend(change.verbs().iter().map(|verb| on(object.id.kind, verb, set)));
    }
    for (object, _) in changes.iter().filter(|(_, change)| change.writes()) {
        rights.extend(granted(&object.value, set));
    }
    let of = |id: ObjectId| changes.iter().find(|(object, _)| object.id == id).map(|found| found.1);
    let config = of(objects::config(set)).is_some_and(Change::changes);
    if config {
        // pgset asks a running server whether it would accept the new configuration.
        rights.push(on(Kind::Pod, "list", set));
        rights.extend(executing(set));
    }
    if config && wait {
        // An annotation on the pod tells the kubelet that the ConfigMap has changed.
        rights.push(on(Kind::Pod, "patch", set));
    }
    if !wait {
        rights.push(on(Kind::PersistentVolumeClaim, "list", set));
    }
    if wait {
        rights.extend(waiting(set, version));
    }
    if wait && (config || of(objects::statefulset(set)).is_some_and(Change::changes)) {
        // Kubernetes does not replace a pod that is stuck on an old revision, so pgset must delete it.
        rights.push(on(Kind::Pod, "delete", set));
    }
    once(rights)
}

/// The rights to hold the set's Lease. Every command that writes needs them.
#[must_use]
pub fn leasing(set: &SetIdentity) -> Vec<Right> {
    APPLY.iter().chain(&["delete"]).map(|verb| on(Kind::Lease, verb, set)).collect()
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
#[must_use]
pub fn granted(role: &Value, set: &SetIdentity) -> Vec<Right> {
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
    rights.extend(leasing(set));
    if erase {
        rights.extend(running_a_task(set));
    }
    rights
}

/// The rights to run a pod to its end, and to delete it.
#[must_use]
pub fn running_a_task(set: &SetIdentity) -> Vec<Right> {
    ["get", "create", "patch", "delete"].map(|verb| on(Kind::Pod, verb, set)).to_vec()
}

/// The rights to change the number of pods.
#[must_use]
pub fn scaling(set: &SetIdentity) -> Vec<Right> {
    ["get", "patch"].iter().map(|verb| on(Kind::StatefulSet, verb, set)).collect()
}

/// The rights that `restart` needs: to delete pods, to wait for their successors, and to make servers load their
/// configuration.
#[must_use]
pub fn restarting(set: &SetIdentity, version: &ServerVersion) -> Vec<Right> {
    let mut rights = waiting(set, version);
    rights.push(on(Kind::StatefulSet, "get", set));
    rights.push(on(Kind::ConfigMap, "get", set));
    rights.extend(["get", "patch", "delete"].map(|verb| on(Kind::Pod, verb, set)));
    rights.extend(leasing(set));
    rights
}

/// The rights that `switchover` needs: to record the new master, to move the labels, and to run the script in the pods.
#[must_use]
pub fn switching(set: &SetIdentity, version: &ServerVersion) -> Vec<Right> {
    let mut rights = restarting(set, version);
    rights.extend(executing(set));
    rights.extend(APPLY.map(|verb| on(Kind::ConfigMap, verb, set)));
    once(rights)
}

/// The rights that `stop` needs: to record the number of pods, and to delete the pods.
#[must_use]
pub fn stopping(set: &SetIdentity, version: &ServerVersion) -> Vec<Right> {
    let mut rights = waiting(set, version);
    rights.extend(scaling(set));
    rights.extend(leasing(set));
    rights.extend(APPLY.map(|verb| on(Kind::ConfigMap, verb, set)));
    rights
}

/// The rights that `start` needs: to create the pods, and to remove what `stop` has recorded.
#[must_use]
pub fn starting(set: &SetIdentity, version: &ServerVersion) -> Vec<Right> {
    let mut rights = waiting(set, version);
    rights.extend(scaling(set));
    rights.extend(leasing(set));
    rights.extend(["get", "patch"].map(|verb| on(Kind::ConfigMap, verb, set)));
    rights
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
    rights.extend(leasing(set));
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

/// The rights to record the number of pods in the topology before pods are added.
#[must_use]
pub fn recording(set: &SetIdentity) -> Vec<Right> {
    ["get", "patch"].map(|verb| on(Kind::ConfigMap, verb, set)).to_vec()
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
    Right::of(verb, group, resource, set.namespace.as_str())
}

#[cfg(test)]
mod tests {
    use super::Change::{Create, Nothing, Unknown, Update};
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
                "get leases.coordination.k8s.io in namespace pg",
                "create leases.coordination.k8s.io in namespace pg",
                "patch leases.coordination.k8s.io in namespace pg",
                "delete leases.coordination.k8s.io in namespace pg",
            ]
        );
        let stops = words(&down(&set, &[Kind::StatefulSet], true, &version));
        for needed in ["patch statefulsets.apps", "watch pods", "create pods", "delete pods"] {
            assert!(stops.iter().any(|right| right.starts_with(needed)), "{needed}");
        }
    }

    #[test]
    fn only_what_a_change_needs_is_asked_for() {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let object = |id: ObjectId, value| Object { id, value, template: String::new() };
        let role = object(
            objects::role(&set),
            serde_json::json!({"kind": "Role", "rules": [
            {"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch"]}]}),
        );
        let statefulset = object(objects::statefulset(&set), Value::Null);
        let config = object(objects::config(&set), Value::Null);
        let asked = |changes: [Change; 3]| {
            let changes: Vec<_> = [&role, &statefulset, &config].into_iter().zip(changes).collect();
            let rights = words(&up(&set, &changes, true, &ServerVersion::default()));
            move |right: &str| rights.iter().any(|asked| asked.starts_with(&format!("{right} in")))
        };
        let all = [
            "create roles.rbac.authorization.k8s.io",
            "patch roles.rbac.authorization.k8s.io",
            "patch pods/status",
            "create statefulsets.apps",
            "patch statefulsets.apps",
            "create configmaps",
            "patch configmaps",
            "patch pods",
            "delete pods",
        ];
        for (changes, expected) in [
            ([Unknown; 3], all.to_vec()),
            ([Create; 3], all[..7].to_vec()),
            ([Nothing; 3], vec![]),
            ([Update, Nothing, Nothing], all[1..3].to_vec()),
            ([Nothing, Update, Nothing], vec!["patch statefulsets.apps", "delete pods"]),
            ([Nothing, Nothing, Update], vec!["patch configmaps", "patch pods", "delete pods"]),
        ] {
            let asked = asked(changes);
            let found: Vec<_> = all.into_iter().filter(|right| asked(right)).collect();
            assert_eq!(found, expected, "{changes:?}");
            assert!(asked("get roles.rbac.authorization.k8s.io") && asked("watch pods"));
        }
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
