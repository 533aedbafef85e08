//! The answers of faults.

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::api::respond::{self, Broken, Reply};
use super::super::refusal::Refusal;
use super::{Fault, Faults, WatchFault};

/// The answer in place of the server's; none if the request is to be executed.
pub(in super::super) async fn instead(
    fault: &Fault,
    version: impl Fn() -> u64,
) -> Option<Result<Reply, Broken>> {
    match fault {
        Fault::Status(refusal, retry_after) => {
            Some(Ok(respond::later(respond::refuse(refusal), *retry_after)))
        }
        Fault::Page(code, text) => Some(Ok(respond::page(*code, text.clone()))),
        Fault::Delay(pause) => {
            tokio::time::sleep(*pause).await;
            None
        }
        Fault::Hang => std::future::pending().await,
        Fault::Reset => Some(Err("reset before the request was read".into())),
        Fault::Watch(fault) => Some(Ok(watch(*fault, version()))),
        Fault::ResetAfter | Fault::Cut | Fault::Exec(_) => None,
    }
}

/// Changes the server's answer according to the fault.
pub(in super::super) async fn spoil(fault: Option<&Fault>, reply: Reply) -> Result<Reply, Broken> {
    match fault {
        Some(Fault::ResetAfter) => Err("reset after the request was applied".into()),
        Some(Fault::Cut) => {
            let (parts, body) = reply.into_parts();
            let whole = body.collect().await?.to_bytes();
            let half = whole.slice(..whole.len() / 2);
            let pieces = [Ok(Frame::data(half)), Err(Broken::from("cut in the middle"))];
            let body = StreamBody::new(stream::iter(pieces)).boxed_unsync();
            Ok(Reply::from_parts(parts, body))
        }
        _ => Ok(reply),
    }
}

/// A watch that delivers no changes.
fn watch(fault: WatchFault, version: u64) -> Reply {
    let (sender, reply) = respond::streaming("application/json");
    let line = |event: Value| Bytes::from(format!("{event}\n"));
    match fault {
        WatchFault::Closed => {}
        WatchFault::Expired => {
            // The queue is empty, so there is room for this message.
            let _ = sender
                .try_send(line(json!({"type": "ERROR", "object": Refusal::expired().status()})));
        }
        WatchFault::Bookmarks => {
            let object = json!({"metadata": {"resourceVersion": version.to_string()}});
            let bookmark = line(json!({"type": "BOOKMARK", "object": object}));
            tokio::spawn(async move {
                while sender.send(bookmark.clone()).await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            });
        }
    }
    reply
}

impl Faults {
    /// Shifts the times in an answer to the server's clock.
    pub(in super::super) fn by_the_clock(&self, reply: Reply) -> Reply {
        let off = self.clock();
        if off.is_zero() || reply.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            return reply;
        }
        let mut reply = reply;
        let time = Timestamp::now().saturating_add(off).unwrap_or_default();
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&time);
        if let Some(date) = date.ok().and_then(|date| date.parse().ok()) {
            reply.headers_mut().insert(http::header::DATE, date);
        }
        // A watch sends one frame per object; any other answer is a single frame.
        reply.map(|body| {
            let shifted = move |bytes: Bytes| match serde_json::from_slice::<Value>(&bytes) {
                Ok(mut value) => {
                    shift(&mut value, off);
                    Bytes::from(format!("{value}\n"))
                }
                Err(_) => bytes,
            };
            body.map_frame(move |frame| frame.map_data(shifted)).boxed_unsync()
        })
    }
}

fn shift(value: &mut Value, off: SignedDuration) {
    match value {
        Value::Object(map) => map.values_mut().for_each(|value| shift(value, off)),
        Value::Array(list) => list.iter_mut().for_each(|value| shift(value, off)),
        Value::String(text) if text.ends_with('Z') => {
            let shifted = text.parse::<Timestamp>().ok().and_then(|t| t.checked_add(off).ok());
            if let Some(time) = shifted {
                *text = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_cut_in_its_middle() {
        let whole = respond::json(200, &json!({"kind": "Pod"}));
        let mut body = spoil(Some(&Fault::Cut), whole).await.unwrap().into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "{\"kind\"");
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn times_are_those_of_the_servers_clock() {
        let faults = Faults::default();
        faults.set_clock(SignedDuration::from_hours(24));
        let object =
            json!({"metadata": {"name": "Z", "creationTimestamp": "2026-11-24T01:02:03Z"}});
        let reply = faults.by_the_clock(respond::json(200, &object));
        let bytes = reply.into_body().collect().await.unwrap().to_bytes();
        let seen: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(seen["metadata"]["creationTimestamp"], "2026-11-25T01:02:03Z");
        assert_eq!(seen["metadata"]["name"], "Z");
    }
}
