//! Changes of other clients to the set are respected, reported or repaired.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy};
use serde_json::json;

use super::{CLASS, pods_are_ready, skipped};
use crate::support::space::{Image, Space};
use crate::support::{eventually, seconds, state};

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn kubectl_scale_is_kept_and_said() {
    let space = Space::new("scaled").await;
    space.pgset("up").args(CLASS).run().await.ok();
    space.kubectl_scale("pgset", 4).await;
    let output = space.pgset("up").args(CLASS).run().await.ok();
    let output = output.says("4 pods ready, 3 replicas streaming");
    // Servers before 1.22 do not record who scaled.
    let managers = space.stateful_set("pgset").await.managed_fields().to_vec();
    if managers.iter().any(|m| m.manager.as_deref() == Some("kubectl")) {
        output.says("keeps 4 replicas: kubectl owns spec.replicas");
    }
    assert_eq!(space.stateful_set("pgset").await.spec.unwrap().replicas, Some(4));
    assert_eq!(space.ready_pods().await.len(), 4);
    // An explicit number takes effect: `scale` takes over the field.
    space.pgset("scale --replicas 1").run().await.ok();
    pods_are_ready(&space, &["pgset-0"]).await;
    space.pgset("up").args(CLASS).run().await.ok();
    assert_eq!(space.stateful_set("pgset").await.spec.unwrap().replicas, Some(1));
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_bad_tag_then_a_good_one() {
    bad_then_good(Image::Article).await;
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_bad_official_image_then_a_good_one() {
    bad_then_good(Image::Official).await;
}

async fn bad_then_good(image: Image) {
    let space = Space::of(image, "wedge").await;
    let bad = || space.without_image(space.pgset("up").args(CLASS));
    // The image is recorded, so that the right one must be given.
    let again = match image {
        Image::Article => "up",
        Image::Official => "up --postgres-version 17",
    };
    let good = || space.pgset(again).args("--yes").args(CLASS).deadline(seconds(300));
    bad().run().await.exits(1);
    good().run().await.ok();
    pods_are_ready(&space, &["pgset-0", "pgset-1"]).await;
    let sql = "create table kept (word text); insert into kept values ('one')";
    space.sql("pgset-0", "userdb", sql).await.unwrap();
    // The same with a set that was running: the first pod gets its image back, and the data stays.
    bad().args("--yes").run().await.exits(1).says("did not start with the new settings");
    // Without a terminal and without --yes, the pod is not deleted, but the message names it.
    let output = space.pgset(again).args(CLASS).run().await;
    if output.code != Some(0) {
        output.exits(4).says("--yes");
        good().run().await.ok();
    }
    pods_are_ready(&space, &["pgset-0", "pgset-1"]).await;
    space.sql_yields("pgset-1", "userdb", "select word from kept", "one").await;
    space.pgset("test").run().await.ok();
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_field_that_somebody_else_took_over() {
    let space = Space::new("conflict").await;
    space.pgset("up --no-wait").args(CLASS).run().await.ok();
    let services = space.api::<Service>();
    let theirs = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "pgset-master"},
        "spec": {"selector": {"name": "something-else"}},
    });
    let params = PatchParams::apply("ops-team").force();
    services.patch("pgset-master", &params, &Patch::Apply(theirs)).await.unwrap();
    let selector = async || {
        let service = services.get("pgset-master").await.unwrap();
        service.spec.unwrap().selector.unwrap()["name"].clone()
    };
    let output = space.pgset("up --no-wait").args(CLASS).run().await.exits(4);
    output.says("pgset-master").says("ops-team").says("selector").says("--force-conflicts");
    assert_eq!(selector().await, "something-else");
    space.pgset("up --no-wait --force-conflicts").args(CLASS).run().await.ok();
    assert_eq!(selector().await, "pgset-master");
    space.pgset("up --no-wait").args(CLASS).run().await.ok().never_says("configured");
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn data_whose_passwords_are_gone_is_not_started() {
    let space = Space::new("orphan").await;
    space.pgset("up --replicas 1").args(CLASS).run().await.ok();
    space.pgset("down --yes").run().await.ok();
    space.api::<Secret>().delete("pgset-auth", &DeleteParams::default()).await.unwrap();
    let before = state::of(&space).await;
    let output = space.pgset("up --replicas 1").args(CLASS).run().await.exits(4);
    output.says("pgset-auth").says("pgdata-pgset-0");
    assert_eq!(state::difference(&before, &state::of(&space).await), "");
}

/// Claim templates are immutable, so the StatefulSet is recreated while its pods keep running.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn volumes_grow_under_running_pods() {
    let space = Space::new("grow").await;
    let classes: Api<StorageClass> = Api::all(space.cluster.client.clone());
    let classes = classes.list(&ListParams::default()).await.unwrap().items;
    if !classes.iter().any(|c| is_default(c) && c.allow_volume_expansion == Some(true)) {
        return skipped("growing: the default StorageClass does not allow it");
    }
    space.pgset("up --replicas 3").args(CLASS).run().await.ok();
    let (pods, set) = (pods(&space).await, space.stateful_set("pgset").await);
    assert_eq!(pods.len(), 3);

    // The StorageClass may be unable to really resize volumes, so the test does not wait for the capacity.
    let grow = |line: &str| space.pgset(line).args("--no-wait --size 2Gi").args(CLASS);
    let question = ["pgdata-pgset-0 (1Gi)", "pgdata-pgset-2 (1Gi)", "to 2Gi"];
    grow("up --dry-run=server").run().await.ok().says(question[0]).says(question[2]);
    grow("up").run().await.exits(4).says("--yes").says(question[1]);
    assert_eq!(requests(&space).await, ["1Gi"; 3]);
    let output = grow("up --yes").run().await.ok();
    output.says("persistentvolumeclaim/pgdata-pgset-1 configured (1Gi -> 2Gi)");
    assert_eq!(requests(&space).await, ["2Gi"; 3]);
    let grown = space.stateful_set("pgset").await;
    assert_ne!(set.metadata.uid, grown.metadata.uid);
    assert_eq!(grown.spec.as_ref().unwrap().replicas, Some(3));
    adopted(&space, &pods, &grown).await;
    grow("up").run().await.ok().never_says("configured").never_says("created");
    // A volume never shrinks.
    space.pgset("up --no-wait --size 1Gi").args(CLASS).run().await.exits(4).says("shrink");

    // Killed between deletion and creation: the running pods are counted, and none is deleted.
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    space.api::<StatefulSet>().delete("pgset", &orphan).await.unwrap();
    eventually("the set is gone", seconds(30), async || {
        let set = space.api::<StatefulSet>().get_opt("pgset").await.map_err(|e| e.to_string())?;
        if set.is_none() { Ok(()) } else { Err("it is there".to_owned()) }
    })
    .await;
    grow("up").run().await.ok().says("statefulset/pgset created");
    let again = space.stateful_set("pgset").await;
    assert_eq!(again.spec.as_ref().unwrap().replicas, Some(3));
    adopted(&space, &pods, &again).await;
    space.pgset("test").run().await.ok();
}

