//! The master moves to another pod, while clients write.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;

use super::ledger::{ACKNOWLEDGED, BETWEEN, nothing_is_lost, under_load};
use crate::support::node::Below;
use crate::support::pgset::Output;
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

/// How many seconds nothing may be written. One or two pass on a machine that has nothing else to do.
const PAUSE: f64 = 15.0;

/// The pod that a command has made the master.
fn moved(output: &Output, timeline: u32) -> String {
    let all = output.all();
    let words = format!(" is the master: timeline {timeline}, no writes for ");
    let line = all.lines().find(|line| line.contains(&words));
    let (master, rest) =
        line.and_then(|line| line.split_once(&words)).unwrap_or_else(|| panic!("{all}"));
    let pause: f64 = rest.split(' ').next().unwrap().parse().unwrap();
    assert!(pause < PAUSE, "{all}");
    master.trim().to_owned()
}

async fn pod_uid(space: &Space, pod: &str) -> Option<String> {
    space.api::<Pod>().get(pod).await.unwrap().metadata.uid
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn the_master_moves_before_its_pod_restarts_or_is_deleted() {
    const RESTART: &str = "restart --all --switchover";
    const SCALE: &str = "scale --replicas 2 --switchover --yes";
    let space = Space::of(Image::Official, "moves-first").await;
    let clients = under_load(&space, "up --replicas 3 --synchronous 1").await;
    let old = pod_uid(&space, "pgset-0").await;
    let unasked = space.pgset(RESTART).run().await.exits(4);
    unasked.says("this restarts pgset-2, pgset-1, then pgset-0 (the master moves to pgset-");
    let restarted = space.pgset(RESTART).args("--yes").run().await.ok();
    let master = moved(&restarted, 2);
    restarted.says("restarting pgset-0, a replica").never_says(", the master");
    assert_ne!(pod_uid(&space, "pgset-0").await, old);
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    assert_eq!(timeline(&space, &master).await, "00000002");
    space.pgset("test").run().await.ok();

    // A setting of which no replica may have less than its master: larger, and smaller again.
    let up = "up --set max_connections=150 --switchover --yes";
    let master = moved(&space.pgset(up).run().await.ok(), 3);
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    assert_eq!(space.sql(&master, "postgres", "show max_connections").await.unwrap(), "150");
    let smaller = space.pgset("up --set max_connections=120 --switchover --yes").run().await;
    smaller
        .exits(4)
        .says("the master has to restart first")
        .says("restarts the master where it is");
    nothing_is_lost(&space, &clients, &master).await;

    let timeline_then = if master == "pgset-2" {
        3
    } else {
        space.pgset("switchover --to pgset-2 --yes").run().await.ok();
        4
    };
    let refused = space.pgset("scale --replicas 2 --yes").run().await.exits(4);
    refused.says("pgset-2 is the master: --replicas 2 would delete it").says("--switchover");
    let running = space.pgset(SCALE).spawn();
    running.says("stopping the master pgset-2").await;
    running.kill().await;
    let leases = space.api::<Lease>();
    leases.delete("pgset", &DeleteParams::default()).await.unwrap();
    let other = space.pgset("scale --replicas 2 --yes").run().await.exits(4);
    other.says("a switchover from pgset-2 to pgset-");
    let scaled = space.pgset(SCALE).run().await.ok();
    scaled.says("completing it").says("replicas 3 -> 2; pgset-2 is deleted, its data is kept");
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    space.pgset("test").run().await.ok();
    space.pgset("up --replicas 3").run().await.ok();
    let status = space.pgset("status -o json").run().await.ok().json();
    let pods = status["pods"].as_array().unwrap().iter();
    let mut masters = pods.filter(|pod| pod["in_recovery"] == false);
    let master = masters.next().and_then(|pod| pod["name"].as_str()).unwrap().to_owned();
    assert!(masters.next().is_none(), "{status}");
    assert_eq!(timeline(&space, &master).await, format!("{:08}", timeline_then + 1));
    nothing_is_lost(&space, &clients, &master).await;
    space.pgset("status").run().await.ok();
    space.pgset("test").run().await.ok();
}

/// What fails on the way either does not matter, or the old master serves again. Each acknowledged row is kept.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_server_dies_while_the_master_moves() {
    let space = Space::of(Image::Official, "dies").await;
    let clients = under_load(&space, "up --replicas 3").await;
    // The server of the new master is killed: it can't have everything in time, or it can.
    let running = space.pgset("switchover --to pgset-1 --yes").spawn();
    running.says("stopping the master pgset-0").await;
    let kill = "kill -9 $(head -n 1 /pgdata/pgset-1/postmaster.pid)";
    // It may have gone further meanwhile.
    let _ = space.exec("pgset-1", &["bash", "-c", kill]).await;
    let moved = running.finish().await;
    if moved.code != Some(0) {
        moved.exits(4).says("pgset-1 does not have everything").says("pgset-0 is the master again");
    }
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    space.pgset("up").run().await.ok();
    space.pgset("test").run().await.ok();

    // The container of the old master is killed: it starts again, and its server does not.
    space.pgset("switchover --to pgset-2 --yes").run().await.ok();
    let Some(below) = Below::of(&space, "pgset-2").await else {
        return super::skipped("killing a container: the cluster's node is not this machine");
    };
    let running = space.pgset("switchover --to pgset-1 --yes").spawn();
    running.says("stopping the master pgset-2").await;
    below.kill_container("bash");
    let mut moved = running.finish().await;
    if moved.code == Some(1) {
        moved = space.pgset("switchover --yes").run().await;
    }
    // What it had not sent when it was killed can't reach the new master: then it serves again.
    let master = if moved.code == Some(0) {
        moved.says("pgset-1 is the master");
        "pgset-1"
    } else {
        moved.exits(4).says("pgset-2 is the master again");
        "pgset-2"
    };
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    space.pgset("up").run().await.ok();
    nothing_is_lost(&space, &clients, master).await;
    space.pgset("test").run().await.ok();
}
