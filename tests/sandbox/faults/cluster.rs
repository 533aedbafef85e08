//! Faults in the cluster: other field managers, claims, nodes, namespaces.

use http::Method;
use pgset::sandbox::faults::Fault;
use pgset::sandbox::kinds::{
    CLAIMS, NAMESPACES, PODS, Resource, SERVICES, STATEFUL_SETS, STORAGE_CLASSES,
};
use pgset::sandbox::ownership::Writer;
use pgset::sandbox::registry::Delete;
use pgset::sandbox::store::Key;
use serde_json::{Value, json};

use super::super::World;
use super::super::quick::{PROFILES, Profile};
use crate::support::{eventually, seconds};

const KUBECTL: Writer<'_> = Writer { manager: "kubectl-edit", subresource: "" };

impl World {
    pub(in crate::sandbox) fn key(resource: &'static Resource, name: &str) -> Key {
        Key::new(resource, "default", name)
    }

    pub(in crate::sandbox) fn object(&self, key: &Key) -> Option<Value> {
        self.sandbox.registry.store.get(key).map(|object| Value::clone(&object))
    }

    /// Changes an object, as `kubectl edit` does.
    pub(in crate::sandbox) fn edit(&self, key: &Key, change: impl FnOnce(&mut Value)) {
        let changed = self.sandbox.registry.update(key, KUBECTL, false, |object| {
            change(object);
            Ok(())
        });
        changed.unwrap();
    }

    pub(in crate::sandbox) fn delete(&self, key: &Key) {
        self.sandbox.registry.delete(key, &Delete::default()).unwrap();
    }

    pub(in crate::sandbox) fn create(&self, key: &Key, object: Value) {
        self.sandbox.registry.create(key, object, "kubectl-create", false).unwrap();
    }
}

#[tokio::test]
pub(super) async fn a_conflict_names_field_and_manager_and_is_taken_over_by_force() {
    let world = World::quick().await;
    for profile in PROFILES {
        let up = |line: &str| profile.of(world.pgset(&format!("up --no-wait {line}")));
        up("").run().await.ok();
        let service = World::key(&SERVICES, "pgset-master");
        world.edit(&service, |service| service["spec"]["selector"]["name"] = json!("other"));
        let set = World::key(&STATEFUL_SETS, "pgset");
        world.edit(&set, |set| set["metadata"]["labels"]["app"] = json!("other"));
        let spec = |key| world.object(key).map(|object| object["spec"].clone());
        let before = || [spec(&service), spec(&set)];
        let edited = before();
        let output = up("").run().await.exits(4).says("kubectl-edit owns spec.selector");
        output.says("--force-conflicts");
        assert_eq!(before(), edited);
        up("--force-conflicts").run().await.ok();
        assert_eq!(world.object(&service).unwrap()["spec"]["selector"]["name"], "pgset-master");
        up("").run().await.ok().says("is up to date");
        profile.of(world.pgset("down --yes --delete-data")).run().await.ok();
    }
    world.stop().await;
}

