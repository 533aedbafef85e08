//! The whole output at several widths.

use super::*;
use crate::postgres::measurements::{Age, Location, Replay, Space};
use crate::postgres::replication::{Lsn, Observation, ReplicaRow, SlotRow};
use crate::postgres::status::{Endpoint, Facts, PodFacts, ServiceRole, VolumeFacts};
use crate::set::{Role, RunState};

fn pod(ordinal: u32) -> PodFacts {
    let role = if ordinal == 0 { Role::Master } else { Role::Replica };
    PodFacts {
        name: format!("pgset-{ordinal}"),
        ordinal,
        role_label: Some(role),
        in_recovery: Some(role == Role::Replica),
        no_answer: None,
        ready: true,
        state: "Running".into(),
        restarts: 0,
        node: Some("worker-1.example.com".into()),
        image: "postgres:17".into(),
        age: Duration::from_secs(300),
        ip: format!("10.0.0.{ordinal}"),
        measurements: Some(measured(role == Role::Replica)),
    }
}

fn measured(is_standby: bool) -> Measurements {
    let replay = Replay {
        paused: false,
        replayed_lsn: Some(Lsn(0x500_0060)),
        unreplayed_bytes: Some(0),
        last_commit_seconds: Some(9.0),
    };
    let oldest = |age| Some(Age { database: "userdb".into(), age });
    Measurements {
        space: Some(Space { used_bytes: 400 << 20, free_bytes: 600 << 20 }),
        max_lag_bytes: 1 << 30,
        replay: is_standby.then_some(replay),
        wal_bytes: Some(32 << 20),
        wal_keep_bytes: Some(16 << 20),
        transaction_ids: oldest(745),
        multixact_ids: oldest(0),
        ..Measurements::default()
    }
}

fn replica(ordinal: u32) -> ReplicaRow {
    ReplicaRow {
        application_name: format!("pgset-{ordinal}"),
        client_addr: None,
        state: "streaming".into(),
        sync_state: "async".into(),
        sent_lsn: Some(Lsn(0x500_0060)),
        replay_lsn: Some(Lsn(0x500_0060)),
        lag_bytes: Some(0),
        replay_lag: Some(Duration::from_millis(16)),
    }
}

fn service(name: &str, role: ServiceRole, ordinals: &[u32]) -> ServiceFacts {
    let endpoint = |ordinal: &u32| Endpoint {
        pod: Some(format!("pgset-{ordinal}")),
        address: format!("10.0.0.{ordinal}"),
    };
    ServiceFacts {
        name: name.into(),
        role,
        cluster_ip: "10.96.159.127".into(),
        port: 5432,
        endpoints: ordinals.iter().map(endpoint).collect(),
    }
}

fn volume(ordinal: u32) -> VolumeFacts {
    VolumeFacts {
        claim: format!("pgdata-pgset-{ordinal}"),
        volume: Some(format!("pvc-bd552125-0d6f-49f5-a474-df9a6660cca{ordinal}")),
        class: Some("standard".into()),
        capacity: "1Gi".into(),
        phase: "Bound".into(),
        pods: vec![format!("pgset-{ordinal}")],
        space: None,
    }
}

fn facts() -> Facts {
    let slot = |ordinal: u32| SlotRow {
        name: format!("pgset_{ordinal}"),
        kind: "physical".into(),
        active: true,
        retained_bytes: Some(0),
        wal_status: Some("reserved".into()),
        safe_wal_bytes: None,
    };
    Facts {
        set: "pgset".into(),
        namespace: "demo".into(),
        state: RunState::Running,
        desired_replicas: 3,
        pods: (0..3).map(pod).collect(),
        observation: Some(Observation {
            version_num: 170_012,
            in_recovery: false,
            lsn: Some(Lsn(0x500_0060)),
            synchronous: 0,
            max_connections: Some(100),
            pending_restart: None,
            replicas: vec![replica(1), replica(2)],
            clones: Vec::new(),
            slots: vec![slot(1), slot(2)],
        }),
        services: vec![
            service("pgset", ServiceRole::Headless, &[0, 1, 2]),
            service("pgset-master", ServiceRole::Master, &[0]),
            service("pgset-replica", ServiceRole::Replica, &[1, 2]),
        ],
        volumes: (0..3).map(volume).collect(),
        tls: None,
        problems: Vec::new(),
        explained: Vec::new(),
        previous_template: Vec::new(),
        master: None,
        warnings: Vec::new(),
        hint: None,
    }
}

