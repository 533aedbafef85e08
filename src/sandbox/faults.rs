//! What goes wrong on purpose, for tests: answers, delays, broken connections, watches that end, and
//! what the node and the scheduler can't do.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use tokio::sync::watch;

use super::refusal::Refusal;

/// Something that happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is refused, perhaps with `Retry-After`.
    Status(Refusal, Option<Duration>),
    /// It takes longer.
    Delay(Duration),
    /// The connection breaks before it is carried out.
    Reset,
    /// The connection breaks when it has been carried out.
    ResetAfter,
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
}

/// All that is to go wrong.
pub struct Faults {
    state: Mutex<State>,
    watches: watch::Sender<u64>,
}

impl Default for Faults {
    fn default() -> Self {
        Self { state: Mutex::default(), watches: watch::Sender::new(0) }
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

    /// Access reviews say no for this resource.
    pub fn deny(&self, resource: &str) {
        self.lock().denied.push(resource.to_owned());
    }

    /// A thing of the node or the scheduler fails with these words until [`Faults::mend`]:
    /// `pull IMAGE`, `schedule`, `mount VOLUME`, `create pods` (a quota).
    pub fn fail(&self, what: &str, words: &str) {
        self.lock().broken.insert(what.to_owned(), words.to_owned());
    }

    /// It works again.
    pub fn mend(&self, what: &str) {
        self.lock().broken.remove(what);
    }

    /// Ends every watch that is under way.
    pub fn close_watches(&self) {
        self.watches.send_modify(|turn| *turn += 1);
    }

    pub(super) fn meet(&self, method: &Method, path: &str) -> Option<Fault> {
        let mut met = None;
        for rule in &mut self.lock().rules {
            if rule.method == method && path.contains(&rule.path) {
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
}
