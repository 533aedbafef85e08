//! The master is lost, and a replica takes over.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::DeleteParams;

use super::comes_back;
use super::ledger::{ACKNOWLEDGED, BETWEEN, nothing_is_lost, under_load};
use crate::support::space::{Image, Space};
use crate::support::{eventually, seconds};

async fn timeline(space: &Space, master: &str) -> String {
    let sql = "select left(pg_walfile_name(pg_current_wal_lsn()), 8)";
    space.sql(master, "postgres", sql).await.unwrap()
}

/// With synchronous replication no acknowledged write is missing, also when the volume of the master is lost. Without a
/// reason, and without consent, nothing happens.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn the_volume_of_the_master_is_lost_under_load() {
    let space = Space::of(Image::Official, "lost-volume").await;
    let clients = under_load(&space, "up --replicas 3 --synchronous 1").await;
    let works = space.pgset("failover --yes").run().await.exits(4);
    works.says("the master pgset-0 works").says("pgset switchover");
    space.pgset("failover --to other-1").run().await.exits(2).says("is no pod of the set");
    space.pgset("failover --back-out").run().await.ok().says("nothing to back out");

    // The claim goes once no pod uses it; then the controller creates an empty one.
    let uid = space.api::<Pod>().get("pgset-0").await.unwrap().metadata.uid;
    let claims = space.api::<PersistentVolumeClaim>();
    claims.delete("pgdata-pgset-0", &DeleteParams::default()).await.unwrap();
    space.api::<Pod>().delete("pgset-0", &DeleteParams::default().grace_period(0)).await.unwrap();
    eventually("the new pod finds no data", seconds(120), async || {
        let pod = space.api::<Pod>().get("pgset-0").await.map_err(|error| error.to_string())?;
        let status = serde_json::to_string(&pod.status).unwrap();
        let new = pod.metadata.uid != uid && status.contains("the volume is empty");
        if new { Ok(()) } else { Err(status) }
    })
    .await;

    let dry = space.pgset("failover --dry-run").run().await.ok();
    let dry = dry.says("pgset-0, the master").says("its server has not started");
    dry.says("nothing that was acknowledged is missing");
    let unasked = space.pgset("failover").run().await.exits(4);
    unasked.says("instead of pgset-0? It can't be taken back");
    let done = space.pgset("failover --to pgset-1 --accept-data-loss --yes").run().await.ok();
    done.says("pgset-1 is the master: epoch 2, timeline 2, writable after");
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    comes_back(&space, "pgset-0", uid.as_deref()).await;
    nothing_is_lost(&space, &clients, "pgset-1").await;
    assert_eq!(timeline(&space, "pgset-1").await, "00000002");
    space.pgset("status").run().await.ok();
    space.pgset("test").run().await.ok();
}

/// A master whose files are gone answers, and can't serve. Its server is stopped, and its directory is kept.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_broken_master_is_stopped_first_and_rejoins() {
    let space = Space::of(Image::Official, "broken").await;
    space.pgset("up --replicas 2").run().await.ok();
    let rejoin = space.pgset("rejoin pgset-1 --yes").run().await.ok();
    rejoin.says("nothing to do: pgset-1 streams");
    let master = space.pgset("rejoin pgset-0 --yes").run().await.exits(4);
    master.says("pgset-0 is the master");
    let files = "cd /pgdata/pgset-0 && echo kept >mine && rm -r base global";
    space.exec("pgset-0", &["bash", "-c", files]).await.unwrap();
    eventually("the probe says what is wrong", seconds(60), async || {
        let status = space.pgset("status").run().await;
        let named = status.stdout.contains("pgset failover -n ") && status.stdout.contains("file");
        if named { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    let failover = space.pgset("failover --yes").run().await.ok();
    let failover = failover.says("does not work").says("its server is stopped first");
    failover.says("pgset-1 is the master: epoch 2, timeline 2");
    eventually("its bootstrap says what is wrong", seconds(60), async || {
        let status = space.pgset("status").run().await;
        if status.stdout.contains("pgset rejoin pgset-0") {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
    let back = space.pgset("rejoin pgset-0 --yes").run().await.ok();
    back.says("/pgdata/pgset-0.diverged-2").says("pgset-0 streams from pgset-1");
    let kept = space.exec("pgset-0", &["cat", "/pgdata/pgset-0.diverged-2/mine"]).await;
    assert_eq!(kept.unwrap().trim(), "kept");
    space.pgset("test").run().await.ok();
    let again = space.pgset("switchover --to pgset-0 --yes").run().await.ok();
    again.says("pgset-0 is the master: timeline 3");
}
