//! A set on two nodes: the power of the master's node fails, or the node is cut off from the others.
//!
//! Separate from the other tests and alone, because these tests share the node.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::SystemTime;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, LogParams, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use super::ledger::{
    ACKNOWLEDGED, BETWEEN, CLIENTS, acknowledged, entries, nothing_is_lost, rows, writers,
};
use super::{comes_back, own_template, pods_are_ready, run_shell, skipped, switch};
use crate::support::client::Clients;
use crate::support::space::{Image, Space, ready};
use crate::support::{eventually, seconds, unique};

/// The environment variable with the command that switches a node. Its arguments are `stop` (the power fails), `start` (the
/// node boots, and is ready), `freeze` (the network is cut), or `thaw`, and the name of the node.
const NODE: &str = "PGSET_E2E_NODE";
/// The environment variable with the name of a node that the tests may switch.
const SECOND_NODE: &str = "PGSET_E2E_SECOND_NODE";
/// The label of the nodes on which new pods of a test may run.
const LABEL: &str = "pgset-e2e";

/// Writes beside the server, as an application on its node would, with numbers that the other clients do not reach. The
/// record is on the volume, where it outlives the container.
const WRITER: &str = r#"
n=1000000
while true; do
  n=$((n + 1))
  psql -XAtqw -h /var/run/postgresql -U postgres -d userdb -c "insert into ledger values ($n)" >/dev/null 2>&1 &&
    echo "acknowledged $n $EPOCHREALTIME" >>/pgdata/record
  sleep 0.1
done"#;

/// The first node, which always works, and the second one. The second one is switched on again when the test ends.
struct Nodes {
    client: Client,
    command: String,
    first: String,
    second: String,
    /// The value of the label. Each test has another one.
    value: String,
    /// The taints of the second node, as flags.
    tolerations: String,
    /// What makes the second node work again.
    undo: Option<&'static str>,
}

impl Nodes {
    /// `None`, with a message, if it is not known how a node is switched.
    async fn of(space: &Space) -> Option<Self> {
        let (Some(command), Some(second)) = (switch(NODE), switch(SECOND_NODE)) else {
            skipped(&format!("two nodes: {NODE} and {SECOND_NODE} do not say how"));
            return None;
        };
        let client = space.cluster.client.clone();
        let all = Api::<Node>::all(client.clone()).list(&ListParams::default()).await.unwrap();
        let (mine, others): (Vec<Node>, Vec<Node>) =
            all.items.into_iter().partition(|node| node.name_any() == second);
        let first = others.first().expect("there is another node").name_any();
        let mine = mine.into_iter().next().expect("the second node is there");
        let taints = mine.spec.and_then(|spec| spec.taints).unwrap_or_default();
        let toleration = |taint: &k8s_openapi::api::core::v1::Taint| {
            let value = taint.value.as_deref().unwrap_or_default();
            format!(" --toleration {}={value}:{}", taint.key, taint.effect)
        };
        // Those of Kubernetes come and go: a node that has just joined is not ready for a moment.
        let stay = taints.iter().filter(|taint| !taint.key.starts_with("node.kubernetes.io/"));
        let tolerations = stay.map(toleration).collect();
        let value = space.name.clone();
        Some(Self { client, command, first, second, value, tolerations, undo: None })
    }

    /// Lets new pods run on these nodes only.
    async fn open(&self, nodes: &[&str]) {
        let api = Api::<Node>::all(self.client.clone());
        for node in [&self.first, &self.second] {
            let value = nodes.contains(&node.as_str()).then_some(&self.value);
            let patch = Patch::Merge(json!({"metadata": {"labels": {LABEL: value}}}));
            api.patch(node, &PatchParams::default(), &patch).await.expect("the node is labelled");
        }
    }

    /// Starts a set of `pods` pods, the first `second` of them on the second node, the others and the clients that write on the
    /// first one. `up` holds flags for all of it, `grown` those for all pods.
    async fn set<'a>(
        &self,
        space: &'a Space,
        (second, pods): (u32, u32),
        up: &str,
        grown: &str,
    ) -> Clients<'a> {
        let password = unique() + &unique();
        let file = space.file("password", &password);
        self.open(&[&self.second]).await;
        let (label, value, tolerations) = (LABEL, &self.value, &self.tolerations);
        let line =
            format!("up --replicas {second} --node-selector {label}={value}{tolerations} {up}");
        space.pgset(&line).arg("--password-file").arg(file).run().await.ok();
        self.open(&[&self.first]).await;
        space.pgset(&format!("up --replicas {pods} {up} {grown}")).run().await.ok();
        writers(space, &password, json!({ LABEL: value })).await
    }

    /// `stop`, `start`, `freeze` or `thaw`.
    async fn switch(&mut self, how: &str) {
        self.undo = match how {
            "stop" => Some("start"),
            "freeze" => Some("thaw"),
            _ => None,
        };
        run_shell(&format!("{} {how} {}", self.command, self.second)).await;
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        let Some(undo) = self.undo else { return };
        let line = format!("{} {undo} {}", self.command, self.second);
        Command::new("bash").args(["-c", &line]).status().ok();
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("it is later").as_secs_f64()
}

