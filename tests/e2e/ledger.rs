//! A ledger of acknowledged writes: pods and node are disturbed while clients write, then the data is
//! checked.
//!
//! Clients in the cluster insert increasing numbers through the master Service, with one connection per
//! insert, and log the numbers with an acknowledged commit. At the end, the master is cut off from its
//! replicas during its writes, and only the replicas are queried, as if the master's disk were lost. With
//! a synchronous replica, no acknowledged number may be missing. The same test without one must find
//! missing numbers.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::Value;

use super::{comes_back, kubelet_restart, own_template, pods_are_ready, run_shell, skipped};
use crate::support::client::Clients;
use crate::support::node::Below;
use crate::support::space::{Image, Space};
use crate::support::{eventually, seconds, unique};

const WRITE: &str = r#"
client() {
  local n
  for ((n = $1; ; n += CLIENTS)); do
    # What ends otherwise may be there or not: nobody said.
    if psql -XAtqw -h pgset-master -c "insert into ledger values ($n)" >/dev/null 2>&1; then
      echo "acknowledged $n $EPOCHREALTIME" >>"$record"
    else
      sleep 0.05
    fi
  done
}"#;
/// The clients. Each writes the numbers with the same remainder.
pub(super) const CLIENTS: usize = 4;
/// The grep pattern for an acknowledged write.
pub(super) const ACKNOWLEDGED: &str = "acknowledged";
/// The number of acknowledged writes between two disturbances.
pub(super) const BETWEEN: usize = 20;
const NOTHING: [usize; 0] = [];

/// Starts a set with these flags, and clients that write to it.
pub(super) async fn under_load<'a>(space: &'a Space, up: &str) -> Clients<'a> {
    let password = unique() + &unique();
    let file = space.file("password", &password);
    space.pgset(up).arg("--password-file").arg(file).run().await.ok();
    writers(space, &password, Value::Null).await
}

/// Starts clients that write to a set whose master is `pgset-0`, on a node with these labels.
pub(super) async fn writers<'a>(space: &'a Space, password: &str, nodes: Value) -> Clients<'a> {
    let table = "create table ledger (n int primary key); grant insert on ledger to testuser";
    space.sql("pgset-0", "userdb", table).await.unwrap();
    let script = WRITE.replace("CLIENTS", &CLIENTS.to_string());
    let clients = Clients::start(space, "writers", CLIENTS, &script, password, nodes).await;
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    clients
}

/// The acknowledged numbers of a record, each with its time in seconds since 1970.
pub(super) fn entries<'a>(lines: impl IntoIterator<Item = &'a str>) -> BTreeMap<usize, f64> {
    let entry = |line: &str| {
        let (number, time) = line.strip_prefix("acknowledged ")?.split_once(' ')?;
        Some((number.parse().ok()?, time.parse().ok()?))
    };
    lines.into_iter().map(|line| entry(line).expect("a number and a time")).collect()
}

/// The numbers that were acknowledged, each with its time.
pub(super) async fn acknowledged(clients: &Clients<'_>) -> BTreeMap<usize, f64> {
    entries(clients.record().await.iter().map(String::as_str))
}

/// Stops the walsenders, so that no further write of the master reaches a replica. The replicas notice it
/// after `wal_receiver_timeout`, one minute.
async fn cut_off(space: &Space, replicas: &[&str]) {
    let senders = "select coalesce(string_agg(pid::text, ' '), '') from pg_stat_replication where state = 'streaming'";
    let senders = space.sql("pgset-0", "postgres", senders).await.unwrap();
    assert_eq!(senders.split(' ').count(), replicas.len(), "walsenders: {senders:?}");
    let stop = format!("kill -STOP {senders}");
    space.exec("pgset-0", &["bash", "-c", &stop]).await.unwrap();
}

/// The acknowledged numbers that are not among these.
fn lacking(acknowledged: &BTreeMap<usize, f64>, rows: &BTreeSet<usize>) -> Vec<usize> {
    acknowledged.keys().filter(|number| !rows.contains(number)).copied().collect()
}

/// The numbers that a pod has.
pub(super) async fn rows(space: &Space, pod: &str) -> BTreeSet<usize> {
    let rows = space.sql(pod, "userdb", "select n from ledger").await.unwrap();
    rows.lines().map(|line| line.parse().unwrap()).collect()
}

