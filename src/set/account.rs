//! The ServiceAccount of the pods: pgset's own, or an existing one (`--service-account`).

use serde_json::Value;

use super::SetIdentity;
use crate::manifest::{Kind, ObjectId};

/// The ServiceAccount in the pod template of a StatefulSet.
#[must_use]
pub fn of_template(statefulset: &Value) -> Option<&str> {
    statefulset.pointer("/spec/template/spec/serviceAccountName")?.as_str()
}

/// The names of the existing accounts that a set uses. pgset did not create them, so it must not change or
/// delete them. Empty if the set uses its own. `recorded` is the ConfigMap with the recipe.
#[must_use]
pub fn existing(
    set: &SetIdentity,
    statefulset: Option<&Value>,
    recorded: Option<&Value>,
) -> Vec<String> {
    let runs = statefulset.and_then(of_template).filter(|name| *name != set.service_account());
    // An existing account may have the name that pgset's own would have.
    let given = recorded.and_then(|recorded| recorded["data"]["service-account"].as_str());
    let mut names: Vec<String> = [runs, given].into_iter().flatten().map(str::to_owned).collect();
    names.dedup();
    names
}

/// Whether an object is this ServiceAccount, or its Role or RoleBinding.
#[must_use]
pub fn is_of(id: &ObjectId, account: &str) -> bool {
    is_of_rights(id.kind) && id.name == account
}

/// Whether objects of this kind give the pods their rights.
#[must_use]
pub fn is_of_rights(kind: Kind) -> bool {
    matches!(kind, Kind::ServiceAccount | Kind::Role | Kind::RoleBinding)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_existing_account_is_known_by_the_template_or_the_recipe() {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let template =
            |name: &str| json!({"spec": {"template": {"spec": {"serviceAccountName": name}}}});
        let recipe = |name: &str| json!({"data": {"service-account": name}});
        let own = set.service_account();
        for (statefulset, recorded, expected) in [
            (None, None, &[][..]),
            (Some(template(&own)), None, &[]),
            (Some(template("database")), None, &["database"]),
            (Some(template(&own)), Some(recipe(&own)), &[own.as_str()]),
            (None, Some(recipe("database")), &["database"]),
            (Some(template("database")), Some(recipe("database")), &["database"]),
            (Some(template("old")), Some(recipe("new")), &["old", "new"]),
        ] {
            let found = existing(&set, statefulset.as_ref(), recorded.as_ref());
            assert_eq!(found, expected, "{statefulset:?} {recorded:?}");
        }
    }
}
