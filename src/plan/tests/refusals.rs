//! Tests of the refusals.

use super::*;
use crate::error::{Diagnose, Exit};

fn refused(desired: Vec<Object>, live: &Live) -> String {
    let refusal = planned(desired, live).unwrap_err();
    assert_eq!(refusal.exit(), Exit::Refused);
    assert!(!refusal.hints().is_empty(), "{refusal}");
    refusal.to_string()
}

fn edit(live: &mut Live, kind: Kind, name: &str) -> &'static str {
    let object = live.get_mut(&id(kind, name)).unwrap();
    object["metadata"]["labels"]["app.kubernetes.io/instance"] = "other".into();
    "other"
}

#[test]
fn an_object_of_another() {
    let mut live = applied(&article());
    edit(&mut live, Kind::Service, "pgset-master");
    assert_eq!(refused(article(), &live), "Service pgset-master is owned by the set other");

    let mut live = applied(&article());
    let volume = live.get_mut(&id(Kind::PersistentVolume, "pv1")).unwrap();
    volume["metadata"]["labels"]["pgset/namespace"] = "staging".into();
    let refusal = planned(article(), &live).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "PersistentVolume pv1 is owned by the set pgset in namespace staging"
    );
    assert!(refusal.hints()[0].contains("--volume-prefix"));
}

#[test]
fn an_object_on_its_way_out() {
    let mut live = applied(&article());
    let claim = live.get_mut(&id(Kind::PersistentVolumeClaim, "pgset-pvc")).unwrap();
    claim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert_eq!(refused(article(), &live), "PersistentVolumeClaim pgset-pvc is being deleted");
}

#[test]
fn kept_data_whose_passwords_are_gone_or_others() {
    let mut live = applied(&article());
    live.retain(|id, _| id.kind.holds_data());
    assert!(planned(article(), &live).is_ok());
    live.remove(&id(Kind::Secret, "pgset-auth"));
    assert_eq!(
        refused(article(), &live),
        "PersistentVolumeClaim pgset-pvc was kept, but Secret pgset-auth with its passwords does \
         not exist"
    );
    let set = set();
    let options =
        Options { set: &set, replicas: None, passwords_given: true, foreign: Foreign::Take };
    assert!(plan(article(), &live, &options).is_ok());

    // A claim from a claim template is kept data, too.
    let by_class = || desired(TAGS[0], Storage::Class { name: None }, "1Gi", Some(2));
    let claim = json!({"metadata": {"namespace": "pg", "labels": {
        "app.kubernetes.io/managed-by": "pgset", "app.kubernetes.io/instance": "pgset",
    }}});
    let live = Live::from([(id(Kind::PersistentVolumeClaim, "pgdata-pgset-0"), claim)]);
    assert!(refused(by_class(), &live).contains("pgdata-pgset-0 was kept"));
    // Without data there is no refusal, and also not with a volume that was never bound.
    assert!(planned(by_class(), &Live::new()).is_ok());
    let mut live = applied(&article());
    live.retain(|id, _| id.kind == Kind::PersistentVolume);
    assert!(planned(article(), &live).is_ok());

    let mut live = applied(&article());
    live.get_mut(&id(Kind::Secret, "pgset-auth")).unwrap()["data"]["user-password"] = "b2xk".into();
    let refusal = planned(article(), &live).unwrap_err();
    assert!(refusal.to_string().contains("(user-password)"), "{refusal}");
    assert!(refusal.hints()[0].contains("unset PG_PASSWORD"));
    assert!(!format!("{refusal:?}").contains("b2xk"));
    // It is refused even if no data is visible: the data may be on a claim without pgset's labels.
    live.retain(|id, _| id.kind == Kind::Secret);
    assert!(refused(article(), &live).contains("(user-password)"));
}

#[test]
fn fields_that_never_change() {
    type Change = fn(&mut Value);
    let cases: [(Kind, Change, &str); 6] = [
        (
            Kind::StatefulSet,
            |set| set["spec"]["serviceName"] = "x".into(),
            "spec.serviceName of StatefulSet pgset can't be changed (pgset -> x)",
        ),
        (
            Kind::StatefulSet,
            |set| set["spec"]["podManagementPolicy"] = "Parallel".into(),
            "spec.podManagementPolicy of StatefulSet pgset can't be changed (OrderedReady -> Parallel)",
        ),
        (
            Kind::StatefulSet,
            |set| set["spec"]["selector"]["matchLabels"]["x"] = "y".into(),
            "spec.selector.matchLabels.x of StatefulSet pgset can't be changed",
        ),
        (
            Kind::RoleBinding,
            |binding| binding["roleRef"]["name"] = "x".into(),
            "roleRef.name of RoleBinding pgset-sa can't be changed (pgset-sa -> x)",
        ),
        (
            Kind::PersistentVolumeClaim,
            |claim| claim["spec"]["storageClassName"] = "x".into(),
            "spec.storageClassName of PersistentVolumeClaim pgset-pvc can't be changed (pg.pgset.static -> x)",
        ),
        (
            Kind::PersistentVolume,
            |volume| volume["spec"]["hostPath"]["path"] = "/x".into(),
            "spec.hostPath.path of PersistentVolume pv1 can't be changed (/srv -> /x)",
        ),
    ];
    for (kind, change, message) in cases {
        let live = applied(&article());
        let mut desired = article();
        change(find(&mut desired, kind));
        assert_eq!(refused(desired, &live), message);
    }
}

