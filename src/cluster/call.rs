//! One API request: with a deadline, with retries where they help, and with readable errors.
//!
//! The client library has no read timeout and retries only some status codes, so this module does both.

use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{ClusterError, Target};
use crate::manifest::ServerVersion;

/// The time limit of one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// The maximum size of a response, much larger than any list of one set's objects.
const ANSWER_LIMIT: usize = 64 << 20;
/// The first and the longest pause between two attempts.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Credentials that were reloaded less than this ago are not reloaded again: the server does not accept them.
const RENEW_EVERY: Duration = Duration::from_secs(60);

/// A monotonic deadline, so that clock changes have no effect.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    started: Instant,
    at: Instant,
}

impl Deadline {
    /// A deadline `timeout` from now.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        let started = Instant::now();
        Self { started, at: started + timeout }
    }
    /// The instant of the deadline.
    #[must_use]
    pub fn at(self) -> Instant {
        self.at
    }
    /// The time since it was set.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.started.elapsed()
    }
    /// The time until it passes.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}

/// A client for the API server. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
    /// The deadline of every call.
    pub deadline: Deadline,
}

struct Inner {
    client: RwLock<Current>,
    /// How to reconnect when the credentials have expired; `None` for a client from the caller.
    target: Option<Target>,
    server: String,
    /// Whether the server has answered at least once. Before that, a refused connection is not retried.
    contacted: AtomicBool,
    /// When the server first answered, by its own clock.
    contacted_at: OnceLock<Timestamp>,
    /// The server's version, once it has been queried.
    version: OnceLock<ServerVersion>,
}

/// The client in use.
struct Current {
    client: Client,
    /// The client for exec, created when it is first needed.
    upgrading: OnceLock<Client>,
    /// The number of earlier clients.
    generation: u32,
    /// When its credentials were loaded.
    since: Instant,
}

impl Current {
    fn new(client: Client, generation: u32) -> Self {
        Self { client, upgrading: OnceLock::new(), generation, since: Instant::now() }
    }
}

impl Cluster {
    /// Creates a client. It sends nothing yet.
    pub fn new(target: Target, deadline: Deadline) -> Result<Self, ClusterError> {
        let client = target.client()?;
        let server = target.config.cluster_url.to_string().trim_end_matches('/').to_owned();
        Ok(Self::with(client, Some(target), server, deadline))
    }

    /// Uses a client from the caller, for tests with a simulated server.
    #[must_use]
    pub fn from_client(client: Client, deadline: Deadline) -> Self {
        Self::with(client, None, "the given client".to_owned(), deadline)
    }

    fn with(client: Client, target: Option<Target>, server: String, deadline: Deadline) -> Self {
        let inner = Inner {
            client: RwLock::new(Current::new(client, 0)),
            target,
            server,
            contacted: AtomicBool::new(false),
            contacted_at: OnceLock::new(),
            version: OnceLock::new(),
        };
        Self { inner: Arc::new(inner), deadline }
    }

    /// The same client with a deadline of its own, for what must not depend on the command's.
    #[must_use]
    pub(super) fn within(&self, limit: Duration) -> Self {
        Self { inner: Arc::clone(&self.inner), deadline: Deadline::after(limit) }
    }

