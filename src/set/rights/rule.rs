//! A right, and the RBAC rules that grant rights.

use std::collections::BTreeMap;

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
    /// The name of the object. `None` for all objects.
    pub name: Option<String>,
}

impl Right {
    /// A right on all objects of a resource in a namespace.
    #[must_use]
    pub fn of(verb: &str, group: &str, resource: &str, namespace: &str) -> Self {
        let [verb, group, resource] = [verb, group, resource].map(str::to_owned);
        Self { verb, group, resource, namespace: Some(namespace.to_owned()), name: None }
    }
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => f.write_str(" in the whole cluster"),
        }
    }
}

/// Formats the fewest rules that grant these rights, as YAML for a Role or ClusterRole.
#[must_use]
pub fn rules(rights: &[Right]) -> Vec<String> {
    let mut verbs: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for right in rights {
        // Cluster-scoped or not, and the API group.
        let scope = (right.namespace.is_none(), right.group.as_str());
        let key = (scope, right.resource.as_str(), right.name.as_deref());
        add(verbs.entry(key).or_default(), &right.verb);
    }
    for list in verbs.values_mut() {
        list.sort_by_key(|verb| (VERBS.iter().position(|known| known == verb), *verb));
    }
    // A right on one object and the same right on all objects are two rules.
    let mut names: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for ((scope, resource, name), verbs) in verbs {
        names.entry((scope, resource, name.is_some(), verbs)).or_default().extend(name);
    }
    let mut resources: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for ((scope, resource, _, verbs), names) in names {
        add(resources.entry((scope, names, verbs)).or_default(), resource);
    }
    resources
        .into_iter()
        .map(|(((cluster, group), names, verbs), resources)| {
            let role = if cluster { "ClusterRole" } else { "Role" };
            let names = match names.as_slice() {
                [] => String::new(),
                names => format!("resourceNames: [{}], ", quoted(names)),
            };
            format!(
                "{role}: {{apiGroups: [{group:?}], resources: [{}], {names}verbs: [{}]}}",
                quoted(&resources),
                quoted(&verbs)
            )
        })
        .collect()
}

/// The order of verbs in a rule.
const VERBS: [&str; 7] = ["get", "list", "watch", "create", "patch", "update", "delete"];

fn add<'a>(list: &mut Vec<&'a str>, value: &'a str) {
    if !list.contains(&value) {
        list.push(value);
    }
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(verb: &str, resource: &str, name: Option<&str>) -> Right {
        Right {
            verb: verb.to_owned(),
            group: if resource == "statefulsets" { "apps" } else { "" }.to_owned(),
            resource: resource.to_owned(),
            namespace: (resource != "persistentvolumes").then(|| "pg".to_owned()),
            name: name.map(str::to_owned),
        }
    }

    #[test]
    fn missing_rights_become_the_fewest_rules() {
        let missing = [
            right("create", "secrets", None),
            right("get", "secrets", None),
            right("get", "pods/exec", None),
            right("create", "pods/exec", None),
            right("patch", "pods", None),
            right("patch", "persistentvolumes", None),
            right("create", "statefulsets", None),
        ];
        assert_eq!(
            rules(&missing),
            [
                r#"Role: {apiGroups: [""], resources: ["pods/exec", "secrets"], verbs: ["get", "create"]}"#,
                r#"Role: {apiGroups: [""], resources: ["pods"], verbs: ["patch"]}"#,
                r#"Role: {apiGroups: ["apps"], resources: ["statefulsets"], verbs: ["create"]}"#,
                r#"ClusterRole: {apiGroups: [""], resources: ["persistentvolumes"], verbs: ["patch"]}"#,
            ]
        );
    }

    #[test]
    fn names_share_a_rule() {
        let missing = ["pgset-0", "pgset-1"].map(|name| right("patch", "pods/status", Some(name)));
        assert_eq!(
            rules(&missing),
            [
                r#"Role: {apiGroups: [""], resources: ["pods/status"], resourceNames: ["pgset-0", "pgset-1"], verbs: ["patch"]}"#
            ]
        );
        assert_eq!(missing[0].to_string(), "patch pods/status pgset-0 in namespace pg");
    }
}
