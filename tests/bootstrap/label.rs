//! The pod labels itself: openssl sends one PATCH over TLS to a scripted API server. PostgreSQL is not
//! needed: the script continues to an `initdb` that does not exist.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use super::code;
use super::machine::certificate;
use super::set::{Outcome, Pod, Set};

const TOKEN: &str = "Sentinel.token";
/// After the label the script calls initdb, which is missing in these tests.
const LABELLED: i32 = code::INITDB;

/// Answers each connection with the next reply, and records the requests.
struct Api {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    _thread: JoinHandle<()>,
}

impl Api {
    fn start(directory: &Path, replies: Vec<String>) -> Self {
        let chain = vec![CertificateDer::from_pem_file(directory.join("server.crt")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(directory.join("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::clone(&requests);
        let thread = std::thread::spawn(move || {
            let mut replies = replies.into_iter();
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = Stream::new(&mut connection, &mut socket);
                // A client that does not trust the certificate sends nothing.
                let Some(request) = read_request(&mut stream) else { continue };
                asked.lock().unwrap().push(request);
                let Some(reply) = replies.next() else { return };
                let _ = stream.write_all(reply.as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        Self { port, requests, _thread: thread }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Head and body; `None` if the client closed the connection.
fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return Some(text);
        }
    }
}

fn reply(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A set with a token, a CA, and a directory with the programs that the script may use, without PostgreSQL.
fn set() -> (Set, Pod) {
    let set = Set::without_postgres();
    let token = set.make_directory("token");
    certificate(set.path(), "server", "IP:127.0.0.1");
    fs::copy(set.path().join("server.crt"), token.join("ca.crt")).unwrap();
    fs::write(token.join("token"), TOKEN).unwrap();
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
    let pod = set.pod(0).env("PATH", programs.display()).env("PGSET_MASTER_HOST", "pgset-master");
    (set, pod)
}

fn labels(pod: &Pod, api: &Api) -> Outcome {
    pod.clone()
        .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        .env("KUBERNETES_SERVICE_PORT", api.port)
        .env("PGSET_LABEL_WAIT", 0)
        .bootstrap()
}

#[test]
fn one_patch_of_the_status_sets_the_label() {
    let (set, pod) = set();
    let api = Api::start(set.path(), vec![reply("200 OK", "{}"), reply("200 OK", "{}")]);
    labels(&pod, &api)
        .says("pod pgset-0 is labelled name=pgset-master")
        .refuses(LABELLED, &["initdb"]);
    let requests = api.requests();
    assert_eq!(requests.len(), 1);
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
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
    // The template sets the label of a replica, so most pods do not need the API server.
    let mut running = replica.env("PGSET_POD_LABEL", "pgset-replica").start(&[]);
    running.says("pod pgset-10 has the label name=pgset-replica");
    assert_eq!(api.requests().len(), 2);
}

#[test]
fn what_the_server_answered_is_said() {
    let (set, pod) = set();
    let message = r#"pods \"pgset-0\" is forbidden: no rule: for it"#;
    let body = format!(r#"{{"kind":"Status","metadata":{{}},"message":"{message}","code":403}}"#);
    let api = Api::start(set.path(), vec![reply("403 Forbidden", &body)]);
    let words = ["label name=pgset-master of pod pgset-0", "HTTP/1.1 403 Forbidden", message];
    labels(&pod, &api).refuses(code::LABEL, &words);
}

#[test]
fn a_server_that_is_busy_is_asked_again() {
    let (set, pod) = set();
    let busy = reply("500 Internal Server Error", r#"{"message":"etcdserver: leader changed"}"#);
    // The second connection ends without a reply.
    let api = Api::start(set.path(), vec![busy, String::new(), reply("200 OK", "{}")]);
    let patient =
        pod.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("KUBERNETES_SERVICE_PORT", api.port);
    let outcome = patient.bootstrap();
    outcome
        .says("leader changed\"; retrying in 1s")
        .says("nothing (")
        .says("is labelled")
        .refuses(LABELLED, &["initdb"]);
    assert_eq!(api.requests().len(), 3);
}

#[test]
fn the_token_goes_to_no_server_that_is_not_the_clusters() {
    let (set, pod) = set();
    // A certificate signed by another CA.
    certificate(set.path(), "server", "IP:127.0.0.1");
    let api = Api::start(set.path(), vec![]);
    labels(&pod, &api).refuses(code::LABEL, &["nothing (verify error:num="]);
    // A certificate of the right CA for another address.
    certificate(set.path(), "server", "IP:127.0.0.2");
    fs::copy(set.path().join("server.crt"), set.path().join("token/ca.crt")).unwrap();
    let other = Api::start(set.path(), vec![]);
    labels(&pod, &other).refuses(code::LABEL, &["verify error:num=64"]);
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
    labels(&pod, &api).refuses(code::LABEL, &["no token at"]);
    fs::write(set.path().join("token/token"), TOKEN).unwrap();
    let refusing =
        pod.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("KUBERNETES_SERVICE_PORT", 1);
    let outcome = refusing.env("PGSET_LABEL_WAIT", 0).bootstrap();
    outcome.refuses(code::LABEL, &["127.0.0.1:1", "Connection refused"]);
    assert!(api.requests().is_empty());
}
