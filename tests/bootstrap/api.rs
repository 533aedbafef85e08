//! A scripted API server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use super::machine::certificate;
use super::set::{Pod, Set};

/// The token of the pods.
pub(super) const TOKEN: &str = "Sentinel.token";

/// Answers each connection with the next reply, and records the requests.
pub(super) struct Api {
    pub(super) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    _thread: JoinHandle<()>,
}

impl Api {
    pub(super) fn start(directory: &Path, replies: Vec<String>) -> Self {
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

    pub(super) fn requests(&self) -> Vec<String> {
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

pub(super) fn reply(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The answer that there is no topology.
pub(super) fn no_topology() -> String {
    reply(
        "404 Not Found",
        r#"{"kind":"Status","message":"configmaps \"pgset-topology\" not found"}"#,
    )
}

/// The answer with the topology's data, in chunks as servers send them, one of which ends inside of a key.
pub(super) fn topology(data: &str) -> String {
    let body = format!(
        r#"{{"kind":"ConfigMap","metadata":{{"managedFields":[{{"f:data":{{"f:master":{{}}}}}}],"resourceVersion":"17"}},"data":{data}}}"#
    );
    let (first, second) = body.split_at(body.len() - data.len() + 5);
    let chunks = [first, second, ""].map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunks.concat())
}

/// Makes the set's token and the CA of the API server.
pub(super) fn trust(set: &Set) {
    let token = set.make_directory("token");
    certificate(set.path(), "server", "IP:127.0.0.1");
    std::fs::copy(set.path().join("server.crt"), token.join("ca.crt")).unwrap();
    std::fs::write(token.join("token"), TOKEN).unwrap();
}

/// The pod with this API server in its environment.
pub(super) fn with_api(pod: &Pod, api: &Api) -> Pod {
    pod.clone()
        .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        .env("KUBERNETES_SERVICE_PORT", api.port)
        .env("PGSET_LABEL_WAIT", 0)
}
