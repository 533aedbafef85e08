//! A proxy in front of the API server. The client side is plain HTTP; the proxy uses the cluster's
//! credentials towards the server. It records requests, and injects the faults that a test defines.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use kube::Client;
use tempfile::TempDir;
use tokio::sync::watch;

use super::cluster::Cluster;
use super::http::{Answer, Failure, Listening, answer, kubeconfig, serve};

/// A request as the proxy received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
}

impl Seen {
    /// Whether the request changes an object in the cluster. Access reviews (which are POST requests), dry
    /// runs and execs do not count as writes.
    pub(crate) fn writes(&self) -> bool {
        let asks = self.path.contains("accessreviews") || self.path.contains("dryRun=All");
        let exec = self.path.contains("/exec?");
        !asks && !exec && !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }
}

/// What the proxy does with a request instead of only forwarding it.
#[derive(Clone)]
pub(crate) enum Fault {
    /// Answer the request with this status, body, and `Retry-After` in seconds.
    Answer(u16, String, Option<u32>),
    /// Close the connection before the request reaches the server.
    DropBefore,
    /// Forward the request, and close the connection instead of answering.
    DropAfter,
    /// Forward the request after this delay.
    Delay(Duration),
}

type Matches = Box<dyn Fn(&Seen) -> bool + Send>;

#[derive(Default)]
struct Log {
    seen: Vec<Seen>,
    faults: VecDeque<(Matches, Fault)>,
}

struct Shared {
    upstream: Client,
    log: Mutex<Log>,
    /// The number of requests that pass. All later requests are held without an answer, and never reach the
    /// server.
    gate: watch::Sender<usize>,
    /// Whether a request is being held.
    held: watch::Sender<bool>,
}

/// The proxy. It ends when it is dropped.
pub(crate) struct Proxy {
    listening: Listening,
    shared: Arc<Shared>,
    directory: TempDir,
}

impl Proxy {
    pub(crate) async fn start(cluster: &Cluster) -> Self {
        let shared = Arc::new(Shared {
            upstream: cluster.client.clone(),
            log: Mutex::default(),
            gate: watch::Sender::new(usize::MAX),
            held: watch::Sender::new(false),
        });
        let state = Arc::clone(&shared);
        let listening = serve(move |request| handle(Arc::clone(&state), request)).await;
        let directory = TempDir::new().expect("a directory for the kubeconfig");
        Self { listening, shared, directory }
    }

    /// Writes a kubeconfig that connects through the proxy.
    pub(crate) fn kubeconfig(&self, namespace: &str) -> PathBuf {
        kubeconfig(self.directory.path(), &self.url(), namespace)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listening.address)
    }

    /// All requests so far, in the order of arrival.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.log().seen.clone()
    }

    /// All requests that change the cluster.
    pub(crate) fn writes(&self) -> Vec<Seen> {
        self.requests().into_iter().filter(Seen::writes).collect()
    }

    /// Forgets the requests so far. Lets the next `n` requests pass, and holds all later ones.
    pub(crate) fn hold_after(&self, n: usize) {
        let mut log = self.log();
        log.seen.clear();
        self.shared.held.send_replace(false);
        self.shared.gate.send_replace(n);
    }

    /// Lets all new requests pass, and forgets the requests so far.
    pub(crate) fn reset(&self) {
        self.hold_after(usize::MAX);
    }

    /// Waits until a request is held.
    pub(crate) async fn held(&self) {
        self.shared.held.subscribe().wait_for(|held| *held).await.expect("the proxy lives");
    }

    /// Injects a fault into the next `times` requests that match.
    pub(crate) fn fault(
        &self,
        times: usize,
        matches: impl Fn(&Seen) -> bool + Clone + Send + 'static,
        fault: &Fault,
    ) {
        let mut log = self.log();
        for _ in 0..times {
            log.faults.push_back((Box::new(matches.clone()), fault.clone()));
        }
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.shared.log.lock().expect("no request panics")
    }
}

async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
    let seen = Seen { method: request.method().clone(), path };
    let (number, fault) = {
        let mut log = shared.log.lock().expect("no request panics");
        log.seen.push(seen.clone());
        let hit = log.faults.iter().position(|(matches, _)| matches(&seen));
        (log.seen.len() - 1, hit.and_then(|at| log.faults.remove(at)).map(|(_, fault)| fault))
    };
    let mut gate = shared.gate.subscribe();
    if number >= *gate.borrow_and_update() {
        shared.held.send_replace(true);
        // A held request is never forwarded. Opening the gate only affects later requests.
        gate.wait_for(|_| false).await.ok();
        return Err("the proxy ended".into());
    }
    match fault {
        None => forward(&shared.upstream, request).await,
        Some(Fault::Answer(code, body, retry_after)) => {
            let mut response = answer(code, body);
            if let Some(wait) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, wait.into());
            }
            Ok(response)
        }
        Some(Fault::DropBefore) => Err("dropped before".into()),
        Some(Fault::DropAfter) => {
            let response = forward(&shared.upstream, request).await?;
            response.into_body().collect().await?;
            Err("dropped after".into())
        }
        Some(Fault::Delay(time)) => {
            tokio::time::sleep(time).await;
            forward(&shared.upstream, request).await
        }
    }
}

async fn forward(upstream: &Client, mut request: Request<Incoming>) -> Answer {
    let upgrade = request.headers().contains_key(header::UPGRADE);
    let client_side = upgrade.then(|| hyper::upgrade::on(&mut request));
    let (mut parts, body) = request.into_parts();
    hop_by_hop(&mut parts.headers, upgrade);
    parts.headers.remove(header::HOST);
    parts.headers.remove(header::CONTENT_LENGTH);
    // The upgrade handle belongs to the client's connection, so it must not be forwarded.
    parts.extensions.clear();
    let body = body.collect().await?.to_bytes().to_vec();
    let mut response = upstream.send(Request::from_parts(parts, body.into())).await?;
    if let Some(client_side) = client_side
        && response.status() == StatusCode::SWITCHING_PROTOCOLS
    {
        let server_side = hyper::upgrade::on(&mut response);
        tokio::spawn(join(client_side, server_side));
    }
    let (mut parts, body) = response.into_parts();
    parts.extensions.clear();
    hop_by_hop(&mut parts.headers, parts.status == StatusCode::SWITCHING_PROTOCOLS);
    Ok(Response::from_parts(parts, body.map_err(Failure::from).boxed_unsync()))
}

/// Copies data in both directions until both ends have closed.
async fn join(client_side: OnUpgrade, server_side: OnUpgrade) {
    if let (Ok(client), Ok(server)) = tokio::join!(client_side, server_side) {
        let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
        tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
    }
}

/// Removes headers that apply to a single connection.
fn hop_by_hop(headers: &mut HeaderMap, upgrade: bool) {
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove("keep-alive");
    if !upgrade {
        headers.remove(header::CONNECTION);
        headers.remove(header::UPGRADE);
    }
}
