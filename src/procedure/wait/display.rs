//! Reports the progress while waiting for a set: each change of state, and a heartbeat.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::event::Event;
use crate::manifest::ObjectId;
use crate::readiness::{Assessment, Phase};
use crate::report::Reporter;

/// After this time without a change, a heartbeat reports what is still missing.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Reports changes, and remembers the last reported state of each object.
pub(super) struct Display<'a> {
    reporter: &'a Reporter,
    shown: BTreeMap<ObjectId, (Phase, String)>,
    beat_at: Instant,
}

impl<'a> Display<'a> {
    pub(super) fn new(reporter: &'a Reporter, now: Instant) -> Self {
        Self { reporter, shown: BTreeMap::new(), beat_at: now + HEARTBEAT }
    }

    /// The time of the next heartbeat.
    pub(super) fn beat_at(&self) -> Instant {
        self.beat_at
    }

    /// Reports what has changed. `trouble` is the last error of the API server, if it does not answer.
    pub(super) fn show(
        &mut self,
        assessment: &Assessment,
        trouble: Option<&str>,
        elapsed: Duration,
    ) {
        let mut changed = false;
        let mut states = BTreeMap::new();
        for one in &assessment.states {
            let state = (one.phase, one.state.clone());
            if self.shown.get(&one.object) != Some(&state) {
                changed = true;
                self.reporter.emit(Event::State {
                    object: one.object.clone(),
                    phase: one.phase,
                    state: one.state.clone(),
                });
            }
            states.insert(one.object.clone(), state);
        }
        for object in self.shown.keys().filter(|object| !states.contains_key(object)) {
            changed = true;
            self.reporter.emit(Event::State {
                object: object.clone(),
                phase: Phase::Gone,
                state: "Gone".to_owned(),
            });
        }
        self.shown = states;
        self.beat(changed, &assessment.waiting_for, trouble, elapsed);
    }

    /// Reports what is still missing if nothing has changed for long enough. Always sets a new time for the
    /// next heartbeat: a time in the past would wake the procedure in a busy loop.
    pub(super) fn beat(
        &mut self,
        changed: bool,
        waiting_for: &[String],
        trouble: Option<&str>,
        elapsed: Duration,
    ) {
        let now = Instant::now();
        if !changed && now < self.beat_at {
            return;
        }
        self.beat_at = now + HEARTBEAT;
        if !changed {
            let mut waiting_for = waiting_for.to_vec();
            waiting_for.extend(trouble.map(|t| format!("the API server: {t}")));
            self.reporter.emit(Event::Heartbeat { elapsed, waiting_for });
        }
    }
}