    /// The API server's address.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.inner.server
    }

    /// When the server first answered this command, by its own clock and to the second: the local clock may be wrong.
    #[must_use]
    pub fn contacted_at(&self) -> Option<Timestamp> {
        self.inner.contacted_at.get().copied()
    }

    /// The server's version, once it has been queried.
    pub(super) fn known_version(&self) -> Option<&ServerVersion> {
        self.inner.version.get()
    }

    pub(super) fn remember_version(&self, version: ServerVersion) {
        // Keep the first answer.
        let _ = self.inner.version.set(version);
    }

    /// The library's client, for watches.
    #[must_use]
    pub fn client(&self) -> Client {
        self.current().0
    }

    /// The current client and its generation, the number of earlier clients.
    pub(super) fn current(&self) -> (Client, u32) {
        let current = self.inner.client.read().unwrap_or_else(PoisonError::into_inner);
        (current.client.clone(), current.generation)
    }

    /// The library's client for exec, over HTTP/1.1.
    pub(super) fn upgrading_client(&self) -> Result<Client, ClusterError> {
        let Some(target) = &self.inner.target else { return Ok(self.client()) };
        let current = self.inner.client.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = current.upgrading.get() {
            return Ok(client.clone());
        }
        let client = target.upgrading_client()?;
        Ok(current.upgrading.get_or_init(|| client).clone())
    }

    /// Sends a request, retries it if necessary, and parses the response.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] with the server's status, [`ClusterError::Unreachable`] if the first
    /// contact fails, [`ClusterError::GaveUp`] if the deadline passes while the server keeps failing.
    pub async fn call<T: DeserializeOwned>(
        &self,
        action: &str,
        request: Request<Vec<u8>>,
    ) -> Result<T, ClusterError> {
        let body = self.call_bytes(action, request).await?;
        serde_json::from_slice(&body).map_err(|e| self.garbled(action, &e.to_string()))
    }

    /// The same, but returns the bytes of the response.
    pub async fn call_bytes(
        &self,
        action: &str,
        request: Request<Vec<u8>>,
    ) -> Result<Vec<u8>, ClusterError> {
        let mut attempt = 0;
        let mut said: Option<String> = None;
        loop {
            let (client, generation) = self.current();
            let answer = self.attempt(client, request.clone()).await;
            let contacted = self.inner.contacted.load(Ordering::Relaxed);
            let (pause, last) = match judge(answer, attempt, contacted) {
                Judgement::Done(body) => return Ok(body),
                Judgement::Refused(status) => {
                    if status.code == 401 && self.renew(generation) {
                        continue;
                    }
                    return Err(ClusterError::Refused { action: action.to_owned(), status });
                }
                Judgement::Unreachable(reason) => {
                    return Err(ClusterError::Unreachable { server: self.server().into(), reason });
                }
                Judgement::Broken(reason) => return Err(self.garbled(action, &reason)),
                Judgement::Again { after, last } => (after, last),
            };
            tracing::debug!(action, attempt, ?pause, last, "retrying");
            // Shorten the pause so that a last attempt runs just before the deadline.
            let remaining = self.deadline.remaining();
            // If the deadline cut this attempt short, the previous error says more.
            let last = said.take().filter(|_| remaining.is_zero()).unwrap_or(last);
            if remaining <= BACKOFF.0 {
                return Err(ClusterError::GaveUp {
                    action: action.to_owned(),
                    seconds: self.deadline.elapsed().as_secs(),
                    last,
                });
            }
            said = Some(last);
            tokio::time::sleep(pause.min(remaining.saturating_sub(BACKOFF.0 / 2))).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, client: Client, request: Request<Vec<u8>>) -> Answer {
        let (method, uri, began) =
            (request.method().clone(), request.uri().clone(), Instant::now());
        let exchange = async {
            let response = client.send(request.map(Body::from)).await.map_err(|e| reason(&e))?;
            self.inner.contacted.store(true, Ordering::Relaxed);
            let (parts, body) = response.into_parts();
            if let Some(date) = date(&parts.headers) {
                self.inner.contacted_at.get_or_init(|| date);
            }
            match Limited::new(body, ANSWER_LIMIT).collect().await {
                Ok(body) => Ok(Response::from_parts(parts, body.to_bytes().to_vec())),
                Err(e) => Err(Trouble::Transport(root_cause(e.as_ref()))),
            }
        };
        let contacted = self.inner.contacted.load(Ordering::Relaxed);
        let limit = if contacted { ATTEMPT_TIMEOUT } else { super::connect::CONNECT_TIMEOUT }
            .min(self.deadline.remaining());
        let answer = match tokio::time::timeout(limit, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(Trouble::Transport(format!("no answer within {} s", limit.as_secs()))),
        };
        let outcome = match &answer {
            Ok(response) => response.status().as_u16().to_string(),
            Err(trouble) => format!("{trouble:?}"),
        };
        // Log neither headers nor bodies: they contain secrets.
        tracing::debug!(target: "pgset::request", %method, %uri, outcome, elapsed = ?began.elapsed());
        answer
    }

    /// Reloads the credentials, if that may help after a 401 for a client of generation `refused`. Returns
    /// whether to retry.
    pub(super) fn renew(&self, refused: u32) -> bool {
        let Some(target) = &self.inner.target else { return false };
        let mut current = self.inner.client.write().unwrap_or_else(PoisonError::into_inner);
        match renewal(refused, current.generation, current.since.elapsed()) {
            Renewal::Done => true,
            Renewal::Useless => false,
            Renewal::Due => {
                let Ok(client) = target.client() else { return false };
                *current = Current::new(client, current.generation + 1);
                true
            }
        }
    }

    pub(super) fn garbled(&self, action: &str, reason: &str) -> ClusterError {
        ClusterError::Garbled {
            action: action.to_owned(),
            server: self.server().to_owned(),
            reason: reason.to_owned(),
        }
    }
}

