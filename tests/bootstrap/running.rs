//! The server's container: its start, its probes, its shutdown.

use std::fs;
use std::process::Command;

use super::machine::{is_root, signal};
use super::set::{PASSWORDS, Pod, Set};
use super::{code, eventually, skipped};

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn the_probes_and_the_end() {
    let set = Set::new();
    let pod = set.pod(0);
    pod.run(&["serve"]).refuses(code::UNPREPARED, &["the bootstrap has to run first"]);
    pod.bootstrap().ok();
    assert_eq!(pod.run(&["alive"]).code, 1);
    let outcome = pod.run(&["ready"]);
    assert_eq!(outcome.code, 1);
    outcome.says("not ready: ").does_not_say("error: line");
    let server = pod.serve_ready();
    assert_eq!(pod.run(&["alive"]).code, 0);
    assert_eq!(pod.sql("show wal_log_hints"), "on");
    assert_eq!(pod.sql("show max_slot_wal_keep_size"), "32MB");
    assert_eq!(pod.sql("show cluster_name"), "pgset-0");
    // A connected client does not delay the shutdown, because it is a fast one.
    assert_eq!(pod.run(&["checkpoint"]).code, 0);
    server.stop().ok().says("received fast shutdown request").says("database system is shut down");
    pod.run(&["nonsense"]).refuses(2, &["no such subcommand: nonsense"]);
    pod.env("PGSET_USER", "").bootstrap().refuses(2, &["PGSET_USER is not set"]);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn no_secret_is_in_the_servers_environment_or_on_the_volume() {
    let set = Set::new();
    let (pod, mut server) = set.master();
    let environment = fs::read(format!("/proc/{}/environ", server.running().id())).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    assert!(environment.contains("PGDATA="));
    for (_, password) in PASSWORDS {
        assert!(!environment.contains(password));
        let found = Command::new("grep").args(["-rlF", password]).arg(pod.data()).output().unwrap();
        assert_eq!(String::from_utf8(found.stdout).unwrap(), "", "{password} is on the volume");
    }
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn who_may_connect_as_what() {
    let set = Set::new();
    let (pod, _server) = set.master();
    let refused = pod.sql_as("primaryuser", "primary-password", "userdb", "select 1").unwrap_err();
    assert!(refused.contains("pg_hba.conf rejects connection"), "{refused}");
    let replication = "dbname=userdb replication=true";
    let refused =
        pod.sql_as("testuser", "user-password", replication, "IDENTIFY_SYSTEM").unwrap_err();
    assert!(refused.contains("pg_hba.conf rejects replication connection"), "{refused}");
    let answer =
        pod.sql_as("primaryuser", "primary-password", "replication=true", "IDENTIFY_SYSTEM");
    assert!(answer.unwrap().starts_with(&pod.identifier()));
    let wrong = pod.sql_as("testuser", "primary-password", "userdb", "select 1").unwrap_err();
    assert!(wrong.contains("password authentication failed"), "{wrong}");
}

/// What ALTER SYSTEM writes. From PostgreSQL 17 on the set refuses it; older data may contain it.
fn alter_system(pod: &Pod, setting: &str) {
    let path = pod.data().join("postgresql.auto.conf");
    let before = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("{before}{setting}\n")).unwrap();
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn the_bootstraps_word_about_the_master_is_the_last() {
    let set = Set::new();
    let (master, _server) = set.master();
    alter_system(&master, "primary_conninfo = 'host=somewhere.invalid'");
    alter_system(&master, "primary_slot_name = 'other'");
    alter_system(&master, "work_mem = '5MB'");
    let replica = set.pod(1);
    replica.bootstrap().ok();
    let standby = replica.serve_ready();
    replica.catches_up_with(&master);
    assert_eq!(replica.sql("show primary_slot_name"), "pgset_1");
    assert_eq!(replica.sql("show work_mem"), "5MB");
    // The same after a manual change on the replica: the next start corrects it.
    alter_system(&replica, "primary_slot_name = 'other'");
    standby.stop();
    replica.bootstrap().ok();
    let _standby = replica.serve_ready();
    replica.catches_up_with(&master);
}

/// What a killed probe leaves behind becomes a child of process 1. PostgreSQL takes an unknown child that fails for a
/// crash.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn an_orphan_that_fails_does_not_restart_the_server() {
    if !is_root() {
        return skipped("an orphan of process 1: only root makes a PID namespace");
    }
    let set = Set::new();
    let pod = set.pod(0);
    pod.bootstrap().ok();
    let container = pod.clone().in_container();
    let mut server = container.serve_ready();
    let started = pod.sql("select pg_postmaster_start_time()");
    let left = container.exec("exec -a orphan bash -c 'sleep 0.2; exit 2' &");
    assert!(left.success(), "{left}");
    eventually("process 1 has reaped the orphan", || {
        // Not every image has `ps`.
        let gone = container.exec(
            "! grep -qs ') Z ' /proc/[0-9]*/stat && ! grep -qsa ^orphan /proc/[0-9]*/cmdline",
        );
        if gone.success() { Ok(()) } else { Err("an orphan is left".to_owned()) }
    });
    assert_eq!(pod.sql("select pg_postmaster_start_time()"), started);
    let log = server.running().log();
    assert!(!log.contains("exited with exit code"), "{log}");
    server.stop().ok().says("database system is shut down");
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_server_that_hangs_is_killed_and_one_that_stops_is_not() {
    let set = Set::new();
    let pod = set.pod(0).env("PGSET_SILENCE", 1);
    pod.bootstrap().ok();
    let mut server = pod.serve_ready();
    let process = pod.postmaster();
    signal("STOP", &process);
    signal("TERM", &server.running().id().to_string());
    let outcome = server.end().says("has not answered for").says("killing it");
    assert_eq!(outcome.code, 128 + 9);
    // The stopped processes of the dead server are gone with the container. Here they have to be ended.
    pod.kill_servers();
    // The next start recovers, and its lock file is not the one of the dead server.
    let server = pod.serve_ready();
    server.stop().ok().says("was not properly shut down").does_not_say("killing it");
}

/// In a new container the process id in an old lock file may belong to any process.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn the_lock_file_of_a_dead_server_stops_no_start() {
    let set = Set::new();
    let (pod, mut server) = set.master();
    let lock = pod.data().join("postmaster.pid");
    // A second start finds a server at work.
    let second = pod.clone().env("PGSET_LOCK_WAIT", 0).run(&["serve"]);
    second.refuses(code::LOCKED, &["another process holds"]);
    assert!(lock.exists());
    let left = fs::read_to_string(&lock).unwrap();
    signal("QUIT", &server.running().id().to_string());
    server.end();
    let (_, rest) = left.split_once('\n').unwrap();
    let mut other = pod.command("sleep").arg("600").spawn().unwrap();
    fs::write(&lock, format!("{}\n{rest}", other.id())).unwrap();
    pod.serve_ready().stop().ok();
    other.kill().unwrap();
    other.wait().unwrap();
}

/// `alive` checks only the server, not replication.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_replica_whose_master_is_gone_is_alive_and_ready() {
    let set = Set::new();
    let (master, server) = set.master();
    let replica = set.pod(1);
    replica.bootstrap().ok();
    let _standby = replica.serve_ready();
    replica.catches_up_with(&master);
    server.stop();
    eventually("the stream ends", || {
        match replica.sql("select count(*) from pg_stat_wal_receiver").as_str() {
            "0" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    assert_eq!(replica.run(&["alive"]).code, 0);
    assert_eq!(replica.run(&["ready"]).code, 0);
}

/// Writes about 4 MB of the log on the master, and waits until the replica has received all of it.
fn write_and_receive(master: &Pod, replica: &Pod) {
    master.sql("drop table if exists lag");
    master.sql("create table lag as select n, repeat('x', 100) from generate_series(1, 25000) n");
    let position = master.sql("select pg_current_wal_lsn()");
    eventually("the replica receives it", || {
        match replica.sql(&format!("select pg_last_wal_receive_lsn() >= '{position}'")).as_str() {
            "t" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_replica_that_is_too_far_behind_is_not_ready() {
    let set = Set::new();
    let (master, server, replica, _standby) = set.pair();
    let limit = |text: &str| fs::write(replica.in_etc("max-lag"), text).unwrap();
    let until = |pod: &Pod, code: i32, words: &str| {
        eventually(&format!("the probe ends with {code}: {words:?}"), || {
            let probe = pod.run(&["ready"]);
            let said = probe.code == code && probe.log.contains(words);
            if said { Ok(()) } else { Err(format!("{}: {}", probe.code, probe.log)) }
        });
    };
    limit("1000000\n");
    replica.sql("select pg_wal_replay_pause()");
    // Nothing is left to replay.
    assert_eq!(replica.run(&["ready"]).code, 0);
    write_and_receive(&master, &replica);
    until(&replica, 1, "bytes of WAL are not replayed yet, the limit is 1000000 (--max-lag)");
    // Without the file, which an older pgset does not write, and with a larger limit, only the time counts.
    fs::remove_file(replica.in_etc("max-lag")).unwrap();
    assert_eq!(replica.run(&["ready"]).code, 0);
    limit("1000000000000\n");
    assert_eq!(replica.run(&["ready"]).code, 0);
    let hasty = replica.clone().env("PGSET_MAX_DELAY", 1);
    until(&hasty, 1, "WAL that was received more than 1 s ago is not replayed yet");
    limit("1 GB\n");
    let probe = replica.run(&["ready"]);
    let probe = probe.says("max-lag does not contain a number of bytes");
    assert_eq!((probe.code, master.run(&["ready"]).code), (1, 0));
    // Once it has replayed all, the time begins anew.
    limit("1000000\n");
    replica.sql("select pg_wal_replay_resume()");
    until(&hasty, 0, "");
    // Without its master a replica can't know how far it is behind.
    replica.sql("select pg_wal_replay_pause()");
    write_and_receive(&master, &replica);
    until(&replica, 1, "bytes of WAL are not replayed yet");
    server.stop();
    until(&replica, 0, "");
}
