//! Tablespaces: a replica creates their directories on its volume, and must not write into those of its master.

use std::fs;
use std::path::Path;

use super::clone::stand_before;
use super::lost::write_past_the_limit;
use super::machine::{give, is_root};
use super::set::{Pod, Server, Set, addresses};
use super::{code, eventually, skipped};

/// A master and a streaming replica, each with a volume, which both mount at the same path.
fn pair_with_volumes(set: &Set) -> (Pod, Server, Pod, Server) {
    let (master, replica) = (set.pod_mounting(0, "volume-0"), set.pod_mounting(1, "volume-1"));
    let known = |pod: &Pod, peer: &Pod| pod.clone().env("PGSET_PEERS", addresses(&[peer]));
    let (master, replica) = (known(&master, &replica), known(&replica, &master));
    master.clone().env("PGSET_PEER_WAIT", 0).bootstrap().ok();
    let server = master.serve_ready();
    set.record(&master.identifier());
    replica.bootstrap().ok();
    let standby = replica.serve_ready();
    replica.catches_up_with(&master);
    (master, server, replica, standby)
}

/// Creates a tablespace on the master's volume, and a table in it.
fn create(master: &Pod, name: &str) {
    let directory = master.in_volume(name);
    fs::create_dir_all(&directory).unwrap();
    give(&directory);
    let name = directory.file_name().unwrap().to_str().unwrap();
    create_at(master, name, directory.strip_prefix(master.in_volume("")).unwrap());
}

fn create_at(master: &Pod, name: &str, path: &Path) {
    let location = master.mounted(path.to_str().unwrap());
    master.sql(&format!("create tablespace {name} location '{location}'"));
    master.sql(&format!(
        "create table in_{name} tablespace {name} as select generate_series(1, 1000) a"
    ));
}

fn count(pod: &Pod, name: &str) -> String {
    pod.sql(&format!("select count(*) from in_{name}"))
}

