//! What goes wrong, on purpose.

mod answers;
mod cluster;
mod watches;

use std::time::Duration;

use http::Method;
use pgset::sandbox::faults::Fault;
use pgset::sandbox::refusal::Refusal;

use super::World;
use crate::support::seconds;

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn a_server_that_is_busy_or_breaks_off_is_asked_again() {
    let world = World::start().await;
    let busy = Refusal::new(503, "ServiceUnavailable", "the server is busy");
    let later = Fault::Status(busy, Some(Duration::from_secs(1)));
    world.faults().request(Method::PATCH, "/services/pgset?", 0..2, later);
    world.faults().request(Method::PATCH, "/roles/", 0..1, Fault::ResetAfter);
    world.faults().request(Method::POST, "/secrets?", 0..1, Fault::ResetAfter);
    world.faults().request(Method::PATCH, "/statefulsets/pgset?", 0..1, Fault::Reset);
    world.pgset("up").run().await.ok().says("1 replica streaming");
    world.pgset("test").run().await.ok();
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn watches_that_end_and_expire_are_begun_again() {
    let world = World::start().await;
    let running = world.pgset("up").spawn();
    running.says("pod/pgset-0").await;
    world.faults().close_watches();
    world.sandbox.registry.store.forget();
    running.finish().await.ok().says("1 replica streaming");
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn what_the_node_can_t_do_is_told_in_its_words() {
    let world = World::start().await;
    world.faults().fail("mount pgdata", "mount.nfs: Connection refused");
    let up = world.pgset("up --timeout 100s").run().await;
    up.exits(1).mentions(&["mount.nfs: Connection refused"]).within(seconds(100));
    world.faults().mend("mount pgdata");
    world.pgset("up").run().await.ok();
    world.pgset("down --yes --delete-data").run().await.ok();

    world.faults().fail(
        "create pods",
        "exceeded quota: pods, requested: pods=1, used: pods=0, limited: pods=0",
    );
    world.pgset("up --timeout 60s").run().await.exits(1).mentions(&["exceeded quota"]);
    world.faults().mend("create pods");
    // Until the controller has tried again its last word stands.
    crate::support::eventually("the quota is raised", seconds(30), async || {
        let up = world.pgset("up").run().await;
        if up.code == Some(0) { Ok(()) } else { Err(up.to_string()) }
    })
    .await;
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn an_image_that_the_sandbox_has_not_names_those_it_has() {
    let world = World::start().await;
    let up = world.pgset("up --timeout 60s --image example.com/mine:1 --profile postgres");
    let up = up.env("CCP_IMAGE_TAG", "").run().await;
    up.exits(1).mentions(&["the sandbox pulls nothing, and has only"]);
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn a_server_that_is_killed_comes_back() {
    let world = World::start().await;
    world.pgset("up").run().await.ok();
    let kill = "head -1 /pgdata/pgset-0/postmaster.pid | xargs kill -KILL";
    let client = kube::Client::try_from(
        kube::Config::from_custom_kubeconfig(
            kube::config::Kubeconfig::read_from(world.kubeconfig()).unwrap(),
            &kube::config::KubeConfigOptions::default(),
        )
        .await
        .unwrap(),
    );
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::default_namespaced(client.unwrap());
    let parameters = kube::api::AttachParams::default().stdout(true).stderr(true);
    let mut process = pods.exec("pgset-0", ["sh", "-c", kill], &parameters).await.unwrap();
    let status = process.take_status().unwrap().await;
    assert_eq!(status.unwrap().status.as_deref(), Some("Success"));
    let restarted = async || {
        let pod = pods.get("pgset-0").await.map_err(|e| e.to_string())?;
        let statuses = pod.status.unwrap_or_default().container_statuses.unwrap_or_default();
        match statuses.first() {
            Some(status) if status.restart_count == 1 && status.ready => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    crate::support::eventually("the container is started again", seconds(60), restarted).await;
    world.pgset("up").run().await.ok();
    world.stop().await;
}