/// Promotes each replica to a master, and returns the numbers that they have.
async fn kept_by(space: &Space, replicas: &[&str]) -> BTreeSet<usize> {
    let mut kept = BTreeSet::new();
    for replica in replicas {
        let promoted = space.sql(replica, "postgres", "select pg_promote(true, 30)").await;
        assert_eq!(promoted.as_deref(), Ok("t"), "{replica}");
        kept.extend(rows(space, replica).await);
    }
    kept
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn with_a_synchronous_replica_no_acknowledged_write_is_lost() {
    let pods = ["pgset-0", "pgset-1", "pgset-2"];
    let space = Space::of(Image::Official, "ledger").await;
    let clients = under_load(&space, "up --replicas 3 --synchronous 1").await;
    // The master comes last. Every start must recover what the crash before it left.
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

/// The acknowledged numbers that are on no replica after the master of a synchronous set was cut off.
async fn lost_when_cut_off(space: &Space, clients: &Clients<'_>, replicas: &[&str]) -> Vec<usize> {
    cut_off(space, replicas).await;
    // Every client waits for an acknowledgement that does not come.
    let waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
    space.sql_yields("pgset-0", "postgres", waiting, &CLIENTS.to_string()).await;
    let acknowledged = acknowledged(clients).await;
    let kept = kept_by(space, replicas).await;
    lacking(&acknowledged, &kept)
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
    let lost = lacking(&acknowledged, &kept).len();
    assert!(lost >= BETWEEN, "{lost} lost of {}", acknowledged.len());
    assert!(!kept.is_empty(), "what was there before is kept");
}

/// The pods of an older pgset run its script from another ConfigMap. `pgset restart` moves them to this one's.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_set_of_the_previous_script_is_moved_over_under_load() {
    const SCRIPT: &str = "/etc/pgset-scripts/bootstrap.sh";
    const STARTUP: &str = "bootstrap.sh, started]";
    const VOLUME: &str = "        - name: scripts
          configMap:
            name: {{ set.scripts }}
";
    const MOUNT: &str = "            - name: scripts
              mountPath: /etc/pgset-scripts
              readOnly: true
";
    let space = Space::of(Image::Official, "moved").await;
    let older = own_template(&space, "statefulset.yaml.j2", |text| {
        for part in [SCRIPT, VOLUME, MOUNT, STARTUP] {
            assert!(text.contains(part), "{part}");
        }
        let text = text.replace(STARTUP, "bootstrap.sh, alive]");
        text.replace(SCRIPT, "/etc/pgset/bootstrap.sh").replace(VOLUME, "").replace(MOUNT, "")
    });
    let older = older.await;
    let with_script = own_template(&space, "configmap.yaml.j2", |text| {
        text.replace("{% if previous_script %}", "{% if true %}")
    });
    assert_eq!(with_script.await, older);
    let up = format!("up --replicas 3 --templates {}", older.display());
    let clients = under_load(&space, &up).await;
    let script = "tr '\\0' ' ' </proc/1/cmdline";
    let first = space.exec("pgset-0", &["bash", "-c", script]).await.unwrap();
    assert!(first.contains("postgres -D"), "process 1 was the server: {first}");
    // The pods keep what they run, and the script that their probes run.
    let up = space.pgset("up").run().await.ok();
    up.says("3 pods run the previous template; `pgset restart` updates them");
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    space.pgset("restart --yes").run().await.ok().says("3 pods of pgset are restarted and ready");
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    for pod in ["pgset-0", "pgset-1", "pgset-2"] {
        let now = space.exec(pod, &["bash", "-c", script]).await.unwrap();
        assert!(now.contains("bootstrap.sh serve"), "{pod}: {now}");
    }
    nothing_is_lost(&space, &clients, "pgset-0").await;
    space.pgset("up").run().await.ok().never_says("previous template");
}

/// Separate from the other tests and alone, because all tests share the node.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn the_kubelet_restarts_under_load() {
    let Some(restart) = kubelet_restart() else { return };
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
    run_shell(&restart).await;
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    pods_are_ready(&space, &["pgset-0", "pgset-1"]).await;
    catches_up(&space, "pgset-1").await;
    assert_eq!(servers().await, before, "the same servers run on");
    assert_eq!(lost_when_cut_off(&space, &clients, &["pgset-1"]).await, NOTHING);
}

/// The server ends as with `kill -9`, and restarts in the same pod.
async fn a_container_is_killed(space: &Space, clients: &Clients<'_>, pod: &str) {
    let before = restarts(space, pod).await;
    let Some(below) = Below::of(space, pod).await else {
        return skipped("killing a container: the cluster's node is not this machine");
    };
    below.kill_container("bash");
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

/// Waits until a replica has replayed everything that the master has written so far.
async fn catches_up(space: &Space, replica: &str) {
    catches_up_with(space, "pgset-0", replica).await;
}

async fn catches_up_with(space: &Space, master: &str, replica: &str) {
    let lsn = space.sql(master, "postgres", "select pg_current_wal_lsn()").await.unwrap();
    let replayed = format!("select pg_last_wal_replay_lsn() >= '{lsn}'");
    space.sql_yields(replica, "postgres", &replayed, "t").await;
}

/// No acknowledged row is missing on any of three pods.
pub(super) async fn nothing_is_lost(space: &Space, clients: &Clients<'_>, master: &str) {
    let acknowledged = acknowledged(clients).await;
    for pod in ["pgset-0", "pgset-1", "pgset-2"] {
        if pod != master {
            catches_up_with(space, master, pod).await;
        }
        let rows = rows(space, pod).await;
        let lost = lacking(&acknowledged, &rows);
        assert_eq!(lost, NOTHING, "{pod}");
    }
}
