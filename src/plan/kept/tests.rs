//! Which fields of other field managers keep their values.

use serde_json::json;

use super::*;

fn owner(name: &str, fields: &Value) -> Value {
    json!({"manager": name, "operation": "Update", "fieldsV1": fields})
}

/// A StatefulSet with this pod template and these managers.
fn set(template: &Value, managers: &[Value]) -> Value {
    json!({"kind": "StatefulSet", "metadata": {"name": "pgset", "managedFields": managers},
           "spec": {"template": template}})
}

fn pod(image: &str, memory: &str, command: &str, grace: u32) -> Value {
    json!({"spec": {
        "terminationGracePeriodSeconds": grace,
        "containers": [{"name": "postgres", "image": image, "command": [command],
                        "resources": {"limits": {"memory": memory}}}],
    }})
}

/// The tree of a manager that owns fields of the server's container.
fn container(fields: &Value) -> Value {
    json!({"f:spec": {"f:template": {"f:spec": {"f:containers": {
        "k:{\"name\":\"postgres\"}": fields}}}}})
}

fn object(value: Value) -> Object {
    let id = ObjectId::new(Kind::StatefulSet, "pg", "pgset");
    Object { id, value, template: String::new() }
}

fn said(kept: &[Kept]) -> Vec<String> {
    kept.iter().map(ToString::to_string).collect()
}

const PLAIN: Foreign<'static> = Foreign::Keep { asked: &[] };

#[test]
fn a_tuned_field_keeps_its_value_unless_another_one_is_asked_for() {
    let wanted = set(&pod("postgres:17.1", "1Gi", "run", 600), &[]);
    let kubectl = owner("kubectl-set", &container(&json!({"f:image": {}})));
    let live = set(&pod("postgres:17.2", "1Gi", "run", 600), &[kubectl]);
    let keep = |foreign| {
        let mut object = object(wanted.clone());
        keep(&mut object, &live, foreign).map(|kept| (object, kept))
    };
    let image = "/spec/template/spec/containers/0/image";
    let (object, kept) = keep(PLAIN).unwrap();
    assert_eq!(
        said(&kept),
        [
            "StatefulSet pgset keeps spec.template.spec.containers[name=postgres].image postgres:17.2, set by \
             kubectl-set; --force-conflicts sets it to postgres:17.1"
        ]
    );
    assert_eq!(object.value.pointer(image).unwrap(), "postgres:17.2");
    let sent = without(&object, &[kept[0].path.clone()]);
    assert_eq!(sent.value.pointer(image), None);
    assert_eq!(sent.value.pointer("/spec/template/spec/containers/0/name").unwrap(), "postgres");

    // Another setting was asked for.
    assert_eq!(keep(Foreign::Keep { asked: &["PGSET_LIMITS"] }).unwrap().1.len(), 1);
    let refusal = keep(Foreign::Keep { asked: &["PGSET_IMAGE"] }).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "StatefulSet pgset has fields that another field manager owns: kubectl-set owns \
         spec.template.spec.containers[name=postgres].image"
    );
    for foreign in [Foreign::Take, Foreign::Show { asked: &["PGSET_IMAGE"] }] {
        let (object, kept) = keep(foreign).unwrap();
        assert_eq!((object.value, kept), (wanted.clone(), vec![]), "{foreign:?}");
    }
}

#[test]
fn what_the_set_needs_is_not_kept() {
    let kubectl = owner("kubectl-edit", &container(&json!({"f:command": {}})));
    let live = set(&pod("postgres:17", "1Gi", "sleep", 600), &[kubectl]);
    let mut wanted = object(set(&pod("postgres:17", "1Gi", "run", 600), &[]));
    let refusal = keep(&mut wanted, &live, PLAIN).unwrap_err();
    assert!(
        refusal
            .to_string()
            .ends_with("kubectl-edit owns spec.template.spec.containers[name=postgres].command")
    );
}

