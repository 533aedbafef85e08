use std::fmt::Write as _;

use super::super::status::{Endpoint, ServiceRole};
use super::*;

fn pod(ordinal: u32, in_recovery: Option<bool>) -> PodFacts {
    PodFacts {
        name: format!("pgset-{ordinal}"),
        ordinal,
        role_label: Some(if ordinal == 0 { Role::Master } else { Role::Replica }),
        in_recovery,
        no_answer: None,
        ready: true,
        state: "Running".into(),
        restarts: 0,
        node: None,
        image: "postgres:17".into(),
        age: Duration::from_secs(5),
        ip: format!("10.0.0.{ordinal}"),
        measurements: None,
    }
}

fn service(role: ServiceRole, pods: &[u32]) -> ServiceFacts {
    let endpoint =
        |n: &u32| Endpoint { pod: Some(format!("pgset-{n}")), address: format!("10.0.0.{n}") };
    let name = if role == ServiceRole::Master { "pgset-master" } else { "pgset-replica" };
    ServiceFacts {
        name: name.into(),
        role,
        cluster_ip: "10.96.0.1".into(),
        port: 5432,
        endpoints: pods.iter().map(endpoint).collect(),
    }
}

fn set() -> SetIdentity {
    SetIdentity { name: "pgset".parse().unwrap(), namespace: "ns".parse().unwrap() }
}

fn list(pods: &[PodFacts], services: &[ServiceFacts]) -> CheckList {
    list_of(pods, services, None)
}

fn list_of(
    pods: &[PodFacts],
    services: &[ServiceFacts],
    observation: Option<&Observation>,
) -> CheckList {
    let password = Secret::new("sentinel".into());
    let set = set();
    let subject = Subject {
        set: &set,
        topology: &crate::set::Topology::default(),
        superuser_password: &password,
        user: "testuser",
        database: "userdb",
        user_password: &password,
        pods,
        services,
        observation,
        lag_limit: Duration::from_secs(2),
        verified: false,
    };
    CheckList::new(&subject, &Marker::new(1_700_000_000, "AbC-;'9")).unwrap()
}

fn three() -> CheckList {
    let services = [service(ServiceRole::Master, &[0]), service(ServiceRole::Replica, &[1, 2])];
    list(&[pod(0, Some(false)), pod(1, Some(true)), pod(2, Some(true))], &services)
}

fn judged(list: &CheckList, id: &str, code: i32, stdout: &str, stderr: &str) -> CheckOutcome {
    let check = list.checks.iter().find(|check| check.id == id).unwrap();
    let output = ExecOutput { stdout: stdout.into(), stderr: stderr.into(), exit_code: Some(code) };
    evaluate(check, &set(), Some(100), &Ran::Ended(output))
}

