//! Replicas that are behind, and slots that lost their WAL.

use super::pods_are_ready;
use crate::support::space::{Image, Space};

/// Writes so many megabytes of the log.
async fn write(space: &Space, megabytes: u32) {
    let sql = format!(
        "select count(pg_logical_emit_message(false, 'lag', repeat('x', 1048576))) from generate_series(1, {megabytes})"
    );
    space.sql("pgset-0", "postgres", &sql).await.unwrap();
    space.sql("pgset-0", "postgres", "select pg_switch_wal()").await.unwrap();
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_replica_that_is_paused_or_behind_is_told_and_serves_no_reads() {
    let space = Space::of(Image::Official, "lag").await;
    space.pgset("up --replicas 3 --max-lag 16Mi").run().await.ok();
    let status = space.pgset("status -o json").run().await.ok().json();
    let measured = &status["pods"][1]["measurements"];
    assert_eq!(measured["max_lag_bytes"], 16 << 20, "{status:#}");
    assert!(measured["space"]["free_bytes"].as_u64().unwrap() > 0, "{status:#}");
    assert!(measured["transaction_ids"]["age"].as_u64().unwrap() > 0, "{status:#}");
    assert_eq!(status["replication"][0]["lag"]["paused"], false, "{status:#}");
    assert_eq!(status["slots"][0]["wal_status"], "reserved", "{status:#}");
    space.pgset("status -o wide").run().await.ok().prints("TRANSACTION IDS").prints("FREE");

    let words = "Pod pgset-1: replay is paused, ";
    space.sql("pgset-1", "postgres", "select pg_wal_replay_pause()").await.unwrap();
    space.pgset("status").run().await.exits(1).prints(words).prints("streaming, paused");
    let test = space.pgset("test --lag-limit 500ms").run().await.exits(5);
    test.prints("no replica is paused or too far behind\n  ").prints(words);

    // The Service of the replicas leaves it out, and a larger limit takes it in again. No pod restarts.
    write(&space, 20).await;
    pods_are_ready(&space, &["pgset-0", "pgset-2"]).await;
    let status = space.pgset("status -o json").run().await.exits(1).json();
    let lag = &status["replication"][0]["lag"];
    assert!(lag["bytes"].as_u64().unwrap() > 16 << 20, "{status:#}");
    let mut services = status["services"].as_array().unwrap().iter();
    let replica = services.find(|service| service["role"] == "replica").unwrap();
    assert_eq!(replica["endpoints"].as_array().unwrap().len(), 1, "{status:#}");
    let up = space.pgset("up --max-lag 1Gi").run().await.ok();
    up.says("max lag 16Mi -> 1Gi").never_says("restarting");
    pods_are_ready(&space, &["pgset-0", "pgset-1", "pgset-2"]).await;
    space.sql("pgset-1", "postgres", "select pg_wal_replay_resume()").await.unwrap();
    space.pgset("test").run().await.ok();
    space.pgset("status").run().await.ok();
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_slot_that_is_lost_is_told() {
    let space = Space::of(Image::Official, "lost").await;
    let up = "up --replicas 2 --set max_slot_wal_keep_size=32MB --set wal_keep_size=0";
    space.pgset(up).run().await.ok();
    let made = "select pg_create_physical_replication_slot('old', true)";
    space.sql("pgset-0", "postgres", made).await.unwrap();
    space.pgset("status").run().await.exits(1).prints("slot old is inactive and retains ");
    write(&space, 80).await;
    space.sql("pgset-0", "postgres", "checkpoint").await.unwrap();
    let words = "slot old is lost, because it kept more than max_slot_wal_keep_size";
    space.pgset("status").run().await.exits(1).prints(words);
    space
        .pgset("test")
        .run()
        .await
        .exits(5)
        .prints("no replication slot is lost\n  ")
        .prints(words);
    space.pgset("psql -- -c").arg("select pg_drop_replication_slot(E'old')").run().await.ok();
    space.pgset("test").run().await.ok();
    space.pgset("status").run().await.ok();
}
