//! Events in both forms: the older one with a count and two times, the newer one with a series.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{mount, text};
use crate::manifest::Kind;

/// The time when it was last seen.
pub(super) fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    series
        .map(|time| time.0)
        .or(event.last_timestamp.as_ref().map(|time| time.0))
        .or(first_seen(event))
}

fn first_seen(event: &Event) -> Option<Timestamp> {
    (event.first_timestamp.as_ref().map(|time| time.0))
        .or(event.event_time.as_ref().map(|time| time.0))
        .or(event.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

/// The number of times it was seen.
pub(super) fn count(event: &Event) -> i32 {
    let series = event.series.as_ref().and_then(|series| series.count);
    series.or(event.count).unwrap_or(1).max(1)
}

/// The number of times it was seen since `not_before`. If that can't be known, 1.
pub(super) fn count_since(event: &Event, not_before: Option<Timestamp>) -> i32 {
    match (first_seen(event), not_before) {
        (Some(first), Some(bound)) if first.as_second() < bound.as_second() => 1,
        _ => count(event),
    }
}

/// Whether it was seen at `not_before` or later. Kubernetes times have a resolution of one second.
pub(super) fn is_since(event: &Event, not_before: Option<Timestamp>) -> bool {
    match (last_seen(event), not_before) {
        (Some(last), Some(bound)) => last.as_second() >= bound.as_second(),
        _ => true,
    }
}

/// Whether it refers to this object: by UID if both have one, otherwise by kind and name.
pub(super) fn is_about(event: &Event, kind: Kind, object: &ObjectMeta) -> bool {
    let about = &event.involved_object;
    match (about.uid.as_deref(), object.uid.as_deref()) {
        (Some(about), Some(uid)) if !about.is_empty() => about == uid,
        _ => about.kind.as_deref() == Some(kind.name()) && about.name == object.name,
    }
}

/// Its reason: `FailedMount`.
pub(super) fn reason(event: &Event) -> &str {
    event.reason.as_deref().unwrap_or_default()
}

/// Whether its reason is one of these.
pub(super) fn is_one_of(event: &Event, reasons: &[&str]) -> bool {
    reasons.contains(&reason(event))
}

/// Its message on one line. Messages about volumes are shortened.
pub(super) fn message(event: &Event) -> String {
    let message = event.message.as_deref().unwrap_or_default();
    if is_one_of(event, &mount::REASONS) {
        mount::shortened(message)
    } else {
        text::one_line(message)
    }
}
