//! The rights of the pods.

use serde_json::Value;

use super::rule::Right;
use crate::image::Capabilities;
use crate::set::identity::SetIdentity;

/// The rights that pods with these names need: those of the Role in the templates. Pods label themselves, read the
/// topology, and record the system identifier there.
#[must_use]
pub fn of_pods(set: &SetIdentity, capabilities: &Capabilities, names: &[String]) -> Vec<Right> {
    let mut rights = labelling(set, capabilities, names);
    if capabilities.has_topology {
        rights.extend(on_topology(set));
    }
    rights
}

/// The rights that pods with these names need to label themselves.
#[must_use]
pub fn labelling(set: &SetIdentity, capabilities: &Capabilities, names: &[String]) -> Vec<Right> {
    let on = |verb, resource| Right::of(verb, "", resource, set.namespace.as_str());
    if capabilities.names_pods_in_role {
        let of = |name: &String| Right { name: Some(name.clone()), ..on("patch", "pods/status") };
        return names.iter().map(of).collect();
    }
    ["get", "list", "patch", "update"].map(|verb| on(verb, "pods")).to_vec()
}

/// The rights on the topology. A server-side apply creates an object with `create` and `patch`, both by name.
fn on_topology(set: &SetIdentity) -> impl Iterator<Item = Right> {
    ["get", "create", "patch"].into_iter().map(|verb| Right {
        name: Some(set.topology()),
        ..Right::of(verb, "", "configmaps", set.namespace.as_str())
    })
}

/// The rights of these that a Role, as it was rendered, does not grant.
#[must_use]
pub fn not_granted(role: &Value, rights: Vec<Right>) -> Vec<Right> {
    let lists = |rule: &Value, field: &str, wanted: &str| {
        let values = rule[field].as_array().into_iter().flatten();
        let any = wanted.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
        values.into_iter().any(|value| {
            value == wanted || value == "*" || any.as_ref().is_some_and(|any| value == any)
        })
    };
    let grants = |rule: &Value, right: &Right| {
        let names = rule["resourceNames"].as_array().filter(|names| !names.is_empty());
        lists(rule, "apiGroups", &right.group)
            && lists(rule, "resources", &right.resource)
            && lists(rule, "verbs", &right.verb)
            && names
                .is_none_or(|names| names.iter().any(|name| name.as_str() == right.name.as_deref()))
    };
    let rules: Vec<&Value> = role["rules"].as_array().into_iter().flatten().collect();
    rights.into_iter().filter(|right| !rules.iter().any(|rule| grants(rule, right))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::image::ProfileName;

    #[test]
    fn a_role_of_the_user_s_has_to_grant_what_the_pods_need() {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let names = ["pgset-0".to_owned(), "pgset-1".to_owned()];
        let lacking = |rules: Value| {
            let rights = of_pods(&set, Capabilities::of(ProfileName::Postgres), &names);
            let lacking = not_granted(&json!({ "rules": rules }), rights);
            lacking
                .into_iter()
                .map(|right| format!("{} {}", right.verb, right.name.unwrap()))
                .collect::<Vec<_>>()
        };
        let rule = |resource: &str, names: Value, verbs: Value| json!({"apiGroups": [""], "resources": [resource], "resourceNames": names, "verbs": verbs});
        let label = rule("pods/status", json!(["pgset-0", "pgset-1"]), json!(["patch"]));
        let topology =
            rule("configmaps", json!(["pgset-topology"]), json!(["get", "create", "patch"]));
        assert!(lacking(json!([label, topology])).is_empty());
        assert!(
            lacking(json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])).is_empty()
        );
        let all = json!({"apiGroups": [""], "resources": ["*/status"], "verbs": ["patch"]});
        assert!(lacking(json!([all, topology])).is_empty());
        assert_eq!(
            lacking(json!([rule("pods/status", json!(["pgset-0"]), json!(["patch"]))])),
            [
                "patch pgset-1",
                "get pgset-topology",
                "create pgset-topology",
                "patch pgset-topology"
            ]
        );
        let other = rule("configmaps", json!(["pgset-config"]), json!(["get", "create", "patch"]));
        assert_eq!(lacking(json!([label, other])).len(), 3);
    }
}
