//! The set's Role lists its pods by name. A pod's name must be in the Role before the pod starts, because the
//! pod first labels itself.

use serde_json::{Value, json};

use super::live;
use crate::cluster::Cluster;
use crate::cluster::objects::Apply;
use crate::error::{Exit, Failure};
use crate::manifest::Object;
use crate::plan;
use crate::set::{SetIdentity, objects};

/// The Role with exactly these pod names. `None` if the live Role already has them.
pub(crate) async fn changed(
    cluster: &Cluster,
    set: &SetIdentity,
    pods: &[String],
) -> anyhow::Result<Option<Object>> {
    let id = objects::role(set);
    let Some(role) = cluster.get(&id).await? else {
        return Err(Failure::new(
            Exit::Failed,
            format!("{id} does not exist: pods need it to label themselves"),
        )
        .hint(format!("{}  # creates it again", set.command("up")))
        .into());
    };
    live::check_ours(&role, &id, set)?;
    Ok(naming(&role, set, pods).map(|value| Object {
        id,
        value,
        template: "the live object".into(),
    }))
}

/// Applies the Role.
pub(crate) async fn apply(cluster: &Cluster, role: &Object) -> anyhow::Result<()> {
    cluster.apply(role, Apply { dry_run: false, force: true }).await?;
    Ok(())
}

/// The Role as pgset last applied it, with other pod names. `None` if nothing changes. Rules without resource
/// names, or with names other than the set's pods, are not changed.
fn naming(role: &Value, set: &SetIdentity, names: &[String]) -> Option<Value> {
    let of_set = |name: &Value| name.as_str().is_some_and(|name| set.ordinal(name).is_some());
    let mut rules = role["rules"].clone();
    let mut changed = false;
    for rule in rules.as_array_mut().into_iter().flatten() {
        let Some(those) = rule["resourceNames"].as_array().filter(|n| !n.is_empty()) else {
            continue;
        };
        if those.iter().all(of_set) && rule["resourceNames"] != json!(names) {
            rule["resourceNames"] = json!(names);
            changed = true;
        }
    }
    let mut value = plan::reapplied(role, &objects::role(set));
    value["rules"] = rules;
    changed.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::Topology;

    fn role(rules: &Value) -> Value {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "pgset-sa", "namespace": "pg", "uid": "1"},
            "rules": rules,
        })
    }

    #[test]
    fn every_pod_that_is_to_come_is_named_and_nothing_else_changes() {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let rules = json!([
            {"apiGroups": [""], "resources": ["pods/status"], "verbs": ["patch"],
             "resourceNames": ["pgset-0", "pgset-1"]},
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"],
             "resourceNames": ["pgset-config"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
        ]);
        let pods = |number| Topology::default().pods(&set, number);
        let three = naming(&role(&rules), &set, &pods(3)).unwrap();
        let mut expected = rules.clone();
        expected[0]["resourceNames"] = json!(["pgset-0", "pgset-1", "pgset-2"]);
        assert_eq!(three["rules"], expected);
        assert_eq!(three["metadata"]["uid"], "1");
        assert_eq!(naming(&role(&rules), &set, &pods(2)), None);
        assert_eq!(
            naming(&role(&rules), &set, &pods(1)).unwrap()["rules"][0]["resourceNames"],
            json!(["pgset-0"])
        );
        // The article's Role lists no names, so there is nothing to change.
        let all = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["patch"]}]);
        assert_eq!(naming(&role(&all), &set, &pods(3)), None);
    }
}