/// The files of a tablespace on a pod's volume.
fn content(pod: &Pod, name: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(pod.in_volume(name)) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn may_mount() -> bool {
    if !is_root() {
        skipped("only root can give each pod a volume at the same path");
    }
    is_root()
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_replica_creates_the_directory_on_its_volume_and_streams() {
    if !may_mount() {
        return;
    }
    let set = Set::new();
    let (master, _server, replica, mut standby) = pair_with_volumes(&set);
    create(&master, "one");
    standby.running().says("/pgdata/one is created: ");
    replica.catches_up_with(&master);
    assert_eq!(count(&replica, "one"), "1000");
    assert_eq!(content(&replica, "one").len(), 1);
    assert_ne!(replica.in_volume("one"), master.in_volume("one"));
    // A directory below a directory that does not exist, and two at once.
    create(&master, "below/two");
    create(&master, "three");
    replica.catches_up_with(&master);
    assert_eq!((count(&replica, "two"), count(&replica, "three")), ("1000".into(), "1000".into()));

    // While the server's container is down; it starts without the bootstrap.
    standby.kill();
    create(&master, "four");
    let mut standby = replica.serve_ready();
    standby.running().says("/pgdata/four is created: ");
    replica.catches_up_with(&master);
    assert_eq!(count(&replica, "four"), "1000");
    // And while the pod is away.
    standby.stop();
    create(&master, "five");
    replica.bootstrap().ok();
    let standby = replica.serve_ready();
    replica.catches_up_with(&master);
    assert_eq!(count(&replica, "five"), "1000");

    // What is dropped is dropped, also when the replica replays both.
    standby.stop();
    create(&master, "six");
    for name in ["one", "six"] {
        master.sql(&format!("drop table in_{name}"));
        master.sql(&format!("drop tablespace {name}"));
    }
    replica.bootstrap().ok();
    let _standby = replica.serve_ready();
    replica.catches_up_with(&master);
    assert_eq!(content(&replica, "one"), [""; 0]);
    assert_eq!(content(&replica, "six"), [""; 0]);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn what_is_no_directory_of_the_volume_is_not_created() {
    if !may_mount() {
        return;
    }
    let set = Set::new();
    let (master, _server, replica, standby) = pair_with_volumes(&set);
    // The link leads out of the replica's volume.
    std::os::unix::fs::symlink(set.make_directory("elsewhere"), replica.in_volume("link")).unwrap();
    create(&master, "link/below");
    let outcome = standby.end();
    assert_eq!(outcome.code, 1, "{}", outcome.log);
    outcome.says("/pgdata/link/below\" does not exist").does_not_say("is created: ");
    assert!(!set.path().join("elsewhere/below").exists());
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_promoted_server_s_tablespaces_are_created_on_each_timeline() {
    if !may_mount() {
        return;
    }
    let set = Set::new();
    let (master, server, replica, standby) = pair_with_volumes(&set);
    standby.stop();
    create(&master, "before");
    master.sql("checkpoint");
    // The replica receives all, and stops in its replay, before the master of the next timeline writes.
    replica.bootstrap().ok();
    fs::create_dir(replica.in_volume("before")).unwrap();
    let standby = replica.serve();
    standby.end();
    server.stop();
    fs::remove_dir(replica.in_volume("before")).unwrap();
    fs::write(master.in_volume("pgset-0/standby.signal"), "").unwrap();
    give(&master.in_volume("pgset-0/standby.signal"));
    master.bootstrap().ok();
    let _server = master.serve();
    eventually("the server answers", || master.try_sql("select 1"));
    master.sql("select pg_promote(true, 30)");
    create(&master, "after");
    replica.bootstrap().ok();
    let mut standby = replica.serve_ready();
    standby.running().says("/pgdata/before is created: ");
    standby.running().says("/pgdata/after is created: ");
    replica.catches_up_with(&master);
    assert_eq!(
        (count(&replica, "before"), count(&replica, "after")),
        ("1000".into(), "1000".into())
    );
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_second_clone_moves_the_tablespaces_of_the_first_one_aside() {
    if !may_mount() {
        return;
    }
    let set = Set::new();
    let (master, _server, replica, standby) = pair_with_volumes(&set);
    create(&master, "one");
    create(&master, "below/two");
    create(&master, "dropped");
    replica.catches_up_with(&master);
    standby.stop();
    write_past_the_limit(&master);
    master.sql("drop table in_dropped");
    master.sql("drop tablespace dropped");
    let mut standby = replica.comes_back("no longer has the WAL");
    standby.running().says("the tablespace in ");
    standby.running().says("/pgset-1.old.tablespaces/one");
    standby.running().says("/pgset-1.old.tablespaces/below%two");
    standby.running().says("pgset-1.old is deleted");
    assert!(standby.running().log().contains("dropped is deleted: the master no longer has it"));
    replica.catches_up_with(&master);
    assert_eq!((count(&replica, "one"), count(&replica, "two")), ("1000".into(), "1000".into()));
    for name in ["pgset-1.old", "pgset-1.old.tablespaces", "pgset-1.half", "dropped"] {
        assert!(!replica.in_volume(name).exists(), "{name}");
    }

    // A data directory that a person has moved away: its tablespace is kept.
    standby.stop();
    fs::rename(replica.in_volume("pgset-1"), replica.in_volume("mine")).unwrap();
    let words = "its data directory was moved away";
    replica.bootstrap().ok().says(words);
    let standby = replica.serve_ready();
    replica.catches_up_with(&master);
    assert_eq!(content(&replica, "pgset-1.kept.tablespaces/one").len(), 1);
    assert_eq!(count(&replica, "one"), "1000");

    // What is no tablespace is not touched.
    standby.stop();
    fs::remove_dir_all(replica.in_volume("pgset-1")).unwrap();
    fs::write(replica.in_volume("one/mine"), "").unwrap();
    replica
        .bootstrap()
        .refuses(code::TABLESPACE, &["/pgdata/one is the location", "contains mine"]);
    assert_eq!(content(&replica, "one").len(), 2);
}

/// The old copy stays until a new one streams, however often the clone is killed.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_killed_clone_costs_no_copy_that_is_complete() {
    const OLD: &str = "pgset-1.old.tablespaces/one";
    if !may_mount() {
        return;
    }
    let set = Set::new();
    let (master, _server, replica, standby) = pair_with_volumes(&set);
    create(&master, "one");
    master.sql("insert into in_one select generate_series(1, 100000)");
    replica.catches_up_with(&master);
    standby.stop();
    fs::write(replica.in_volume("one").join(&content(&replica, "one")[0]).join("mark"), "")
        .unwrap();
    write_past_the_limit(&master);
    let is_marked = |name: &str| {
        let content = content(&replica, name);
        assert_eq!(content.len(), 1, "{name}: {content:?}");
        replica.in_volume(name).join(&content[0]).join("mark").exists()
    };
    let slow =
        stand_before(&set, &replica, "pg_basebackup", r#"exec pg_basebackup --max-rate=1000 "$@""#);
    slow.bootstrap().ok();
    for round in 0..3 {
        let mut standby = slow.serve();
        // The second clone deletes the half of the first one; the third finds none.
        standby.running().says([OLD, "deleting the tablespace in ", "cloning from "][round]);
        eventually("the clone is under way", || {
            let started = replica.in_volume("pgset-1.new/pg_wal").exists();
            if started && !content(&replica, "one").is_empty() {
                Ok(())
            } else {
                Err(String::new())
            }
        });
        standby.kill();
        assert!(is_marked(OLD));
        assert!(!is_marked("one"));
        // In the server's container, or in a new pod.
        if round == 1 {
            let mut bootstrap = slow.start(&[]);
            bootstrap.says("deleting the tablespace in ");
            bootstrap.kill();
        }
    }
    assert!(is_marked(OLD));
    // One that is complete and never streamed is no better than an unfinished one.
    replica.bootstrap().ok();
    assert!(is_marked(OLD) && !is_marked("one") && !replica.in_volume("pgset-1.half").exists());
    write_past_the_limit(&master);
    let mut standby = replica.comes_back("no longer has the WAL");
    standby.running().says("deleting the tablespace in ");
    standby.running().says("pgset-1.old is deleted");
    replica.catches_up_with(&master);
    assert_eq!(count(&replica, "one"), "101000");
    assert!(!replica.in_volume("pgset-1.old.tablespaces").exists() && !is_marked("one"));
}

/// The first clone of a volume: there is no old copy.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_first_clone_that_is_killed_leaves_nothing_behind() {
    if !may_mount() {
        return;
    }
    let set = Set::new();
    let (master, _server, _replica, _standby) = pair_with_volumes(&set);
    create(&master, "one");
    let new = set.pod_mounting(2, "volume-2");
    let script = r#"exec pg_basebackup --max-rate=1000 "$@""#;
    let slow = stand_before(&set, &new, "pg_basebackup", script);
    let mut clone = slow.start(&[]);
    eventually("the clone is under way", || {
        assert!(clone.is_alive(), "{}", clone.log());
        if content(&new, "one").is_empty() { Err(String::new()) } else { Ok(()) }
    });
    clone.kill();
    new.bootstrap().ok().says("deleting the tablespace in ");
    let _standby = new.serve_ready();
    new.catches_up_with(&master);
    assert_eq!(count(&new, "one"), "1000");
    for name in ["pgset-2.half", "pgset-2.kept.tablespaces", "pgset-2.old.tablespaces"] {
        assert!(!new.in_volume(name).exists(), "{name}");
    }
}

/// On a shared volume master and replica would write into one directory.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn on_a_shared_volume_a_replica_of_a_master_with_a_tablespace_does_not_run() {
    let set = Set::new();
    let (master, _server, replica, standby) = set.pair();
    let location = set.make_directory("volume/x");
    // In the data directory of each server.
    let in_place = master.clone().env("PGOPTIONS", "-c allow_in_place_tablespaces=on");
    if in_place.try_sql("create tablespace here location ''").is_ok() {
        // A standby needs the setting, too: without it, its next start fails.
        let conf = replica.in_etc("postgresql.conf");
        let text = fs::read_to_string(&conf).unwrap();
        fs::write(&conf, format!("{text}\nallow_in_place_tablespaces = on\n")).unwrap();
    } else {
        skipped("this version has no tablespaces in the data directory");
    }
    let elsewhere = set.make_directory("elsewhere");
    master.sql(&format!("create tablespace outside location '{}'", elsewhere.display()));
    replica.catches_up_with(&master);
    master.sql(&format!("create tablespace x location '{}'", location.display()));
    let words = ["/volume/x (OID ", "master and replica would write into one directory", "damaged"];
    standby.end().refuses(code::TABLESPACE, &words);

    // Not in a restarted container, not in a new pod, and no clone.
    let words = &words[..2];
    replica.run(&["serve"]).refuses(code::TABLESPACE, words);
    replica.bootstrap().refuses(code::TABLESPACE, words);
    let content = || fs::read_dir(&location).unwrap().count();
    assert_eq!(content(), 1);
    let new = set.pod(2);
    new.bootstrap().refuses(code::TABLESPACE, words).does_not_say("cloning from");
    assert!(!new.data().exists() && !new.beside("new").exists());

    // Once it is dropped, all is well.
    master.sql("drop tablespace x");
    assert_eq!(content(), 0);
    let _standby = replica.comes_back("continues as a standby");
    replica.catches_up_with(&master);
    assert_eq!(content(), 0);
}