#[tokio::test]
pub(super) async fn a_tuned_field_of_another_manager_keeps_its_value() {
    let world = World::quick().await;
    // The image is the default: no variable asks for it.
    let run = |line: &str| world.pgset(line).env("CCP_IMAGE_TAG", "").run();
    run("up").await.ok();
    let set = World::key(&STATEFUL_SETS, "pgset");
    world.edit(&set, |set| {
        set["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(7);
        set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("postgres:17.2");
    });
    let spec = |path: &str| {
        let set = world.object(&set).unwrap();
        set["spec"]["template"]["spec"].pointer(path).cloned().unwrap_or_default()
    };
    let (grace, image) = ("/terminationGracePeriodSeconds", "/containers/0/image");
    let plain = run("up --no-wait").await.ok().says("is up to date");
    let plain =
        plain.says("keeps spec.template.spec.terminationGracePeriodSeconds 7, set by kubectl-edit");
    plain
        .says("[name=postgres].image postgres:17.2")
        .says("--force-conflicts sets it to postgres:17");
    run("diff").await.ok().says("keeps spec.template.spec.terminationGracePeriodSeconds 7");

    // Another change leaves them to their owner.
    run("up --no-wait --yes --limits cpu=3").await.ok();
    assert_eq!((spec(grace), spec(image)), (json!(7), json!("postgres:17.2")));
    let live = world.object(&set).unwrap();
    let entries = live["metadata"]["managedFields"].as_array().unwrap();
    let of_pgset = entries.iter().find(|entry| entry["manager"] == "pgset").unwrap();
    let of_pods = &of_pgset["fieldsV1"]["f:spec"]["f:template"]["f:spec"];
    assert_eq!(of_pods["f:terminationGracePeriodSeconds"], Value::Null, "{of_pgset}");

    let asked = run("up --no-wait --termination-grace-period 20s").await.exits(4);
    asked.says("kubectl-edit owns spec.template.spec.terminationGracePeriodSeconds");
    run("up --no-wait --reset image").await.exits(4).says("[name=postgres].image");
    run("up --no-wait --yes --force-conflicts").await.ok();
    assert_eq!((spec(grace), spec(image)), (json!(600), json!("postgres:17")));
    run("up --no-wait").await.ok().never_says("keeps");
    world.stop().await;
}

#[tokio::test]
pub(super) async fn a_foreign_object_is_left_alone() {
    let world = World::quick().await;
    let service = World::key(&SERVICES, "pgset-master");
    world.create(&service, json!({"spec": {"ports": [{"port": 80}]}}));
    let before = world.object(&service);
    world.faults().record();
    let output = world.pgset("up").run().await.exits(4).says("pgset-master");
    output.mentions(&["--name"]);
    assert_eq!(world.faults().writes(), []);
    assert_eq!(world.object(&service), before);
    world.stop().await;
}

#[tokio::test]
pub(super) async fn a_class_that_is_not_there_is_found_before_the_first_write() {
    let world = World::quick().await;
    world.faults().record();
    let output = world.pgset("up --storage class:golden").run().await.exits(1);
    output.within(seconds(20)).says("golden").says("standard").mentions(&["StorageClass"]);
    world.delete(&Key::new(&STORAGE_CLASSES, "", "standard"));
    let output = world.pgset("up --storage class").run().await.exits(1).within(seconds(20));
    output.mentions(&["default StorageClass", "no default"]);
    assert_eq!(world.faults().writes(), []);
    world.stop().await;
}

#[tokio::test]
#[ignore = "waits for a minute: PGSET_POSTGRES=1"]
pub(super) async fn a_claim_that_stays_pending_says_why() {
    let world = World::quick().await;
    let claim = World::key(&CLAIMS, "mine");
    let spec = json!({"accessModes": ["ReadWriteMany"], "storageClassName": "golden",
        "resources": {"requests": {"storage": "100M"}}});
    world.create(&claim, json!({"spec": spec}));
    let output = world.pgset("up --storage claim:mine").run().await.exits(1).within(seconds(110));
    output.says("mine").mentions(&["golden", "unbound", "not found"]);
    // The claim does not belong to the set, so it is never deleted.
    world.pgset("down --delete-data --yes").run().await;
    assert!(world.object(&claim).is_some());
    world.stop().await;
}

/// Causes a failure of a pod. `up` has to report it with these words.
async fn explained(prepare: impl FnOnce(&World), line: &str, profile: Profile, words: &[&str]) {
    let world = World::quick().await;
    prepare(&world);
    let output = profile.of(world.pgset(line)).run().await.exits(1).within(seconds(120));
    let output = words.iter().fold(output, |output, word| output.mentions(&[word]));
    // `status` reports it, too, without waiting.
    profile
        .of(world.pgset("status"))
        .run()
        .await
        .exits(1)
        .within(seconds(20))
        .mentions(&[words[0]]);
    output.mentions(&["hint"]);
    world.stop().await;
}

#[tokio::test]
#[ignore = "waits for a minute: PGSET_POSTGRES=1"]
pub(super) async fn no_such_image() {
    let pull = |world: &World| {
        world.faults().fail("pull postgres:17", "manifest unknown: manifest unknown");
    };
    let words = ["manifest unknown", "pgset-0", "postgres:17"];
    explained(pull, "up", Profile::Official, &words).await;
}

#[tokio::test]
#[ignore = "waits for a minute: PGSET_POSTGRES=1"]
pub(super) async fn no_such_image_whatever_the_clock() {
    let pull = |world: &World| {
        world.faults().set_clock(jiff::SignedDuration::from_hours(-24));
        world.faults().fail("pull postgres:17", "manifest unknown: manifest unknown");
    };
    explained(pull, "up", Profile::Official, &["manifest unknown", "pgset-0"]).await;
}

#[tokio::test]
#[ignore = "waits for a minute: PGSET_POSTGRES=1"]
pub(super) async fn a_crash_loop() {
    let words = ["CrashLoopBackOff", "pgset-0", "/pgdata can't be written"];
    let crash = |world: &World| world.crash(Some("FATAL: /pgdata can't be written"));
    explained(crash, "up", Profile::Article, &words).await;
}

#[tokio::test]
#[ignore = "waits for a minute: PGSET_POSTGRES=1"]
pub(super) async fn out_of_memory() {
    let starve = |world: &World| {
        world.faults().fail("memory", "");
        world.starve(true);
    };
    explained(starve, "up", Profile::Article, &["out of memory", "pgset-0", "hint"]).await;
}

#[tokio::test]
#[ignore = "waits for a minute: PGSET_POSTGRES=1"]
pub(super) async fn a_quota() {
    let full = "exceeded quota: pods, requested: pods=1, used: pods=0, limited: pods=0";
    let quota = |world: &World| world.faults().fail("create pods", full);
    explained(quota, "up", Profile::Article, &["exceeded quota: pods"]).await;
}

#[tokio::test]
#[ignore = "waits for a minute: PGSET_POSTGRES=1"]
pub(super) async fn pod_security() {
    let words = "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false";
    let policy = |world: &World| world.faults().fail("create pods", words);
    explained(policy, "up", Profile::Article, &["violates PodSecurity"]).await;
}

#[tokio::test]
#[ignore = "waits for a minute: PGSET_POSTGRES=1"]
pub(super) async fn unschedulable() {
    let words = "1 node(s) didn't match Pod's node affinity/selector.";
    let schedule = |world: &World| world.faults().fail("schedule", words);
    explained(schedule, "up", Profile::Official, &["didn't match Pod's node", "pgset-0"]).await;
}

#[tokio::test]
#[ignore = "waits for a minute: PGSET_POSTGRES=1"]
pub(super) async fn a_mount_that_fails() {
    let words = "mount.nfs: Connection refused";
    let mount = |world: &World| world.faults().fail("mount pv1", words);
    let line = "up --storage nfs://10.240.0.1/nfsfileshare";
    explained(mount, line, Profile::Article, &[words, "pgset-0", "10.240.0.1"]).await;
}

#[tokio::test]
pub(super) async fn a_pod_of_a_dead_node_is_never_forced() {
    let world = World::quick().await;
    world.pgset("up").run().await.ok();
    world.faults().fail("node", "");
    world.faults().record();
    let pod = World::key(&PODS, "pgset-1");
    let output = world.pgset("scale --replicas 1 --timeout 4s").run().await.exits(70);
    output.says("pgset-1").mentions(&["Terminating"]);
    assert!(world.object(&pod).is_some());
    let status = world.pgset("status").run().await;
    assert_ne!(status.code, Some(0), "{status}");
    status.mentions(&["Terminating"]);
    let output = world.pgset("down --yes --timeout 4s").run().await.exits(70);
    output.says("pgset-1").mentions(&["Terminating"]);
    assert!(world.object(&pod).is_some());
    let deletes = world.faults().writes().into_iter().filter(|w| w.method == Method::DELETE);
    assert_eq!(deletes.filter(|w| w.path.contains("/pods")).count(), 0, "a pod was deleted");
    // When the node is back, the next run finishes the work.
    world.faults().mend("node");
    world.pgset("down --yes").run().await.ok();
    assert!(world.object(&pod).is_none());
    world.stop().await;
}

#[tokio::test]
pub(super) async fn a_finalizer_that_never_goes_is_named_and_the_data_stays() {
    let world = World::quick().await;
    for profile in PROFILES {
        let run = |line: &str| profile.of(world.pgset(line));
        run("up").run().await.ok();
        let claim = World::key(&CLAIMS, "pgdata-pgset-0");
        world.edit(&claim, |claim| {
            let finalizers = claim["metadata"]["finalizers"].as_array_mut().unwrap();
            finalizers.push(json!("example.com/never"));
        });
        let before = world.volumes("default");
        let output = run("down --yes --delete-data --timeout 6s").run().await.exits(70);
        output.says("example.com/never").says("pgdata-pgset-0").says("pgset down");
        assert!(before[0].join("pgset-0/first").exists(), "the data is gone");
        world.edit(&claim, |claim| {
            let finalizers = claim["metadata"]["finalizers"].as_array_mut().unwrap();
            finalizers.retain(|f| f != "example.com/never");
        });
        run("down --yes --delete-data").run().await.ok();
        assert!(world.object(&claim).is_none());
        eventually("the volume goes with its claim", seconds(10), async || {
            if before[0].exists() { Err(format!("{before:?}")) } else { Ok(()) }
        })
        .await;
    }
    world.stop().await;
}

#[tokio::test]
pub(super) async fn a_namespace_that_is_going_gets_nothing() {
    let world = World::quick().await;
    world.namespace("going");
    let held = World::key(&SERVICES, "held");
    let held = Key { namespace: "going".to_owned(), ..held };
    world.create(&held, json!({"metadata": {"finalizers": ["example.com/never"]}, "spec": {"ports": [{"port": 80}]}}));
    world.delete(&Key::new(&NAMESPACES, "", "going"));
    world.faults().record();
    for profile in PROFILES {
        let output = profile.of(world.pgset("up -n going")).run().await.exits(4);
        output.says("going").says("being deleted");
    }
    assert_eq!(world.faults().writes(), []);
    let output = world.pgset("up -n nowhere").run().await.exits(1);
    output.says("pgset up -n nowhere --create-namespace").says("kubectl create namespace nowhere");
    world.stop().await;
}

#[tokio::test]
pub(super) async fn an_object_that_was_replaced_meanwhile_is_not_deleted() {
    let world = World::quick().await;
    world.pgset("up").run().await.ok();
    let service = World::key(&SERVICES, "pgset-master");
    let late = Fault::Delay(seconds(2));
    world.faults().request(Method::DELETE, "/services/pgset-master", 0..1, late);
    world.faults().record();
    let running = world.pgset("down --yes").spawn();
    eventually("it deletes the Service", seconds(30), async || {
        let deletes = world
            .faults()
            .writes()
            .into_iter()
            .any(|w| w.method == Method::DELETE && w.path.contains("/services/pgset-master"));
        if deletes { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    world.delete(&service);
    world.create(&service, json!({"spec": {"ports": [{"port": 80}]}}));
    let theirs = world.object(&service);
    running.finish().await.ok();
    assert_eq!(world.object(&service), theirs);
    world.stop().await;
}

#[tokio::test]
pub(super) async fn a_set_that_was_replaced_while_it_is_waited_for_is_not_taken_for_ours() {
    let world = World::quick().await;
    world.faults().fail("schedule", "no room.");
    let set = World::key(&STATEFUL_SETS, "pgset");
    let running = world.pgset("up -v").spawn();
    running.says("pod/pgset-0").await;
    let theirs = world.object(&set).unwrap();
    world.delete(&set);
    world.create(&set, theirs);
    world.faults().mend("schedule");
    let output = running.finish().await.exits(4).within(seconds(60));
    output.says("replaced by another client").never_says("streaming (");
    world.stop().await;
}
