//! The Lease of a set: which command changes the set now. A command that writes holds it while it writes, so that
//! two commands never change a set at the same time.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::identity::SetIdentity;
use super::objects;
use crate::manifest::{Kind, Object};

/// How often the holder renews its Lease.
pub const RENEW_EVERY: Duration = Duration::from_secs(5);
/// After this time without a change, the holder no longer exists. The Lease records it, too, so that it can be
/// made shorter there.
pub const DEAD_AFTER: Duration = Duration::from_secs(15);
/// The longest pause between two observations that counts as one observation. In a longer one the API server may
/// not have answered the holder either.
const BLIND_FOR: Duration = Duration::from_secs(5);

/// Who holds a Lease: `pgset scale` by ann@laptop. The ID tells two runs of the same command apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The command: `pgset scale`.
    pub command: String,
    /// The user and the host: `ann@laptop`.
    pub user: String,
    /// A random text.
    pub id: String,
}

impl Holder {
    /// The value of `spec.holderIdentity`.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{} by {}, {}", self.command, self.user, self.id)
    }
}

/// What people read of `spec.holderIdentity`: without the ID.
fn described(identity: &str) -> String {
    let rest = identity.rsplit_once(", ").map(|(holder, _)| holder.split_once(" by "));
    match rest {
        Some(Some((command, user))) => format!("`{command}` by {user}"),
        _ => format!("{identity:?}"),
    }
}

/// A Lease as the API server returned it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// The holder's identity. Empty if the Lease is free.
    pub identity: String,
    /// The UID.
    pub uid: String,
    /// The version: it changes with each renewal.
    pub version: String,
    /// How long the holder had it at the last renewal, by the holder's own clock.
    pub held_for: Duration,
    /// After this time without a change, the holder no longer exists.
    pub dead_after: Duration,
    /// How often the holder has changed.
    pub transitions: i64,
}