/// The master's image can't be pulled; the replica's volume is not bound.
fn sick() -> Status {
    let mut facts = facts();
    facts.observation = None;
    facts.pods.truncate(2);
    for pod in &mut facts.pods {
        pod.in_recovery = None;
        pod.measurements = None;
        pod.ready = false;
    }
    facts.pods[0].state = "ImagePullBackOff".into();
    facts.pods[0].image = "postgres:71".into();
    facts.pods[1].state = "Pending".into();
    facts.pods[1].node = None;
    facts.services.iter_mut().for_each(|service| service.endpoints.clear());
    facts.volumes.truncate(2);
    facts.volumes[1].phase = "Pending".into();
    facts.volumes[1].volume = None;
    Status {
        problems: vec![
            "Pod pgset-0: Back-off pulling image \"postgres:71\": \
             docker.io/library/postgres:71: not found"
                .into(),
            "the certificate expires on 2027-11-24: `pgset up -n demo --tls-secret mine` renews it"
                .into(),
        ],
        ..Status::new(facts)
    }
}

fn shown(status: &Status, width: impl Into<Option<usize>>, wide: bool) -> String {
    human(status, View { width: width.into(), color: false, wide })
}

#[test]
fn everything_but_the_wide_columns_is_shown_where_there_is_room() {
    let status = Status::new(facts());
    for width in [None, Some(200), Some(80)] {
        assert_eq!(
            shown(&status, width, false),
            "\
demo/pgset is healthy, PostgreSQL 17.12 (postgres:17)

pods
  NAME     LABEL    POSTGRESQL  READY  STATE    RESTARTS  AGE
  pgset-0  master   master      yes    Running  0         5m
  pgset-1  replica  replica     yes    Running  0         5m
  pgset-2  replica  replica     yes    Running  0         5m

replication
  REPLICA  STATE      SYNC   BEHIND  DELAY  REPLAYED
  pgset-1  streaming  async  0 B     16 ms  0/5000060
  pgset-2  streaming  async  0 B     16 ms  0/5000060

slots
  NAME     KIND      USED  KEEPS
  pgset_1  physical  yes   0 B
  pgset_2  physical  yes   0 B

services
  NAME           ADDRESS        PORT  ENDPOINTS
  pgset          10.96.159.127  5432  pgset-0, pgset-1, pgset-2
  pgset-master   10.96.159.127  5432  pgset-0
  pgset-replica  10.96.159.127  5432  pgset-1, pgset-2

volumes
  CLAIM           PHASE  CAPACITY  FREE            CLASS     PODS
  pgdata-pgset-0  Bound  1Gi       600 MiB (60 %)  standard  pgset-0
  pgdata-pgset-1  Bound  1Gi       600 MiB (60 %)  standard  pgset-1
  pgdata-pgset-2  Bound  1Gi       600 MiB (60 %)  standard  pgset-2
",
            "{width:?}"
        );
    }
}