#[test]
fn only_a_field_of_another_manager_is_kept() {
    let pgset = json!({"manager": MANAGER, "operation": "Apply",
        "fieldsV1": container(&json!({"f:image": {}, "f:resources": {"f:limits": {"f:memory": {}}}}))});
    let vpa = owner("vpa", &container(&json!({"f:resources": {"f:limits": {"f:memory": {}}}})));
    let live = set(&pod("postgres:17.1", "4Gi", "run", 7), &[pgset, vpa]);
    let mut wanted = object(set(&pod("postgres:17.2", "1Gi", "run", 600), &[]));
    let kept = keep(&mut wanted, &live, PLAIN).unwrap();
    assert_eq!(kept.len(), 1, "the image is pgset's, nobody owns the grace period: {kept:?}");
    assert_eq!(kept[0].owner, "vpa");
    assert_eq!(wanted.value["spec"]["template"], pod("postgres:17.2", "4Gi", "run", 600));
    // The same value is no conflict.
    let mut same = object(set(&pod("postgres:17.2", "4096Mi", "run", 600), &[]));
    assert_eq!(keep(&mut same, &live, PLAIN).unwrap(), []);
}

#[test]
fn a_value_that_is_owned_as_a_whole_is_kept_as_a_whole() {
    let tree =
        json!({"f:spec": {"f:template": {"f:spec": {"f:tolerations": {}, "f:nodeSelector": {}}}}});
    let with = |key: &str| json!({"spec": {"tolerations": [{"key": key, "operator": "Exists"}], "nodeSelector": {"disk": key}}});
    let live = set(&with("spot"), &[owner("ops", &tree)]);
    let mut wanted = object(set(&with("db"), &[]));
    let kept = keep(&mut wanted, &live, PLAIN).unwrap();
    let paths: Vec<String> = kept.iter().map(|kept| kept.path.to_string()).collect();
    assert_eq!(paths, ["spec.template.spec.nodeSelector", "spec.template.spec.tolerations"]);
    assert_eq!(wanted.value["spec"]["template"], with("spot"));
}

#[test]
fn the_settings_of_a_field() {
    let path = |fields: &str| Path::of(&fields.split('/').collect::<Vec<_>>());
    for (kind, fields, expected) in [
        (Kind::Service, "metadata/labels/team", Some(&["PGSET_LABEL"][..])),
        (Kind::Service, "metadata/labels/app", None),
        (Kind::Service, "spec/selector", None),
        (Kind::StatefulSet, "spec/template/metadata/annotations/note", Some(&["PGSET_ANNOTATION"])),
        (Kind::StatefulSet, "spec/template/metadata/labels/name", None),
        (Kind::StatefulSet, "spec/selector/matchLabels", None),
        (Kind::StatefulSet, "spec/serviceName", None),
        (Kind::StatefulSet, "spec/updateStrategy/type", None),
        (Kind::StatefulSet, "spec/template/spec/serviceAccountName", None),
        (Kind::StatefulSet, "spec/template/spec/volumes", None),
        (Kind::StatefulSet, "spec/template/spec/containers/livenessProbe/periodSeconds", None),
        (Kind::StatefulSet, "spec/template/spec/containers/env", None),
        (
            Kind::StatefulSet,
            "spec/template/spec/initContainers/image",
            Some(&["PGSET_IMAGE", "PGSET_POSTGRES_VERSION"]),
        ),
        (Kind::StatefulSet, "spec/template/spec/affinity", Some(&[])),
        (Kind::ConfigMap, "data/bootstrap.sh", None),
        (Kind::ConfigMap, "data/pg_hba.conf", None),
        (Kind::ConfigMap, "data/tls", None),
        (Kind::NetworkPolicy, "spec/ingress", Some(&[])),
        (Kind::NetworkPolicy, "spec/podSelector", None),
    ] {
        assert_eq!(settings(kind, &path(fields)), expected, "{kind:?} {fields}");
    }
    for own in ["app.kubernetes.io/instance", "pgset/profile"] {
        let path = Path::of(&["metadata", "labels", own]);
        assert_eq!(settings(Kind::Service, &path), None, "{own}");
    }
}
