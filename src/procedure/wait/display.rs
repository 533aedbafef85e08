//! Reports the progress while waiting for a set: each change of state, each completed step of a pod, and a
//! heartbeat.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{Audience, Event};
use crate::manifest::{Kind, ObjectId};
use crate::readiness::{Assessment, Milestone, ObjectState, Phase, waiting};
use crate::report::Reporter;

/// After this time, the first heartbeat reports what is still missing.
const FIRST_HEARTBEAT: Duration = Duration::from_secs(10);
/// After this time without a change, another heartbeat does.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Reports changes, and remembers the last reported state of each object.
pub(super) struct Display<'a> {
    reporter: &'a Reporter,
    shown: BTreeMap<ObjectId, (Phase, String)>,
    pods: BTreeMap<ObjectId, Progress>,
    beat_at: Instant,
    /// Whether the first heartbeat is still to come.
    silent: bool,
}

/// What was reported about a pod.
#[derive(Default)]
struct Progress {
    reached: Vec<Milestone>,
    /// Whether the pod was not ready at least once. Nothing is said about a pod that serves from the start.
    is_news: bool,
}

impl<'a> Display<'a> {
    pub(super) fn new(reporter: &'a Reporter, now: Instant) -> Self {
        Self {
            reporter,
            shown: BTreeMap::new(),
            pods: BTreeMap::new(),
            beat_at: now + FIRST_HEARTBEAT,
            silent: true,
        }
    }

    /// The time of the next heartbeat.
    pub(super) fn beat_at(&self) -> Instant {
        self.beat_at
    }

    /// Reports what has changed. `is_answered`: PostgreSQL has told which replicas stream. `trouble` is the
    /// last error of the API server, if it does not answer. `elapsed` is the time since the command began.
    pub(super) fn show(
        &mut self,
        assessment: &Assessment,
        is_answered: bool,
        trouble: Option<&str>,
        elapsed: Duration,
    ) {
        let mut changed = false;
        let mut states = BTreeMap::new();
        for one in &assessment.states {
            let steps = self.steps(one, is_answered);
            let state = (one.phase, one.state.clone());
            if self.shown.get(&one.object) != Some(&state) {
                changed = true;
                self.state(one.object.clone(), state.clone(), elapsed);
            }
            for milestone in steps {
                self.milestone(one.object.clone(), milestone, elapsed);
            }
            states.insert(one.object.clone(), state);
        }
        let shown = std::mem::replace(&mut self.shown, states);
        for object in
            shown.into_keys().filter(|object| !self.shown.contains_key(object)).collect::<Vec<_>>()
        {
            changed = true;
            let state = (Phase::Gone, "Deleted".to_owned());
            self.state(object.clone(), state, elapsed);
            if object.kind == Kind::Pod {
                self.milestone(object, Milestone::Deleted, elapsed);
            }
        }
        self.beat(changed, || waiting(assessment), trouble, elapsed);
    }

    /// The steps of a pod that are news.
    fn steps(&mut self, one: &ObjectState, is_answered: bool) -> Vec<Milestone> {
        if one.object.kind != Kind::Pod {
            return Vec::new();
        }
        let pod = self.pods.entry(one.object.clone()).or_default();
        // A ready pod for which PostgreSQL was not asked yet may have served all the time.
        let serves =
            one.phase == Phase::Ready || (one.reached.contains(&Milestone::Ready) && !is_answered);
        pod.is_news |= !serves;
        // A volume that stays bound while its pod is replaced is no news.
        let known = std::mem::take(&mut pod.reached);
        let is_known = |step: &Milestone| known.contains(step);
        let steps = one.reached.iter().copied().filter(|step| !is_known(step)).collect();
        pod.reached.clone_from(&one.reached);
        if known.contains(&Milestone::VolumeBound) && !pod.reached.contains(&Milestone::VolumeBound)
        {
            pod.reached.push(Milestone::VolumeBound);
        }
        if pod.is_news { steps } else { Vec::new() }
    }

    fn state(&self, object: ObjectId, (phase, state): (Phase, String), elapsed: Duration) {
        let is_news = match object.kind {
            Kind::Pod => self.pods.get(&object).is_some_and(|pod| pod.is_news),
            // The pods tell what they wait for.
            _ => phase == Phase::Troubled,
        };
        let audience = if is_news { Audience::Everybody } else { Audience::Verbose };
        self.reporter.emit(Event::State { object, phase, state, elapsed, audience });
    }

    fn milestone(&self, object: ObjectId, milestone: Milestone, elapsed: Duration) {
        self.reporter.emit(Event::Milestone { object, milestone, elapsed });
    }

    /// Reports what is still missing: once after [`FIRST_HEARTBEAT`], and then if nothing has changed for long
    /// enough. Always sets a new time for the next heartbeat: a time in the past would wake the procedure in a
    /// busy loop.
    pub(super) fn beat(
        &mut self,
        changed: bool,
        waiting_for: impl FnOnce() -> Vec<String>,
        trouble: Option<&str>,
        elapsed: Duration,
    ) {
        let now = Instant::now();
        let is_due = now >= self.beat_at;
        if !is_due && (self.silent || !changed) {
            return;
        }
        self.beat_at = now + HEARTBEAT;
        if is_due && (self.silent || !changed) {
            let mut waiting_for = waiting_for();
            waiting_for.extend(trouble.map(|t| format!("the API server: {t}")));
            if !waiting_for.is_empty() {
                self.reporter.emit(Event::Heartbeat { elapsed, waiting_for });
            }
        }
        self.silent = false;
    }
}
