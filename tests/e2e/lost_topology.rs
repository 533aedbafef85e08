//! The topology is deleted, or replaced by an earlier one, after a switchover.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use super::ledger::{ACKNOWLEDGED, BETWEEN, nothing_is_lost, under_load};
use crate::support::space::{Image, Space, ready};
use crate::support::{eventually, seconds};

const TOPOLOGY: &str = "pgset-topology";

async fn recorded(space: &Space) -> (String, String) {
    let data = space.api::<ConfigMap>().get(TOPOLOGY).await.unwrap().data.unwrap();
    (data["epoch"].clone(), data["master"].clone())
}

async fn delete_pods(space: &Space) {
    let pods = space.api::<Pod>();
    for pod in ["pgset-0", "pgset-1", "pgset-2"] {
        pods.delete(pod, &DeleteParams::default()).await.unwrap();
    }
}

/// Waits until all pods run again: each follows no master, and none becomes one.
async fn all_follow_nothing(space: &Space) {
    let told = "cat \"$PGDATA.role\" /run/pgset/topology";
    eventually("every pod follows no master", seconds(120), async || {
        for pod in ["pgset-0", "pgset-1", "pgset-2"] {
            let told = space.exec(pod, &["bash", "-c", told]).await?;
            if !told.contains(" 2 pgset-1\nunknown 2 ") {
                return Err(format!("{pod}: {told}"));
            }
            let recovers = space.sql(pod, "postgres", "select pg_is_in_recovery()").await?;
            assert_eq!(recovers, "t", "{pod} is writable");
        }
        Ok(())
    })
    .await;
    let pods = space.api::<Pod>().list(&ListParams::default().labels("app=pgset")).await.unwrap();
    assert!(!pods.items.iter().any(ready));
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn the_pods_know_it_and_up_records_it_again() {
    let space = Space::of(Image::Official, "lost-topology").await;
    let clients = under_load(&space, "up --replicas 3").await;
    let maps = space.api::<ConfigMap>();
    let up = async |words: &str| {
        let up = space.pgset("up").run().await.ok().says(words);
        assert_eq!(recorded(&space).await, ("2".to_owned(), "pgset-1".to_owned()), "{up}");
        clients.go_on(ACKNOWLEDGED, BETWEEN).await;
        space.pgset("test").run().await.ok();
        space.pgset("up").run().await.ok().says("nothing changed");
    };
    space.pgset("switchover --to pgset-1 --yes").run().await.ok();
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    let status = space.pgset("status").run().await.ok();
    status.prints("pgset-1 is the master since 20").prints("by a switchover from pgset-0");

    // Deleted while all pods run: the set continues.
    maps.delete(TOPOLOGY, &DeleteParams::default()).await.unwrap();
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    let status = space.pgset("status").run().await.exits(1);
    status.prints("does not exist, and pgset-").prints("pgset up");
    up("does not exist, and pgset-").await;

    // Replaced by an earlier one, and a replica starts again.
    let earlier = json!({"data": {"epoch": "1", "master": "pgset-0"}});
    maps.patch(TOPOLOGY, &PatchParams::default(), &Patch::Merge(&earlier)).await.unwrap();
    space.api::<Pod>().delete("pgset-2", &DeleteParams::default()).await.unwrap();
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    up("has epoch 1, master pgset-0, and pgset-").await;

    // All pods start again.
    maps.delete(TOPOLOGY, &DeleteParams::default()).await.unwrap();
    delete_pods(&space).await;
    all_follow_nothing(&space).await;
    space.pgset("status").run().await.exits(1).prints("pgset up");
    up("pgset-1 is the master again: timeline 3").await;

    // The set is down meanwhile.
    space.pgset("down --yes").run().await.ok();
    maps.delete(TOPOLOGY, &DeleteParams::default()).await.unwrap();
    up("pgset-1 is the master again: timeline 4").await;
    nothing_is_lost(&space, &clients, "pgset-1").await;
}
