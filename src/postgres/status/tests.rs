use super::*;
use crate::postgres::measurements::Replay;
use crate::postgres::replication::{Lsn, ReplicaRow};

pub(super) fn pod(ordinal: u32, role: Role) -> PodFacts {
    PodFacts {
        name: format!("pgset-{ordinal}"),
        ordinal,
        role_label: Some(role),
        in_recovery: Some(role == Role::Replica),
        no_answer: None,
        ready: true,
        state: "Running".into(),
        restarts: 0,
        node: Some("node-1".into()),
        image: "crunchydata/crunchy-postgres:centos7-9.5-1.2.6".into(),
        age: Duration::from_secs(300),
        ip: format!("10.0.0.{ordinal}"),
        measurements: None,
    }
}

fn service(name: &str, role: ServiceRole, ordinal: u32) -> ServiceFacts {
    let endpoint =
        Endpoint { pod: Some(format!("pgset-{ordinal}")), address: format!("10.0.0.{ordinal}") };
    let cluster_ip = "10.96.0.1".into();
    ServiceFacts { name: name.into(), role, cluster_ip, port: 5432, endpoints: vec![endpoint] }
}

fn row(pod: &str) -> ReplicaRow {
    ReplicaRow {
        application_name: pod.into(),
        client_addr: None,
        state: "streaming".into(),
        sync_state: "async".into(),
        sent_lsn: Some(Lsn(0x20)),
        replay_lsn: Some(Lsn(0x10)),
        lag_bytes: Some(1600),
        replay_lag: Some(Duration::from_millis(3)),
    }
}

pub(super) fn volume() -> VolumeFacts {
    VolumeFacts {
        claim: "pgset-pvc".into(),
        volume: Some("pv1".into()),
        class: None,
        capacity: "100M".into(),
        phase: "Bound".into(),
        pods: vec!["pgset-0".into(), "pgset-1".into()],
        space: None,
    }
}

/// What a standby measures that has replayed up to here, and has more to replay.
fn replay(paused: bool, replayed: u64) -> Measurements {
    let replay = Replay {
        paused,
        replayed_lsn: Some(Lsn(replayed)),
        unreplayed_bytes: Some(1),
        last_commit_seconds: Some(9000.0),
    };
    let max_lag_bytes = 1 << 30;
    Measurements { replay: Some(replay), max_lag_bytes, ..Measurements::default() }
}

fn facts() -> Facts {
    Facts {
        set: "pgset".into(),
        namespace: "ns".into(),
        state: RunState::Running,
        desired_replicas: 2,
        pods: vec![pod(1, Role::Replica), pod(0, Role::Master)],
        observation: Some(Observation {
            version_num: 90_505,
            in_recovery: false,
            lsn: Some(Lsn(0x20)),
            synchronous: 0,
            max_connections: Some(100),
            pending_restart: None,
            replicas: vec![row("pgset-1")],
            clones: Vec::new(),
            slots: Vec::new(),
        }),
        services: vec![
            service("pgset-master", ServiceRole::Master, 0),
            service("pgset-replica", ServiceRole::Replica, 1),
        ],
        volumes: vec![volume()],
        tls: None,
        problems: Vec::new(),
        explained: Vec::new(),
        previous_template: Vec::new(),
        master: None,
        warnings: Vec::new(),
        hint: None,
    }
}

fn changed(change: impl FnOnce(&mut Facts)) -> (Health, String) {
    let mut facts = facts();
    change(&mut facts);
    let status = Status::new(facts);
    (status.health, status.problems.join("\n"))
}

