//! Another pod becomes the master, while the pods run: what `pgset` calls in them.

use std::fs;
use std::time::Instant;

use super::set::{Outcome, Pod, Server, Set};
use super::{code, eventually};

/// Two pods, where the master will follow the replica's server.
fn pair(set: &Set) -> (Pod, Server, Pod, Server) {
    let (master, server, replica, standby) = set.pair_apart();
    server.stop();
    let master = master.env("PGSET_MASTER_PORT", replica.value("PGPORT"));
    let server = master.serve_ready();
    replica.catches_up_with(&master);
    (master, server, replica, standby)
}

/// The proof: position, timeline, how the server ended.
fn proof(fenced: &Outcome) -> (String, String, String) {
    let last = fenced.log.lines().last().unwrap().to_owned();
    let words: Vec<&str> = last.split(' ').collect();
    assert_eq!(words.len(), 5, "{last}");
    (words[0].to_owned(), words[1].to_owned(), words[2].to_owned())
}

/// Waits until a replica has replayed the last record of a master that was fenced.
fn has_all(replica: &Pod, position: &str) {
    eventually("the replica has all", || {
        match replica.sql(&format!("select pg_last_wal_replay_lsn() > '{position}'")).as_str() {
            "t" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
}

fn role_file(pod: &Pod) -> String {
    fs::read_to_string(pod.beside("role")).unwrap()
}

fn rows(pod: &Pod) -> String {
    pod.sql("select count(*) from t")
}

/// What `pgset switchover` writes to the topology once the target is to be promoted.
fn promoting(set: &Set, position: &str) {
    set.name_master("pgset-1");
    fs::write(set.path().join("topology/epoch"), "2").unwrap();
    let transition =
        format!("t1 switchover pgset-0 pgset-1 promoting 2026-11-30T10:00:00Z {position} 1");
    fs::write(set.path().join("topology/transition"), transition).unwrap();
}

/// And before that.
fn stopping(set: &Set) {
    set.name_master("none");
    fs::write(set.path().join("topology/transition"), "t1 switchover pgset-0 pgset-1 fenced")
        .unwrap();
}

fn over(set: &Set) {
    fs::remove_file(set.path().join("topology/transition")).unwrap();
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn the_master_moves_while_the_pods_run() {
    let set = Set::new();
    let (old, mut server, new, mut standby) = pair(&set);
    old.sql("create table t as select generate_series(1, 1000) a");
    let fenced = old.run(&["fence", "t1"]).ok();
    let (position, timeline, end) = proof(&fenced);
    assert_eq!((timeline.as_str(), end.as_str()), ("1", "clean"));
    // Whatever restarts: no server. Another transition does not take it over.
    assert!(old.try_sql("select 1").is_err());
    server.running().says("no server starts on");
    old.run(&["fence", "t2"]).refuses(code::FENCED, &["is fenced by the transition t1"]);
    old.run(&["unfence", "t2"]).refuses(code::FENCED, &["is fenced by the transition t1"]);
    let again = old.run(&["fence", "t1"]).ok();
    assert_eq!(proof(&again).0, position);
    has_all(&new, &position);

    for _ in 0..2 {
        let promoted = new.run(&["promote", "2"]).ok();
        assert_eq!(promoted.log.lines().last().unwrap(), "2");
    }
    assert_eq!(role_file(&new), format!("{} 2 pgset-1\n", new.identifier()));
    assert_eq!(new.sql("show pgset.epoch"), "2");
    new.becomes_ready(&mut standby);
    new.sql("insert into t values (1001)");
    // An earlier epoch is refused.
    new.run(&["promote", "1"]).refuses(code::TOPOLOGY, &["knows epoch 2, master pgset-1"]);

    for _ in 0..2 {
        old.run(&["follow", "2", "pgset-1"]).ok();
    }
    old.run(&["unfence", "t1"]).ok();
    server.running().says("continues as a standby");
    old.catches_up_with(&new);
    assert_eq!(rows(&old), "1001");
    old.becomes_ready(&mut server);
    let knows_it = || {
        let known = role_file(&old);
        if known.ends_with(" 2 pgset-1\n") { Ok(()) } else { Err(known) }
    };
    eventually("it knows the new master", knows_it);
    // A failover that is backed out: it is compared once more, and was no master of this timeline.
    old.run(&["detach", "t2", "2"]).ok();
    server.running().says("no pod is the master");
    new.sql("insert into t values (1002)");
    old.run(&["follow", "2", "pgset-1"]).ok();
    old.catches_up_with(&new);
    assert_eq!(rows(&old), "1002");

    // And back.
    let fenced = new.run(&["fence", "t3"]).ok();
    assert_eq!(proof(&fenced).1, "2");
    let promoted = old.run(&["promote", "3"]).ok();
    assert_eq!(promoted.log.lines().last().unwrap(), "3");
    old.becomes_ready(&mut server);
    new.run(&["follow", "3", "pgset-0"]).ok();
    new.run(&["unfence", "t3"]).ok();
    standby.running().says("continues as a standby");
    // Its master's port is that of the first master, as at its start.
    new.catches_up_with(&old);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_master_that_is_not_replaced_continues() {
    let set = Set::new();
    let (master, mut server, replica, _standby) = pair(&set);
    master.sql("create table t as select 1 a");
    master.run(&["fence", "t1"]).ok();
    let started = Instant::now();
    master.run(&["unfence", "t1", "master"]).ok();
    master.becomes_ready(&mut server);
    assert!(started.elapsed().as_secs() < 5);
    assert_eq!(master.sql("select pg_walfile_name(pg_current_wal_lsn()) like '00000001%'"), "t");
    master.run(&["follow", "2", "pgset-1"]).refuses(code::FENCED, &["has to be fenced first"]);

    // Its pod is made anew while there is no master, and then it is the master again.
    master.run(&["fence", "t1"]).ok();
    server.stop();
    stopping(&set);
    master.bootstrap().ok().says("the transition t1 is not over");
    let mut server = master.serve();
    server.running().says("no server starts on");
    assert_eq!(proof(&master.run(&["fence", "t1"]).ok()).2, "clean");
    master.run(&["unfence", "t1", "master"]).refuses(code::FENCED, &["is the replica now"]);
    server.stop();
    over(&set);
    set.name_master("pgset-0");
    master.bootstrap().ok().says("was stopped cleanly as the master of epoch 1, and continues");
    let _server = master.serve_ready();
    assert_eq!(rows(&master), "1");
    replica.catches_up_with(&master);
}

/// The command was killed after it wrote the topology, and the pods restart.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn the_bootstrap_completes_a_promotion() {
    let set = Set::new();
    let (old, server, new, standby) = pair(&set);
    old.sql("create table t as select generate_series(1, 1000) a");
    let position = proof(&old.run(&["fence", "t1"]).ok()).0;
    has_all(&new, &position);
    promoting(&set, &position);
    // The old master's pod first: it waits for its permission.
    server.stop();
    old.bootstrap().ok().says("the transition t1 is not over").says("it was a master");
    let mut server = old.serve();
    server.running().says("no server starts on");
    standby.stop();
    // A volume that lacks what the old master wrote last.
    promoting(&set, "F/0");
    new.bootstrap().ok();
    new.serve().end().refuses(code::PROMOTION, &["it has replayed up to 0/", "begins at F/0"]);
    promoting(&set, &position);
    new.bootstrap().ok().says("(switchover t1 from pgset-0) is completed once the server runs");
    let mut standby = new.serve_ready();
    standby.running().says("the promotion of this pod is completed: timeline 2");
    assert_eq!(new.sql("select pg_is_in_recovery()"), "f");
    // The same command again.
    new.run(&["promote", "2"]).ok();
    old.run(&["follow", "2", "pgset-1"]).ok();
    old.run(&["unfence", "t1"]).ok();
    server.running().says("entering standby mode");
    old.catches_up_with(&new);
    assert_eq!(rows(&old), "1000");
}

/// Kills of everything, at any time: never two that write.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_fence_wins_against_every_start() {
    let set = Set::new();
    let (master, server, _replica, _standby) = pair(&set);
    server.kill();
    master.kill_servers();
    for round in 0..5 {
        // The container starts while the fence is written.
        let started = master.start(&["serve"]);
        std::thread::sleep(std::time::Duration::from_millis(round * 40));
        let fenced = master.run(&["fence", "t1"]).ok();
        assert!(master.try_sql("select 1").is_err(), "{}", fenced.log);
        let (position, _, _) = proof(&fenced);
        drop(started);
        master.kill_servers();
        assert_eq!(proof(&master.run(&["fence", "t1"]).ok()).0, position);
        master.run(&["unfence", "t1"]).ok();
    }
}

/// The facts of a detached replica: where its WAL ends, its timeline, its last contact.
fn facts(detached: &Outcome) -> (String, String, u64) {
    let last = detached.log.lines().last().unwrap().to_owned();
    let words: Vec<&str> = last.split(' ').collect();
    assert_eq!(words.len(), 3, "{last}");
    (words[0].to_owned(), words[1].to_owned(), words[2].parse().unwrap())
}

/// What `pgset failover` calls. The old master comes back, and has what the new one never had: it is kept.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_lost_master_is_replaced_and_kept() {
    let set = Set::new();
    let (old, server, new, mut standby) = pair(&set);
    old.sql("create table t as select generate_series(1, 1000) a");
    new.catches_up_with(&old);
    // The probe records the last contact.
    eventually("the replica has heard from its master", || {
        assert_eq!(new.run(&["ready"]).code, 0);
        if new.run_file("contact").exists() { Ok(()) } else { Err("no contact".to_owned()) }
    });
    old.run(&["detach", "t1", "1"]).refuses(code::FENCED, &["has to be fenced first"]);
    new.run(&["detach", "t1"]).refuses(code::USAGE, &["the epoch is missing"]);
    for _ in 0..2 {
        let (position, timeline, contact) = facts(&new.run(&["detach", "t1", "1"]).ok());
        // The last record of what it replays.
        assert_eq!(timeline, "1");
        let last = format!("select pg_last_wal_replay_lsn() - '{position}' between 1 and 8192");
        eventually("it has replayed all", || match new.sql(&last).as_str() {
            "t" => Ok(()),
            _ => Err(new.sql("select pg_last_wal_replay_lsn()") + ", not after " + &position),
        });
        assert!(contact > 1_700_000_000, "{contact}");
    }
    // No WAL comes in any more, and reads go on.
    old.sql("insert into t values (0)");
    assert_eq!(new.sql("select count(*) from pg_stat_wal_receiver"), "0");
    assert_eq!(rows(&new), "1000");
    assert_eq!(new.run(&["ready"]).code, 0);

    // What a switchover's old master wrote last has to be there.
    new.run(&["promote", "2", "F/0"])
        .refuses(code::PROMOTION, &["it has replayed up to 0/", "begins at F/0"]);
    new.run(&["promote", "2", "f"]).refuses(code::USAGE, &["no position"]);
    let promoted = new.run(&["promote", "2", "0/1000028"]).ok();
    assert_eq!(promoted.log.lines().last().unwrap(), "2");
    new.becomes_ready(&mut standby);
    new.run(&["detach", "t1", "1"]).refuses(code::TOPOLOGY, &["epoch 1 is not the newest"]);

    // The old master has noticed it, or is told: what only it has is kept.
    old.run(&["fence", "t1"]).ok();
    set.name_master("pgset-1");
    fs::write(set.path().join("topology/epoch"), "2").unwrap();
    old.run(&["follow", "2", "pgset-1"]).ok();
    old.run(&["unfence", "t1"]).ok();
    server.end().refuses(code::DIVERGED, &["bytes of WAL after", "nothing was deleted"]);
    old.bootstrap().ok();
    old.serve().end().refuses(code::DIVERGED, &["bytes of WAL after"]);

    // A request of another epoch, or for another pod, is none.
    for request in ["pgset-0 1 r1", "pgset-1 2 r1", "pgset-0", "pgset-0 2"] {
        fs::write(set.path().join("topology/rejoin"), request).unwrap();
        old.bootstrap().ok().does_not_say("is moved to");
    }
    fs::write(set.path().join("topology/rejoin"), "pgset-0 2 r1").unwrap();
    old.bootstrap().ok().says("is moved to").says("cloned in");
    // The pod is created again before its server has started: the clone is no old master's directory.
    fs::remove_file(old.run_file("cloned")).unwrap();
    old.bootstrap().ok().does_not_say("is moved to");
    let mut server = old.serve();
    old.becomes_ready(&mut server);
    old.catches_up_with(&new);
    assert_eq!(rows(&old), "1000");
    let kept = old.beside("diverged-2");
    assert!(kept.join("PG_VERSION").exists());
    // The request was done: a directory that diverges later needs another one.
    server.stop();
    fs::write(old.beside("diverged"), "why").unwrap();
    old.bootstrap().ok().does_not_say("is moved to");
    // With `clone` any directory, but once.
    fs::write(set.path().join("topology/rejoin"), "pgset-0 2 r2 clone").unwrap();
    old.bootstrap().ok().says("diverged-2.2").says("cloned in");
    old.bootstrap().ok().does_not_say("is moved to");
    assert!(kept.join("PG_VERSION").exists());
}

/// The files of a running master are lost. Its server is stopped all the same.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_master_without_files_is_fenced() {
    let set = Set::new();
    let (old, mut server, new, mut standby) = pair(&set);
    fs::remove_dir_all(old.data()).unwrap();
    let fenced = old.run(&["fence", "t1"]).ok();
    let (_, _, end) = proof(&fenced);
    assert_eq!(end, "lost");
    assert!(old.try_sql("select 1").is_err());
    server.running().says("no server starts on");
    new.run(&["detach", "t1", "1"]).ok();
    new.run(&["promote", "2"]).ok();
    new.becomes_ready(&mut standby);
}

/// A replica that was not told of a new master reads it from the mounted topology, and an old master, too.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn pods_that_were_not_told_follow_the_mounted_topology() {
    let set = Set::new();
    let (old, mut server, new, mut standby) = pair(&set);
    old.sql("create table t as select 1 a");
    // Between: no pod is the master, and nothing says who will be.
    let fenced = old.run(&["fence", "t1"]).ok();
    has_all(&new, &proof(&fenced).0);
    new.run(&["promote", "2"]).ok();
    new.becomes_ready(&mut standby);
    old.run(&["detach", "t1", "1"]).ok();
    server.running().says("no pod is the master: this standby streams from no server");
    set.name_master("pgset-1");
    fs::write(set.path().join("topology/epoch"), "2").unwrap();
    server.running().says("continues as a standby");
    old.catches_up_with(&new);
    eventually("it knows the new master", || {
        let known = role_file(&old);
        if known.ends_with(" 2 pgset-1\n") { Ok(()) } else { Err(known) }
    });
}
