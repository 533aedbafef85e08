//! Tests that the bootstrap script takes the master from the topology.

use super::code;
use super::set::Set;

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn the_pod_that_the_topology_names_is_the_master() {
    let set = Set::new();
    set.name_master("pgset-1\n");
    let master = set.pod(1);
    master.bootstrap().ok();
    let _server = master.serve_ready();
    let replica = set.pod(0);
    replica.bootstrap().ok();
    let _standby = replica.serve_ready();
    replica.catches_up_with(&master);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn no_pod_is_the_master_when_the_topology_says_so() {
    let set = Set::new();
    set.name_master("none");
    // The pod waits for a master and creates no data directory.
    let pod = set.pod(0);
    let mut waiting = pod.start(&[]);
    waiting.says("pod pgset-0 is the replica");
    waiting.says("waiting for 127.0.0.1");
    waiting.kill();
    assert!(!pod.data().exists());
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn an_origin_that_is_not_known_is_refused() {
    let set = Set::new();
    let pod = set.pod(0).env("PGSET_ORIGIN", "restore");
    pod.bootstrap().refuses(code::USAGE, &["PGSET_ORIGIN is restore", "initdb only"]);
    assert!(!pod.data().exists());
    pod.env("PGSET_ORIGIN", "initdb").bootstrap().ok();
}
