//! The files beside the data directory: what its pod knew, who owns it, and the fence.

use std::fs;

use super::machine::give;
use super::set::{Pod, Set};
use super::{code, eventually};

fn epoch(set: &Set, epoch: u32) {
    fs::write(set.path().join("topology/epoch"), format!("{epoch}\n")).unwrap();
}

fn role_file(pod: &Pod) -> String {
    fs::read_to_string(pod.beside("role")).unwrap()
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_pod_knows_the_newest_topology_that_it_followed() {
    let set = Set::new();
    epoch(&set, 2);
    set.name_master("pgset-0");
    let (master, server, replica, standby) = set.pair_apart();
    let identifier = master.identifier();
    for pod in [&master, &replica] {
        assert_eq!(role_file(pod), format!("{identifier} 2 pgset-0\n"));
    }
    standby.stop();
    server.stop();
    // The topology is lost, or an older one: the pod that it names does not serve.
    for lost in [true, false] {
        if lost {
            fs::remove_file(set.path().join("topology/epoch")).unwrap();
            fs::remove_file(set.path().join("topology/master")).unwrap();
        } else {
            epoch(&set, 1);
        }
        let words = format!(
            "has epoch 1 and is not followed: {} knows system identifier {identifier}, epoch 2, master pgset-0",
            master.data().display()
        );
        master.bootstrap().ok().says(&words).says("pod pgset-0 is the replica");
        let mut server = master.serve();
        server.running().says("the topology is not followed: this standby streams from no server");
        eventually("the standby answers its peers", || master.try_sql("select 1"));
        assert_eq!(master.sql("select pg_is_in_recovery()"), "t");
        let probe = master.run(&["ready"]);
        assert_eq!(probe.code, 1);
        probe.says("not compared with the master yet");
        assert_eq!(role_file(&master), format!("{identifier} 2 pgset-0\n"));
        // A peer with a later epoch: this pod's topology is not the newest.
        let other = &replica;
        set.name_master("pgset-1");
        fs::remove_file(other.beside("role")).unwrap_or_default();
        fs::remove_file(other.data().join("standby.signal")).unwrap_or_default();
        let words = ["knows epoch 2, and ConfigMap pgset-topology has 1"];
        other.is_refused(code::TOPOLOGY, &words);
        fs::remove_file(set.path().join("topology/master")).unwrap();
    }
    // The newest again. Without a master in it, no pod is the master.
    epoch(&set, 2);
    master.bootstrap().ok().says("pod pgset-0 is the replica");
    set.name_master("pgset-0");
    fs::remove_file(master.data().join("standby.signal")).unwrap();
    master.bootstrap().ok();
    let _server = master.serve_ready();
    assert_eq!(master.sql("select pg_is_in_recovery()"), "f");
    // What is no role file ends the script.
    fs::write(replica.beside("role"), "x\n").unwrap();
    replica.bootstrap().refuses(code::DIRECTORY, &["an epoch and the name of a pod"]);
    // And what is no epoch.
    fs::write(set.path().join("topology/epoch"), "two").unwrap();
    set.pod(2).bootstrap().refuses(code::TOPOLOGY, &["epoch two"]);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_stopped_master_is_fenced_whatever_restarts() {
    let set = Set::new();
    let (master, mut server, replica, _standby) = set.pair();
    let replica_has = || replica.sql("select pg_last_wal_receive_lsn()");
    master.sql("create table last ()");
    let stopped = master.run(&["stop"]).ok();
    let end = stopped.log.lines().last().unwrap().to_owned();
    let sql = format!("select pg_last_wal_receive_lsn() > '{end}'");
    assert_eq!(replica.sql(&sql), "t", "the shutdown checkpoint at {end}, {}", replica_has());
    server.running().says("it is fenced (stop)");
    // The probes: alive, and not ready.
    let probe = |name: &str| master.run(&[name]);
    assert_eq!((probe("alive").code, probe("checkpoint").code), (0, 0));
    assert_eq!(probe("ready").says("is fenced").code, 1);
    // It may be asked again; it answers the same.
    assert_eq!(master.run(&["stop"]).ok().log.lines().last().unwrap(), end);
    // The container is killed, and starts again.
    server.kill();
    let mut server = master.serve();
    server.running().says("it is fenced (stop)");
    assert!(master.try_sql("select 1").is_err());
    server.stop().ok();
    // The bootstrap knows that no such transition is recorded.
    master.bootstrap().ok().says("the topology has no transition stop");
    let server = master.serve_ready();
    replica.catches_up_with(&master);

    // A transition that is not over.
    set.name_master("pgset-0");
    fs::write(set.path().join("topology/transition"), "t7 switchover\n").unwrap();
    fs::write(master.beside("fence"), "t7 1\n").unwrap();
    give(&master.beside("fence"));
    server.stop();
    master.bootstrap().ok().says("the transition t7 is not over");
    let mut server = master.serve();
    server.running().says("it is fenced (t7)");
    server.stop().ok();
    fs::remove_file(set.path().join("topology/transition")).unwrap();
    master.bootstrap().ok();

    // A stop that nobody completes ends.
    let master = master.env("PGSET_STOP_WAIT", 3);
    let mut server = master.serve_ready();
    master.run(&["stop"]).ok();
    server.running().says("the pod was not deleted within 3 s after the stop");
    eventually("the server answers", || master.try_sql("select 1"));
    replica.catches_up_with(&master);
}

/// The lock file is turned off, as on a network file system that keeps locks on each node only.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_directory_has_one_owner_even_without_locks() {
    let set = Set::new();
    let pod = set.pod(0).env("PGSET_LOCK", "off").env("PGSET_POD_UID", "first");
    pod.bootstrap().ok();
    let server = pod.serve_ready();
    let owner = |number: u32| fs::read_to_string(pod.beside(&format!("owner.{number}")));
    assert!(owner(1).unwrap().starts_with("first "));
    let second = pod.clone().env("PGSET_POD_UID", "second").env("PGSET_OWNER_WAIT", 7);
    let refused = second.clone().env("PGSET_LOCK_WAIT", 1).bootstrap();
    let words = ["the pod with the UID first uses ", "another server runs on it"];
    refused.refuses(code::LOCKED, &words).says("waiting for the end of the pod with the UID first");

    // A clean end gives it free at once, and the same pod takes it at once.
    server.stop().ok();
    assert!(owner(1).is_err());
    let server = second.clone().env("PGSET_OWNER_WAIT", 60);
    server.bootstrap().ok();
    server.bootstrap().ok();
    let server = server.serve_ready();
    assert!(owner(1).unwrap().starts_with("second "));

    // The owner is killed: nothing changes the file any more.
    server.kill();
    pod.kill_servers();
    let third = second.clone().env("PGSET_POD_UID", "third").env("PGSET_OWNER_WAIT", 2);
    third.bootstrap().ok().says("the pod with the UID second has not renewed ");
    assert!(owner(1).is_err() && owner(2).unwrap().starts_with("third "));

    // The owner sleeps, another one takes over: the sleeper stops when it wakes up.
    let server = third.serve_ready();
    fs::write(pod.beside("owner.3"), "fourth 000000000000\n").unwrap();
    give(&pod.beside("owner.3"));
    server.end().refuses(code::LOCKED, &["another pod has taken over"]);
    assert!(owner(3).unwrap().starts_with("fourth "));

    // Where the lock is enough, no pod waits for another one's file.
    let local = pod.clone().env("PGSET_LOCK", "on").env("PGSET_POD_UID", "fifth");
    let started = std::time::Instant::now();
    local.bootstrap().ok().does_not_say("waiting for the end");
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_master_that_was_replaced_stops() {
    let set = Set::new();
    let (master, server, replica, standby) = set.pair_apart();
    standby.stop();
    server.stop();
    // What this pod has mounted does not change.
    let master = master.env("PGSET_TOPOLOGY", "/");
    let mut server = master.serve_ready();
    // A peer is promoted in a later epoch, as by a failover that did not reach this pod.
    epoch(&set, 2);
    set.name_master("pgset-1");
    let replica = replica.env("PGSET_PEERS", " ");
    replica.bootstrap().ok();
    let standby = replica.serve();
    eventually("it answers", || replica.try_sql("select 1"));
    replica.sql("select pg_promote(true, 30)");
    server.running().says("another pod has become the master: ");
    server.running().says("it is fenced (replaced)");
    assert!(master.try_sql("select 1").is_err());
    server.stop();
    drop(standby);
    // The next bootstrap starts it as a standby of the new master.
    let topology = set.path().join("topology");
    let master = master.env("PGSET_TOPOLOGY", topology.display());
    master.bootstrap().ok().says("the topology has no transition replaced").says("is the replica");
    assert!(!master.beside("fence").exists());
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_master_stops_when_the_mounted_topology_names_another_one() {
    let set = Set::new();
    let (master, mut server) = set.master();
    set.name_master("pgset-1");
    // Without a later epoch it may be an older copy.
    std::thread::sleep(std::time::Duration::from_secs(6));
    assert_eq!(master.sql("select 1"), "1");
    epoch(&set, 2);
    server.running().says("the topology has epoch 2 and names pgset-1");
    // Without a restart of the pod it becomes a replica.
    server.running().says("this pod follows pgset-1, the master of epoch 2");
    eventually("it is a standby", || {
        match master.try_sql("select pg_is_in_recovery()")?.as_str() {
            "t" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
}
