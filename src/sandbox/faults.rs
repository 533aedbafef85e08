//! What goes wrong on purpose, for tests: answers, delays, broken connections, watches that end, and
//! what the node and the scheduler can't do.
//!
//! A fault is described, and happens at one place: requests meet theirs in `Faults::arrive`, before
//! anything else; the node, the scheduler and the controllers ask [`Faults`] for the words of those that
//! [`Faults::fail`] named.

pub mod answers;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use jiff::SignedDuration;
use tokio::sync::watch;

use super::refusal::Refusal;

/// Something that happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused, perhaps with `Retry-After`.
    Status(Refusal, Option<Duration>),
    /// Something that is not the API server answers: a status, and what should have been JSON.
    Page(u16, String),
    /// It takes longer.
    Delay(Duration),
    /// It is never answered, nor carried out.
    Hang,
    /// The connection breaks before it is carried out.
    Reset,
    /// The connection breaks when it has been carried out.
    ResetAfter,
    /// It is carried out, and the connection breaks in the middle of the answer.
    Cut,
    /// A watch does not tell what happens.
    Watch(Deaf),
}

/// How a watch tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deaf {
    /// It ends at once, and silently.
    Closed,
    /// It says that its version is too old: 410.
    Expired,
    /// It says nothing but how far it is.
    Bookmarks,
}

/// A request as it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// Whether a pod sent it: those are not counted.
    pub by_pod: bool,
}

impl Seen {
    /// Whether it changes anything in the cluster. An access review is a question put as a POST, a dry run
    /// changes nothing, and a command in a container is no object.
    #[must_use]
    pub fn writes(&self) -> bool {
        let asks = self.path.contains("accessreviews") || self.path.contains("dryRun=All");
        let exec = self.path.contains("/exec?");
        !asks && !exec && !matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
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
    /// Nobody notes requests who does not want to read them.
    seen: Option<Vec<Seen>>,
    clock: SignedDuration,
}

/// How many requests may still pass, how many are under way, and whether one was turned away.
#[derive(Clone, Copy, Default)]
struct Gate {
    passes: Option<usize>,
    under_way: usize,
    held: bool,
}

/// All that is to go wrong.
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

    /// Happens to those calls (0 is the first) of the requests with this method and this text in
    /// their path and query.
    pub fn request(&self, method: Method, path: &str, calls: Range<usize>, fault: Fault) {
        self.lock().rules.push(Rule { method, path: path.to_owned(), calls, met: 0, fault });
    }

    /// Nothing happens to requests any more, and access reviews say yes again.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.rules.clear();
        state.denied.clear();
    }

    /// Access reviews say no for this resource.
    pub fn deny(&self, resource: &str) {
        self.lock().denied.push(resource.to_owned());
    }

    /// A thing of the node, the scheduler or a controller fails with these words until [`Faults::mend`]:
    /// `pull IMAGE`, `schedule`, `mount VOLUME`, `create pods` (a quota, Pod Security); `memory` (what is
    /// killed was out of memory); `node` (it is dead: nothing starts, nothing is said to have ended).
    pub fn fail(&self, what: &str, words: &str) {
        self.lock().broken.insert(what.to_owned(), words.to_owned());
        self.changes.send_modify(|turn| *turn += 1);
    }

    /// It works again.
    pub fn mend(&self, what: &str) {
        self.lock().broken.remove(what);
        self.changes.send_modify(|turn| *turn += 1);
    }

    /// Ends every watch that is under way.
    pub fn close_watches(&self) {
        self.watches.send_modify(|turn| *turn += 1);
    }

    /// The server's clock, as its clients get to see it, is off by this.
    pub fn set_clock(&self, off: SignedDuration) {
        self.lock().clock = off;
    }

    /// Notes the requests from here on.
    pub fn record(&self) {
        self.lock().seen = Some(Vec::new());
    }

    /// Every request since [`Faults::record`], in the order of arrival, those of pods left out.
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone().unwrap_or_default()
    }

    /// Those that change the cluster.
    pub fn writes(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(Seen::writes).collect()
    }

    /// Lets so many requests pass, counted from here, and holds all later ones, those of pods left out.
    pub fn hold_after(&self, passes: usize) {
        self.record();
        self.gate.send_modify(|gate| {
            gate.passes = Some(passes);
            gate.held = false;
        });
    }

    /// Opens the gate to later requests: whoever is held stays so.
    pub fn release(&self) {
        self.gate.send_modify(|gate| (gate.passes, gate.held) = (None, false));
    }

    /// Waits until a request stands at the gate, and all that passed it are answered, watches left out.
    pub async fn held(&self) {
        // The sender is our own.
        let _ = self.gate.subscribe().wait_for(|gate| gate.held && gate.under_way == 0).await;
    }

    /// A request comes in: what is to happen to it. Waits, perhaps for ever, at the gate.
    pub(super) async fn arrive(&self, seen: Seen) -> Passed<'_> {
        let met = self.meet(&seen);
        let counts = !seen.by_pod && !seen.watches();
        let may_pass = seen.by_pod || {
            let mut may_pass = true;
            self.gate.send_if_modified(|gate| {
                may_pass = gate.passes != Some(0);
                match &mut gate.passes {
                    Some(0) => gate.held = true,
                    Some(left) => *left -= 1,
                    None => {}
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

    /// Why something fails; none when it does not.
    pub(super) fn broken(&self, what: &str) -> Option<String> {
        self.lock().broken.get(what).cloned()
    }

    pub(super) fn watches(&self) -> watch::Receiver<u64> {
        self.watches.subscribe()
    }

    /// Tells when something begins to fail, or works again.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn clock(&self) -> SignedDuration {
        self.lock().clock
    }
}

/// A request that passed the gate; under way as long as this lives.
pub(super) struct Passed<'a> {
    /// What happens to it.
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
        // A pod is none of those who are counted.
        faults.arrive(Seen { by_pod: true, ..seen("/c") }).await;
        assert_eq!(faults.seen().len(), 2);
        faults.release();
        faults.arrive(seen("/d")).await;
    }
}
