//! Faults that tests inject: error answers, delays, broken connections, silent watches, and
//! failures of the node and the scheduler.
//!
//! Each fault takes effect in one place. Requests meet theirs in `Faults::arrive`, before anything
//! else. The node, the scheduler and the controllers ask [`Faults`] for the message of a failure
//! that [`Faults::fail`] set.

pub mod answers;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use jiff::SignedDuration;
use tokio::sync::watch;

use super::refusal::Refusal;

/// A fault of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server refuses the request, optionally with `Retry-After`.
    Status(Refusal, Option<Duration>),
    /// A proxy answers in place of the API server, with this status and text instead of JSON.
    Page(u16, String),
    /// The answer comes later.
    Delay(Duration),
    /// The request gets no answer and is not executed.
    Hang,
    /// The connection breaks before the request is executed.
    Reset,
    /// The connection breaks after the request was executed.
    ResetAfter,
    /// The request is executed, and the connection breaks in the middle of the answer.
    Cut,
    /// A watch delivers no changes.
    Watch(WatchFault),
    /// The connection of a command in a container has faults.
    Exec(ExecFault),
}

/// The faults of the connection of a command in a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecFault {
    /// The server does not know version 5 of the protocol, as before Kubernetes 1.30.
    pub only_v4: bool,
    /// One part of the connection breaks after this number of bytes of input and output.
    pub breaks: Option<(usize, Part)>,
}

/// A part of the connection of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// From the client to the API server.
    Client,
    /// From the kubelet to the container runtime. The API server reports that the command succeeded.
    Runtime,
}

/// In which way a watch delivers no changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchFault {
    /// It ends at once, without an error.
    Closed,
    /// It answers that the version is too old: 410.
    Expired,
    /// It sends only bookmarks.
    Bookmarks,
}

/// A request that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// The path and query.
    pub path: String,
    /// Whether a pod sent it. Such requests are not counted.
    pub by_pod: bool,
}

impl Seen {
    /// Whether the request changes the cluster. Access reviews, dry runs and commands in containers
    /// do not.
    #[must_use]
    pub fn writes(&self) -> bool {
        let asks = self.path.contains("accessreviews") || self.path.contains("dryRun=All");
        let exec = self.path.contains("/exec?");
        !asks && !exec && !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    /// Whether it may change something: it writes, or runs a command in a container.
    #[must_use]
    pub fn acts(&self) -> bool {
        self.writes() || self.path.contains("/exec?")
    }

    fn watches(&self) -> bool {
        self.path.contains("watch=")
    }
}

struct Rule {
    method: Method,
    path: String,
    calls: Range<usize>,
    met: usize,
    fault: Fault,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    denied: Vec<String>,
    broken: BTreeMap<String, String>,
    /// Requests are recorded only for tests that ask for it.
    seen: Option<Vec<Seen>>,
    clock: SignedDuration,
}

/// Whether a request counts.
pub type Counts = fn(&Seen) -> bool;

/// How many more requests may pass and which of them count, how many are in progress, and whether one is held.
#[derive(Clone, Copy, Default)]
struct Gate {
    passes: Option<(usize, Counts)>,
    under_way: usize,
    held: bool,
}

/// All faults.
pub struct Faults {
    state: Mutex<State>,
    watches: watch::Sender<u64>,
    changes: watch::Sender<u64>,
    gate: watch::Sender<Gate>,
}

impl Default for Faults {
    fn default() -> Self {
        let gate = watch::Sender::new(Gate::default());
        let (watches, changes) = (watch::Sender::new(0), watch::Sender::new(0));
        Self { state: Mutex::default(), watches, changes, gate }
    }
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Injects a fault into requests with this method whose path and query contain this text.
    /// `calls` selects which of them; the first one is 0.
    pub fn request(&self, method: Method, path: &str, calls: Range<usize>, fault: Fault) {
        self.lock().rules.push(Rule { method, path: path.to_owned(), calls, met: 0, fault });
    }

    /// Removes all faults of requests, and lets access reviews allow everything again.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.rules.clear();
        state.denied.clear();
    }

    /// Access reviews deny this resource.
    pub fn deny(&self, resource: &str) {
        self.lock().denied.push(resource.to_owned());
    }

    /// Makes something fail with this message until [`Faults::mend`]: `pull IMAGE`, `schedule`,
    /// `mount VOLUME`, `create pods` (a quota or Pod Security), `memory` (killed containers were
    /// out of memory), `node` (the node is dead: it starts nothing and reports nothing).
    pub fn fail(&self, what: &str, words: &str) {
        self.lock().broken.insert(what.to_owned(), words.to_owned());
        self.changes.send_modify(|turn| *turn += 1);
    }

    /// Ends a failure.
    pub fn mend(&self, what: &str) {
        self.lock().broken.remove(what);
        self.changes.send_modify(|turn| *turn += 1);
    }

    /// Ends all open watches.
    pub fn close_watches(&self) {
        self.watches.send_modify(|turn| *turn += 1);
    }

    /// Sets how far the server's clock is off, as clients see it.
    pub fn set_clock(&self, off: SignedDuration) {
        self.lock().clock = off;
    }

