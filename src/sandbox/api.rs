//! The API server: turns HTTP requests into reads and writes of the registry.

pub mod discovery;
pub mod exec;
pub mod logs;
mod protobuf;
pub mod read;
pub mod request;
pub mod respond;
mod reviews;
mod strategic;
pub mod tables;
pub mod write;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use self::request::{Query, Request};
use self::respond::{Reply, json as answer, refuse};
use super::access::{self, Right, Tokens, User};
use super::faults::{Fault, Faults, Seen, answers};
use super::kinds::NAMESPACES;
use super::node::Node;
use super::nodes::{self, NodeAction};
use super::refusal::{Answer, Refusal};
use super::registry::Registry;

/// The largest accepted request body, as in the real server.
const BODY_LIMIT: usize = 3 << 20;

/// How long a token is valid if the request does not say.
const TOKEN_SECONDS: u64 = 3600;

/// The API server.
pub struct Api {
    /// The objects that requests read and write.
    pub registry: Arc<Registry>,
    /// The tokens that are accepted.
    pub tokens: Arc<Tokens>,
    /// The node, which has the logs and runs commands in containers.
    pub node: Arc<Node>,
    /// The faults that tests inject.
    pub faults: Arc<Faults>,
}

impl Api {
    /// Answers a request. `Err` closes the connection without an answer.
    ///
    /// # Errors
    /// If the connection broke, or if a fault breaks it.
    pub async fn handle(
        self: Arc<Self>,
        mut request: http::Request<Incoming>,
    ) -> Result<Response<respond::Body>, respond::Broken> {
        // A node without a connection: the request of its pod arrives when the node is connected again.
        let pod_host = bearer(&request).and_then(|token| self.node.host_of(token));
        if let Some(host) = pod_host {
            self.node.connected(&host).await;
        }
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let by_pod = matches!(self.authenticate(&request), Ok(User::ServiceAccount { .. }));
        let seen = Seen { method: method.clone(), path: format!("{path}?{query}"), by_pod };
        let passed = self.faults.arrive(seen).await;
        if let Some(fault) = &passed.fault {
            let version = || self.registry.store.list(&NAMESPACES, None).1;
            if let Some(reply) = answers::instead(fault, version).await {
                return reply;
            }
        }
        if let Some(Fault::Exec(fault)) = passed.fault {
            request.extensions_mut().insert(fault);
        }
        let answered = self.answer(&method, &path, &query, &mut request).await;
        tracing::debug!(%method, path, query, code = answered.as_ref().map_or_else(|r| r.code, |r| r.status().as_u16()));
        let reply = answered.unwrap_or_else(|refusal| refuse(&refusal));
        let reply = answers::spoil(passed.fault.as_ref(), reply).await?;
        Ok(self.faults.by_the_clock(reply))
    }

    async fn answer(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        request: &mut http::Request<Incoming>,
    ) -> Answer<Reply> {
        // Health checks need no authentication.
        if matches!(path, "/healthz" | "/livez" | "/readyz") {
            return Ok(respond::text("ok"));
        }
        let user = self.authenticate(request)?;
        if *method == Method::GET
            && let Some(document) = discovery::document(path)
        {
            return Ok(answer(200, &document));
        }
        if let Some(kind) = path.strip_prefix("/apis/authorization.k8s.io/v1/") {
            if *method != Method::POST {
                return Err(Refusal::left_out(kind));
            }
            let (asked, content) = (reviews::Asked::parse(kind)?, content_type(request));
            return self.review(&user, asked, &parse(&content, &body(request).await?)?);
        }
        let asked = Request::parse(path, query)?;
        self.authorize(&user, method, &asked)?;
        if matches!(asked.subresource.as_deref(), Some("log" | "exec")) {
            self.reach_kubelet(&asked)?;
        }
        match asked.subresource.as_deref() {
            Some("log") if *method == Method::GET => logs::read(&self.node, &self.registry, &asked),
            Some("exec") => exec::upgrade(&self.node, &self.registry, &asked, request),
            Some("log") => Err(Refusal::left_out("writing a log")),
            Some("token") if *method == Method::POST => {
                let content = content_type(request);
                self.token(&asked, parse(&content, &body(request).await?)?)
            }
            Some("token") => Err(Refusal::left_out("reading a token")),
            Some("power") if *method == Method::PUT => {
                let content = content_type(request);
                self.switch(&asked, &parse(&content, &body(request).await?)?).await
            }
            Some("power") => Err(Refusal::left_out("reading the power of a node")),
            _ if *method == Method::GET => {
                let table = wants_table(request);
                read::get(&self.registry, &self.faults, &asked, table)
            }
            _ => {
                let manager = manager(&asked.query, request);
                let content = content_type(request);
                let body = body(request).await?;
                write::write(&self.registry, method, &asked, &manager, &content, &body)
            }
        }
    }

