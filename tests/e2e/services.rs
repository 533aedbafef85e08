//! The replica Service never selects a writable server, regardless of what happens to the pods.
//!
//! Clients in the cluster open one connection after the other, query the server's state and try to write.
//! They log each result with its time, and the test judges the logs at the end.

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{comes_back, pods_are_ready};
use crate::support::client::Clients;
use crate::support::node::Below;
use crate::support::space::{Image, Space};
use crate::support::{eventually, seconds, unique};

/// Prints a line for each connection: its end time, the server's state and the result of the write.
const HAMMER: &str = r#"
client() {
  local answer
  while true; do
    answer=$(psql -XAtq -v VERBOSITY=sqlstate -h pgset-replica \
      -c "select pg_is_in_recovery(), current_setting('transaction_read_only'), host(inet_server_addr())" \
      -c "create table written_through_the_replica_service_$1 ()" 2>&1 | tr '\n' ' ')
    printf '%s %s\n' "$EPOCHREALTIME" "${answer:-nothing}" >>"$record"
  done
}"#;
/// The grep pattern for a correct connection.
const READ_ONLY: &str = "t|on|.*ERROR: *25006";
/// The number of clients.
const CLIENTS: usize = 4;
/// The number of connections that must succeed after each disturbance.
const BETWEEN: usize = 20;
/// The longest allowed time without a successful connection, in seconds.
const LONGEST_GAP: f64 = 15.0;

/// The result of one connection.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// A standby refused the write.
    ReadOnly,
    /// No connection, or it broke before the write was answered.
    Nothing,
    /// The server was writable, which must never happen.
    Writable,
}

impl Seen {
    /// Parses `1764000000.123456 t|on|10.244.0.7 ERROR:  25006`. An unknown answer counts as writable.
    fn of(line: &str) -> (f64, Self) {
        let (at, answer) = line.split_once(' ').expect("a time and an answer");
        let broke_off = [
            "psql: error: ",
            "FATAL: ",
            "server closed the connection",
            "connection to server was lost",
        ];
        let seen = if answer.starts_with("t|on|") && answer.contains("ERROR:  25006") {
            Self::ReadOnly
        } else if !answer.starts_with("f|") && broke_off.iter().any(|text| answer.contains(text)) {
            Self::Nothing
        } else {
            Self::Writable
        };
        (at.parse().expect("a time"), seen)
    }
}

#[test]
fn a_line_is_judged() {
    let of = |answer: &str| Seen::of(&format!("1.5 {answer}"));
    assert_eq!(of("t|on|10.0.0.1 ERROR:  25006 "), (1.5, Seen::ReadOnly));
    assert_eq!(of("psql: error: connection to server failed: refused ").1, Seen::Nothing);
    assert_eq!(of("t|on|10.0.0.1 FATAL:  57P01 ").1, Seen::Nothing);
    for writable in [
        "f|off|10.0.0.1 ",
        "f|off|10.0.0.1 FATAL:  57P01 ",
        "t|on|10.0.0.1 ",
        "f|off|10.0.0.1 ERROR:  42P07 ",
        "nothing",
    ] {
        assert_eq!(of(writable).1, Seen::Writable, "{writable}");
    }
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn no_connection_through_the_replica_service_is_ever_writable() {
    let space = Space::of(Image::Official, "hammer").await;
    let password = unique() + &unique();
    let file = space.file("password", &password);
    let up = || space.pgset("up --replicas 3 --password-file").arg(&file);
    // The clients start before the set exists.
    let clients = Clients::start(&space, "hammer", CLIENTS, HAMMER, &password, Value::Null).await;
    clients.go_on("psql: error", CLIENTS).await;
    up().run().await.ok();
    clients.go_on(READ_ONLY, BETWEEN).await;

    let since = everything_that_happens_to_pods(&space, &clients).await;
    // A start with existing data is the fastest one.
    space.pgset("down --yes").run().await.ok();
    up().run().await.ok();
    clients.go_on(READ_ONLY, BETWEEN).await;

    let written = "select count(*) from pg_class where relname like 'written_through%'";
    let record = clients.record().await;
    let writable = |record: &[String]| -> Vec<String> {
        let bad = record.iter().filter(|line| Seen::of(line).1 == Seen::Writable);
        bad.cloned().collect()
    };
    assert_eq!(writable(&record), Vec::<String>::new());
    assert_eq!(space.sql("pgset-0", "userdb", written).await.unwrap(), "0");
    never_without_a_connection(&record, since);

    // Proves that the clients would detect a writable server: now the Service also selects the master.
    let all: Patch<_> = Patch::Merge(json!({"spec": {"selector": {"name": null}}}));
    let services = space.api::<Service>();
    services.patch("pgset-replica", &PatchParams::default(), &all).await.unwrap();
    eventually("a writable connection is seen", seconds(60), async || {
        if writable(&clients.record().await).is_empty() { Err("none".to_owned()) } else { Ok(()) }
    })
    .await;
    assert_ne!(space.sql("pgset-0", "userdb", written).await.unwrap(), "0");
}

/// Disturbs the pods of a running set. Returns the start and end time.
async fn everything_that_happens_to_pods(space: &Space, clients: &Clients<'_>) -> (f64, f64) {
    let pods = space.api::<Pod>();
    let now = || std::time::UNIX_EPOCH.elapsed().expect("it is later").as_secs_f64();
    let begin = now();
    for (name, grace) in [
        ("pgset-0", None),
        ("pgset-1", None),
        ("pgset-0", Some(0)),
        ("pgset-2", Some(0)),
        ("pgset-0", Some(1)),
    ] {
        let uid = pods.get(name).await.unwrap().metadata.uid;
        let params = DeleteParams { grace_period_seconds: grace, ..DeleteParams::default() };
        pods.delete(name, &params).await.unwrap();
        // While the pod is away and until it is back, and afterwards.
        clients.go_on(READ_ONLY, BETWEEN).await;
        comes_back(space, name, uid.as_deref()).await;
        clients.go_on(READ_ONLY, BETWEEN).await;
    }
    if let Some(below) = Below::of(space, "pgset-0").await {
        below.kill_container("bash");
        clients.go_on(READ_ONLY, BETWEEN).await;
        pods_are_ready(space, &["pgset-0", "pgset-1", "pgset-2"]).await;
    }
    // Remove the highest pod, then start another one with its data.
    space.pgset("scale --replicas 2").run().await.ok();
    clients.go_on(READ_ONLY, BETWEEN).await;
    space.pgset("scale --replicas 3").run().await.ok();
    clients.go_on(READ_ONLY, BETWEEN).await;
    (begin, now())
}

/// Connections always succeed, because there is always a replica while pods come and go.
fn never_without_a_connection(record: &[String], (begin, end): (f64, f64)) {
    let seen = record.iter().map(|line| Seen::of(line));
    let mut times: Vec<f64> =
        seen.filter(|(_, seen)| *seen == Seen::ReadOnly).map(|s| s.0).collect();
    times.retain(|at| (begin..end).contains(at));
    times.extend([begin, end]);
    times.sort_by(f64::total_cmp);
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    assert!(longest < LONGEST_GAP, "{longest:.1} s without a connection, {} in all", times.len());
}
