//! The master moves to another pod, while clients write.

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::DeleteParams;

use super::ledger::{ACKNOWLEDGED, BETWEEN, nothing_is_lost, under_load};
use crate::support::space::{Image, Space};

async fn timeline(space: &Space, master: &str) -> String {
    let sql = "select left(pg_walfile_name(pg_current_wal_lsn()), 8)";
    space.sql(master, "postgres", sql).await.unwrap()
}

/// The slots of a pod, with their use.
async fn slots(space: &Space, pod: &str) -> String {
    let sql = "select coalesce(string_agg(slot_name || ' ' || active, ', ' order by slot_name), '') from pg_replication_slots";
    space.sql(pod, "postgres", sql).await.unwrap()
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn the_master_moves_under_load() {
    let space = Space::of(Image::Official, "moves").await;
    let clients = under_load(&space, "up --replicas 3 --synchronous 1").await;
    let dry = space.pgset("switchover --dry-run").run().await.ok();
    dry.says("pgset-0: the master on ").says("would be the master (--dry-run)");
    let unasked = space.pgset("switchover --to pgset-1").run().await.exits(4);
    unasked.says("Move the master from pgset-0 to pgset-1");
    let already = space.pgset("switchover --to pgset-0 --yes").run().await.ok();
    already.says("nothing to do: pgset-0 is the master already");
    space.pgset("switchover --to other-1 --yes").run().await.exits(2).says("is no pod of the set");
    assert_eq!(timeline(&space, "pgset-0").await, "00000001");

    let moved = space.pgset("switchover --to pgset-1 --yes").run().await.ok();
    moved.says("stopping the master pgset-0").says("pgset-1 is the master: timeline 2, no writes");
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    assert_eq!(timeline(&space, "pgset-1").await, "00000002");
    assert_eq!(slots(&space, "pgset-0").await, "");
    space.pgset("status").run().await.ok();
    space.pgset("test").run().await.ok();
    space.pgset("up").run().await.ok().says("nothing changed");

    // The replica that is chosen, and every command with another pod as the master.
    space.pgset("switchover --to pgset-2 --yes").run().await.ok();
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    assert_eq!(slots(&space, "pgset-2").await, "pgset_0 true, pgset_1 true");
    let refused = space.pgset("scale --replicas 2 --yes").run().await.exits(4);
    refused.says("pgset-2 is the master: --replicas 2 would delete it");
    space.pgset("restart --all --yes").run().await.ok();
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    nothing_is_lost(&space, &clients, "pgset-2").await;
    space.pgset("stop --yes").run().await.ok();
    space.pgset("start").run().await.ok();
    space.pgset("test").run().await.ok();
    assert_eq!(timeline(&space, "pgset-2").await, "00000003");
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_run_that_was_killed_is_completed_or_backed_out() {
    let space = Space::of(Image::Official, "killed-move").await;
    let clients = under_load(&space, "up --replicas 3").await;
    let nothing = space.pgset("switchover --back-out").run().await.ok();
    nothing.says("nothing to back out");
    for back_out in [true, false] {
        let running = space.pgset("switchover --to pgset-1 --yes").spawn();
        running.says("stopping the master pgset-0").await;
        running.kill().await;
        // Its Lease is dead after some seconds; what follows need not wait for that.
        let leases = space.api::<Lease>();
        leases.delete("pgset", &DeleteParams::default()).await.unwrap();
        let status = space.pgset("status").run().await;
        assert_ne!(status.code, Some(0), "{status}");
        status.prints("a switchover from pgset-0 to pgset-1 is not complete");
        let refused = space.pgset("scale --replicas 4 --yes").run().await.exits(4);
        refused.says("is not complete").says("pgset switchover");
        let other = space.pgset("switchover --to pgset-2 --yes").run().await.exits(4);
        other.says("a switchover from pgset-0 to pgset-1 is not complete");
        if back_out {
            let back = space.pgset("switchover --back-out").run().await.ok();
            back.says("pgset-0 is the master again");
            clients.go_on(ACKNOWLEDGED, BETWEEN).await;
            assert_eq!(timeline(&space, "pgset-0").await, "00000001");
        } else {
            let done = space.pgset("switchover --yes").run().await.ok();
            done.says("completing it").says("pgset-1 is the master: timeline 2");
            clients.go_on(ACKNOWLEDGED, BETWEEN).await;
            nothing_is_lost(&space, &clients, "pgset-1").await;
        }
        space.pgset("test").run().await.ok();
    }
}
