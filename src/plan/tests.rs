//! Tests plans for the built-in templates, against a simulated server-side apply.

mod server;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::image::{Crunchy, ImageReference, Profile};
use crate::manifest::parse::objects;
use crate::render::{Inputs, Passwords, TemplateSet, render};
use crate::settings::{AccessMode, Credentials, Settings, Storage};
use crate::values::{Replicas, Secret};
use server::{apply, update};

type Live = BTreeMap<ObjectId, Value>;

fn set() -> SetIdentity {
    SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() }
}

fn desired(tag: &str, storage: Storage, size: &str, replicas: Option<u32>) -> Vec<Object> {
    let image = ImageReference {
        repository: "crunchydata/crunchy-postgres".to_owned(),
        tag: Some(tag.to_owned()),
        digest: None,
    };
    let settings = Settings {
        set: set(),
        image,
        profile: Profile::Crunchy(Crunchy::from_tag(tag).unwrap()),
        replicas: None,
        storage,
        size: size.parse().unwrap(),
        access_mode: AccessMode::ReadWriteMany,
        volume_prefix: "pv".to_owned(),
        credentials: Credentials {
            superuser_password: None,
            primary_user: "master".parse().unwrap(),
            primary_password: None,
            user: "testuser".parse().unwrap(),
            password: None,
            database: "userdb".parse().unwrap(),
        },
        parameters: None,
        computed: crate::settings::Computed::Yes,
        synchronous: None,
        max_lag: "1Gi".parse().unwrap(),
        tls: None,
        pods: crate::settings::Pods::default(),
        service_account: None,
        templates: None,
        asked: Vec::new(),
    };
    let secret = |text: &str| Secret::new(text.to_owned());
    let passwords = Passwords {
        superuser: secret("root1"),
        primary: secret("primary1"),
        user: secret("user1"),
    };
    let replicas: Option<Replicas> = replicas.map(|n| n.to_string().parse().unwrap());
    let inputs = Inputs {
        settings: &settings,
        replicas,
        topology: &crate::set::Topology::default(),
        origin: crate::set::Origin::Initdb,
        pods: 2,
        server_minor: 37,
        passwords: &passwords,
        tls: None,
        certificates: None,
        mounted_certificates: None,
        scripts: crate::render::Scripts::Current,
    };
    let rendered = render(&TemplateSet::builtin(&settings.profile), &inputs).unwrap();
    objects(&rendered, settings.set.ownership()).unwrap()
}

const TAGS: [&str; 2] = ["centos7-9.5-1.2.6", "centos7-10.5-2.2.0"];

fn host_path() -> Storage {
    Storage::HostPath { path: "/srv".to_owned() }
}

fn article() -> Vec<Object> {
    desired(TAGS[0], host_path(), "100M", Some(2))
}

fn applied(desired: &[Object]) -> Live {
    desired.iter().map(|object| (object.id.clone(), apply(&object.value, None))).collect()
}

fn planned(desired: Vec<Object>, live: &Live) -> Result<Plan, Refusal> {
    plan(
        desired,
        live,
        &Options { set: &set(), replicas: None, passwords_given: false, foreign: Foreign::Take },
    )
}

fn id(kind: Kind, name: &str) -> ObjectId {
    ObjectId::new(kind, "pg", name)
}

fn find(objects: &mut [Object], kind: Kind) -> &mut Value {
    &mut objects.iter_mut().find(|object| object.id.kind == kind).unwrap().value
}

/// The paths that the step of a kind would change.
fn changes(plan: &Plan, kind: Kind) -> Vec<String> {
    let step = plan.steps.iter().find(|step| step.object.id.kind == kind).unwrap();
    match &step.action {
        Action::Update(difference) => difference.paths().map(ToString::to_string).collect(),
        Action::Create => vec!["created".to_owned()],
        Action::Unchanged => Vec::new(),
    }
}

