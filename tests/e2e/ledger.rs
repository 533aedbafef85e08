//! A ledger of acknowledged writes: what is done to pods and node while clients write, and what is left.
//!
//! Clients in the cluster insert one number after the other through the master Service, a connection each,
//! and write down those whose commit was answered. In the end the master is cut off from its replicas in the
//! middle of its writes, and the replicas alone are asked, as if its disk were gone. With a synchronous
//! replica nothing acknowledged is missing; the same without one has to find what is missing.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;

use super::{comes_back, pods_are_ready, skipped};
use crate::support::client::Clients;
use crate::support::node::Below;
use crate::support::space::{Image, Space};
use crate::support::{eventually, seconds, unique};

/// The variable with a command that restarts the kubelet of the cluster's only node.
const RESTART_KUBELET: &str = "PGSET_E2E_RESTART_KUBELET";

const WRITE: &str = r#"
client() {
  local n
  for ((n = $1; ; n += CLIENTS)); do
    # What ends otherwise may be there or not: nobody said.
    if psql -XAtqw -h pgset-master -c "insert into ledger values ($n)" >/dev/null 2>&1; then
      echo "acknowledged $n" >>"$record"
    else
      sleep 0.05
    fi
  done
}"#;
const CLIENTS: usize = 4;
/// What grep finds in the line of an acknowledged write.
const ACKNOWLEDGED: &str = "acknowledged";
/// How many writes are acknowledged between two things that happen.
const BETWEEN: usize = 20;
const NOTHING: [usize; 0] = [];

/// A set of these flags, and the clients that write to it.
async fn under_load<'a>(space: &'a Space, up: &str) -> Clients<'a> {
    let password = unique() + &unique();
    let file = space.file("password", &password);
    space.pgset(up).arg("--password-file").arg(file).run().await.ok();
    let table = "create table ledger (n int primary key); grant insert on ledger to testuser";
    space.sql("pgset-0", "userdb", table).await.unwrap();
    let script = WRITE.replace("CLIENTS", &CLIENTS.to_string());
    let clients = Clients::start(space, "writers", CLIENTS, &script, &password).await;
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    clients
}

async fn acknowledged(clients: &Clients<'_>) -> BTreeSet<usize> {
    let number = |line: &String| line.strip_prefix("acknowledged ")?.parse().ok();
    clients.record().await.iter().map(|line| number(line).expect("a number")).collect()
}

/// From here on nothing that the master writes leaves it: what sends to the replicas is stopped. They find
/// out after `wal_receiver_timeout`, a minute.
async fn cut_off(space: &Space, replicas: &[&str]) {
    let senders = "select coalesce(string_agg(pid::text, ' '), '') from pg_stat_replication where state = 'streaming'";
    let senders = space.sql("pgset-0", "postgres", senders).await.unwrap();
    assert_eq!(senders.split(' ').count(), replicas.len(), "walsenders: {senders:?}");
    let stop = format!("kill -STOP {senders}");
    space.exec("pgset-0", &["bash", "-c", &stop]).await.unwrap();
}

