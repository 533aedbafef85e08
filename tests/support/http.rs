//! Code that both test servers share: a listener on the loopback interface, and a kubeconfig for it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Body = UnsyncBoxBody<Bytes, Failure>;
pub(crate) type Answer = Result<Response<Body>, Failure>;

/// A body that is complete from the start.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A response with JSON text, or with text that should have been JSON.
pub(crate) fn answer(status: u16, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(whole(text));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status of three digits");
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    response
}

/// A failure in the format of Kubernetes (`Status`).
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

/// A listener on the loopback interface. It closes with all its connections when it is dropped.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves HTTP/1.1, including upgrades. If a handler returns `Err`, the connection is closed without a
/// response.
pub(crate) async fn serve<F>(
    handler: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> Listening
where
    F: Future<Output = Answer> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
    let address = listener.local_addr().expect("the listener has an address");
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).ok();
            let service = service_fn(handler.clone());
            connections.spawn(async move {
                hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .with_upgrades()
                    .await
                    .ok();
            });
            while connections.try_join_next().is_some() {}
        }
    });
    Listening { address, task }
}

/// Writes a kubeconfig without credentials, for a server that speaks plain HTTP.
pub(crate) fn kubeconfig(directory: &Path, server: &str, namespace: &str) -> PathBuf {
    let path = directory.join(format!("kubeconfig-{}", super::unique()));
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test",
            "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
    });
    std::fs::write(&path, config.to_string()).expect("the kubeconfig can be written");
    path
}