fn is_default(class: &StorageClass) -> bool {
    let annotation = class.annotations().get("storageclass.kubernetes.io/is-default-class");
    annotation.is_some_and(|value| value == "true")
}

/// Names and UIDs of the pods.
async fn pods(space: &Space) -> Vec<(String, Option<String>)> {
    let pods = space.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
    pods.iter().map(|pod| (pod.name_any(), pod.uid())).collect()
}

/// The storage request of each claim.
async fn requests(space: &Space) -> Vec<String> {
    let all = ListParams::default();
    let claims = space.api::<PersistentVolumeClaim>().list(&all).await.unwrap().items;
    let request = |claim: PersistentVolumeClaim| {
        claim.spec?.resources?.requests?.remove("storage").map(|quantity| quantity.0)
    };
    claims.into_iter().filter_map(request).collect()
}

/// Waits until the same pods as before belong to this StatefulSet.
async fn adopted(space: &Space, before: &[(String, Option<String>)], set: &StatefulSet) {
    eventually("the pods are adopted", seconds(60), async || {
        let list = space.api::<Pod>().list(&ListParams::default()).await;
        let pods = list.map_err(|e| e.to_string())?.items;
        let owned = pods.iter().all(|pod| {
            pod.owner_references().iter().any(|owner| Some(&owner.uid) == set.metadata.uid.as_ref())
        });
        if owned { Ok(()) } else { Err("not all of them".to_owned()) }
    })
    .await;
    assert_eq!(pods(space).await, before, "the same pods run on");
}
