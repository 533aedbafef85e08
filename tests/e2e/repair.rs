//! What others did to the set meanwhile is respected, said, or mended.

use k8s_openapi::api::core::v1::{Secret, Service};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::{CLASS, pods_are_ready};
use crate::support::space::{Image, Space};
use crate::support::{seconds, state};

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn kubectl_scale_is_kept_and_said() {
    let space = Space::new("scaled").await;
    space.pgset("up").args(CLASS).run().await.ok();
    space.kubectl_scale("pgset", 4).await;
    let output = space.pgset("up").args(CLASS).run().await.ok();
    let output = output.says("4 pods ready, 3 replicas streaming").says("kubectl");
    output.mentions(&["keeps 4", "4 replicas"]);
    assert_eq!(space.stateful_set("pgset").await.spec.unwrap().replicas, Some(4));
    assert_eq!(space.ready_pods().await.len(), 4);
    // Whoever says a number means it: the field is taken over by `scale`.
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
    let good = || space.pgset("up --yes").args(CLASS).deadline(seconds(300));
    bad().run().await.exits(1);
    good().run().await.ok();
    pods_are_ready(&space, &["pgset-0", "pgset-1"]).await;
    let sql = "create table kept (word text); insert into kept values ('one')";
    space.sql("pgset-0", "userdb", sql).await.unwrap();
    // The same over a set that ran: its data stays.
    bad().run().await.exits(1);
    // Nobody to ask and no --yes: the pod is left, and named.
    let output = space.pgset("up").args(CLASS).run().await;
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