/// How to handle a 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    /// Another refused request has already reloaded the credentials.
    Done,
    /// The credentials must be reloaded.
    Due,
    /// The credentials were just reloaded, and the server does not accept them.
    Useless,
}

/// Requests run concurrently, and all of them get a 401 when the credentials expire. The first one reloads
/// the credentials for all.
fn renewal(refused: u32, current: u32, age: Duration) -> Renewal {
    if refused != current {
        Renewal::Done
    } else if current == 0 || age >= RENEW_EVERY {
        Renewal::Due
    } else {
        Renewal::Useless
    }
}

type Answer = Result<Response<Vec<u8>>, Trouble>;

/// Why there is no response.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// The connection could not be opened, or broke.
    Transport(String),
    /// An error that a retry does not fix: a certificate, a credential plugin.
    Final(String),
}

/// What to do with a response.
#[derive(Debug, PartialEq)]
enum Judgement {
    Done(Vec<u8>),
    Refused(Box<Status>),
    Unreachable(String),
    Broken(String),
    Again { after: Duration, last: String },
}

/// The retry policy, as a pure function.
fn judge(answer: Answer, attempt: u32, contacted: bool) -> Judgement {
    let backoff = BACKOFF.0.saturating_mul(1 << attempt.min(6)).min(BACKOFF.1);
    let response = match answer {
        Ok(response) => response,
        Err(Trouble::Final(reason)) => return Judgement::Unreachable(reason),
        // The first contact fails fast, so that the user does not wait ten minutes for a cluster that does
        // not exist.
        Err(Trouble::Transport(reason)) if !contacted => return Judgement::Unreachable(reason),
        Err(Trouble::Transport(last)) => return Judgement::Again { after: backoff, last },
    };
    let code = response.status();
    if code.is_success() {
        return Judgement::Done(response.into_body());
    }
    if code.is_redirection() || code.is_informational() {
        return Judgement::Broken(format!("unexpected status {code}"));
    }
    let status = status_of(code, response.body());
    let told = retry_after(&response, &status);
    let transient = match code.as_u16() {
        429 | 502 | 503 | 504 => true,
        500 => status.message.contains("leader changed") || told.is_some(),
        _ => false,
    };
    if transient {
        let last = if status.message.is_empty() {
            code.to_string()
        } else {
            format!("{code}: {}", status.message)
        };
        return Judgement::Again { after: told.unwrap_or(backoff), last };
    }
    Judgement::Refused(Box::new(status))
}

/// The header `Date`: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    Some(jiff::fmt::rfc2822::parse(date).ok()?.timestamp())
}

/// `Retry-After` in seconds, from the header or from the Status details.
fn retry_after(response: &Response<Vec<u8>>, status: &Status) -> Option<Duration> {
    let header = response.headers().get(header::RETRY_AFTER);
    let header = header.and_then(|seconds| seconds.to_str().ok()?.trim().parse().ok());
    let details = status.details.as_ref().map(|details| u64::from(details.retry_after_seconds));
    header.or(details.filter(|seconds| *seconds > 0)).map(Duration::from_secs)
}

/// The Status in a body. For other bodies (a proxy's page, plain text) it is built from their first line.
fn status_of(code: StatusCode, body: &[u8]) -> Status {
    let mut status = serde_json::from_slice::<Status>(body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(body);
        let line = text.trim().lines().next().unwrap_or_default();
        Status::failure(&line.chars().take(300).collect::<String>(), "")
    });
    status.code = code.as_u16();
    status
}

