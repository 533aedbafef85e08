//! A small scripted API server on the loopback interface, for tests that need an API server but no cluster.
//! It stores objects in a map, and answers chosen requests as the test defines. It runs no controllers: a
//! stored StatefulSet stays as it was sent.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use bytes::Bytes;
use futures::stream;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::{Answer, Body, Failure, Listening, answer, kubeconfig, serve, status};
use super::proxy::Seen;

/// An answer that the test defines.
#[derive(Clone)]
pub(crate) enum Reply {
    /// A response with status, headers and body.
    Text(u16, Vec<(&'static str, &'static str)>, String),
    /// The beginning of a body. Then the connection breaks.
    Broken(&'static str),
    /// No answer: the request hangs.
    Hang,
    /// The connection is closed without an answer.
    Close,
}

impl Reply {
    /// A failure in the format of Kubernetes.
    pub(crate) fn status(code: u16, reason: &str, message: &str) -> Self {
        Self::Text(code, Vec::new(), status(code, reason, message).to_string())
    }
}

struct Scripted {
    method: Method,
    path: String,
    calls: Range<usize>,
    met: usize,
    reply: Reply,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    scripts: Vec<Scripted>,
    denied: Vec<String>,
    seen: Vec<Seen>,
    counter: u64,
}

/// The server. It ends when it is dropped.
pub(crate) struct Server {
    listening: Listening,
    state: Arc<Mutex<State>>,
    directory: TempDir,
}

impl Server {
    /// Starts a server with one namespace, `pg`, and a default StorageClass, `standard`.
    pub(crate) async fn start() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let listening = serve(move |request| handle(Arc::clone(&shared), request)).await;
        let directory = TempDir::new().expect("a directory for the kubeconfig");
        let server = Self { listening, state, directory };
        server.put("/api/v1/namespaces/pg", json!({"status": {"phase": "Active"}}));
        let default = json!({"storageclass.kubernetes.io/is-default-class": "true"});
        let class = json!({"metadata": {"annotations": default}, "provisioner": "none"});
        server.put("/apis/storage.k8s.io/v1/storageclasses/standard", class);
        server
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        kubeconfig(self.directory.path(), &format!("http://{}", self.listening.address), "pg")
    }

    /// Stores an object under its path.
    pub(crate) fn put(&self, path: &str, value: Value) {
        self.lock().store(path, value, "kubectl", "Update");
    }

    pub(crate) fn object(&self, path: &str) -> Option<Value> {
        self.lock().objects.get(path).cloned()
    }

    /// Answers chosen calls with `reply`. Of the requests with this method and this text in their path,
    /// `calls` selects which ones (0 is the first).
    pub(crate) fn script(&self, method: Method, path: &str, calls: Range<usize>, reply: Reply) {
        let path = path.to_owned();
        self.lock().scripts.push(Scripted { method, path, calls, met: 0, reply });
    }