fn any_desired() -> impl Strategy<Value = Vec<Object>> {
    let storage = prop_oneof![
        Just(host_path()),
        Just(Storage::Nfs { server: "192.0.2.1".to_owned(), path: "/x".to_owned() }),
        Just(Storage::Class { name: None }),
        Just(Storage::Class { name: Some("fast".to_owned()) }),
        Just(Storage::Claim { name: "mine".to_owned() }),
    ];
    let sizes = prop::sample::select(vec!["100M", "1024Mi", "1000000000", "2000M"]);
    (prop::sample::select(TAGS.to_vec()), storage, sizes, prop::option::of(1..5_u32))
        .prop_map(|(tag, storage, size, replicas)| desired(tag, storage, size, replicas))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn planning_after_applying_changes_nothing(desired in any_desired()) {
        let live = applied(&desired);
        let plan = planned(desired, &live).unwrap();
        for step in &plan.steps {
            prop_assert_eq!(&step.action, &Action::Unchanged, "{}", step.object.id);
        }
    }

    #[test]
    fn what_was_applied_can_be_read_back(desired in any_desired()) {
        for object in desired {
            let live = apply(&object.value, None);
            let read = extract(&live, "pgset").unwrap();
            if object.id.kind.holds_data() || object.id.kind == Kind::StatefulSet {
                // The server normalizes quantities.
                prop_assert!(difference(&read, &live).is_unchanged());
                prop_assert!(difference(&object.value, &apply(&read, Some(&live))).is_unchanged());
            } else {
                prop_assert_eq!(&read, &object.value);
            }
        }
    }

    /// A change of any leaf of a desired object is found.
    #[test]
    fn any_change_is_found(desired in any_desired(), pick in any::<prop::sample::Index>()) {
        let live = applied(&desired);
        for mut object in desired {
            let mut leaves = Vec::new();
            collect_leaves(&object.value, String::new(), &mut leaves);
            let leaf = pick.get(&leaves);
            let value = object.value.pointer_mut(leaf).unwrap();
            *value = match value {
                Value::Bool(value) => json!(!*value),
                Value::Number(number) => json!(number.as_i64().unwrap() + 1),
                _ => json!("other7"),
            };
            let found = difference(&object.value, &live[&object.id]);
            prop_assert!(!found.is_unchanged(), "{} {leaf}", object.id);
        }
    }

    /// The removal of any field of a desired object is found.
    #[test]
    fn any_removal_is_found(desired in any_desired(), pick in any::<prop::sample::Index>()) {
        let live = applied(&desired);
        for mut object in desired {
            let mut leaves = Vec::new();
            collect_leaves(&object.value, String::new(), &mut leaves);
            let leaf = pick.get(&leaves).clone();
            let (parent, name) = leaf.rsplit_once('/').unwrap();
            // Without a key field it is a different item.
            match object.value.pointer_mut(parent).unwrap() {
                Value::Object(map) => drop(map.remove(&name.replace("~1", "/"))),
                Value::Array(list) => drop(list.remove(name.parse().unwrap())),
                _ => unreachable!("a leaf is in something"),
            }
            // Fields that the server fills in again are not a difference.
            if ["/protocol", "/apiVersion", "/volumeMode", "/apiGroup"].iter().any(|end| leaf.ends_with(end)) {
                continue;
            }
            let found = difference(&object.value, &live[&object.id]);
            prop_assert!(!found.is_unchanged(), "{} {leaf}", object.id);
        }
    }
}

/// JSON pointers of all scalars, except those that identify the object.
fn collect_leaves(value: &Value, at: String, leaves: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                collect_leaves(value, format!("{at}/{}", name.replace('/', "~1")), leaves);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                collect_leaves(value, format!("{at}/{index}"), leaves);
            }
        }
        _ if ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"]
            .contains(&at.as_str()) => {}
        _ => leaves.push(at),
    }
}

#[test]
fn nothing_there_is_created_in_the_order_of_apply() {
    let plan = planned(article(), &Live::new()).unwrap();
    assert!(plan.steps.iter().all(|step| step.action == Action::Create));
    let kinds: Vec<_> = plan.steps.iter().map(|step| step.object.id.kind).collect();
    assert!(kinds.is_sorted(), "{kinds:?}");
    assert_eq!(kinds.last(), Some(&Kind::StatefulSet));
}