/// Starts [`WRITER`] in the master's container.
async fn write_inside(space: &Space) {
    let start = format!("nohup bash -c '{WRITER}' >/dev/null 2>&1 &");
    space.exec("pgset-0", &["bash", "-c", &start]).await.unwrap();
    eventually("the writer beside the server writes", seconds(30), async || {
        let record = written_inside(space).await?;
        if record.len() >= BETWEEN { Ok(()) } else { Err(format!("{} rows", record.len())) }
    })
    .await;
}

/// What [`WRITER`] wrote, with the times.
async fn written_inside(space: &Space) -> Result<BTreeMap<usize, f64>, String> {
    let record = space.exec("pgset-0", &["cat", "/pgdata/record"]).await?;
    Ok(entries(record.lines()))
}

async fn timeline(space: &Space, master: &str) -> String {
    let sql = "select left(pg_walfile_name(pg_current_wal_lsn()), 8)";
    space.sql(master, "postgres", sql).await.unwrap()
}

/// The set is healthy: all follow, and there is no slot but those of the replicas.
async fn is_healthy(space: &Space, master: &str) {
    // A replica stays ready while it connects again to a master that was away.
    eventually("the set is healthy", seconds(30), async || {
        let status = space.pgset("status").run().await;
        if status.code == Some(0) { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    space.pgset("test").run().await.ok();
    let count =
        "select count(*) || ' ' || count(*) filter (where active) from pg_replication_slots";
    let pods = space.ready_pods().await;
    for pod in &pods {
        let replicas = if pod == master { pods.len() - 1 } else { 0 };
        // An old master drops its slots soon after it streams.
        let wanted = format!("{replicas} {replicas}");
        space.sql_yields(pod, "postgres", count, &wanted).await;
    }
}

/// With synchronous replication nothing that was acknowledged is missing. When the power is back, the old master follows; if
/// it has more, it is kept and rejoins.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn the_power_of_the_master_s_node_fails_under_load() {
    let space = Space::of(Image::Official, "power").await;
    let Some(mut nodes) = Nodes::of(&space).await else { return };
    let clients = nodes.set(&space, (1, 3), "", "--synchronous 1").await;
    // The node looks at the labels again when it boots.
    nodes.open(&[&nodes.first, &nodes.second]).await;
    nodes.switch("stop").await;

    let (first, second) = (nodes.first.clone(), nodes.second.clone());
    let unproved = space.pgset("failover --yes").run().await.exits(4);
    let unproved = unproved.says("nothing proves that pgset-0 does not write");
    let unproved = unproved.says(&format!("you switch {second} off, and say so"));
    unproved.says(&format!("pgset failover --node-is-off {second}"));
    let other = format!("failover --node-is-off {first} --yes");
    let other = space.pgset(&other).run().await.exits(2);
    other.says(&format!("--node-is-off: pgset-0 is on {second}"));
    let off = format!("failover --node-is-off {second} --yes");
    let done = space.pgset(&off).run().await.ok();
    let done = done.says("nothing that was acknowledged is missing");
    let said = |pod: &&str| {
        done.stderr.contains(&format!("{pod} is the master: epoch 2, timeline 2, writable after"))
    };
    let master = ["pgset-1", "pgset-2"].into_iter().find(said).expect("one is the master");
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;

    nodes.switch("start").await;
    // Commits that no replica had confirmed may be on its disk.
    let more = eventually("the old master follows, or is kept", seconds(90), async || {
        let pod = space.api::<Pod>().get("pgset-0").await.map_err(|error| error.to_string())?;
        let follows = ready(&pod) && booted(&pod);
        if follows || kept(&pod) { Ok(!follows) } else { Err(format!("{:?}", pod.status)) }
    })
    .await;
    if more {
        space.pgset("rejoin pgset-0 --yes").run().await.ok();
    }
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    nothing_is_lost(&space, &clients, master).await;
    assert_eq!(timeline(&space, master).await, "00000002");
    is_healthy(&space, master).await;
}

/// Without synchronous replication, only what was acknowledged after the announced contact is missing. The old master stops
/// when it is back, and it is kept, with the replica that has received more.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_master_that_was_cut_off_stops_and_rejoins() {
    let space = Space::of(Image::Official, "frozen").await;
    let Some(mut nodes) = Nodes::of(&space).await else { return };
    let clients = nodes.set(&space, (2, 3), "", "").await;
    write_inside(&space).await;
    nodes.switch("freeze").await;
    let frozen = now();

    let failover = format!("failover --node-is-off {} --yes", nodes.second);
    let done = space.pgset(&failover).run().await.ok();
    let done = done.says("pgset-2 is the master: epoch 2, timeline 2, writable after");
    let announced = done.stderr.split("its last contact with pgset-2 (").nth(1);
    let ago = announced.and_then(|text| text.split(" s ago").next()?.parse::<f64>().ok());
    // The command asked after its start, and counts whole seconds.
    let contact = frozen - ago.expect("it says how long ago the last contact was") - 1.0;
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;

    let thawed = now();
    nodes.switch("thaw").await;
    for pod in ["pgset-0", "pgset-1"] {
        is_kept(&space, pod).await;
    }
    // Between two starts of a container, the status tells only that it runs.
    eventually("the status names the command", seconds(60), async || {
        let status = space.pgset("status").run().await.exits(1).stdout;
        let named = |pod| status.contains(&format!("pgset rejoin {pod}"));
        if named("pgset-0") && named("pgset-1") { Ok(()) } else { Err(status) }
    })
    .await;
    for pod in ["pgset-0", "pgset-1"] {
        let back = space.pgset(&format!("rejoin {pod} --yes")).run().await.ok();
        back.says(&format!("{pod} streams from pgset-2"));
    }
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;

    let inside = written_inside(&space).await.unwrap();
    let last = inside.values().copied().fold(0.0, f64::max);
    assert!(last > frozen, "it served while it was cut off: {last}, cut off at {frozen}");
    assert!(last < thawed + 20.0, "it served until {} s after it was back", last - thawed);
    let outside = acknowledged(&clients).await;
    let kept = rows(&space, "pgset-2").await;
    let missing = |of: &BTreeMap<usize, f64>| -> BTreeMap<usize, f64> {
        of.iter().filter(|(n, _)| !kept.contains(n)).map(|(n, time)| (*n, *time)).collect()
    };
    let (inside, outside) = (missing(&inside), missing(&outside));
    assert!(!inside.is_empty(), "what only the old master has is missing");
    let early = |(n, time): (&usize, &f64)| (*time < contact).then_some((*n, *time));
    let early: Vec<_> = inside.iter().chain(&outside).filter_map(early).collect();
    assert_eq!(early, [], "missing, and acknowledged before the last contact at {contact}");
    // The Service leads no client on the other node to the old master. But what a client had sent before the cut may be
    // answered once the network is back.
    let late = outside.iter().filter(|(_, time)| **time > frozen).map(|(n, _)| n % CLIENTS);
    let (late, clients): (Vec<usize>, BTreeSet<usize>) = (late.clone().collect(), late.collect());
    assert_eq!(late.len(), clients.len(), "missing, and acknowledged after the cut: {outside:?}");
    is_healthy(&space, "pgset-2").await;
}

/// With synchronous replication nobody has to say that the node is off: a master that no replica hears acknowledges nothing,
/// also on its own node.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn synchronous_replication_proves_that_a_master_that_was_cut_off_does_not_write() {
    let space = Space::of(Image::Official, "silent").await;
    let Some(mut nodes) = Nodes::of(&space).await else { return };
    let clients = nodes.set(&space, (1, 3), "", "--synchronous 1").await;
    write_inside(&space).await;
    for pod in ["pgset-1", "pgset-2"] {
        eventually("the master has told its setting for a while", seconds(60), async || {
            let told = space.exec(pod, &["cat", "/run/pgset/synchronous"]).await?;
            let times: Vec<i64> =
                told.split(' ').skip(1).take(2).filter_map(|time| time.parse().ok()).collect();
            if times.len() == 2 && times[1] - times[0] >= 5 { Ok(()) } else { Err(told) }
        })
        .await;
    }
    nodes.switch("freeze").await;
    let frozen = now();
    let dry = space.pgset("failover --dry-run").run().await.ok();
    let dry = dry.says("proof that pgset-0 does not write: the replicas stop listening to it");
    dry.says("nothing that was acknowledged is missing");
    let done = space.pgset("failover --yes").run().await.ok();
    done.says(" is the master: epoch 2, timeline 2, writable after");
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;
    nodes.switch("thaw").await;
    is_kept(&space, "pgset-0").await;
    space.pgset("rejoin pgset-0 --yes").run().await.ok();
    let status = space.pgset("status").run().await.ok();
    let master =
        if status.stdout.contains("pgset-1 is the master") { "pgset-1" } else { "pgset-2" };
    let inside = written_inside(&space).await.unwrap();
    let rows = rows(&space, master).await;
    let missing: Vec<_> = inside.iter().filter(|(n, _)| !rows.contains(n)).collect();
    assert_eq!(missing, [], "acknowledged beside the server, which was cut off at {frozen}");
    nothing_is_lost(&space, &clients, master).await;
    is_healthy(&space, master).await;
}

