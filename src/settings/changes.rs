//! What changes in the settings of pods between two templates.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::readback;
use crate::set::{SetIdentity, objects};
use crate::values::quantity;

/// A setting of the pods that differs between two templates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The setting: `image`, `memory limit`, `label team`.
    pub setting: String,
    /// The value before; empty if there was none.
    pub from: String,
    /// The value after; empty if there is none.
    pub to: String,
}

impl Change {
    /// Whether both values are the same. Quantities are compared by value.
    fn is_none(&self) -> bool {
        let is_quantity = [" request", " limit"].iter().any(|end| self.setting.ends_with(end));
        self.from == self.to || (is_quantity && quantity::same(&self.from, &self.to))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &str| if value.is_empty() { "none".into() } else { value.to_owned() };
        write!(f, "{} {} -> {}", self.setting, shown(&self.from), shown(&self.to))
    }
}

/// Settings of the recipe that are not in the template of the pods.
const ELSEWHERE: [&str; 6] =
    ["access-mode", "network-policy", "profile", "size", "storage", "volume-prefix"];

/// The settings of the pods that differ between two StatefulSets of a set. What else differs in their templates
/// comes from another version of pgset, or from another client: it is no setting.
#[must_use]
pub fn changes(set: &SetIdentity, from: &Value, to: &Value) -> Vec<Change> {
    let (before, after) = (settings(set, from), settings(set, to));
    let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
    let mut changes: Vec<Change> = names
        .map(|setting| {
            let value =
                |of: &BTreeMap<String, String>| of.get(setting).cloned().unwrap_or_default();
            Change { setting: setting.clone(), from: value(&before), to: value(&after) }
        })
        .filter(|change| !change.is_none())
        .collect();
    changes.sort();
    changes
}

/// The settings in the template of a StatefulSet, each with its name for people.
fn settings(set: &SetIdentity, statefulset: &Value) -> BTreeMap<String, String> {
    let objects =
        readback::Objects { statefulset, claim: None, volume: None, network_policy: false };
    let recipe = readback::recipe(set, objects);
    let mut settings = BTreeMap::new();
    for (name, value) in recipe.data().filter(|(name, _)| !ELSEWHERE.contains(name)) {
        match name {
            "requests" | "limits" => {
                let name = name.trim_end_matches('s');
                parts(&mut settings, value, ',', |resource| format!("{resource} {name}"));
            }
            "label" | "node-selector" => {
                parts(&mut settings, value, ',', |key| format!("{} {key}", name.replace('-', " ")));
            }
            "annotation" => parts(&mut settings, value, '\n', |key| format!("annotation {key}")),
            _ => {
                settings.insert(name.replace('-', " "), value.to_owned());
            }
        }
    }
    let certificates = objects::mounted_certificates(statefulset).map(str::to_owned);
    let certificates = certificates.unwrap_or_else(|| set.tls_secret());
    settings.insert("TLS secret".to_owned(), certificates);
    settings
}

/// Splits `KEY=VALUE` pairs. The value `none` stands for no value.
fn parts(
    settings: &mut BTreeMap<String, String>,
    value: &str,
    separator: char,
    name: impl Fn(&str) -> String,
) {
    let pairs = value.split(separator).filter_map(|pair| pair.split_once('='));
    for (key, value) in pairs.filter(|(_, value)| *value != "none") {
        settings.insert(name(key), value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set() -> SetIdentity {
        SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() }
    }

    fn statefulset() -> Value {
        json!({
            "metadata": {"annotations": {"pgset/profile": "postgres"}},
            "spec": {"template": {
                "metadata": {"labels": {"app": "pgset", "team": "a"}},
                "spec": {
                    "terminationGracePeriodSeconds": 60,
                    "containers": [{
                        "name": "postgres", "image": "postgres:17.5",
                        "resources": {"limits": {"memory": "1Gi"}},
                    }],
                    "volumes": [{"name": "scripts", "configMap": {"name": "pgset-scripts-1"}}],
                },
            }},
        })
    }

    fn told(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut after = statefulset();
        change(&mut after["spec"]["template"]);
        changes(&set(), &statefulset(), &after).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn another_secret_with_certificates_is_told() {
        let volume = |name: &str| json!([{"name": "tls", "secret": {"secretName": name}}]);
        let own = told(|template| template["spec"]["volumes"] = volume("pgset-tls"));
        assert_eq!(own, [""; 0], "pods of an older version mount none");
        let other = told(|template| template["spec"]["volumes"] = volume("mine"));
        assert_eq!(other, ["TLS secret pgset-tls -> mine"]);
    }

    #[test]
    fn each_setting_of_the_pods_is_told_as_old_and_new() {
        let container = "/spec/containers/0";
        assert_eq!(
            told(|template| {
                *template.pointer_mut(container).unwrap() = json!({
                    "name": "postgres", "image": "postgres:17.6",
                    "resources": {"limits": {"memory": "2Gi", "cpu": "1"}},
                });
                template["metadata"]["labels"] = json!({"app": "pgset", "tier": "db"});
                template["spec"]["terminationGracePeriodSeconds"] = json!(90);
                template["spec"]["nodeSelector"] = json!({"disk": "ssd"});
            }),
            [
                "cpu limit none -> 1",
                "image postgres:17.5 -> postgres:17.6",
                "label team a -> none",
                "label tier none -> db",
                "memory limit 1Gi -> 2Gi",
                "node selector disk none -> ssd",
                "termination grace period 60s -> 90s",
            ]
        );
    }

    #[test]
    fn what_is_no_setting_is_no_change() {
        assert_eq!(told(|_| {}), [""; 0]);
        // A revision has no claim templates.
        let mut claims = statefulset();
        claims["spec"]["volumeClaimTemplates"] = json!([{"spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]);
        assert_eq!(changes(&set(), &statefulset(), &claims), []);
        // Another version of the script, another probe, the same quantity in another unit.
        assert_eq!(
            told(|template| {
                template["spec"]["volumes"][0]["configMap"]["name"] = json!("pgset-scripts-2");
                template["spec"]["containers"][0]["livenessProbe"] = json!({"periodSeconds": 1});
                template["spec"]["containers"][0]["resources"]["limits"]["memory"] =
                    json!("1024Mi");
            }),
            [""; 0]
        );
    }
}