#[test]
fn a_change_names_its_path() {
    let live = applied(&article());
    let mut desired = article();
    let set = find(&mut desired, Kind::StatefulSet);
    set["spec"]["template"]["spec"]["containers"][0]["image"] = "other".into();
    let env = set["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut().unwrap();
    env.remove(0);
    set["spec"]["template"]["metadata"]["labels"].as_object_mut().unwrap().remove("name");
    assert_eq!(
        changes(&planned(desired, &live).unwrap(), Kind::StatefulSet),
        [
            "spec.template.spec.containers[name=postgres].image",
            "spec.template.metadata.labels.name",
            "spec.template.spec.containers[name=postgres].env[name=PG_MODE]",
        ]
    );
}

#[test]
fn the_order_of_variables_counts() {
    let live = applied(&article());
    let mut desired = article();
    let env = "/spec/template/spec/containers/0/env";
    find(&mut desired, Kind::StatefulSet)
        .pointer_mut(env)
        .unwrap()
        .as_array_mut()
        .unwrap()
        .swap(0, 1);
    assert!(!planned(desired, &live).unwrap().is_unchanged());
}

#[test]
fn what_others_added_is_left_alone() {
    let mut live = applied(&article());
    let set = live.get_mut(&id(Kind::StatefulSet, "pgset")).unwrap();
    let sidecar = json!({"name": "mesh", "image": "x"});
    update(set, "mesh", &[], |set| {
        set["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().push(sidecar);
        set["metadata"]["annotations"] = json!({"a": "b"});
    });
    assert!(planned(article(), &live).unwrap().is_unchanged());
}

#[test]
fn what_others_took_over_is_compared_by_value() {
    let mut live = applied(&article());
    let set = live.get_mut(&id(Kind::StatefulSet, "pgset")).unwrap();
    update(set, "kubectl", &["spec", "replicas"], |set| set["spec"]["replicas"] = 4.into());
    // If the templates leave the field out, its value does not matter.
    let without = desired(TAGS[0], host_path(), "100M", None);
    assert!(planned(without, &live).unwrap().is_unchanged());
    assert_eq!(changes(&planned(article(), &live).unwrap(), Kind::StatefulSet), ["spec.replicas"]);

    // A manager that owns the whole selector may have added keys to it.
    let service = live.get_mut(&id(Kind::Service, "pgset")).unwrap();
    update(service, "kubectl-edit", &["spec", "selector"], |service| {
        service["spec"]["selector"]["x"] = "y".into();
    });
    assert_eq!(changes(&planned(article(), &live).unwrap(), Kind::Service), ["spec.selector.x"]);
}

#[test]
fn replicas_that_pgset_alone_owns_would_be_reset_if_left_out() {
    let live = applied(&article());
    let without = desired(TAGS[0], host_path(), "100M", None);
    assert_eq!(changes(&planned(without, &live).unwrap(), Kind::StatefulSet), ["spec.replicas"]);
}

#[test]
fn scaling_applies_what_was_applied_with_another_number() {
    for storage in [host_path(), Storage::Class { name: None }] {
        let all = desired(TAGS[1], storage, "1024Mi", Some(2));
        let live = applied(&all);
        let live = &live[&id(Kind::StatefulSet, "pgset")];
        let mut document = extract(live, "pgset").unwrap();
        assert!(difference(&document, live).is_unchanged());
        document["spec"]["replicas"] = 3.into();
        let found = difference(&document, live);
        assert_eq!(found.paths().map(ToString::to_string).collect::<Vec<_>>(), ["spec.replicas"]);
        assert_eq!(extract(live, "nobody"), None);
    }
}

#[test]
fn an_object_that_pgset_never_applied_is_applied() {
    let mut live = applied(&article());
    for object in live.values_mut() {
        object["metadata"]["managedFields"] = json!([]);
    }
    let plan = planned(article(), &live).unwrap();
    assert_eq!(changes(&plan, Kind::Service), ["metadata.managedFields"]);
}

#[test]
fn detail_says_who_keeps_the_replicas() {
    let decision = ReplicasDecision::LeaveOut { live: 4, owner: "kubectl".to_owned() };
    let set = set();
    let options = Options {
        set: &set,
        replicas: Some(&decision),
        passwords_given: false,
        foreign: Foreign::Take,
    };
    let plan = plan(article(), &Live::new(), &options).unwrap();
    let details: Vec<_> = plan.steps.iter().filter_map(|step| step.detail.as_deref()).collect();
    assert_eq!(details, ["keeps 4 replicas: kubectl owns spec.replicas"]);
}

mod refusals;
