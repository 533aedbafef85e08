use super::*;

/// Output of PostgreSQL 15.18.
const MASTER_15: &str = r#"{"kind":"server","version_num":150018,"in_recovery":false,"lsn":"0/6004CE8"}
{"kind":"replica","pid":6970,"usesysid":"10","usename":"postgres","application_name":"pgset-1","client_addr":"10.0.0.1","client_hostname":null,"client_port":60544,"backend_start":"2026-11-24T02:46:48.779933+00:00","backend_xmin":null,"state":"streaming","sent_lsn":"0/6004D20","write_lsn":"0/6004D20","flush_lsn":"0/6004D20","replay_lsn":"0/6004CE0","write_lag":"00:00:00.000378","flush_lag":"00:00:00.000379","replay_lag":"00:00:00.00041","sync_priority":0,"sync_state":"async","reply_time":"2026-11-24T03:02:27.865369+00:00"}
{"kind":"replica","pid":6956,"usesysid":"10","usename":"postgres","application_name":"walreceiver","client_addr":"10.0.0.2","client_hostname":null,"client_port":60528,"backend_start":"2026-11-24T02:46:48.167897+00:00","backend_xmin":null,"state":"catchup","sent_lsn":"0/6004D20","write_lsn":null,"flush_lsn":null,"replay_lsn":null,"write_lag":null,"flush_lag":null,"replay_lag":null,"sync_priority":0,"sync_state":"async","reply_time":null}
{"kind":"slot","slot_name":"old","slot_type":"physical","active":false,"restart_lsn":"0/6000000"}
"#;
/// The same with the column names of 9.5.
const MASTER_9_5: &str = r#"{"kind":"server","version_num":90505,"in_recovery":false,"lsn":"1/10"}
{"kind":"replica","pid":81,"usesysid":16384,"usename":"master","application_name":"pgset-1","client_addr":"10.0.0.1","client_hostname":null,"client_port":36550,"backend_start":"2017-01-20T10:00:00.1+00:00","backend_xmin":null,"state":"streaming","sent_location":"1/0","write_location":"1/0","flush_location":"1/0","replay_location":"0/FFFFFFF0","sync_priority":0,"sync_state":"async"}
"#;

fn observed(stdout: &str) -> Result<Observation, ObserveError> {
    let stdout = stdout.to_owned();
    Observation::parse(&ExecOutput { stdout, exit_code: Some(0), ..ExecOutput::default() })
}

fn pods() -> Vec<(String, String)> {
    [("pgset-1", "10.0.0.1"), ("pgset-2", "10.0.0.2")].map(|(n, a)| (n.into(), a.into())).to_vec()
}

#[test]
fn a_master_of_15_is_read() {
    let seen = observed(MASTER_15).unwrap();
    assert_eq!((seen.version_num, seen.in_recovery), (150_018, false));
    let first = &seen.replicas[0];
    assert_eq!(first.lag_bytes, Some(8));
    assert_eq!(first.replay_lag, Some(Duration::from_micros(410)));
    assert_eq!(first.replay_lsn.unwrap().to_string(), "0/6004CE0");
    assert_eq!(seen.replicas[1].lag_bytes, None);
    assert_eq!(seen.slots[0].retained_bytes, Some(0x4CE8));
    let pods = pods();
    let by_pod = seen.by_pod(&pods);
    assert_eq!(by_pod.streaming().collect::<Vec<_>>(), ["pgset-1"]);
    assert_eq!(by_pod.rows[1].1[0].state, "catchup");
    let late = |lsn: &str| by_pod.late(Lsn::parse(lsn).unwrap()).map(str::to_owned).collect();
    let late: [Vec<String>; 2] = ["0/6004CE0", "0/6004CE1"].map(late);
    assert_eq!(late, [vec![], vec!["pgset-1".to_owned()]], "pgset-2 does not stream");
}

#[test]
fn a_master_of_9_5_is_read_by_its_own_column_names() {
    let seen = observed(MASTER_9_5).unwrap();
    assert_eq!(seen.replicas[0].sent_lsn, Lsn::parse("1/0"));
    assert_eq!(seen.replicas[0].lag_bytes, Some(0x20));
    assert_eq!(seen.replicas[0].replay_lag, None);
    assert!(seen.replicas[0].streams());
}

