//! What a person is told while a set is waited for: each change of state, and a sign of life.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::event::Event;
use crate::manifest::ObjectId;
use crate::readiness::{Assessment, Phase};
use crate::report::Reporter;

/// Without a change for this long, a plain log says what is still waited for.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// What was told last.
pub(super) struct Display<'a> {
    reporter: &'a Reporter,
    shown: BTreeMap<ObjectId, (Phase, String)>,
    beat_at: Instant,
}

impl<'a> Display<'a> {
    pub(super) fn new(reporter: &'a Reporter, now: Instant) -> Self {
        Self { reporter, shown: BTreeMap::new(), beat_at: now + HEARTBEAT }
    }

    /// When the next sign of life is due.
    pub(super) fn beat_at(&self) -> Instant {
        self.beat_at
    }

    /// Tells what has changed. `trouble`: what the API server said last, where it did not answer.
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

    /// Tells what is still waited for when nothing has changed for long enough. The next beat is moved on in
    /// any case: one in the past would wake the procedure without end.
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
