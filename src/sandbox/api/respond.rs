//! HTTP responses.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use serde_json::Value;
use tokio::sync::mpsc;

use super::super::refusal::Refusal;

/// Why a response ends early.
pub type Broken = Box<dyn std::error::Error + Send + Sync>;
/// The body of a response.
pub type Body = UnsyncBoxBody<Bytes, Broken>;
/// A response.
pub type Reply = Response<Body>;

fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

fn typed(code: u16, content: &'static str, body: Body) -> Reply {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    response
}

/// A JSON response.
#[must_use]
pub fn json(code: u16, value: &Value) -> Reply {
    typed(code, "application/json", whole(value.to_string()))
}

/// A plain-text response.
pub fn text(text: impl Into<Bytes>) -> Reply {
    typed(200, "text/plain", whole(text))
}

/// A page from a proxy between client and server, where the client expects JSON.
#[must_use]
pub fn page(code: u16, text: String) -> Reply {
    typed(code, "application/json", whole(text))
}

/// A refusal as a `Status`.
#[must_use]
pub fn refuse(refusal: &Refusal) -> Reply {
    json(refusal.code, &refusal.status())
}

/// Adds a `Retry-After` header.
pub fn later(mut reply: Reply, after: Option<Duration>) -> Reply {
    if let Some(after) = after {
        reply.headers_mut().insert(header::RETRY_AFTER, after.as_secs().into());
    }
    reply
}

/// A response that is sent in pieces and ends when the sender is dropped.
#[must_use]
pub fn streaming(content: &'static str) -> (mpsc::Sender<Bytes>, Reply) {
    let (sender, receiver) = mpsc::channel(64);
    let frames = stream::unfold(receiver, |mut receiver: mpsc::Receiver<Bytes>| async move {
        let bytes = receiver.recv().await?;
        Some((Ok(Frame::data(bytes)), receiver))
    });
    (sender, typed(200, content, StreamBody::new(frames).boxed_unsync()))
}

/// The response that turns the connection into a WebSocket.
pub fn upgrade(accept: &str, protocol: &str) -> Option<Reply> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(accept).ok()?);
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(protocol).ok()?);
    Some(response)
}