fn reason(outcome: &CheckOutcome) -> &str {
    match outcome {
        CheckOutcome::Failed { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

fn passed(outcome: &CheckOutcome) -> &str {
    match outcome {
        CheckOutcome::Passed { detail } => detail,
        other => panic!("{other:?}"),
    }
}

const READ_ONLY: &str = "ERROR:  25006: cannot execute CREATE TABLE in a read-only transaction\n";

#[test]
fn the_plan_asks_over_the_network_in_order() {
    let list = three();
    let shown: Vec<_> = list
        .checks
        .iter()
        .map(|c| (c.id.as_str(), c.stage, c.script.as_ref().map_or("-", |s| &s.pod)))
        .collect();
    assert_eq!(
        shown,
        [
            ("master-service", Stage::First, "pgset-1"),
            ("replication", Stage::First, "pgset-1"),
            ("replica-service", Stage::First, "pgset-0"),
            ("marker-write", Stage::First, "pgset-1"),
            ("marker-read/pgset-1", Stage::Second, "pgset-0"),
            ("marker-read/pgset-2", Stage::Second, "pgset-0"),
            ("marker-clean", Stage::Last, "pgset-1"),
            ("roles", Stage::First, "-"),
            ("replay", Stage::First, "-"),
            ("slots", Stage::First, "-"),
            ("login", Stage::First, "pgset-1"),
        ]
    );
    assert!(!format!("{list:?}").contains("sentinel"));
    let clean = list.stage(Stage::Last).next().unwrap().script.as_ref().unwrap();
    assert!(clean.stdin.contains("drop table if exists public.pgset_test_1700000000_abc9;"));
}

#[test]
fn one_pod_says_what_can_not_be_tested() {
    let list = list(&[pod(0, Some(false))], &[service(ServiceRole::Master, &[0])]);
    let skipped: Vec<_> = list
        .checks
        .iter()
        .filter(|c| matches!(judged(&list, &c.id, 0, "", ""), CheckOutcome::Skipped { .. }))
        .map(|c| c.id.as_str())
        .collect();
    assert_eq!(skipped, ["replication", "replica-service", "marker", "replay", "slots"]);
    assert_eq!(list.checks[0].script.as_ref().unwrap().pod, "pgset-0");
}

#[test]
fn a_paused_or_slow_replica_and_a_lost_slot_fail() {
    use crate::postgres::measurements::{Measurements, Replay};
    let slot = "{\"kind\":\"slot\",\"slot_name\":\"other\",\"slot_type\":\"physical\",\"active\":false,\"restart_lsn\":null,\"wal_status\":\"lost\"}\n";
    let verdict = |id: &str, paused: bool, replayed: u64, slots: &str| {
        let mut replica = pod(1, Some(true));
        let replay = Replay {
            paused,
            replayed_lsn: Some(replication::Lsn(replayed)),
            unreplayed_bytes: None,
            last_commit_seconds: None,
        };
        replica.measurements =
            Some(Measurements { replay: Some(replay), ..Measurements::default() });
        let stdout = rows(&[]) + slots;
        let output = ExecOutput { stdout, exit_code: Some(0), ..ExecOutput::default() };
        let observation = Observation::parse(&output).unwrap();
        let list = list_of(&[pod(0, Some(false)), replica], &[], Some(&observation));
        judged(&list, id, 0, "", "")
    };
    assert_eq!(passed(&verdict("replay", false, 0x20, "")), "limits 0 B and 300 s");
    assert!(
        reason(&verdict("replay", true, 0x20, "")).starts_with("Pod pgset-1: replay is paused")
    );
    assert!(reason(&verdict("replay", false, 0x10, "")).contains("behind the master by 16 B"));
    assert_eq!(passed(&verdict("slots", false, 0x20, "")), "0 slots");
    assert!(reason(&verdict("slots", false, 0x20, slot)).starts_with("slot other is lost"));
    let away = three();
    for id in ["replay", "slots"] {
        assert!(matches!(judged(&away, id, 0, "", ""), CheckOutcome::Skipped { .. }), "{id}");
    }
}

#[test]
fn no_pods_is_a_failure() {
    let list = list(&[], &[]);
    assert_eq!(reason(&judged(&list, "pods", 0, "", "")), "the set has no pods");
}

#[test]
fn the_master_service_must_lead_to_a_writable_server() {
    let row = |recovery| {
        format!(
            "{{\"kind\":\"server\",\"in_recovery\":{recovery},\"address\":\"10.0.0.1\",\"version\":\"15.18 (Debian)\"}}\n"
        )
    };
    let outcome = |code, out: &str, err: &str| judged(&three(), "master-service", code, out, err);
    assert_eq!(passed(&outcome(0, &row("false"), "")), "PostgreSQL 15.18 at 10.0.0.1");
    assert_eq!(
        reason(&outcome(0, &row("true"), "")),
        "the server at 10.0.0.1 is a replica (in recovery)"
    );
    assert!(reason(&outcome(3, "", "\\connect: timeout expired\n")).contains("timeout expired"));
    assert!(reason(&outcome(0, "", "")).contains("did not print"));
    let check = &three().checks[0];
    let gone = evaluate(check, &set(), Some(100), &Ran::NotRun("no answer within 20 s".into()));
    assert_eq!(reason(&gone), "psql could not be run: no answer within 20 s");
}

#[test]
fn only_a_replica_that_refuses_with_25006_passes() {
    let replica = "{\"kind\":\"server\",\"in_recovery\":true,\"address\":\"10.0.0.1\"}\n";
    let master = "{\"kind\":\"server\",\"in_recovery\":false,\"address\":\"10.0.0.0\"}\n";
    let outcome = |code, out, err| judged(&three(), "replica-service", code, out, err);
    assert!(passed(&outcome(3, replica, READ_ONLY)).contains("25006"));
    // A master with default_transaction_read_only says the same.
    assert!(reason(&outcome(3, master, READ_ONLY)).contains("not in recovery: the master"));
    assert!(reason(&outcome(0, master, "")).contains("not in recovery: the master"));
    assert!(reason(&outcome(0, replica, "")).contains("succeeded"));
    let denied = "ERROR:  42501: permission denied for schema public\n";
    assert!(reason(&outcome(3, replica, denied)).contains("42501"));
    assert!(reason(&outcome(3, "", "\\connect: timeout expired\n")).contains("timeout"));
    assert!(reason(&outcome(3, "", READ_ONLY)).contains("25006"));
}

fn rows(rows: &[(&str, &str)]) -> String {
    let mut text =
        "{\"kind\":\"server\",\"version_num\":150018,\"in_recovery\":false,\"lsn\":\"0/20\"}\n"
            .to_owned();
    for (name, state) in rows {
        writeln!(
            text,
            "{{\"kind\":\"replica\",\"application_name\":\"{name}\",\"client_addr\":\"10.9.9.9\",\"state\":\"{state}\",\"sync_state\":\"async\",\"replay_lsn\":\"0/18\"}}"
        ).unwrap();
    }
    text
}

#[test]
fn every_replica_has_exactly_one_streaming_row() {
    let outcome = |r: &[(&str, &str)]| judged(&three(), "replication", 0, &rows(r), "");
    let (one, two) = (("pgset-1", "streaming"), ("pgset-2", "streaming"));
    assert_eq!(passed(&outcome(&[one, two])), "2 streaming, at most 8 bytes behind");
    let stranger = outcome(&[one, two, ("other", "streaming")]);
    assert!(passed(&stranger).ends_with("1 more from outside the set (other)"));
    assert_eq!(reason(&outcome(&[one])), "pgset-2 does not stream");
    assert_eq!(reason(&outcome(&[one, ("pgset-2", "catchup")])), "pgset-2 is in state catchup");
    assert!(reason(&outcome(&[one, two, one])).contains("pgset-1 has 2 rows"));
}

#[test]
fn a_marker_must_arrive_with_its_value_on_a_replica() {
    let row = |value, recovery| {
        format!(
            "\n\n{{\"kind\":\"marker\",\"marker\":\"{value}\",\"in_recovery\":{recovery},\"waited\":0.017831}}\n"
        )
    };
    let outcome = |code, out: &str, err| judged(&three(), "marker-read/pgset-2", code, out, err);
    assert_eq!(passed(&outcome(0, &row("1700000000-abc9", true), "")), "after 18 ms, limit 2 s");
    assert!(
        reason(&outcome(0, &row("other", true), "")).contains("differs from the value written")
    );
    assert!(reason(&outcome(0, &row("1700000000-abc9", false), "")).contains("not a replica"));
    let missing = "ERROR:  42P01: relation \"public.x\" does not exist\n";
    assert_eq!(reason(&outcome(3, "", missing)), "it did not arrive within 2 s");
}

#[test]
fn the_naps_add_up_to_the_limit() {
    let sql = Marker::new(1, "a").read(Duration::from_secs(3));
    let naps: f64 = sql
        .lines()
        .filter_map(|line| line.split_once("else ")?.1.split(' ').next()?.parse::<f64>().ok())
        .sum();
    assert!((naps - 3.0).abs() < 1e-6, "{naps}");
}

#[test]
fn what_was_not_written_is_not_looked_for() {
    let list = three();
    let read = list.stage(Stage::Second).next().unwrap();
    let written = |outcome| CheckResult {
        id: "marker-write".into(),
        title: String::new(),
        outcome,
        elapsed: Duration::ZERO,
    };
    assert_eq!(list.blocked(read, &[written(CheckOutcome::passed(""))]), None);
    let skipped = CheckOutcome::skipped("requires: a marker is written through pgset-master");
    assert_eq!(list.blocked(read, &[written(CheckOutcome::failed("x"))]), Some(skipped));
    let cleanup = list.stage(Stage::Last).next().unwrap();
    assert_eq!(list.blocked(cleanup, &[]), None);
}

#[test]
fn the_marker_is_gone_or_the_hint_says_how() {
    let row = |n| format!("{{\"kind\":\"left\",\"tables\":{n}}}\n");
    assert_eq!(passed(&judged(&three(), "marker-clean", 0, &row(0), "")), "its table is dropped");
    assert!(reason(&judged(&three(), "marker-clean", 0, &row(1), "")).contains("still exists"));
    match judged(&three(), "marker-clean", 3, "", "\\connect: timeout expired\n") {
        CheckOutcome::Failed { hint: Some(hint), .. } => {
            assert!(hint.starts_with("drop table"), "{hint}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_user_logs_in_as_itself() {
    let row = "{\"kind\":\"login\",\"user\":\"testuser\",\"database\":\"userdb\"}\n";
    assert_eq!(passed(&judged(&three(), "login", 0, row, "")), "database userdb");
    let other = row.replace("testuser", "postgres");
    assert_eq!(reason(&judged(&three(), "login", 0, &other, "")), "logged in as postgres");
}

#[test]
fn roles_are_judged_from_the_facts() {
    assert_eq!(passed(&judged(&three(), "roles", 0, "", "")), "3 pods, 2 Services");
    let wrong = list(
        &[pod(0, Some(false)), pod(1, Some(false))],
        &[service(ServiceRole::Master, &[0]), service(ServiceRole::Replica, &[0])],
    );
    let outcome = judged(&wrong, "roles", 0, "", "");
    assert!(reason(&outcome).contains("Pods pgset-0 and pgset-1 are all writable"), "{outcome:?}");
    assert!(reason(&outcome).contains("Service pgset-replica reaches pgset-0"), "{outcome:?}");
}

#[test]
fn a_master_that_is_away_is_told_once() {
    let topology = crate::set::Topology::default();
    let (here, replica) = (pod(0, Some(false)), pod(1, Some(true)));
    assert_eq!(away(&set(), &topology, &[here, replica.clone()]), None);
    // It answers, but as a replica: the checks say what is wrong.
    assert_eq!(away(&set(), &topology, &[pod(0, Some(true)), replica.clone()]), None);
    let silent = PodFacts { no_answer: Some("PostgreSQL is starting".into()), ..pod(0, None) };
    let stopped = PodFacts { state: "CrashLoopBackOff".into(), ..pod(0, None) };
    for (pods, said) in [
        (
            vec![silent, replica.clone()],
            "the master pgset-0 does not answer: PostgreSQL is starting",
        ),
        (vec![stopped, replica.clone()], "the master pgset-0 is not running: CrashLoopBackOff"),
        (vec![replica], "the master's pod pgset-0 does not exist"),
    ] {
        let list = list(&pods, &[]);
        assert_eq!(list.checks.len(), 1, "{said}");
        assert_eq!(reason(&judged(&list, "master", 0, "", "")), said);
    }
    let full = "FATAL:  sorry, too many clients already".to_owned();
    let list = list(&[PodFacts { no_answer: Some(full), ..pod(0, None) }], &[]);
    match judged(&list, "master", 0, "", "") {
        CheckOutcome::Failed { hint, .. } => assert!(hint.unwrap().contains("max_connections")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_server_is_answered_with_its_limit() {
    let full = "\\connect: connection to server at \"pgset-master\" (10.0.0.1), port 5432 failed: FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute\n";
    for id in ["login", "master-service", "replica-service", "marker-write", "marker-clean"] {
        match judged(&three(), id, 3, "", full) {
            CheckOutcome::Failed { hint: Some(hint), .. } => {
                assert!(hint.contains("max_connections is 100"), "{id}: {hint}");
            }
            other => panic!("{id}: {other:?}"),
        }
    }
}
