//! Clones that are disturbed from outside.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::machine::{give, signal};
use super::set::{Pod, Set};
use super::tls::made;
use super::{code, eventually};

/// Puts a wrapper script for this command first in `PATH`.
fn stand_before(set: &Set, pod: &Pod, command: &str, script: &str) -> Pod {
    let directory = set.make_directory("before");
    // The script prepends the directory of `postgres`, wherever it is, to `PATH`. So a wrapper of
    // `postgres` is needed, too.
    for (name, script) in [(command, script), ("postgres", r#"exec postgres "$@""#)] {
        let path = directory.join(name);
        fs::write(&path, format!("#!/bin/bash\nPATH=${{PATH#*:}}\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let directories = format!("{}:{}", directory.display(), pod.value("PATH"));
    pod.clone().env("PATH", directories)
}

fn has_files(directory: &Path) -> Result<(), String> {
    let entries = fs::read_dir(directory).map_err(|e| e.to_string())?;
    if entries.count() > 3 { Ok(()) } else { Err("few files".to_owned()) }
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn the_master_restarts_during_a_clone() {
    let set = Set::new();
    let (master, server) = set.master();
    master.sql("create table t as select generate_series(1, 1000) a");
    let replica = set.pod(1);
    // The first clone is slow: it would take minutes.
    let slow = r#"[ -e "$PGSET_RUN/slow" ] && exec pg_basebackup "$@"
: >"$PGSET_RUN/slow"; exec pg_basebackup --max-rate=64 "$@""#;
    let mut cloning = stand_before(&set, &replica, "pg_basebackup", slow).start(&[]);
    cloning.says("cloning from");
    eventually("the clone is under way", || has_files(&replica.beside("new")));
    server.stop();
    cloning.says("clone failed: ");
    let _server = master.serve_ready();
    cloning.end().ok().says("cloned in");
    assert!(!replica.beside("new").exists());
    let _standby = replica.serve_ready();
    replica.catches_up_with(&master);
    assert_eq!(replica.sql("select count(*) from t"), "1000");
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_clone_that_is_damaged_on_the_way_does_not_count() {
    let set = Set::new();
    let (_master, _server) = set.master();
    let replica = set.pod(1).env("PGSET_CLONE_TRIES", 2);
    let damage = r#"pg_basebackup "$@" && printf x >>"$PGDATA.new/PG_VERSION""#;
    let damaged = stand_before(&set, &replica, "pg_basebackup", damage);
    let words = ["failed 2 times", "PG_VERSION"];
    damaged.bootstrap().refuses(code::CLONE, &words);
    assert!(!replica.data().exists() && !replica.beside("new").exists());
    replica.bootstrap().ok();
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_replica_waits_for_its_master_and_says_for_what() {
    let set = Set::new();
    let replica = set.pod(1);
    let elsewhere = replica.clone().env("PGSET_MASTER_HOST", "pgset-master.invalid");
    let mut unknown = elsewhere.env("PGSET_MASTER_ADDRESSES", "pgset-master.invalid").start(&[]);
    unknown.says("waiting for pgset-master.invalid:");
    unknown.says("(no address yet), 0 s");
    // When the pod is deleted meanwhile, the script exits at once and does not use up the grace period.
    signal("TERM", &unknown.id().to_string());
    let outcome = unknown.end();
    assert_eq!(outcome.code, 143, "{}", outcome.log);
    assert!(outcome.log.ends_with("stopped by a signal\n"), "{}", outcome.log);

    let mut waiting = replica.start(&[]);
    // Before PostgreSQL 14: `could not connect to server: Connection refused`.
    waiting.says("Connection refused), 0 s");
    let (_master, _server) = set.master();
    waiting.end().ok().says("cloned in");
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn replicas_clone_side_by_side() {
    let set = Set::new();
    let replicas: Vec<Pod> = (1..4).map(|ordinal| set.pod(ordinal)).collect();
    let waiting: Vec<_> = replicas.iter().map(|pod| pod.start(&[])).collect();
    let (master, _server) = set.master();
    for clone in waiting {
        clone.end().ok();
    }
    let _standbys: Vec<_> = replicas.iter().map(Pod::serve_ready).collect();
    for replica in &replicas {
        replica.catches_up_with(&master);
    }
    let names = "select string_agg(application_name, ' ' order by application_name) from pg_stat_replication";
    assert_eq!(master.sql(names), "pgset-1 pgset-2 pgset-3");
    let slots = "select string_agg(slot_name, ' ' order by slot_name) from pg_replication_slots where active";
    assert_eq!(master.sql(slots), "pgset_1 pgset_2 pgset_3");
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn where_one_name_of_the_masters_leads_nowhere_the_other_is_asked() {
    let set = Set::new();
    let (master, _server) = set.master();
    // The server listens only on 127.0.0.1.
    let replica = set.pod(1).env("PGSET_MASTER_ADDRESSES", "127.0.0.2,127.0.0.1");
    replica.bootstrap().ok().says("cloned in");
    let _standby = replica.serve_ready();
    replica.catches_up_with(&master);
}

/// The hosts that a replica tries first for its master.
fn asked(set: &Set, tls: bool) -> String {
    let file = set.path().join("asked");
    let script = format!("printf '%s\\n' \"$*\" >>'{}'; exit 2", file.display());
    let replica = stand_before(set, &set.pod(1), "psql", &script)
        .env("PGSET_MASTER_HOST", "pgset-master")
        .env("PGSET_MASTER_ADDRESSES", "");
    if tls {
        replica.tls("required");
    }
    let waits = "waiting for pgset-master:";
    if replica.data().exists() {
        // Its directory was compared before, so it streams at once.
        replica.bootstrap().ok();
        fs::write(replica.run_file("cloned"), "").unwrap();
        give(&replica.run_file("cloned"));
        // Before PostgreSQL 14: `read only`.
        replica.serve().running().says("database system is ready to accept read");
        // A WAL receiver has no connect timeout, so its configuration contains no address that may become
        // unreachable.
        assert!(replica.bootstrap_conf().contains("primary_conninfo = 'host=''pgset-master'' "));
        drop(replica.comes_back(waits));
    } else {
        replica.start(&[]).says(waits);
    }
    let text = fs::read_to_string(&file).unwrap();
    fs::remove_file(file).unwrap();
    text.lines().next().unwrap().split('\'').nth(1).unwrap().to_owned()
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_new_replica_asks_the_masters_pod_before_its_service() {
    const BOTH: &str = "pgset-0.pgset.pg.svc,pgset-master";
    let set = Set::new();
    assert_eq!(asked(&set, false), BOTH);
    set.record("7000000000000000000");
    assert_eq!(asked(&set, false), BOTH);
    // With a data directory it asks the Service only.
    let replica = set.pod(1);
    set.pod(0).env("PGDATA", replica.data().display()).env("PGSET_TOPOLOGY", "/").bootstrap().ok();
    fs::write(replica.data().join("standby.signal"), "").unwrap();
    give(&replica.data().join("standby.signal"));
    set.record(&replica.identifier());
    assert_eq!(asked(&set, false), "pgset-master");

    // With verification, the script uses only names that the certificate contains.
    for (name, hosts) in [("*.pgset.pg.svc", BOTH), ("*.other.pg.svc", "pgset-master")] {
        let set = Set::new();
        set.certify(&made(None, &["pgset-master", name]), &[]);
        assert_eq!(asked(&set, true), hosts);
    }
}