impl Lease {
    /// Reads a live Lease.
    #[must_use]
    pub fn of(live: &Value) -> Self {
        let (metadata, spec) = (&live["metadata"], &live["spec"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let time = |field: &str| spec[field].as_str()?.parse::<Timestamp>().ok();
        let held_for = match (time("acquireTime"), time("renewTime")) {
            (Some(acquired), Some(renewed)) => {
                Duration::try_from(renewed.duration_since(acquired)).unwrap_or_default()
            }
            _ => Duration::ZERO,
        };
        let seconds = spec["leaseDurationSeconds"].as_u64().map(Duration::from_secs);
        Self {
            identity: text(&spec["holderIdentity"]),
            uid: text(&metadata["uid"]),
            version: text(&metadata["resourceVersion"]),
            held_for,
            dead_after: seconds.unwrap_or(DEAD_AFTER).min(DEAD_AFTER),
            transitions: spec["leaseTransitions"].as_i64().unwrap_or(0),
        }
    }

    /// The patch that renews the Lease, if nobody has changed it since.
    #[must_use]
    pub fn renewal(&self, now: Timestamp) -> Value {
        self.patch(&json!({ "renewTime": micros(now) }))
    }

    /// The patch that makes somebody else the holder, if nobody has changed the Lease since.
    #[must_use]
    pub fn takeover(&self, holder: &Holder, now: Timestamp) -> Value {
        let mut spec = spec(holder, now);
        spec["leaseTransitions"] = json!(self.transitions + 1);
        self.patch(&spec)
    }

    fn patch(&self, spec: &Value) -> Value {
        json!({ "metadata": { "uid": self.uid, "resourceVersion": self.version }, "spec": spec })
    }
}

impl fmt::Display for Lease {
    /// `pgset scale` by ann@laptop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&described(&self.identity))
    }
}

/// The Lease of a set that does not have one yet.
#[must_use]
pub fn object(set: &SetIdentity, holder: &Holder, now: Timestamp) -> Object {
    let id = objects::lease(set);
    let mut value = json!({
        "apiVersion": id.kind.api_version(),
        "kind": id.kind.name(),
        "metadata": {
            "name": id.name,
            "namespace": set.namespace.as_str(),
            "labels": { "app": set.name.as_str() },
        },
        "spec": spec(holder, now),
    });
    for (label, is) in set.ownership().labels(Kind::Lease) {
        value["metadata"]["labels"][label] = json!(is);
    }
    Object { id, value, template: "the Lease".to_owned() }
}

fn spec(holder: &Holder, now: Timestamp) -> Value {
    json!({
        "holderIdentity": holder.identity(),
        "leaseDurationSeconds": DEAD_AFTER.as_secs(),
        "acquireTime": micros(now),
        "renewTime": micros(now),
    })
}

/// The form of the API's `MicroTime`.
fn micros(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// How long a Lease has not changed, by the clock of the process that observes it. The times in a Lease are never
/// compared with a clock of another machine.
#[derive(Clone, Debug, Default)]
pub struct Unchanged {
    version: String,
    since: Duration,
    seen: Duration,
}

impl Unchanged {
    /// Observes a version at a time of a monotonic clock. Returns for how long the Lease is known not to have
    /// changed.
    pub fn observe(&mut self, version: &str, now: Duration) -> Duration {
        if self.version != version || now.saturating_sub(self.seen) > BLIND_FOR {
            version.clone_into(&mut self.version);
            self.since = now;
        }
        self.seen = now;
        now.saturating_sub(self.since)
    }
}

/// What to do to become the holder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claim {
    /// Nobody holds the Lease: create it.
    #[default]
    Create,
    /// The holder no longer exists, or has freed the Lease: become the holder, if nobody changes the Lease first.
    TakeOver,
    /// Another command holds it: wait.
    Wait,
    /// This command is the holder.
    Held,
}

/// What to do to become the holder, given the Lease, if there is one, and how long it has not changed.
#[must_use]
pub fn claim(live: Option<&Lease>, own: &Holder, unchanged: Duration) -> Claim {
    match live {
        None => Claim::Create,
        Some(lease) if lease.identity == own.identity() => Claim::Held,
        Some(lease) if lease.identity.is_empty() || unchanged >= lease.dead_after => {
            Claim::TakeOver
        }
        Some(_) => Claim::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(id: &str) -> Holder {
        Holder { command: "pgset scale".into(), user: "ann@laptop".into(), id: id.into() }
    }

    fn live() -> Value {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let mut live = object(&set, &holder("a1"), "2026-11-24T02:00:00Z".parse().unwrap()).value;
        live["metadata"]["uid"] = json!("u");
        live["metadata"]["resourceVersion"] = json!("7");
        live
    }

    #[test]
    fn a_lease_says_who_holds_it_and_for_how_long() {
        let mut value = live();
        assert_eq!(value["spec"]["renewTime"], "2026-11-24T02:00:00.000000Z");
        value["spec"]["renewTime"] = json!("2026-11-24T02:00:10.5Z");
        let lease = Lease::of(&value);
        assert_eq!(lease.to_string(), "`pgset scale` by ann@laptop");
        assert_eq!(lease.held_for, Duration::from_millis(10_500));
        assert_eq!(lease.dead_after, DEAD_AFTER);
        let renewal = lease.renewal("2026-11-24T02:00:15Z".parse().unwrap());
        assert_eq!(renewal["metadata"], json!({"uid": "u", "resourceVersion": "7"}));
        assert_eq!(renewal["spec"], json!({"renewTime": "2026-11-24T02:00:15.000000Z"}));
        let taken = lease.takeover(&holder("b2"), "2026-11-25T00:00:00Z".parse().unwrap());
        assert_eq!(taken["spec"]["leaseTransitions"], 1);
        assert_eq!(taken["spec"]["acquireTime"], "2026-11-25T00:00:00.000000Z");
        assert_eq!(taken["metadata"]["resourceVersion"], "7");
    }

    #[test]
    fn a_lease_that_says_something_else_is_readable_and_dies_in_time() {
        let lease = Lease::of(&json!({"spec": {"holderIdentity": "controller_1",
            "leaseDurationSeconds": 3600, "acquireTime": "2026-11-24T02:00:00Z",
            "renewTime": "2020-01-01T00:00:00Z"}}));
        assert_eq!(lease.to_string(), "\"controller_1\"");
        assert_eq!((lease.held_for, lease.dead_after), (Duration::ZERO, DEAD_AFTER));
        assert_eq!(
            Lease::of(&json!({"spec": {"leaseDurationSeconds": 1}})).dead_after.as_secs(),
            1
        );
    }

    #[test]
    fn who_may_write_next() {
        let lease = |identity: &str| Lease {
            identity: identity.to_owned(),
            dead_after: DEAD_AFTER,
            ..Lease::default()
        };
        let (own, other) = (lease(&holder("a1").identity()), lease(&holder("b2").identity()));
        for (live, unchanged, expected) in [
            (None, 0, Claim::Create),
            (Some(&own), 0, Claim::Held),
            (Some(&own), 99, Claim::Held),
            (Some(&other), 0, Claim::Wait),
            (Some(&other), 14, Claim::Wait),
            (Some(&other), 15, Claim::TakeOver),
            (Some(&lease("")), 0, Claim::TakeOver),
        ] {
            let next = claim(live, &holder("a1"), Duration::from_secs(unchanged));
            assert_eq!(next, expected, "{live:?} {unchanged}");
        }
    }

    #[test]
    fn a_lease_is_unchanged_only_while_it_is_observed() {
        let mut unchanged = Unchanged::default();
        let mut at = |version, now| unchanged.observe(version, Duration::from_secs(now)).as_secs();
        assert_eq!(at("1", 100), 0);
        assert_eq!(at("1", 104), 4);
        assert_eq!(at("2", 105), 0, "renewed");
        assert_eq!(at("2", 110), 5);
        assert_eq!(at("2", 116), 0, "the API server did not answer for 6 s");
        assert_eq!(at("2", 120), 4);
    }
}
