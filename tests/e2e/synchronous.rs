//! Synchronous replication: what was acknowledged is on another disk, too.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;

use super::pods_are_ready;
use crate::support::space::{Image, Space};
use crate::support::{eventually, seconds};

const PODS: [&str; 3] = ["pgset-0", "pgset-1", "pgset-2"];
/// How often a pod is killed under the load.
const KILLS: usize = 6;
/// How many writes are acknowledged between two kills.
const BETWEEN: usize = 8;

/// As `kill -9` of everything in the pod.
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
        .says("no commit would ever end");
    // The first start makes users and a database before there is a replica.
    space.pgset("up --replicas 2 --synchronous 1").run().await.ok();
    space.pgset("status").run().await.ok().prints("commits wait for 1 replica");
    space.pgset("test").run().await.ok().prints("commits wait for 1 of them");
    space.pgset("scale --replicas 1").run().await.exits(4).says("--synchronous 0");
    space.pgset("up --replicas 1").run().await.exits(4).says("--synchronous 0");

    space.sql("pgset-0", "postgres", "create table t (n int)").await.unwrap();
    kill(&space, "pgset-1").await;
    let write = space.sql("pgset-0", "postgres", "insert into t values (1)");
    let waits = async {
        let waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
        space.sql_yields("pgset-0", "postgres", waiting, "1").await;
    };
    // The write ends once the replica is back.
    let (written, ()) = tokio::join!(write, waits);
    written.unwrap();
    pods_are_ready(&space, &PODS[..2]).await;
    space.sql_yields("pgset-1", "postgres", "select count(*) from t", "1").await;

    // Grown by whomever: the new replica counts, too.
    space.pgset("scale --replicas 3").run().await.ok();
    let quorum = "select count(*) from pg_stat_replication where sync_state = 'quorum'";
    space.sql_yields("pgset-0", "postgres", quorum, "2").await;
    space.pgset("up --synchronous 0").run().await.ok().says("synchronous replicas 1 -> 0");
    space.sql_yields("pgset-0", "postgres", "show synchronous_standby_names", "").await;
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn no_acknowledged_write_is_lost_under_repeated_kills() {
    let space = Space::of(Image::Official, "ledger").await;
    space.pgset("up --replicas 3 --synchronous 1").run().await.ok();
    space.sql("pgset-0", "postgres", "create table ledger (n int primary key)").await.unwrap();
    let acknowledged: Mutex<BTreeSet<usize>> = Mutex::default();
    let count = || acknowledged.lock().unwrap().len();
    let over = AtomicBool::new(false);
    let writer = async {
        let mut n = 0;
        while !over.load(Ordering::Relaxed) {
            n += 1;
            // Only what psql ended well for was acknowledged; whatever else happened is not known.
            let insert = format!("insert into ledger values ({n})");
            if space.sql("pgset-0", "postgres", &insert).await.is_ok() {
                acknowledged.lock().unwrap().insert(n);
            }
        }
    };
    let killer = async {
        for round in 0..KILLS {
            let before = count();
            eventually("writes are acknowledged again", seconds(120), async || {
                let new = count() - before;
                if new >= BETWEEN { Ok(()) } else { Err(format!("{new} new ones")) }
            })
            .await;
            kill(&space, PODS[round % PODS.len()]).await;
        }
        eventually("writes are acknowledged again", seconds(120), async || {
            let ready = space.ready_pods().await;
            if ready == PODS { Ok(()) } else { Err(format!("ready: {ready:?}")) }
        })
        .await;
        // The last kill is the master's, in the middle of its writes; from here on its disk is not asked.
        kill(&space, "pgset-0").await;
        over.store(true, Ordering::Relaxed);
        let promoted = "select pg_promote(true, 30)";
        for replica in &PODS[1..] {
            let answer = space.sql(replica, "postgres", promoted).await;
            assert_eq!(answer.as_deref(), Ok("t"), "{replica}");
        }
    };
    tokio::join!(writer, killer);
    let mut kept: BTreeSet<usize> = BTreeSet::new();
    for replica in &PODS[1..] {
        let rows = space.sql(replica, "postgres", "select n from ledger").await.unwrap();
        kept.extend(rows.lines().map(|line| line.parse::<usize>().unwrap()));
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() > KILLS * BETWEEN, "{} writes", acknowledged.len());
    let lost: Vec<_> = acknowledged.difference(&kept).collect();
    assert!(lost.is_empty(), "lost: {lost:?} of {}", acknowledged.len());
}
