//! The pod labels itself: openssl sends one PATCH over TLS to a scripted API server. PostgreSQL is not
//! needed: the script continues to an `initdb` that does not exist.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::api::{Api, TOKEN, no_topology, reply, trust, with_api};
use super::code;
use super::machine::certificate;
use super::set::{Outcome, Pod, Set};

/// After the label the script calls initdb, which is missing in these tests.
const LABELLED: i32 = code::INITDB;

/// A set with a token, a CA, and a directory with the programs that the script may use, without PostgreSQL.
fn set() -> (Set, Pod) {
    let set = Set::without_postgres();
    trust(&set);
    let programs = set.make_directory("programs");
    for program in [
        "bash", "cat", "cut", "flock", "grep", "head", "id", "ls", "mktemp", "mv", "openssl", "rm",
        "sed", "sleep", "stat", "tail", "timeout", "tr",
    ] {
        let found = ["/usr/bin", "/bin", "/usr/local/bin"]
            .iter()
            .map(|d| Path::new(d).join(program))
            .find(|p| p.exists());
        symlink(
            found.unwrap_or_else(|| panic!("no {program} on this machine")),
            programs.join(program),
        )
        .unwrap();
    }
    let postgres = programs.join("postgres");
    fs::write(&postgres, "#!/bin/bash\necho 'postgres (PostgreSQL) 17.2'\n").unwrap();
    fs::set_permissions(&postgres, fs::Permissions::from_mode(0o755)).unwrap();
    let pod = set.pod(0).env("PATH", programs.display()).env("PGSET_MASTER_HOST", "pgset-master");
    (set, pod)
}

fn labels(pod: &Pod, api: &Api) -> Outcome {
    with_api(pod, api).bootstrap()
}

#[test]
fn one_patch_of_the_status_sets_the_label() {
    let (set, pod) = set();
    let api = Api::start(
        set.path(),
        vec![
            no_topology(),
            reply("200 OK", "{}"),
            no_topology(),
            reply("200 OK", "{}"),
            no_topology(),
        ],
    );
    labels(&pod, &api)
        .says("pod pgset-0 is labelled name=pgset-master")
        .refuses(LABELLED, &["initdb"]);
    let requests = api.requests();
    assert_eq!(requests.len(), 2);
    let (head, body) = requests[1].split_once("\r\n\r\n").unwrap();
    assert_eq!(body, r#"{"metadata":{"labels":{"name":"pgset-master"}}}"#);
    let mut lines = head.lines();
    let first =
        "PATCH /api/v1/namespaces/pg/pods/pgset-0/status?fieldManager=pgset-bootstrap HTTP/1.1";
    assert_eq!(lines.next(), Some(first));
    let lines: Vec<&str> = lines.collect();
    assert!(lines.contains(&format!("Authorization: Bearer {TOKEN}").as_str()), "{head}");
    assert!(lines.contains(&"Content-Type: application/merge-patch+json"), "{head}");
    assert!(lines.contains(&format!("Host: 127.0.0.1:{}", api.port).as_str()), "{head}");

    let replica = pod
        .env("PGSET_POD", "pgset-10")
        .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        .env("KUBERNETES_SERVICE_PORT", api.port);
    let mut running = replica.clone().env("PGSET_POD_LABEL", "pgset-master").start(&[]);
    running.says("pod pgset-10 is labelled name=pgset-replica");
    // The template sets the label of a replica, so most pods need not set it.
    let mut running = replica.env("PGSET_POD_LABEL", "pgset-replica").start(&[]);
    running.says("pod pgset-10 has the label name=pgset-replica");
    assert_eq!(api.requests().len(), 5);
}

#[test]
fn what_the_server_answered_is_said() {
    let (set, pod) = set();
    let message = r#"pods \"pgset-0\" is forbidden: no rule: for it"#;
    let body = format!(r#"{{"kind":"Status","metadata":{{}},"message":"{message}","code":403}}"#);
    let api = Api::start(set.path(), vec![no_topology(), reply("403 Forbidden", &body)]);
    let words = ["label name=pgset-master of pod pgset-0", "HTTP/1.1 403 Forbidden", message];
    labels(&pod, &api).refuses(code::LABEL, &words);
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    let (set, pod) = set();
    let busy = reply("500 Internal Server Error", r#"{"message":"etcdserver: leader changed"}"#);
    // The second connection ends without a reply.
    let api =
        Api::start(set.path(), vec![no_topology(), busy, String::new(), reply("200 OK", "{}")]);
    let outcome = with_api(&pod, &api).env("PGSET_LABEL_WAIT", 60).bootstrap();
    outcome
        .says("waiting to set the label name=pgset-master of pod pgset-0: ")
        .says("leader changed\", 0 s")
        .says("is labelled")
        .refuses(LABELLED, &["initdb"]);
    assert_eq!(api.requests().len(), 4);
}

#[test]
fn the_token_goes_to_no_server_that_is_not_the_clusters() {
    let (set, pod) = set();
    // A certificate signed by another CA.
    certificate(set.path(), "server", "IP:127.0.0.1");
    let api = Api::start(set.path(), vec![]);
    labels(&pod, &api).refuses(code::TOPOLOGY, &["nothing (verify error:num="]);
    // A certificate of the right CA for another address.
    certificate(set.path(), "server", "IP:127.0.0.2");
    fs::copy(set.path().join("server.crt"), set.path().join("token/ca.crt")).unwrap();
    let other = Api::start(set.path(), vec![]);
    labels(&pod, &other).refuses(code::TOPOLOGY, &["verify error:num=64"]);
    assert!(api.requests().is_empty() && other.requests().is_empty());
}

#[test]
fn no_server_no_token_no_openssl() {
    let (set, pod) = set();
    let api = Api::start(set.path(), vec![]);
    fs::remove_file(set.path().join("programs/openssl")).unwrap();
    labels(&pod, &api)
        .refuses(code::OPENSSL, &["the image has no openssl", "use an image with openssl"]);
    symlink("/usr/bin/openssl", set.path().join("programs/openssl")).unwrap();
    fs::remove_file(set.path().join("token/token")).unwrap();
    labels(&pod, &api).refuses(code::TOPOLOGY, &["no token at"]);
    fs::write(set.path().join("token/token"), TOKEN).unwrap();
    // A server that does not answer is waited for: nobody else knows who is the master.
    let mut waiting = with_api(&pod, &api).env("KUBERNETES_SERVICE_PORT", 1).start(&[]);
    waiting.says("waiting to read the topology (ConfigMap pgset-topology)");
    waiting.says("127.0.0.1:1 answered: nothing (");
    waiting.kill();
    assert!(api.requests().is_empty());
    // The same for the label, after it has shown the topology.
    let last = Api::start(set.path(), vec![no_topology()]);
    let mut waiting = with_api(&pod, &last).env("PGSET_LABEL_WAIT", 0).start(&[]);
    waiting.says("waiting to set the label name=pgset-master of pod pgset-0: ");
    assert!(waiting.is_alive());
    waiting.kill();
}