/// Makes each replica a master of its own, and asks all what they have.
async fn kept_by(space: &Space, replicas: &[&str]) -> BTreeSet<usize> {
    let mut kept = BTreeSet::new();
    for replica in replicas {
        let promoted = space.sql(replica, "postgres", "select pg_promote(true, 30)").await;
        assert_eq!(promoted.as_deref(), Ok("t"), "{replica}");
        let rows = space.sql(replica, "userdb", "select n from ledger").await.unwrap();
        kept.extend(rows.lines().map(|line| line.parse::<usize>().unwrap()));
    }
    kept
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn with_a_synchronous_replica_no_acknowledged_write_is_lost() {
    let pods = ["pgset-0", "pgset-1", "pgset-2"];
    let space = Space::of(Image::Official, "ledger").await;
    let clients = under_load(&space, "up --replicas 3 --synchronous 1").await;
    // The master last: each time it starts over what a crash left.
    for (pod, grace) in
        [("pgset-1", None), ("pgset-0", Some(0)), ("pgset-2", Some(0)), ("pgset-0", None)]
    {
        let uid = space.api::<Pod>().get(pod).await.unwrap().metadata.uid;
        let params = DeleteParams { grace_period_seconds: grace, ..DeleteParams::default() };
        space.api::<Pod>().delete(pod, &params).await.unwrap();
        comes_back(&space, pod, uid.as_deref()).await;
        clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    }
    for pod in ["pgset-1", "pgset-0"] {
        a_container_is_killed(&space, &clients, pod).await;
    }
    pods_are_ready(&space, &pods).await;
    for replica in &pods[1..] {
        catches_up(&space, replica).await;
    }

    assert_eq!(lost_when_cut_off(&space, &clients, &pods[1..]).await, NOTHING);
}

/// What was acknowledged and is on no replica, when the master of a synchronous set is cut off from them.
async fn lost_when_cut_off(space: &Space, clients: &Clients<'_>, replicas: &[&str]) -> Vec<usize> {
    cut_off(space, replicas).await;
    // Every client waits for an answer that does not come.
    let waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
    space.sql_yields("pgset-0", "postgres", waiting, &CLIENTS.to_string()).await;
    let acknowledged = acknowledged(clients).await;
    let kept = kept_by(space, replicas).await;
    acknowledged.difference(&kept).copied().collect()
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn without_a_synchronous_replica_the_ledger_shows_what_is_lost() {
    let space = Space::of(Image::Official, "async").await;
    let clients = under_load(&space, "up --replicas 2").await;
    catches_up(&space, "pgset-1").await;
    cut_off(&space, &["pgset-1"]).await;
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    let acknowledged = acknowledged(&clients).await;
    let kept = kept_by(&space, &["pgset-1"]).await;
    let lost = acknowledged.difference(&kept).count();
    assert!(lost >= BETWEEN, "{lost} lost of {}", acknowledged.len());
    assert!(!kept.is_empty(), "what was there before is kept");
}

/// Apart from the others, and alone: the node is everybody's.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
#[expect(clippy::disallowed_methods, reason = "the tests' own switch, not a setting of pgset")]
async fn the_kubelet_restarts_under_load() {
    let Ok(command) = std::env::var(RESTART_KUBELET) else {
        return skipped(&format!("restarting the kubelet: {RESTART_KUBELET} does not say how"));
    };
    let space = Space::of(Image::Official, "kubelet").await;
    let clients = under_load(&space, "up --replicas 2 --synchronous 1").await;
    let servers = async || {
        let mut started = Vec::new();
        for pod in ["pgset-0", "pgset-1"] {
            let sql = "select pg_postmaster_start_time()";
            started.push(space.sql(pod, "postgres", sql).await.unwrap());
        }
        started
    };
    let before = servers().await;
    let restart = tokio::process::Command::new("bash").args(["-c", &command]).output().await;
    let restart = restart.unwrap();
    assert!(restart.status.success(), "{command}: {}", String::from_utf8_lossy(&restart.stderr));
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    pods_are_ready(&space, &["pgset-0", "pgset-1"]).await;
    catches_up(&space, "pgset-1").await;
    assert_eq!(servers().await, before, "the same servers run on");
    assert_eq!(lost_when_cut_off(&space, &clients, &["pgset-1"]).await, NOTHING);
}

/// The server ends as by `kill -9`, and starts again in the pod that there is.
async fn a_container_is_killed(space: &Space, clients: &Clients<'_>, pod: &str) {
    let before = restarts(space, pod).await;
    let Some(below) = Below::of(space, pod).await else {
        return skipped("killing a container: the cluster's node is not this machine");
    };
    below.kill_container("postgres");
    eventually(&format!("the container of {pod} starts again"), seconds(120), async || {
        let now = restarts(space, pod).await;
        if now == before + 1 { Ok(()) } else { Err(format!("{now} restarts, before {before}")) }
    })
    .await;
    pods_are_ready(space, &["pgset-0", "pgset-1", "pgset-2"]).await;
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
}

async fn restarts(space: &Space, pod: &str) -> i32 {
    let pod = space.api::<Pod>().get(pod).await.expect("the pod is there");
    let containers = pod.status.and_then(|s| s.container_statuses).unwrap_or_default();
    containers.iter().map(|container| container.restart_count).sum()
}

/// Waits until a replica has replayed what the master has written by now.
async fn catches_up(space: &Space, replica: &str) {
    let lsn = space.sql("pgset-0", "postgres", "select pg_current_wal_lsn()").await.unwrap();
    let replayed = format!("select pg_last_wal_replay_lsn() >= '{lsn}'");
    space.sql_yields(replica, "postgres", &replayed, "t").await;
}
