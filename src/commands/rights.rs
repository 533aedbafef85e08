//! The rights that a command needs, and how to grant those that are missing.

use std::collections::BTreeMap;

use crate::cluster::access::Right;
use crate::manifest::Kind;
use crate::settings::SetIdentity;

/// What is done with each kind that is applied.
const APPLY: [&str; 3] = ["get", "create", "patch"];

/// The rights of `up`: on each kind that it applies, and to wait where it waits.
#[must_use]
pub fn up(set: &SetIdentity, kinds: &[Kind], wait: bool) -> Vec<Right> {
    let mut rights: Vec<Right> = Vec::new();
    for kind in kinds {
        rights.extend(APPLY.iter().map(|verb| on(*kind, verb, set)));
    }
    rights.push(on(Kind::PersistentVolumeClaim, "list", set));
    if wait {
        rights.extend(waiting(set));
    }
    rights
}

/// The rights to wait for a set: watch it, ask its PostgreSQL, and read why it does not come.
#[must_use]
pub fn waiting(set: &SetIdentity) -> Vec<Right> {
    let mut rights = Vec::new();
    for kind in [Kind::StatefulSet, Kind::Pod] {
        rights.extend(["list", "watch"].iter().map(|verb| on(kind, verb, set)));
    }
    rights.extend(executing(set));
    rights
}

/// The rights to change the number of pods.
#[must_use]
pub fn scaling(set: &SetIdentity) -> Vec<Right> {
    ["get", "patch"].iter().map(|verb| on(Kind::StatefulSet, verb, set)).collect()
}

/// The rights to run a command in a pod. Servers ask for `get` or `create`, by version.
#[must_use]
pub fn executing(set: &SetIdentity) -> Vec<Right> {
    ["get", "create"].iter().map(|verb| in_set(verb, "", "pods/exec", set)).collect()
}

fn on(kind: Kind, verb: &'static str, set: &SetIdentity) -> Right {
    let namespace = kind.namespaced().then(|| set.namespace.to_string());
    Right { verb, group: kind.group(), resource: kind.plural(), namespace }
}

fn in_set(
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    set: &SetIdentity,
) -> Right {
    Right { verb, group, resource, namespace: Some(set.namespace.to_string()) }
}

/// The rules, as YAML of a Role or ClusterRole, that would grant the rights.
#[must_use]
pub fn rules(missing: &[Right]) -> Vec<String> {
    let mut by_resource: BTreeMap<(bool, &str, &str), Vec<&str>> = BTreeMap::new();
    for right in missing {
        let key = (right.namespace.is_none(), right.group, right.resource);
        by_resource.entry(key).or_default().push(right.verb);
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

    #[test]
    fn a_missing_right_becomes_a_rule() {
        let right = |verb, namespace: Option<&str>| Right {
            verb,
            group: "",
            resource: if namespace.is_some() { "pods/exec" } else { "persistentvolumes" },
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
}