    fn authenticate(&self, request: &http::Request<Incoming>) -> Answer<User> {
        if request.headers().contains_key("impersonate-user") {
            return Err(Refusal::left_out("impersonation"));
        }
        bearer(request)
            .and_then(|token| self.tokens.user(token))
            .ok_or_else(|| Refusal::new(401, "Unauthorized", "Unauthorized"))
    }

    fn authorize(&self, user: &User, method: &Method, asked: &Request) -> Answer<()> {
        let (verb, resource) = (asked.verb(method), asked.ruled());
        let right = Right {
            verb,
            group: asked.resource.group,
            resource: &resource,
            namespace: asked.namespace.as_deref(),
            name: asked.name.as_deref(),
        };
        if access::may(&self.registry, user, &user.groups(), right) {
            return Ok(());
        }
        let place = match &asked.namespace {
            Some(namespace) => format!("in the namespace {namespace:?}"),
            None => "at the cluster scope".to_owned(),
        };
        let group = asked.resource.group;
        let why = format!(
            "User {:?} cannot {verb} resource {resource:?} in API group {group:?} {place}",
            user.to_string()
        );
        Err(Refusal::forbidden(asked.resource, asked.name.as_deref().unwrap_or_default(), &why))
    }

    /// Refuses what only the kubelet of a pod can answer, if it has no connection.
    fn reach_kubelet(&self, asked: &Request) -> Answer<()> {
        let pod = self.registry.get(&asked.key(asked.name.as_deref().unwrap_or_default()))?;
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        if !nodes::is_cut_off(&self.registry, node) {
            return Ok(());
        }
        let why = format!("error dialing backend: dial tcp: {node}:10250: no route to host");
        Err(Refusal::new(500, "InternalError", why))
    }

    /// Stops, starts, freezes or thaws a node: `pgset sandbox node`. A real cluster has no such request.
    async fn switch(&self, asked: &Request, sent: &Value) -> Answer<Reply> {
        let word = sent["action"].as_str().unwrap_or_default();
        let action = NodeAction::named(word)
            .ok_or_else(|| Refusal::bad_request(format!("a node can't {word:?}")))?;
        let name = asked.name.as_deref().unwrap_or_default();
        Ok(answer(200, &*self.node.switch(name, action).await?))
    }

    /// A `TokenRequest`: a token for a service account.
    fn token(&self, asked: &Request, mut request: Value) -> Answer<Reply> {
        let name = asked.name.as_deref().unwrap_or_default();
        let key = asked.key(name);
        self.registry.get(&key)?;
        let seconds = request["spec"]["expirationSeconds"].as_u64().unwrap_or(TOKEN_SECONDS);
        let time = Duration::from_secs(seconds);
        let token = self.tokens.issue(&key.namespace, name, Some(time));
        request["metadata"]["name"] = json!(name);
        request["metadata"]["namespace"] = json!(key.namespace);
        request["spec"]["expirationSeconds"] = json!(seconds);
        request["status"] = json!({"token": token, "expirationTimestamp": super::after(seconds)});
        Ok(answer(201, &request))
    }
}

/// The token of a request.
fn bearer(request: &http::Request<Incoming>) -> Option<&str> {
    let given = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    given.strip_prefix("Bearer ")
}

/// Reads the whole request body.
async fn body(request: &mut http::Request<Incoming>) -> Answer<Bytes> {
    let body = Limited::new(request.body_mut(), BODY_LIMIT).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|e| {
        Refusal::new(413, "RequestEntityTooLarge", format!("the body can't be read: {e}"))
    })
}

/// Parses a request body as JSON.
pub(super) fn parse(content: &str, body: &[u8]) -> Answer<Value> {
    if content == "application/vnd.kubernetes.protobuf" {
        return protobuf::parse(body);
    }
    // The content type of server-side apply says YAML, but kubectl and pgset send JSON, which is
    // valid YAML.
    serde_json::from_slice(body).map_err(|e| {
        Refusal::bad_request(format!("the body is not JSON, and the sandbox reads only JSON: {e}"))
    })
}

fn header_text(request: &http::Request<Incoming>, name: header::HeaderName) -> String {
    let value = request.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn content_type(request: &http::Request<Incoming>) -> String {
    let text = header_text(request, header::CONTENT_TYPE);
    text.split(';').next().unwrap_or_default().trim().to_owned()
}

fn wants_table(request: &http::Request<Incoming>) -> bool {
    header_text(request, header::ACCEPT).contains("as=Table")
}

/// The field manager that the request names; otherwise the name of the client program.
fn manager(query: &Query, request: &http::Request<Incoming>) -> String {
    query.get("fieldManager").map_or_else(
        || {
            let agent = header_text(request, header::USER_AGENT);
            agent.split('/').next().filter(|a| !a.is_empty()).unwrap_or("unknown").to_owned()
        },
        str::to_owned,
    )
}