#[test]
fn a_base_backup_does_not_count_as_streaming() {
    let rows = r#"{"kind":"server","version_num":170000,"in_recovery":false,"lsn":"0/10"}
{"kind":"replica","application_name":"pgset-1","client_addr":"10.0.0.1","state":"backup","sync_state":"async"}
{"kind":"replica","application_name":"pgset-1","client_addr":"10.0.0.1","state":"streaming","sync_state":"async"}
{"kind":"replica","application_name":"pg_basebackup","client_addr":"10.9.9.9","state":"backup","sync_state":"async"}
{"kind":"replica","application_name":"other","client_addr":"10.9.9.8","state":"streaming","sync_state":"async"}
{"kind":"clone","pid":5,"phase":"streaming database files","backup_total":200,"backup_streamed":80,"application_name":"pgset-1","client_addr":"10.0.0.1"}
"#;
    let seen = observed(rows).unwrap();
    let pods = pods();
    let by_pod = seen.by_pod(&pods);
    assert_eq!(by_pod.streaming().count(), 0);
    let strangers: Vec<_> = by_pod.strangers.iter().map(|r| &*r.application_name).collect();
    assert_eq!(strangers, ["other", "pg_basebackup"]);
    assert_eq!(seen.clone_of("pgset-1", "").unwrap().percent, Some(40.0));
    assert_eq!(seen.clone_percent(), Some(40.0));
    assert!(seen.clone_of("pgset-2", "").is_none());
}

#[test]
fn a_clone_of_unknown_size_has_no_percent() {
    let row = |total| {
        format!(
            "{{\"kind\":\"server\",\"version_num\":130000,\"in_recovery\":false,\"lsn\":null}}\n{{\"kind\":\"clone\",\"phase\":\"x\",\"backup_streamed\":300,\"backup_total\":{total}}}"
        )
    };
    assert_eq!(observed(&row("null")).unwrap().clone_percent(), None);
    assert_eq!(observed(&row("0")).unwrap().clone_percent(), None);
    assert_eq!(observed(&row("200")).unwrap().clone_percent(), Some(100.0));
}

#[test]
fn a_pod_is_known_by_name_before_address() {
    let mut row = observed(MASTER_15).unwrap().replicas.remove(0);
    row.client_addr = Some("10.0.0.2".into());
    assert_eq!(match_pod(&row, &pods()), Some("pgset-1"));
    row.application_name = "walreceiver".into();
    assert_eq!(match_pod(&row, &pods()), Some("pgset-2"));
    row.client_addr = Some(String::new());
    assert_eq!(match_pod(&row, &[("pgset-3".into(), String::new())]), None);
}

#[test]
fn other_output_is_an_error() {
    assert_eq!(observed("hello\n{\"kind\":\"replica\"}\n[1]\n"), Err(ObserveError::NoServerRow));
    let failed = ExecOutput {
        stderr: "psql: timeout expired\n".into(),
        exit_code: Some(2),
        ..ExecOutput::default()
    };
    assert_eq!(Observation::parse(&failed), Err(ObserveError::Psql("timeout expired".into())));
}

#[test]
fn positions_and_intervals_are_read() {
    assert_eq!(Lsn::parse("16/B374D848"), Some(Lsn(0x16_B374_D848)));
    for bad in ["", "1", "x/1", "1/100000000", "/"] {
        assert_eq!(Lsn::parse(bad), None, "{bad}");
    }
    assert_eq!(interval("00:01:01.5"), Some(Duration::from_millis(61_500)));
    assert_eq!(interval("1 day 02:00:00"), Some(Duration::from_secs(93_600)));
    assert_eq!(interval("-00:00:01"), Some(Duration::ZERO));
    assert_eq!(interval("soon"), None);
}

#[test]
fn the_script_has_nothing_that_psql_9_5_lacks() {
    let script = observe("pgset-0");
    assert!(!script.stdin.contains("\\if") && !script.stdin.contains("\\gexec"));
    assert!(script.stdin.ends_with("\\quit\n"));
}
