//! Synchronous replication: acknowledged writes are on a second disk.

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;

use super::pods_are_ready;
use crate::support::space::{Image, Space};

const PODS: [&str; 2] = ["pgset-0", "pgset-1"];

/// Like `kill -9` of all processes in the pod.
async fn kill(space: &Space, pod: &str) {
    let now = DeleteParams::default().grace_period(0);
    space.api::<Pod>().delete(pod, &now).await.expect("the pod is there");
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_commit_waits_for_a_replica_and_the_set_has_enough_of_them() {
    let space = Space::of(Image::Official, "sync").await;
    space
        .pgset("up --replicas 1 --synchronous 1")
        .run()
        .await
        .exits(2)
        .says("no commit would complete");
    // The first start creates users and a database before a replica exists.
    space.pgset("up --replicas 2 --synchronous 1").run().await.ok();
    space.pgset("status").run().await.ok().prints("1 replica must confirm each commit");
    space.pgset("test -v").run().await.ok().prints(", 1 must confirm each commit");
    space.pgset("scale --replicas 1").run().await.exits(4).says("--synchronous 0");
    space.pgset("up --replicas 1").run().await.exits(4).says("--synchronous 0");

    space.sql("pgset-0", "postgres", "create table t (n int)").await.unwrap();
    kill(&space, "pgset-1").await;
    let write = space.sql("pgset-0", "postgres", "insert into t values (1)");
    let waits = async {
        let waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
        space.sql_yields("pgset-0", "postgres", waiting, "1").await;
    };
    // The write completes when the replica is back.
    let (written, ()) = tokio::join!(write, waits);
    written.unwrap();
    pods_are_ready(&space, &PODS).await;
    space.sql_yields("pgset-1", "postgres", "select count(*) from t", "1").await;

    // A replica added with any command counts, too.
    space.pgset("scale --replicas 3").run().await.ok();
    let quorum = "select count(*) from pg_stat_replication where sync_state = 'quorum'";
    space.sql_yields("pgset-0", "postgres", quorum, "2").await;
    space.pgset("up --synchronous 0").run().await.ok().says("synchronous replicas 1 -> 0");
    space.sql_yields("pgset-0", "postgres", "show synchronous_standby_names", "").await;
}