/// Classifies a transport error: whether a retry may succeed.
fn reason(error: &kube::Error) -> Trouble {
    if let kube::Error::Auth(auth) = error {
        // Do not use the library's message: it contains the plugin's output.
        return Trouble::Final(super::connect::plugin(auth));
    }
    let root = error.source().map_or_else(|| error.to_string(), root_cause);
    if root.contains("certificate") || root.contains("InvalidContentType") {
        return Trouble::Final(root);
    }
    Trouble::Transport(root)
}

/// The message of the innermost error. The outer ones only say that a client failed.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    let words = last.to_string();
    match words.as_str() {
        w if w.contains("Connection refused") => "connection refused".to_owned(),
        w if w.contains("failed to lookup address") => "no such host".to_owned(),
        w if w.contains("deadline has elapsed") => {
            format!("no connection within {} s", super::connect::CONNECT_TIMEOUT.as_secs())
        }
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, headers: &[(&str, &str)], body: &str) -> Response<Vec<u8>> {
        let mut builder = Response::builder().status(code);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(body.as_bytes().to_vec()).unwrap()
    }

    fn again(judgement: &Judgement) -> Option<Duration> {
        match judgement {
            Judgement::Again { after, .. } => Some(*after),
            _ => None,
        }
    }

    #[test]
    fn transient_answers_are_tried_again() {
        let leader = r#"{"kind":"Status","message":"etcdserver: leader changed","code":500}"#;
        for (code, body) in [(429, ""), (500, leader), (502, "bad gateway"), (503, ""), (504, "")] {
            assert_eq!(
                again(&judge(Ok(answer(code, &[], body)), 0, true)),
                Some(BACKOFF.0),
                "{code}"
            );
        }
        assert_eq!(
            again(&judge(Ok(answer(429, &[("Retry-After", "7")], "")), 3, true)),
            Some(Duration::from_secs(7))
        );
        assert_eq!(
            again(&judge(Err(Trouble::Transport("reset".into())), 20, true)),
            Some(BACKOFF.1)
        );
    }

    #[test]
    fn the_server_s_time_is_in_a_header() {
        let of = |text| date(answer(200, &[("Date", text)], "").headers());
        let expected = "1994-11-06T08:49:37Z".parse().unwrap();
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(expected));
        assert_eq!(of("yesterday"), None);
    }

    #[test]
    fn the_status_may_say_when_to_come_back() {
        let body = r#"{"kind":"Status","code":429,"details":{"retryAfterSeconds":3}}"#;
        let judged = judge(Ok(answer(429, &[], body)), 0, true);
        assert_eq!(again(&judged), Some(Duration::from_secs(3)));
    }

    #[test]
    fn credentials_are_renewed_once_for_all_who_were_refused() {
        let young = Duration::ZERO;
        assert_eq!(renewal(0, 0, young), Renewal::Due);
        assert_eq!(renewal(0, 1, young), Renewal::Done);
        assert_eq!(renewal(1, 1, young), Renewal::Useless);
        assert_eq!(renewal(1, 1, RENEW_EVERY), Renewal::Due);
    }

    #[test]
    fn final_answers_are_not() {
        for code in [400, 401, 403, 404, 409, 410, 422, 500] {
            let body =
                format!(r#"{{"kind":"Status","message":"no","reason":"Why","code":{code}}}"#);
            match judge(Ok(answer(code, &[], &body)), 0, true) {
                Judgement::Refused(status) => {
                    assert_eq!((status.code, status.reason.as_str()), (code, "Why"));
                }
                other => panic!("{code}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_first_contact_fails_fast() {
        let refused = || Err(Trouble::Transport("connection refused".into()));
        assert_eq!(judge(refused(), 0, false), Judgement::Unreachable("connection refused".into()));
        assert!(again(&judge(refused(), 0, true)).is_some());
        assert!(matches!(
            judge(Err(Trouble::Final("certificate".into())), 0, true),
            Judgement::Unreachable(_)
        ));
    }

    #[test]
    fn a_page_of_a_proxy_becomes_one_line() {
        let status = status_of(StatusCode::FORBIDDEN, b"<html>\nno entry\n</html>");
        assert_eq!((status.code, status.message.as_str()), (403, "<html>"));
    }
}
