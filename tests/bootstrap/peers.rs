//! What the master asks before it begins a history or records one: the API server and its peers.

use std::fs;

use serde_json::{Value, json};

use super::api::{Api, no_topology, reply, topology, trust, with_api};
use super::code;
use super::machine::free_port;
use super::set::{Set, addresses};

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn the_master_records_the_identifier_of_new_data() {
    let set = Set::new();
    trust(&set);
    let pod = set.pod(0).env("PGSET_POD_LABEL", "127.0.0.1");
    // The topology changes through the API, and no mounted copy counts.
    set.name_master("pgset-1");
    let done = reply("201 Created", "{}");
    let api = Api::start(set.path(), vec![topology(r#"{"first-start":"true"}"#), done]);
    let outcome = with_api(&pod, &api).bootstrap().ok();
    let identifier = pod.identifier();
    outcome.says(&format!("the system identifier {identifier} is recorded"));
    let requests = api.requests();
    assert!(
        requests[0].starts_with("GET /api/v1/namespaces/pg/configmaps/pgset-topology HTTP/1.1\r\n")
    );
    let (head, body) = requests[1].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with(
        "PATCH /api/v1/namespaces/pg/configmaps/pgset-topology?fieldManager=pgset-bootstrap "
    ));
    assert!(head.contains("Content-Type: application/merge-patch+json"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    let data = json!({"system-identifier": identifier, "first-start": null});
    assert_eq!(body, json!({"metadata": {"resourceVersion": "17"}, "data": data}));

    // The directory is there, and its identifier is not on record: a run was killed between both.
    let api = Api::start(set.path(), vec![no_topology(), reply("200 OK", "{}")]);
    with_api(&pod, &api).bootstrap().ok().says("is recorded in ConfigMap pgset-topology");
    let requests = api.requests();
    let (head, body) = requests[1].split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Type: application/apply-patch+yaml"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["data"], json!({"system-identifier": identifier}));
    assert_eq!(body["metadata"]["labels"]["app.kubernetes.io/instance"], "pgset");
    // It is on record: nothing is written.
    let recorded = format!(r#"{{"master":"pgset-0\n","system-identifier":"{identifier}"}}"#);
    let api = Api::start(set.path(), vec![topology(&recorded)]);
    with_api(&pod, &api).bootstrap().ok().says("pod pgset-0 is the master");
    assert_eq!(api.requests().len(), 1);
    // The topology changed after it was read.
    let conflict = || reply("409 Conflict", r#"{"message":"the object has been modified"}"#);
    let api = Api::start(set.path(), vec![no_topology(), conflict(), topology(&recorded)]);
    with_api(&pod, &api).bootstrap().ok();
    let other = topology(r#"{"system-identifier":"7000000000000000001"}"#);
    let api = Api::start(set.path(), vec![no_topology(), conflict(), other]);
    let words = ["this set has 7000000000000000001", identifier.as_str()];
    with_api(&pod, &api).bootstrap().refuses(code::STRANGER, &words);
    // The API server does not accept it: `pgset up` records it, too.
    let invalid = reply("422 Unprocessable Entity", r#"{"message":"a policy forbids it"}"#);
    let api = Api::start(set.path(), vec![no_topology(), invalid]);
    with_api(&pod, &api)
        .bootstrap()
        .ok()
        .says("is not recorded in ConfigMap")
        .says("a policy forbids");
    // Another pod is the master now.
    let other = topology(r#"{"master":"pgset-1"}"#);
    let api = Api::start(set.path(), vec![no_topology(), conflict(), other]);
    let words = ["names pgset-1 as the master now"];
    with_api(&pod, &api).bootstrap().refuses(code::TOPOLOGY, &words);
    // The account has no right to see it.
    let refused =
        reply("403 Forbidden", r#"{"message":"configmaps \"pgset-topology\" is forbidden"}"#);
    let api = Api::start(set.path(), vec![refused]);
    with_api(&pod, &api)
        .bootstrap()
        .refuses(code::TOPOLOGY, &["to read the topology", "is forbidden"]);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn no_second_history_begins_while_a_peer_has_the_first() {
    let set = Set::new();
    let (master, server, replica, _standby) = set.pair();
    let identifier = master.identifier();
    server.stop();
    fs::rename(master.data(), master.beside("away")).unwrap();
    // Nothing is on record, and a replica answers.
    let others = addresses(&[&replica]);
    let asking = master.clone().env("PGSET_PEERS", &others);
    let elsewhere = set.make_directory("other-volume").join("pgset-0");
    let asking = asking.env("PGDATA", elsewhere.display());
    asking.bootstrap().refuses(code::LOST, &["the volume is empty", &others, &identifier]);
    assert!(!elsewhere.exists());
    // On a shared volume its directory is the answer.
    master
        .bootstrap()
        .refuses(code::LOST, &["the volume is empty", "volume/pgset-1 has data", &identifier]);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_peer_that_lets_nobody_in_has_data() {
    let set = Set::new();
    let (_other, _server) = set.master();
    let volume = set.make_directory("other-volume");
    let pod = set.pod(0).env("PGDATA", volume.join("pgset-0").display());
    let peer = addresses(&[&pod]);
    // A role that the peer does not know.
    let asking = pod
        .env("PGSET_PEERS", &peer)
        .env("PGSET_PRIMARY_USER", "stranger")
        .env("PGPORT", free_port());
    let mut waiting = asking.start(&[]);
    waiting.says("waiting for the answer of the other pods (127.0.0.1:");
    waiting.kill();
    assert!(!volume.join("pgset-0").exists());
    // Data that is on record serves after a while: to let this pod in may need this very server.
    let own = Set::new();
    own.pod(0).bootstrap().ok();
    let asking = own.pod(0).env("PGSET_PEERS", &peer).env("PGSET_PASSWORD_WAIT", 1);
    let asking = asking.env("PGSET_PRIMARY_USER", "stranger");
    let mut waiting = asking.start(&[]);
    waiting.says("waiting for the answer of the other pods (127.0.0.1:");
    waiting.kill();
    own.record(&own.pod(0).identifier());
    asking.bootstrap().ok();
    asking.serve().running().says("continuing without the answer of another pod after ");
}

/// The name of another set may begin with this one's.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn the_directory_of_another_set_is_no_peers() {
    let set = Set::new();
    let pod = set.pod(0);
    let other = set.path().join("volume/pgset-2-0");
    pod.clone().env("PGDATA", other.display()).bootstrap().ok();
    pod.bootstrap().ok().says("is initialized");
}

#[test]
fn an_answer_that_breaks_off_is_none() {
    let set = Set::without_postgres();
    trust(&set);
    let whole = topology(r#"{"note":"a}b\"","system-identifier":"7000000000000000001"}"#);
    let (broken, _) = whole.split_once(r#""data""#).unwrap();
    let api = Api::start(set.path(), vec![broken.to_owned(), whole]);
    let pod = set.pod(0).env("PGSET_POD_LABEL", "127.0.0.1");
    let mut running = with_api(&pod, &api).start(&[]);
    running.says("waiting to read the topology");
    running.says("answered: only a part of it");
    running.end().says("pod pgset-0 is the master");
    assert_eq!(api.requests().len(), 2);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_peer_that_refuses_the_connection_may_be_starting() {
    let set = Set::new();
    let nobody = format!("127.0.0.1:{}", free_port());
    let pod = set.pod(0).env("PGSET_PEERS", &nobody).env("PGSET_PEER_WAIT", 2);
    let started = std::time::Instant::now();
    pod.bootstrap().ok();
    // The script counts whole seconds.
    assert!(started.elapsed().as_secs() >= 1);
    // Another set's data.
    let other = Set::new();
    let (stranger, _server) = other.master();
    let peers = addresses(&[&stranger]);
    pod.env("PGSET_PEERS", &peers)
        .bootstrap()
        .refuses(code::STRANGER, &[&set.pod(0).identifier(), &stranger.identifier(), &peers]);
}
