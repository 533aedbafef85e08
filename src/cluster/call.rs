//! One request: under a deadline, retried where retrying helps, its failure in words.
//!
//! The client library has no read timeout and retries only some statuses, so both are done here.

use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{ClusterError, Target};

/// How long one attempt may take before it counts as unanswered.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer that is read: far above any list of one set's objects.
const ANSWER_LIMIT: usize = 64 << 20;
/// The first and the longest pause between attempts.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Credentials that were read anew less than this ago are not read again: they are not accepted.
const RENEW_EVERY: Duration = Duration::from_secs(60);

/// When to give up; monotonic, so that a clock that jumps changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    started: Instant,
    at: Instant,
}

impl Deadline {
    /// From now.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        let started = Instant::now();
        Self { started, at: started + timeout }
    }
    /// When.
    #[must_use]
    pub fn at(self) -> Instant {
        self.at
    }
    /// Since it was set.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.started.elapsed()
    }
    /// Until it passes.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}

/// A cluster, and the set's namespace in it. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
    /// When every call gives up.
    pub deadline: Deadline,
}

struct Inner {
    client: RwLock<Current>,
    /// How to connect anew when the credentials have run out; none for a client that was handed in.
    target: Option<Target>,
    server: String,
    /// Whether the server ever answered: before that a refused connection is final.
    contacted: AtomicBool,
    /// The server's minor version, once it was asked.
    minor: OnceLock<u32>,
}

/// The client in use.
struct Current {
    client: Client,
    /// The one for exec, made when it is first needed.
    upgrading: OnceLock<Client>,
    /// How many were in use before it.
    generation: u32,
    /// When its credentials were read.
    since: Instant,
}

impl Current {
    fn new(client: Client, generation: u32) -> Self {
        Self { client, upgrading: OnceLock::new(), generation, since: Instant::now() }
    }
}

impl Cluster {
    /// Connects lazily: nothing is sent.
    pub fn new(target: Target, deadline: Deadline) -> Result<Self, ClusterError> {
        let client = target.client()?;
        let server = target.config.cluster_url.to_string().trim_end_matches('/').to_owned();
        Ok(Self::with(client, Some(target), server, deadline))
    }

    /// Around a client of the caller's: tests script the server behind it.
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
            minor: OnceLock::new(),
        };
        Self { inner: Arc::new(inner), deadline }
    }

    /// The API server's address.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.inner.server
    }

    /// The server's minor version, once it was asked; 0 when it does not say.
    pub(super) fn minor(&self) -> Option<u32> {
        self.inner.minor.get().copied()
    }

    pub(super) fn set_minor(&self, minor: u32) {
        // The first answer stands.
        let _ = self.inner.minor.set(minor);
    }

    /// The library's client, for what it does better: watches.
    #[must_use]
    pub fn client(&self) -> Client {
        self.current().0
    }

    /// The client in use, and how many were in use before it.
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

    /// Sends a request until it is answered for good, and reads the answer.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] with the server's words, [`ClusterError::Unreachable`] when the first
    /// contact fails, [`ClusterError::GaveUp`] when the deadline passes while the server keeps failing.
    pub async fn call<T: DeserializeOwned>(
        &self,
        action: &str,
        request: Request<Vec<u8>>,
    ) -> Result<T, ClusterError> {
        let body = self.call_bytes(action, request).await?;
        serde_json::from_slice(&body).map_err(|e| self.garbled(action, &e.to_string()))
    }

    /// The same, without reading the answer as JSON.
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
            // The last attempt is made just before the deadline.
            let remaining = self.deadline.remaining();
            // One that the deadline cuts short says less than the answer before it.
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
        // Neither headers nor bodies: they hold secrets.
        tracing::debug!(target: "pgset::request", %method, %uri, outcome, elapsed = ?began.elapsed());
        answer
    }

    /// Reads the credentials anew, if that may help whoever was refused with the client of this
    /// generation. Whether to try again.
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

/// What a 401 calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    /// Another request that was refused has renewed the credentials already.
    Done,
    /// They have to be read anew.
    Due,
    /// They were read anew just now: they are not accepted.
    Useless,
}

/// Requests go out side by side, and all of them are refused when the credentials run out: the first
/// renews them for all.
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

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// The connection could not be made, or broke.
    Transport(String),
    /// Something that will be the same next time: a certificate, a credential plugin.
    Final(String),
}

/// What to do with an answer.
#[derive(Debug, PartialEq)]
enum Judgement {
    Done(Vec<u8>),
    Refused(Box<Status>),
    Unreachable(String),
    Broken(String),
    Again { after: Duration, last: String },
}

/// The retry policy, as a pure function (readiness.md, "Watching").
fn judge(answer: Answer, attempt: u32, contacted: bool) -> Judgement {
    let backoff = BACKOFF.0.saturating_mul(1 << attempt.min(6)).min(BACKOFF.1);
    let response = match answer {
        Ok(response) => response,
        Err(Trouble::Final(reason)) => return Judgement::Unreachable(reason),
        // The first contact fails fast: nobody waits ten minutes for a cluster that is not there.
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

/// `Retry-After` in seconds, by header or by the Status' details.
fn retry_after(response: &Response<Vec<u8>>, status: &Status) -> Option<Duration> {
    let header = response.headers().get(header::RETRY_AFTER);
    let header = header.and_then(|seconds| seconds.to_str().ok()?.trim().parse().ok());
    let details = status.details.as_ref().map(|details| u64::from(details.retry_after_seconds));
    header.or(details.filter(|seconds| *seconds > 0)).map(Duration::from_secs)
}

/// The Status in a body, or one made of what else the body says (a proxy's page, plain text).
fn status_of(code: StatusCode, body: &[u8]) -> Status {
    let mut status = serde_json::from_slice::<Status>(body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(body);
        let line = text.trim().lines().next().unwrap_or_default();
        Status::failure(&line.chars().take(300).collect::<String>(), "")
    });
    status.code = code.as_u16();
    status
}

/// The transport's error, and whether another attempt could end otherwise.
fn reason(error: &kube::Error) -> Trouble {
    if let kube::Error::Auth(auth) = error {
        // Never the library's words: they hold what the plugin printed.
        return Trouble::Final(super::connect::plugin(auth));
    }
    let root = error.source().map_or_else(|| error.to_string(), root_cause);
    if root.contains("certificate") || root.contains("InvalidContentType") {
        return Trouble::Final(root);
    }
    Trouble::Transport(root)
}

/// The innermost error's words: the outer ones say only that a client failed.
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