    /// Starts recording requests.
    pub fn record(&self) {
        self.lock().seen = Some(Vec::new());
    }

    /// The requests since [`Faults::record`] in order of arrival, without those of pods.
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone().unwrap_or_default()
    }

    /// The recorded requests that change the cluster.
    pub fn writes(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(Seen::writes).collect()
    }

    /// Lets this number of requests pass, and holds all later ones. Requests of pods always pass.
    pub fn hold_after(&self, passes: usize) {
        self.hold_after_counted(passes, |_| true);
    }

    /// The same, where only some requests count: how often a command looks whether something has happened depends on the
    /// machine.
    pub fn hold_after_counted(&self, passes: usize, counted: Counts) {
        self.record();
        self.gate.send_modify(|gate| {
            gate.passes = Some((passes, counted));
            gate.held = false;
        });
    }

    /// Lets new requests pass again. Requests that are already held stay held.
    pub fn release(&self) {
        self.gate.send_modify(|gate| (gate.passes, gate.held) = (None, false));
    }

    /// Waits until a request is held and all requests that passed, except watches, have been
    /// answered.
    pub async fn held(&self) {
        // The sender lives as long as `self`.
        let _ = self.gate.subscribe().wait_for(|gate| gate.held && gate.under_way == 0).await;
    }

    /// Returns the fault of an arriving request. A held request waits here forever.
    pub(super) async fn arrive(&self, seen: Seen) -> Passed<'_> {
        let met = self.meet(&seen);
        let counts = !seen.by_pod && !seen.watches();
        let may_pass = seen.by_pod || {
            let mut may_pass = true;
            self.gate.send_if_modified(|gate| {
                match &mut gate.passes {
                    Some((0, _)) => (may_pass, gate.held) = (false, true),
                    Some((left, counted)) if counted(&seen) => *left -= 1,
                    Some(_) | None => {}
                }
                if may_pass && counts {
                    gate.under_way += 1;
                }
                true
            });
            if let Some(all) = &mut self.lock().seen {
                all.push(seen);
            }
            may_pass
        };
        if !may_pass {
            std::future::pending::<()>().await;
        }
        Passed { fault: met, gate: counts.then_some(&self.gate) }
    }

    fn meet(&self, seen: &Seen) -> Option<Fault> {
        let mut met = None;
        for rule in &mut self.lock().rules {
            if rule.method == seen.method && seen.path.contains(&rule.path) {
                if rule.calls.contains(&rule.met) && met.is_none() {
                    met = Some(rule.fault.clone());
                }
                rule.met += 1;
            }
        }
        met
    }

    pub(super) fn denies(&self, resource: &str) -> bool {
        let denied = &self.lock().denied;
        denied.iter().any(|d| d == resource || resource == "*")
    }

    /// The message of a failure; none if it was not set.
    pub(super) fn broken(&self, what: &str) -> Option<String> {
        self.lock().broken.get(what).cloned()
    }

    pub(super) fn watches(&self) -> watch::Receiver<u64> {
        self.watches.subscribe()
    }

    /// Notifies when a failure begins or ends.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn clock(&self) -> SignedDuration {
        self.lock().clock
    }
}

/// A request that was let through. It is in progress until this is dropped.
pub(super) struct Passed<'a> {
    /// The fault to apply.
    pub(super) fault: Option<Fault>,
    gate: Option<&'a watch::Sender<Gate>>,
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        if let Some(gate) = self.gate {
            gate.send_modify(|gate| gate.under_way = gate.under_way.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn seen(path: &str) -> Seen {
        Seen { method: Method::GET, path: path.to_owned(), by_pod: false }
    }

    #[tokio::test]
    async fn a_fault_meets_the_calls_that_it_is_for() {
        let faults = Faults::default();
        faults.record();
        faults.request(Method::GET, "/pods", 1..3, Fault::Reset);
        let mut met = Vec::new();
        for path in ["/pods", "/secrets", "/pods?x", "/pods", "/pods"] {
            met.push(faults.arrive(seen(path)).await.fault.is_some());
        }
        assert_eq!(met, [false, false, true, true, false]);
        assert_eq!(faults.seen().len(), 5);
    }

    #[tokio::test]
    async fn the_gate_holds_what_comes_after_those_that_pass() {
        let faults = Faults::default();
        faults.hold_after(1);
        let first = faults.arrive(seen("/a")).await;
        assert!(faults.arrive(seen("/b")).now_or_never().is_none());
        assert!(faults.held().now_or_never().is_none(), "the first is not answered yet");
        drop(first);
        faults.held().await;
        // Requests of pods are not counted.
        faults.arrive(Seen { by_pod: true, ..seen("/c") }).await;
        assert_eq!(faults.seen().len(), 2);
        faults.release();
        faults.arrive(seen("/d")).await;

        faults.hold_after_counted(1, |seen| seen.path == "/e");
        for path in ["/d", "/e"] {
            faults.arrive(seen(path)).await;
        }
        assert!(faults.arrive(seen("/d")).now_or_never().is_none());
    }
}