    /// Makes access reviews refuse this resource.
    pub(crate) fn deny(&self, resource: &str) {
        self.lock().denied.push(resource.to_owned());
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    pub(crate) fn writes(&self) -> Vec<Seen> {
        self.requests().into_iter().filter(Seen::writes).collect()
    }

    /// Forgets the requests so far.
    pub(crate) fn forget(&self) {
        self.lock().seen.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no request panics")
    }
}

async fn handle(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let full = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let seen = Seen { method: parts.method.clone(), path: full };
    let reply = state.lock().expect("no request panics").scripted(seen);
    match reply {
        None => {
            state.lock().expect("no request panics").answer(&parts.method, &path, &query, &body)
        }
        Some(Reply::Text(code, headers, text)) => {
            let mut response = answer(code, text);
            for (name, value) in headers {
                let name = HeaderName::from_static(name);
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            Ok(response)
        }
        Some(Reply::Broken(text)) => {
            let pieces = [Ok(Frame::data(Bytes::from(text))), Err(Failure::from("broken off"))];
            Ok(Response::new(StreamBody::new(stream::iter(pieces)).boxed_unsync()))
        }
        Some(Reply::Hang) => std::future::pending().await,
        Some(Reply::Close) => Err("closed".into()),
    }
}

impl State {
    /// Records the request. Returns the answer that the test defined, if there is one.
    fn scripted(&mut self, seen: Seen) -> Option<Reply> {
        let mut reply = None;
        for script in &mut self.scripts {
            if script.method == seen.method && seen.path.contains(&script.path) {
                if script.calls.contains(&script.met) && reply.is_none() {
                    reply = Some(script.reply.clone());
                }
                script.met += 1;
            }
        }
        self.seen.push(seen);
        reply
    }

    fn answer(&mut self, method: &Method, path: &str, query: &str, body: &[u8]) -> Answer {
        if path == "/version" {
            let version = json!({"major": "1", "minor": "37", "gitVersion": "v1.37.2"});
            return Ok(ok(&version));
        }
        if path.ends_with("selfsubjectaccessreviews") {
            let mut review: Value = serde_json::from_slice(body)?;
            let resource = review["spec"]["resourceAttributes"]["resource"].clone();
            let allowed = if resource == "*" {
                self.denied.is_empty()
            } else {
                !self.denied.iter().any(|d| resource == d.as_str())
            };
            review["status"] = json!({"allowed": allowed});
            return Ok(ok(&review));
        }
        let dry = query.contains("dryRun=All");
        match *method {
            Method::GET if is_collection(path) && query.contains("watch=") => Ok(Response::new(
                StreamBody::new(stream::pending::<Result<Frame<Bytes>, Failure>>()).boxed_unsync(),
            )),
            Method::GET if is_collection(path) => Ok(ok(&self.list(path, query))),
            Method::GET => Ok(self.objects.get(path).map_or_else(|| not_found(path), ok)),
            Method::PATCH => {
                let value = serde_json::from_slice(body)?;
                let before = self.objects.get(path).cloned();
                let stored = self.store(path, value, "pgset", "Apply");
                self.undo_if(dry, path, before);
                Ok(ok(&stored))
            }
            Method::POST => {
                let value: Value = serde_json::from_slice(body)?;
                let path =
                    format!("{path}/{}", value["metadata"]["name"].as_str().unwrap_or_default());
                if self.objects.contains_key(&path) {
                    let conflict = status(409, "AlreadyExists", &format!("{path} already exists"));
                    return Ok(answer(409, conflict.to_string()));
                }
                let stored = self.store(&path, value, "pgset", "Update");
                self.undo_if(dry, &path, None);
                Ok(ok(&stored))
            }
            Method::DELETE => match self.objects.remove(path) {
                Some(_) => Ok(ok(&json!({"kind": "Status", "status": "Success"}))),
                None => Ok(not_found(path)),
            },
            _ => Ok(answer(405, status(405, "MethodNotAllowed", "no such method").to_string())),
        }
    }

    fn undo_if(&mut self, dry: bool, path: &str, before: Option<Value>) {
        match before {
            Some(before) if dry => drop(self.objects.insert(path.to_owned(), before)),
            None if dry => drop(self.objects.remove(path)),
            _ => {}
        }
    }

    fn list(&self, path: &str, query: &str) -> Value {
        let selector = query.split('&').find_map(|q| q.strip_prefix("labelSelector="));
        let selector = selector.unwrap_or_default().replace("%2F", "/").replace("%3D", "=");
        let selector = selector.replace("%2C", ",");
        let wanted: Vec<_> = selector.split(',').filter_map(|term| term.split_once('=')).collect();
        let inside = format!("{path}/");
        let items: Vec<_> = self
            .objects
            .iter()
            .filter(|(key, _)| key.strip_prefix(&inside).is_some_and(|name| !name.contains('/')))
            .map(|(_, value)| value)
            .filter(|v| wanted.iter().all(|(key, value)| v["metadata"]["labels"][*key] == *value))
            .collect();
        json!({"kind": "List", "apiVersion": "v1", "items": items,
               "metadata": {"resourceVersion": self.counter.to_string()}})
    }

    /// Stores an object, with the fields that an API server adds.
    fn store(&mut self, path: &str, mut value: Value, manager: &str, operation: &str) -> Value {
        self.counter += 1;
        let plain = value.as_object_mut().and_then(|object| object.remove("stringData"));
        if let Some(Value::Object(plain)) = plain {
            for (key, text) in plain {
                let text = text.as_str().unwrap_or_default();
                value["data"][key] = base64::engine::general_purpose::STANDARD.encode(text).into();
            }
        }
        let owned = fields(&value);
        let before = self.objects.get(path);
        let uid = before.map_or_else(
            || json!(format!("uid-{}", self.counter)),
            |b| b["metadata"]["uid"].clone(),
        );
        let segments: Vec<&str> = path.split('/').collect();
        let api_version = value["apiVersion"].clone();
        let metadata = &mut value["metadata"];
        metadata["name"] = json!(segments.last());
        if let Some(at) = segments.iter().position(|s| *s == "namespaces")
            && segments.len() > at + 2
        {
            metadata["namespace"] = json!(segments[at + 1]);
        }
        metadata["uid"] = uid;
        metadata["resourceVersion"] = json!(self.counter.to_string());
        metadata["generation"] = json!(1);
        metadata["creationTimestamp"] = json!("2026-11-24T00:00:00Z");
        metadata["managedFields"] = json!([{
            "manager": manager, "operation": operation, "apiVersion": api_version,
            "fieldsType": "FieldsV1", "fieldsV1": owned,
        }]);
        self.objects.insert(path.to_owned(), value.clone());
        value
    }
}

fn ok(value: &Value) -> Response<Body> {
    answer(200, value.to_string())
}

fn not_found(path: &str) -> Response<Body> {
    answer(404, status(404, "NotFound", &format!("{path} not found")).to_string())
}

/// Whether the path is a collection: `/api/v1/namespaces/pg/services` is one, `/api/v1/namespaces/pg` is
/// not.
fn is_collection(path: &str) -> bool {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let rest = if parts[0] == "api" { &parts[2..] } else { parts.get(3..).unwrap_or_default() };
    let rest =
        if rest.first() == Some(&"namespaces") && rest.len() > 2 { &rest[2..] } else { rest };
    rest.len() == 1
}

/// Computes `fieldsV1` of a sent object. Lists that have keys in Kubernetes are keyed. Other lists are
/// owned as a whole.
fn fields(value: &Value) -> Value {
    let Value::Object(map) = value else { return json!({}) };
    let mut owned = serde_json::Map::new();
    for (name, value) in map {
        if ["apiVersion", "kind", "name", "namespace"].contains(&name.as_str()) && value.is_string()
        {
            continue;
        }
        let below = match value {
            Value::Array(items) => keyed(items).unwrap_or_else(|| json!({})),
            other => fields(other),
        };
        owned.insert(format!("f:{name}"), below);
    }
    Value::Object(owned)
}

fn keyed(items: &[Value]) -> Option<Value> {
    let keys: [&[&str]; 4] =
        [&["containerPort", "protocol"], &["port", "protocol"], &["mountPath"], &["name"]];
    let mut owned = serde_json::Map::new();
    for item in items {
        let key = keys.iter().find(|names| names.iter().all(|n| item.get(n).is_some()))?;
        let key: serde_json::Map<_, _> =
            key.iter().map(|name| ((*name).to_owned(), item[*name].clone())).collect();
        let mut below = fields(item);
        below["."] = json!({});
        if item.get("name").is_some() {
            below["f:name"] = json!({});
        }
        owned.insert(format!("k:{}", Value::Object(key)), below);
    }
    Some(Value::Object(owned))
}