#[test]
fn a_narrow_terminal_gets_the_most_important_columns_or_blocks() {
    assert_eq!(
        shown(&Status::new(facts()), 40, false),
        "\
demo/pgset is healthy, PostgreSQL
  17.12 (postgres:17)

pods
  NAME     POSTGRESQL  READY  STATE
  pgset-0  master      yes    Running
  pgset-1  replica     yes    Running
  pgset-2  replica     yes    Running

replication
  REPLICA  STATE      SYNC   BEHIND
  pgset-1  streaming  async  0 B
  pgset-2  streaming  async  0 B

slots
  NAME     KIND      USED  KEEPS
  pgset_1  physical  yes   0 B
  pgset_2  physical  yes   0 B

services
  pgset
    address    10.96.159.127
    port       5432
    endpoints  pgset-0, pgset-1, pgset-2
  pgset-master
    address    10.96.159.127
    port       5432
    endpoints  pgset-0
  pgset-replica
    address    10.96.159.127
    port       5432
    endpoints  pgset-1, pgset-2

volumes
  CLAIM           PHASE  FREE
  pgdata-pgset-0  Bound  600 MiB (60 %)
  pgdata-pgset-1  Bound  600 MiB (60 %)
  pgdata-pgset-2  Bound  600 MiB (60 %)
"
    );
}

