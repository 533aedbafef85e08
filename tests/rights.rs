//! The example of an account that may run pgset in one namespace: complete, and no larger than needed.

use std::collections::BTreeSet;

use pgset::image::{Capabilities, ProfileName};
use pgset::manifest::kind::KINDS;
use pgset::manifest::{Kind, Object, ObjectId, ServerVersion};
use pgset::set::SetIdentity;
use pgset::set::rights::{self, Change, Right};
use serde::Deserialize as _;
use serde_json::{Value, json};

/// A right in the namespace: API group, resource, verb.
type Plain = (String, String, String);

fn plain(group: &str, resource: &str, verb: &str) -> Plain {
    (group.to_owned(), resource.to_owned(), verb.to_owned())
}

/// The rules of the example's Role.
pub(crate) fn example() -> Vec<Value> {
    let text = include_str!("../examples/rbac-namespace.yaml");
    let documents = serde_yaml::Deserializer::from_str(text);
    let mut documents = documents.map(|document| Value::deserialize(document).unwrap());
    let role = documents.find(|document| document["kind"] == "Role").unwrap();
    role["rules"].as_array().unwrap().clone()
}

fn granted() -> BTreeSet<Plain> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    let mut all = BTreeSet::new();
    for rule in example() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    let new = all.insert((group.clone(), resource.clone(), verb.clone()));
                    assert!(new, "{verb} {resource} is there twice");
                }
            }
        }
    }
    all
}

/// The rights that the commands ask for, and those that they do without if they must.
fn asked() -> BTreeSet<Plain> {
    let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "demo".parse().unwrap() };
    let kinds = || KINDS.into_iter().filter(|kind| kind.applicable() && kind.namespaced());
    let mut all: Vec<Right> = Vec::new();
    for minor in [20, 37] {
        let version = ServerVersion { minor, ..ServerVersion::default() };
        let objects: Vec<Object> = kinds()
            .map(|kind| Object {
                id: ObjectId::new(
                    kind,
                    "demo",
                    if kind == Kind::ConfigMap { "pgset-config" } else { "pgset" },
                ),
                value: json!({}),
                template: String::new(),
            })
            .collect();
        let changes: Vec<_> = objects.iter().map(|object| (object, Change::Unknown)).collect();
        for wait in [true, false] {
            all.extend(rights::up(&set, &changes, wait, &version));
        }
        all.extend(rights::down(&set, &kinds().collect::<Vec<_>>(), true, &version));
    }
    for profile in ProfileName::ALL {
        let names = [set.pod(0)];
        all.extend(rights::of_pods(&set, Capabilities::of(profile), &names));
    }
    for more in [rights::scaling, rights::naming, rights::growing, rights::rotating, rights::psql] {
        all.extend(more(&set));
    }
    let mut all: BTreeSet<Plain> =
        all.iter().map(|right| plain(&right.group, &right.resource, &right.verb)).collect();
    // `down` finds the objects by their labels.
    all.extend(kinds().map(|kind| plain(kind.group(), kind.plural(), "list")));
    all.insert(plain("", "namespaces", "get"));
    all.insert(plain("", "resourcequotas", "list"));
    all.insert(plain("authorization.k8s.io", "localsubjectaccessreviews", "create"));
    all
}

#[test]
fn the_example_grants_what_is_needed_and_nothing_else() {
    let (granted, asked) = (granted(), asked());
    let missing: Vec<_> = asked.difference(&granted).collect();
    let superfluous: Vec<_> = granted.difference(&asked).collect();
    assert!(missing.is_empty(), "missing in the example: {missing:?}");
    assert!(superfluous.is_empty(), "nothing needs: {superfluous:?}");
}