/// An expected problem, and the change that causes it.
type Case = (&'static str, fn(&mut Facts));

#[test]
fn nothing_wrong_is_healthy() {
    assert_eq!(changed(|_| ()), (Health::Healthy, String::new()));
}

#[test]
fn without_a_writable_master_it_is_down() {
    let cases: [Case; 5] = [
        ("no pod is a writable master", |f| f.pods[1].in_recovery = Some(true)),
        ("the master pgset-0 is not ready", |f| f.pods[1].ready = false),
        ("no pod runs", |f| f.pods.clear()),
        ("Service pgset-master does not reach the master", |f| f.services[0].endpoints.clear()),
        ("there is no Service of the master", |f| f.services.clear()),
    ];
    for (problem, change) in cases {
        let (health, problems) = changed(change);
        assert_eq!(health, Health::Down, "{problem}");
        assert!(problems.starts_with(problem), "{problems}");
    }
}

#[test]
fn a_cause_comes_first_and_its_results_are_not_told() {
    let (health, problems) = changed(|f| {
        f.problems.push("Pods pgset-0 and pgset-1: image x can't be pulled".into());
        f.explained = vec!["pgset-0".into(), "pgset-1".into()];
        f.observation = None;
        for pod in &mut f.pods {
            (pod.ready, pod.in_recovery, pod.role_label) = (false, None, None);
        }
        f.services.iter_mut().for_each(|service| service.endpoints.clear());
    });
    assert_eq!(health, Health::Down);
    assert_eq!(
        problems,
        "Pods pgset-0 and pgset-1: image x can't be pulled\nno pod is a writable master"
    );
}

#[test]
fn a_server_that_accepts_no_more_connections_comes_with_its_limit() {
    let mut full = facts();
    full.pods[0].in_recovery = None;
    full.pods[0].no_answer = Some("FATAL:  sorry, too many clients already".into());
    assert!(Status::new(full.clone()).hint.unwrap().contains("max_connections"));
    // A hint about a cause that is known comes first.
    full.hint = Some("chown".to_owned());
    assert_eq!(Status::new(full).hint.unwrap(), "chown");
    assert_eq!(Status::new(facts()).hint, None);
}

#[test]
fn anything_else_wrong_is_degraded() {
    let cases: [Case; 13] = [
        ("Pod pgset-1 cannot be queried (pg_is_in_recovery() failed): timeout expired", |f| {
            f.pods[0].in_recovery = None;
            f.pods[0].no_answer = Some("timeout expired".into());
        }),
        ("0 of 1 replicas stream", |f| f.observation.as_mut().unwrap().replicas.clear()),
        ("Pod pgset-1 is in state catchup", |f| {
            f.observation.as_mut().unwrap().replicas[0].state = "catchup".into();
        }),
        ("Pod pgset-1 has 2 rows", |f| {
            f.observation.as_mut().unwrap().replicas.push(row("pgset-1"));
        }),
        ("replication cannot be checked: the master cannot be queried", |f| f.observation = None),
        ("Pod pgset-1 is not ready: CrashLoopBackOff", |f| {
            f.pods[0].ready = false;
            f.pods[0].state = "CrashLoopBackOff".into();
        }),
        ("2 pods, expected 3", |f| f.desired_replicas = 3),
        ("Pod pgset-1 is labelled master and is in recovery", |f| {
            f.pods[0].role_label = Some(Role::Master);
        }),
        ("Pod pgset-1 has no role label", |f| f.pods[0].role_label = None),
        ("Service pgset-replica reaches pgset-0, which is writable", |f| {
            f.services[1] = service("pgset-replica", ServiceRole::Replica, 0);
        }),
        ("Service pgset-replica does not reach pgset-1", |f| f.services[1].endpoints.clear()),
        ("claim pgset-pvc is Pending", |f| f.volumes[0].phase = "Pending".into()),
        ("quota exceeded", |f| f.problems.push("quota exceeded".into())),
    ];
    for (problem, change) in cases {
        let (health, problems) = changed(change);
        assert_eq!(health, Health::Degraded, "{problem}");
        assert!(problems.contains(problem), "{problem}: {problems}");
    }
}

#[test]
fn a_replica_that_is_paused_or_behind_is_degraded() {
    let paused = "Pod pgset-1: replay is paused, 1.5 KiB behind the master; ";
    let cases: [Case; 4] = [
        (paused, |f| f.pods[0].measurements = Some(replay(true, 0x10))),
        // The master does not know this replica: the replica itself says how far it has replayed.
        ("Pod pgset-1 is behind the master by 2 GiB, more than 1 GiB (--max-lag); ", |f| {
            f.pods[0].measurements = Some(replay(false, 0x10));
            let observation = f.observation.as_mut().unwrap();
            observation.replicas.clear();
            observation.lsn = Some(Lsn((2 << 30) + 0x10));
        }),
        ("Pod pgset-1 is behind the master by 400 s, more than 300 s; ", |f| {
            f.pods[0].measurements = Some(replay(false, 0x10));
            let row = &mut f.observation.as_mut().unwrap().replicas[0];
            row.replay_lag = Some(Duration::from_secs(400));
        }),
        ("Pod pgset-1 is behind the master by 9000 s, more than 300 s; ", |f| {
            f.pods[0].measurements = Some(replay(false, 0x10));
            f.observation.as_mut().unwrap().replicas[0].replay_lag = None;
        }),
    ];
    for (problem, change) in cases {
        let (health, problems) = changed(change);
        assert_eq!(health, Health::Degraded, "{problem}");
        assert!(problems.starts_with(problem), "{problem}: {problems}");
    }
    // In a long transaction the last commit is old, and the replica replays all at once.
    let kept_up = changed(|f| f.pods[0].measurements = Some(replay(false, 0x10)));
    assert_eq!(kept_up, (Health::Healthy, String::new()));
}

#[test]
fn a_pause_is_told_while_the_master_is_away() {
    let (health, problems) = changed(|f| {
        f.observation = None;
        f.pods[0].measurements = Some(replay(true, 0x10));
    });
    assert_eq!(health, Health::Degraded);
    assert!(problems.starts_with("Pod pgset-1: replay is paused; "), "{problems}");
}

#[test]
fn the_slot_of_a_replica_that_is_behind_is_no_news_and_a_lost_one_is() {
    let slot = |wal_status: &str, retained_bytes| SlotRow {
        name: "pgset_1".into(),
        kind: "physical".into(),
        active: true,
        retained_bytes,
        wal_status: Some(wal_status.into()),
        safe_wal_bytes: None,
    };
    let (_, problems) = changed(|f| {
        f.pods[0].measurements = Some(replay(true, 0x10));
        f.observation.as_mut().unwrap().slots.push(slot("extended", Some(5 << 30)));
    });
    assert!(!problems.contains("slot"), "{problems}");
    let (_, problems) = changed(|f| {
        f.observation.as_mut().unwrap().slots.push(slot("extended", Some(5 << 30)));
    });
    assert!(problems.starts_with("slot pgset_1 keeps 5 GiB of WAL, "), "{problems}");
    let (health, problems) = changed(|f| {
        f.pods[0].ready = false;
        f.observation.as_mut().unwrap().slots.push(slot("lost", None));
    });
    assert_eq!(health, Health::Degraded);
    let words = "slot pgset_1 is lost, because it kept more than max_slot_wal_keep_size; `pgset restart pgset-1` clones the replica again";
    assert!(problems.contains(words), "{problems}");
}

#[test]
fn an_idle_slot_is_named_with_what_it_keeps() {
    let (health, problems) = changed(|f| {
        f.observation.as_mut().unwrap().slots.push(SlotRow {
            name: "old".into(),
            kind: "physical".into(),
            active: false,
            retained_bytes: Some(16),
            wal_status: Some("reserved".into()),
            safe_wal_bytes: None,
        });
    });
    assert_eq!(health, Health::Degraded);
    assert_eq!(problems, "slot old is inactive and retains 16 bytes of WAL");
}

#[test]
fn problems_come_first_and_pods_in_order() {
    let mut facts = facts();
    facts.problems.push("the disk\u{1b}[2J is full".into());
    let text = human(&Status::new(facts), View::default());
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("ns/pgset is degraded, PostgreSQL 9.5.5 ("), "{text}");
    assert_eq!(lines[1], "  ✗ the disk [2J is full");
    let at = |needle: &str| text.find(needle).unwrap_or_else(|| panic!("{needle}: {text}"));
    assert!(at("pgset-0") < at("pgset-1") && at("pods\n") < at("replication\n"));
    assert!(at("services\n") < at("volumes\n"));
    assert!(text.contains("1.5 KiB") && text.contains("3 ms") && text.contains("0/10"), "{text}");
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn the_document_is_versioned() {
    let value = serde_json::to_value(Status::new(facts())).unwrap();
    assert_eq!(value["version"], 1);
    assert_eq!(value["health"], "healthy");
    assert_eq!(value["pods"][0]["age_seconds"], 300);
    assert_eq!(value["replication"][0]["row"]["replay_lsn"], "0/10");
    assert_eq!(value["replication"][0]["row"]["replay_lag_seconds"], 0.003);
    let lag = &value["replication"][0]["lag"];
    assert_eq!((&lag["bytes"], &lag["max_bytes"]), (&1600.into(), &(1_u64 << 30).into()));
}

#[test]
fn versions_are_read() {
    for (number, text) in
        [(90_505, "9.5.5"), (90_624, "9.6.24"), (100_003, "10.3"), (180_001, "18.1")]
    {
        assert_eq!(version(number), text);
    }
}

#[test]
fn commits_that_can_not_end_are_a_problem_and_a_restart_that_is_due_too() {
    let mut facts = facts();
    let observation = facts.observation.as_mut().unwrap();
    observation.synchronous = 1;
    for row in &mut observation.replicas {
        row.sync_state = "quorum".to_owned();
    }
    let status = Status::new(facts.clone());
    assert_eq!(status.health, Health::Healthy, "{:?}", status.problems);
    let text = human(&status, View::default());
    assert!(
        text.lines().next().unwrap().ends_with(", 1 replica must confirm each commit"),
        "{text}"
    );
    let observation = facts.observation.as_mut().unwrap();
    observation.synchronous = 2;
    for row in &mut observation.replicas {
        row.sync_state = "async".to_owned();
    }
    observation.pending_restart = Some("max_connections".to_owned());
    let status = Status::new(facts);
    assert_eq!(
        status.problems,
        [
            "2 replicas must confirm each commit, but only 0 can: every commit waits",
            "the master needs a restart to apply max_connections: pgset up restarts it",
        ]
    );
}

fn at_rest(state: RunState, change: impl FnOnce(&mut Facts)) -> Status {
    let mut facts = facts();
    (facts.state, facts.observation, facts.desired_replicas) = (state, None, 0);
    facts.pods.clear();
    facts.services.iter_mut().for_each(|service| service.endpoints.clear());
    facts.volumes[0].pods.clear();
    change(&mut facts);
    Status::new(facts)
}

fn stopped() -> RunState {
    let since = "2026-11-24T02:00:00Z".parse().unwrap();
    let record = crate::set::StopRecord { by: "joe@laptop".into(), since };
    RunState::Stopped { record, recorded_replicas: 3 }
}

#[test]
fn a_set_without_pods_says_why_and_what_starts_it() {
    let scaled =
        |by: &str| RunState::ScaledToZero { by: Some(by.to_owned()), recorded_replicas: 1 };
    let start = "`pgset start` starts 1 pod";
    for (state, health, first) in [
        (
            stopped(),
            Health::Stopped,
            "ns/pgset is stopped (by joe@laptop, 2026-11-24 02:00 UTC); `pgset start` starts 3 pods"
                .to_owned(),
        ),
        (
            scaled("kube\u{1b}[2Jctl"),
            Health::Down,
            format!("ns/pgset is down; scaled to 0 by kube [2Jctl; {start}"),
        ),
    ] {
        let status = at_rest(state, |_| ());
        assert_eq!((status.health, &status.problems), (health, &Vec::new()));
        let text = human(&status, View::default());
        assert_eq!(text.lines().next(), Some(first.as_str()));
        assert!(!text.contains("hint:") && text.contains("pgset-pvc"), "{text}");
    }
    let down = Status::down("pgset", "ns", Some("2 volumes (2 GiB)".into()), Vec::new());
    let first = "ns/pgset is down; data kept on 2 volumes (2 GiB); `pgset up` starts it again\n";
    assert_eq!((down.health, human(&down, View::default()).as_str()), (Health::Down, first));
    let unknown = Status::down("pgset", "ns", None, Vec::new());
    let first = "ns/pgset is down; `pgset up` starts it again\n";
    assert_eq!(human(&unknown, View::default()), first);
}

#[test]
fn pods_that_are_left_and_lost_volumes_of_a_stopped_set_are_problems() {
    let status = at_rest(stopped(), |facts| {
        facts.pods = vec![pod(1, Role::Replica), pod(0, Role::Master)];
        facts.volumes[0].phase = "Lost".into();
    });
    assert_eq!(status.health, Health::Stopped);
    assert_eq!(status.problems, ["2 pods still to be deleted", "claim pgset-pvc is Lost"]);
    assert_eq!(status.pods[0].name, "pgset-0");
}