#[test]
fn other_storage_under_a_set() {
    let by_class = |size| desired(TAGS[0], Storage::Class { name: None }, size, Some(2));
    let live = applied(&by_class("1Gi"));
    assert_eq!(
        refused(by_class("512Mi"), &live),
        "StatefulSet pgset has 1Gi and can't shrink to 512Mi"
    );
    // Growth is possible: it recreates the StatefulSet.
    let plan = planned(by_class("2Gi"), &live).unwrap();
    assert_eq!(plan.growth.as_ref().map(|growth| growth.to.as_str()), Some("2Gi"));
    let claim =
        |name: &str| desired(TAGS[0], Storage::Claim { name: name.to_owned() }, "1Gi", Some(2));
    assert_eq!(
        refused(claim("a"), &live),
        "spec.volumeClaimTemplates of StatefulSet pgset can't be changed"
    );
    assert_eq!(
        refused(claim("b"), &applied(&claim("a"))),
        "StatefulSet pgset has its data on a, not b"
    );
}

#[test]
fn claims_of_another_size() {
    let live = applied(&article());
    let sized = |size| desired(TAGS[0], host_path(), size, Some(2));
    assert_eq!(
        refused(sized("50M"), &live),
        "PersistentVolumeClaim pgset-pvc has 100M and can't shrink to 50M"
    );
    assert_eq!(
        refused(sized("200M"), &live),
        "PersistentVolumeClaim pgset-pvc has 100M and can't grow to 200M: its volume is static"
    );
    assert!(planned(sized("100000k"), &live).unwrap().is_unchanged());
}

#[test]
fn volumes_that_can_t_be_bound() {
    let mut live = applied(&article());
    live.retain(|id, _| matches!(id.kind, Kind::PersistentVolume | Kind::Secret));
    let volume = live.get_mut(&id(Kind::PersistentVolume, "pv2")).unwrap();
    volume["spec"]["claimRef"] = json!({"namespace": "pg", "name": "pgset-pvc"});
    assert!(planned(article(), &live).is_ok());

    let volume = live.get_mut(&id(Kind::PersistentVolume, "pv2")).unwrap();
    volume["status"]["phase"] = "Released".into();
    let refusal = planned(article(), &live).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "PersistentVolume pv2 is Released: its claim pg/pgset-pvc was deleted"
    );
    assert!(refusal.hints()[0].starts_with("kubectl patch pv pv2 --type=merge -p '{\"spec\""));

    let volume = live.get_mut(&id(Kind::PersistentVolume, "pv2")).unwrap();
    volume["status"]["phase"] = "Bound".into();
    volume["spec"]["claimRef"]["name"] = "stranger".into();
    assert_eq!(refused(article(), &live), "PersistentVolume pv2 is bound to the claim pg/stranger");

    // If the claim is bound, other volumes do not matter.
    let claim = id(Kind::PersistentVolumeClaim, "pgset-pvc");
    live.insert(claim.clone(), applied(&article())[&claim].clone());
    assert!(planned(article(), &live).is_ok());
}

#[test]
fn a_directory_of_the_same_set_elsewhere() {
    let other = json!({
        "metadata": {"labels": {"app.kubernetes.io/managed-by": "pgset",
            "app.kubernetes.io/instance": "pgset", "pgset/namespace": "staging"}},
        "spec": {"hostPath": {"path": "/srv"}},
    });
    let mut live = Live::from([(id(Kind::PersistentVolume, "x1"), other)]);
    assert_eq!(
        refused(article(), &live),
        "/srv contains the data of the set of the same name in namespace staging (PersistentVolume x1)"
    );
    live.get_mut(&id(Kind::PersistentVolume, "x1")).unwrap()["spec"]["hostPath"]["path"] =
        "/other".into();
    assert!(planned(article(), &live).is_ok());
}
