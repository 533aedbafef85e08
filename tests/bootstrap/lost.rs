//! Replicas that were away: the needed WAL still exists, or is gone, or the replica has more than the master.

use std::fs;
use std::process::Command;

use super::machine::give;
use super::set::{Pod, Set};
use super::{code, eventually, skipped};
use crate::support::mount::Mount;

/// Writes so much that a slot with a limit is lost and WAL files are removed.
pub(super) fn write_past_the_limit(master: &Pod) {
    master.sql("create table if not exists filler (a int)");
    for _ in 0..4 {
        master.sql("insert into filler select generate_series(1, 1000)");
        master.sql("select pg_switch_wal()");
    }
    master.sql("checkpoint");
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_replica_that_comes_back_goes_on() {
    let set = Set::new();
    let (master, _server, replica, standby) = set.pair();
    standby.stop();
    master.sql("create table meanwhile (a int)");
    let standby = replica.comes_back("continues as a standby");
    replica.catches_up_with(&master);
    assert_eq!(replica.sql("select count(*) from meanwhile"), "0");

    // The replica is killed, not stopped, after the last WAL file was completed.
    master.sql("select pg_switch_wal()");
    replica.catches_up_with(&master);
    drop(standby);
    let mut standby = replica.comes_back("continues as a standby");
    replica.catches_up_with(&master);
    assert!(!standby.running().log().contains("clon"));

    // Any user can write text into the WAL, which pg_waldump prints as it is.
    for prefix in [
        "'a, lsn: FF/0, b'",
        "E'a\nb'",
        "E'a\nrmgr: XLOG len (rec/tot): 1/ 1, tx: 0, lsn: FF/0, prev 0/1, desc: b'",
    ] {
        drop(standby);
        master.sql(&format!("select pg_logical_emit_message(false, {prefix}, 'x')"));
        standby = replica.comes_back("continues as a standby");
        replica.catches_up_with(&master);
        assert!(!replica.sql("show pgset.wal_end").contains("FF/"));
        standby.stop();
        master.sql(&format!("select pg_logical_emit_message(false, {prefix}, 'x')"));
        standby = replica.comes_back("continues as a standby");
        replica.catches_up_with(&master);
    }
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_slot_that_was_dropped_is_made_again_when_the_wal_is_there() {
    let set = Set::new();
    let (master, _server, replica, standby) = set.pair();
    standby.stop();
    master.sql("select pg_drop_replication_slot('pgset_1')");
    master.sql("create table meanwhile (a int)");
    let mut standby = replica.comes_back("created slot pgset_1");
    standby.running().says("continues as a standby");
    replica.catches_up_with(&master);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn wal_that_is_gone_means_another_clone_and_the_old_one_stays_until_it_streams() {
    let set = Set::new();
    for dropped in [false, true] {
        let (master, server, replica, standby) = set.pair();
        standby.stop();
        if dropped {
            master.sql("select pg_drop_replication_slot('pgset_1')");
        }
        write_past_the_limit(&master);
        let mut standby = replica.comes_back("no longer has the WAL");
        standby.running().says("cloned in");
        standby.running().says("is streaming: ");
        standby.running().says("is deleted");
        assert!(!replica.beside("old").exists());
        replica.catches_up_with(&master);
        drop(standby);
        drop(server);
        for pod in [&master, &replica] {
            fs::remove_dir_all(pod.data()).unwrap();
        }
    }
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn more_than_the_master_has_is_never_discarded() {
    let set = Set::new();
    let (master, server, replica, standby) = set.pair();
    // The master's volume is reset to an older copy, as by a restore.
    drop(server);
    let copy = set.path().join("copy");
    let copied = Command::new("cp").arg("-a").arg(master.data()).arg(&copy).status().unwrap();
    assert!(copied.success());
    let server = master.serve_ready();
    replica.catches_up_with(&master);
    master.sql("create table more as select generate_series(1, 100000) a; checkpoint");
    replica.catches_up_with(&master);
    replica.sql("checkpoint");
    standby.stop();
    server.stop();
    fs::remove_dir_all(master.data()).unwrap();
    fs::rename(&copy, master.data()).unwrap();
    let server = master.serve_ready();
    let words = [
        "has diverged from the master",
        "bytes of WAL after",
        "nothing was deleted",
        "pgset rejoin pgset-1 -n pg",
    ];
    replica.is_refused(code::DIVERGED, &words);
    assert!(replica.data().join("PG_VERSION").exists() && !replica.beside("old").exists());
    drop(server);

    // The replica is ahead by a single record, which neither segment names nor checkpoints show.
    fs::remove_dir_all(replica.data()).unwrap();
    let server = master.serve_ready();
    replica.bootstrap().ok();
    let standby = replica.serve_ready();
    replica.catches_up_with(&master);
    drop(standby);
    drop(server);
    let copied = Command::new("cp").arg("-a").arg(master.data()).arg(&copy).status().unwrap();
    assert!(copied.success());
    let server = master.serve_ready();
    let standby = replica.comes_back("continues as a standby");
    master.sql("create table one_more ()");
    replica.catches_up_with(&master);
    drop(standby);
    drop(server);
    fs::remove_dir_all(master.data()).unwrap();
    fs::rename(&copy, master.data()).unwrap();
    let server = master.serve_ready();
    replica.is_refused(code::DIVERGED, &["bytes of WAL after"]);

    // The master has gone on, past what the replica has: only the bytes tell.
    master.sql("create table other as select generate_series(1, 1000) a");
    replica.is_refused(code::DIVERGED, &["is not the WAL of the master"]);
    drop(server);
    // What has diverged from a master that served does not stop it later, and serves no reads.
    master.bootstrap().ok().says("has diverged from a master that served");
    let alone = replica.clone().env("PGSET_MASTER_WAIT", 1);
    alone.bootstrap().ok();
    let _standby = alone.serve();
    eventually("the standby answers", || replica.try_sql("show pgset.diverged"));
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(replica.run(&["ready"]).code, 1);
    assert_eq!(replica.sql("show pgset.diverged"), "on");
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_directory_that_was_written_to_is_no_replicas() {
    let set = Set::new();
    let (master, _server, replica, standby) = set.pair();
    // The replica was promoted manually: it has another timeline, which the master does not know.
    replica.sql("select pg_promote(true, 30)");
    let probe = replica.run(&["ready"]);
    assert_eq!(probe.code, 1);
    probe.says("the server is writable and pod pgset-1 is the replica");
    standby.stop();
    // The container restarts without the bootstrap: the server must not start writable.
    replica.run(&["serve"]).refuses(code::UNPREPARED, &["a replica is never started writable"]);
    let words = ["has diverged from the master", "on timeline 2 and the master 127.0.0.1 on 1"];
    replica.bootstrap().ok().says("it was a master");
    // It starts as a standby, streams from no server, and keeps what it has.
    for _ in 0..2 {
        replica.serve().end().refuses(code::DIVERGED, &words);
        assert!(!replica.bootstrap_conf().contains("primary_conninfo"));
    }
    assert_eq!(master.sql("select pg_is_in_recovery()"), "f");
}

/// Two timelines, as after a switchover: an old master that stopped cleanly has not diverged, and streams.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn an_old_master_that_stopped_cleanly_streams_from_the_new_one() {
    let set = Set::new();
    let (old, server, new, standby) = set.pair();
    old.sql("create table before ()");
    new.catches_up_with(&old);
    server.stop();
    new.sql("select pg_promote(true, 30)");
    new.sql("create table after ()");
    drop(standby);
    // Swap the directories: from here on, pod 0 has the promoted one.
    let aside = set.path().join("volume/aside");
    fs::rename(old.data(), &aside).unwrap();
    fs::rename(new.data(), old.data()).unwrap();
    fs::rename(&aside, new.data()).unwrap();
    let (master, replica) = (old, new);
    let _server = master.serve_ready();
    replica.bootstrap().says("it was a master").ok();
    let mut standby = replica.serve_ready();
    standby.running().says("continues as a standby");
    replica.catches_up_with(&master);
    assert_eq!(
        replica.sql("select count(*) from pg_class where relname in ('before', 'after')"),
        "2"
    );
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_standby_in_the_masters_place_is_promoted_by_nobody() {
    let set = Set::new();
    let (master, server, _replica, _standby) = set.pair();
    drop(server);
    fs::write(master.data().join("standby.signal"), "").unwrap();
    give(&master.data().join("standby.signal"));
    master.bootstrap().ok().says("is not ready until it is promoted");
    let _server = master.serve();
    eventually("a standby answers", || match master.try_sql("select pg_is_in_recovery()") {
        Ok(answer) if answer == "t" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let probe = master.run(&["ready"]);
    assert_eq!(probe.code, 1);
    probe.says("the server is a standby and pod pgset-0 is the master");
    master.sql("select pg_promote(true, 30)");
    assert_eq!(master.run(&["ready"]).code, 0);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_standby_without_its_master_serves_reads() {
    let set = Set::new();
    let (master, server, replica, standby) = set.pair();
    standby.stop();
    server.stop();
    let replica = replica.env("PGSET_MASTER_WAIT", 6);
    replica.bootstrap().ok();
    let mut standby = replica.serve();
    eventually("the standby answers", || replica.try_sql("select 1"));
    replica.run(&["ready"]).says("not ready: not compared with the master yet");
    standby.running().says("did not answer for 6 s: ready, but not compared");
    assert_eq!(replica.run(&["ready"]).code, 0);
    assert_eq!(replica.sql("select pg_is_in_recovery()"), "t");
    // Once the master is back, it is compared and streams.
    let _server = master.serve_ready();
    standby.running().says("continues as a standby");
    replica.catches_up_with(&master);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_full_disk_while_cloning() {
    let set = Set::new();
    let (master, _server) = set.master();
    let small = set.make_directory("small");
    let Some(mount) = Mount::new(small.clone(), "size=100m") else {
        skipped("a full disk: mounting a small file system needs root");
        return;
    };
    give(&small);
    let replica = set.pod(1).env("PGDATA", small.join("pgset-1").display());
    replica.bootstrap().ok();
    let standby = replica.serve_ready();
    replica.catches_up_with(&master);
    standby.stop();
    write_past_the_limit(&master);
    // Space for half a clone.
    mount.resize(&format!("size={}k", mount.used() + 20_000));
    replica.is_refused(code::FULL, &["is full", "make it larger", "pgset-1.old is kept"]);
    assert!(replica.beside("old").join("global/pg_control").exists(), "what was good is kept");
    assert!(!replica.data().exists() && !replica.beside("new").exists());
    mount.resize("size=400m");
    // The container restarts alone.
    let mut standby = replica.serve_ready();
    standby.running().says("is deleted");
    replica.catches_up_with(&master);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_clone_that_would_fill_a_shared_volume() {
    let set = Set::new();
    let shared = set.make_directory("shared");
    let Some(mount) = Mount::new(shared.clone(), "size=400m") else {
        skipped("a shared volume: mounting a small file system needs root");
        return;
    };
    give(&shared);
    let on = |n| set.pod(n).env("PGDATA", shared.join(format!("pgset-{n}")).display());
    let (master, replica) = (on(0), on(1));
    master.bootstrap().ok();
    let _server = master.serve_ready();
    // Space for a copy, but not for the WAL of the time that it takes.
    mount.resize(&format!("size={}k", mount.used() * 2 + 32 * 1024));
    let words = ["which all pods share, has ", " MB needs ", "make it larger"];
    replica.bootstrap().refuses(code::FULL, &words);
    assert!(!replica.data().exists() && !replica.beside("new").exists());
    assert_eq!(master.sql("select 1"), "1");
    mount.resize("size=400m");
    replica.bootstrap().ok();
    let _standby = replica.serve_ready();
    replica.catches_up_with(&master);
}