#[test]
fn the_wide_view_has_every_column() {
    let status = Status::new(facts());
    for width in [None, Some(200)] {
        assert_eq!(
            shown(&status, width, true),
            "\
demo/pgset is healthy, PostgreSQL 17.12 (postgres:17)

pods
  NAME     LABEL    POSTGRESQL  READY  STATE    RESTARTS  AGE  NODE                  IMAGE
  pgset-0  master   master      yes    Running  0         5m   worker-1.example.com  postgres:17
  pgset-1  replica  replica     yes    Running  0         5m   worker-1.example.com  postgres:17
  pgset-2  replica  replica     yes    Running  0         5m   worker-1.example.com  postgres:17

replication
  REPLICA  STATE      SYNC   BEHIND  DELAY  REPLAYED
  pgset-1  streaming  async  0 B     16 ms  0/5000060
  pgset-2  streaming  async  0 B     16 ms  0/5000060

slots
  NAME     KIND      USED  KEEPS  WAL       LOST AFTER
  pgset_1  physical  yes   0 B    reserved  -
  pgset_2  physical  yes   0 B    reserved  -

services
  NAME           ADDRESS        PORT  ENDPOINTS
  pgset          10.96.159.127  5432  pgset-0, pgset-1, pgset-2
  pgset-master   10.96.159.127  5432  pgset-0
  pgset-replica  10.96.159.127  5432  pgset-1, pgset-2

volumes
  CLAIM           PHASE  CAPACITY  USED     FREE            CLASS     VOLUME                                    PODS
  pgdata-pgset-0  Bound  1Gi       400 MiB  600 MiB (60 %)  standard  pvc-bd552125-0d6f-49f5-a474-df9a6660cca0  pgset-0
  pgdata-pgset-1  Bound  1Gi       400 MiB  600 MiB (60 %)  standard  pvc-bd552125-0d6f-49f5-a474-df9a6660cca1  pgset-1
  pgdata-pgset-2  Bound  1Gi       400 MiB  600 MiB (60 %)  standard  pvc-bd552125-0d6f-49f5-a474-df9a6660cca2  pgset-2

servers
  POD      PG_WAL  KEPT BY                 TRANSACTION IDS  MULTIXACT IDS  OLDEST TRANSACTION  OLDEST PREPARED  CHECKSUM FAILURES  OLD COLLATIONS
  pgset-0  32 MiB  wal_keep_size (16 MiB)  745              0              -                   -                0                  0
  pgset-1  32 MiB  -                       745              0              -                   -                0                  0
  pgset-2  32 MiB  -                       745              0              -                   -                0                  0
",
            "{width:?}"
        );
    }
    // Where there is no room, it has the same as blocks.
    let text = shown(&status, 80, true);
    assert!(text.lines().all(|line| console::measure_text_width(line) <= 80), "{text}");
    for line in [
        "  pgset-0\n    label       master\n    postgresql  master\n    ready       yes\n",
        "    node        worker-1.example.com\n    image       postgres:17\n  pgset-1\n",
        "    volume    pvc-bd552125-0d6f-49f5-a474-df9a6660cca0\n    pods      pgset-0\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn tablespaces_are_shown_if_there_are_any() {
    let mut facts = facts();
    let measured = facts.pods[0].measurements.as_mut().unwrap();
    let location = |name: &str, location: &str| Location {
        name: name.into(),
        location: location.into(),
        volume: "/pgdata".into(),
    };
    measured.tablespaces = vec![location("fast", "/pgdata/fast"), location("lost", "/tmp/x")];
    measured.tablespace_bytes = [("fast".to_owned(), 7 << 20)].into();
    let text = shown(&Status::new(facts), None, false);
    let table = "\ntablespaces\n  NAME  LOCATION      SIZE\n  fast  /pgdata/fast  7 MiB\n  lost  /tmp/x        -\n\nservices\n";
    assert!(text.contains(table), "{text}");
    assert!(
        text.contains("  warning: tablespace lost is at /tmp/x, outside the volume: "),
        "{text}"
    );
}

#[test]
fn problems_wrap_and_commands_do_not() {
    assert_eq!(
        shown(&sick(), 40, false),
        "\
demo/pgset is down
  images: postgres:71 (pgset-0),
    postgres:17 (pgset-1)
  ✗ Pod pgset-0: Back-off pulling image
    \"postgres:71\":
    docker.io/library/postgres:71: not
    found
  ✗ the certificate expires on
    2027-11-24:
    `pgset up -n demo --tls-secret mine`
    renews it

pods
  NAME     POSTGRESQL  STATE
  pgset-0  -           ImagePullBackOff
  pgset-1  -           Pending

services
  NAME           ENDPOINTS
  pgset          none
  pgset-master   none
  pgset-replica  none

volumes
  CLAIM           PHASE    CAPACITY
  pgdata-pgset-0  Bound    1Gi
  pgdata-pgset-1  Pending  1Gi
"
    );
    assert_eq!(
        shown(&sick(), 80, false),
        "\
demo/pgset is down
  images: postgres:71 (pgset-0), postgres:17 (pgset-1)
  ✗ Pod pgset-0: Back-off pulling image \"postgres:71\":
    docker.io/library/postgres:71: not found
  ✗ the certificate expires on 2027-11-24: `pgset up -n demo --tls-secret mine`
    renews it

pods
  NAME     LABEL    POSTGRESQL  READY  STATE             RESTARTS  AGE
  pgset-0  master   -           no     ImagePullBackOff  0         5m
  pgset-1  replica  -           no     Pending           0         5m

services
  NAME           ADDRESS        PORT  ENDPOINTS
  pgset          10.96.159.127  5432  none
  pgset-master   10.96.159.127  5432  none
  pgset-replica  10.96.159.127  5432  none

volumes
  CLAIM           PHASE    CAPACITY  CLASS     PODS
  pgdata-pgset-0  Bound    1Gi       standard  pgset-0
  pgdata-pgset-1  Pending  1Gi       standard  pgset-1
"
    );
    let wide = shown(&sick(), None, true);
    for line in [
        "  ✗ Pod pgset-0: Back-off pulling image \"postgres:71\": \
         docker.io/library/postgres:71: not found\n",
        "  pgset-1  replica  -           no     Pending           0         5m   \
         -                     postgres:17\n",
    ] {
        assert!(wide.contains(line), "{wide}");
    }
}

#[test]
fn no_line_is_too_wide() {
    for status in [Status::new(facts()), sick()] {
        for (width, wide) in (40..120).flat_map(|width| [(width, false), (width, width > 55)]) {
            let text = shown(&status, width, wide);
            for line in text.lines() {
                assert!(console::measure_text_width(line) <= width, "{width}: {line}");
            }
        }
    }
}

#[test]
fn colour_changes_nothing_else() {
    let colored = human(&sick(), View { width: Some(40), color: true, wide: false });
    assert!(colored.starts_with("demo/pgset is \u{1b}[31mdown\u{1b}[0m\n"), "{colored:?}");
    assert_eq!(console::strip_ansi_codes(&colored), shown(&sick(), 40, false));
}