/// Whether a container of the pod ended because the directory has data that the new master lacks.
fn kept(pod: &Pod) -> bool {
    let status = pod.status.clone().unwrap_or_default();
    let all = [status.init_container_statuses, status.container_statuses];
    let seen = all.into_iter().flatten().flatten().flat_map(|it| [it.state, it.last_state]);
    let mut ended = seen.flatten().filter_map(|state| state.terminated);
    ended.any(|it| it.exit_code == 23)
}

/// Waits until a container of the pod has ended because of that.
async fn is_kept(space: &Space, pod: &str) {
    eventually(&format!("{pod} is kept"), seconds(90), async || {
        let pod = space.api::<Pod>().get(pod).await.map_err(|error| error.to_string())?;
        if kept(&pod) { Ok(()) } else { Err(format!("{:?}", pod.status)) }
    })
    .await;
}

/// Whether the server's container has started a second time.
fn booted(pod: &Pod) -> bool {
    let status = pod.status.iter().flat_map(|it| it.container_statuses.iter().flatten());
    status.map(|it| it.restart_count).sum::<i32>() > 0
}

/// The volume follows the new pod to another node, while the old server still writes to it. The new pod waits.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn the_pod_of_a_node_that_is_cut_off_is_deleted_by_force() {
    let space = Space::of(Image::Official, "forced").await;
    let Some(mut nodes) = Nodes::of(&space).await else { return };
    // A file lock does not reach from node to node on every network file system: here it must not help.
    let own = own_template(&space, "statefulset.yaml.j2", |text| {
        let port = "            - name: PGPORT\n";
        assert_eq!(text.matches(port).count(), 2);
        let off = "            - name: PGSET_LOCK\n              value: \"off\"\n";
        text.replace(port, &format!("{off}{port}"))
    });
    let own = format!("--templates {}", own.await.display());
    let clients = nodes.set(&space, (1, 2), &own, "").await;
    write_inside(&space).await;
    let uid = space.api::<Pod>().get("pgset-0").await.unwrap().metadata.uid;
    nodes.switch("freeze").await;
    let frozen = now();
    let force = DeleteParams::default().grace_period(0);
    space.api::<Pod>().delete("pgset-0", &force).await.unwrap();

    // The owner's file is stale after 20 s without a change.
    let waits = format!(
        "the pod with the UID {}, which uses /pgdata/pgset-0, 30 s",
        uid.as_deref().unwrap()
    );
    eventually("the new pod waits", seconds(90), async || {
        let of = LogParams { container: Some("bootstrap".to_owned()), ..LogParams::default() };
        let log = space.api::<Pod>().logs("pgset-0", &of).await.map_err(|e| e.to_string())?;
        if log.contains(&waits) { Ok(()) } else { Err(log) }
    })
    .await;
    nodes.switch("thaw").await;
    comes_back(&space, "pgset-0", uid.as_deref()).await;
    clients.go_on(ACKNOWLEDGED, BETWEEN).await;

    let inside = written_inside(&space).await.unwrap();
    let last = inside.values().copied().fold(0.0, f64::max);
    assert!(last > frozen + 20.0, "it served while it was cut off: {last}, cut off at {frozen}");
    let started = "select extract(epoch from pg_postmaster_start_time())";
    let started = space.sql("pgset-0", "postgres", started).await.unwrap();
    assert!(started.parse::<f64>().unwrap() > last, "two servers: {started} is before {last}");
    let acknowledged: Vec<usize> =
        acknowledged(&clients).await.into_keys().chain(inside.into_keys()).collect();
    pods_are_ready(&space, &["pgset-0", "pgset-1"]).await;
    let rows = rows(&space, "pgset-0").await;
    let missing: Vec<_> = acknowledged.iter().filter(|n| !rows.contains(n)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(timeline(&space, "pgset-0").await, "00000001");
    is_healthy(&space, "pgset-0").await;
}
