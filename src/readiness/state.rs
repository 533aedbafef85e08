//! The state of the objects of a set: the result of the rule for each kind.

use serde::Serialize;

use super::milestone::Milestone;
use super::phase::Phase;
use super::trouble::{Cause, Trouble};
use crate::manifest::ObjectId;

/// The state of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectState {
    /// The object.
    pub object: ObjectId,
    /// Its phase.
    pub phase: Phase,
    /// Its state for people: `Pulling image`, `Cloning 40 %`, `Ready, streaming`. One line.
    pub state: String,
    /// The steps that a pod has completed, in their order. Empty for other objects.
    pub reached: Vec<Milestone>,
}

/// A pod that must be deleted so that the controller continues; its claim is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WedgedPod {
    /// Its name.
    pub name: String,
    /// Its UID: the precondition of the deletion.
    pub uid: String,
    /// The old revision that it runs.
    pub revision: String,
}

/// What the rules found out about one object.
pub(super) struct ObjectReadiness {
    pub(super) state: ObjectState,
    /// The first rule that does not hold.
    pub(super) waiting: Option<String>,
    pub(super) troubles: Vec<Trouble>,
}

impl ObjectReadiness {
    /// Nothing is waited for.
    pub(super) fn ready(object: ObjectId, state: impl Into<String>) -> Self {
        let state = state.into();
        let state = ObjectState { object, phase: Phase::Ready, state, reached: Vec::new() };
        Self { state, waiting: None, troubles: Vec::new() }
    }

    /// The object is not ready: pgset waits until this state changes.
    pub(super) fn waiting(object: ObjectId, phase: Phase, state: impl Into<String>) -> Self {
        let state = state.into();
        let waiting = Some(state.clone());
        let state = ObjectState { object, phase, state, reached: Vec::new() };
        Self { state, waiting, troubles: Vec::new() }
    }

    /// The same, with the steps that the pod has completed.
    pub(super) fn reached(mut self, reached: Vec<Milestone>) -> Self {
        self.state.reached = reached;
        self
    }

    /// The same, with problems.
    pub(super) fn troubled(mut self, troubles: Vec<Trouble>) -> Self {
        // Every server fails its probe while it starts.
        let shows = troubles.iter().any(|trouble| trouble.cause != Cause::ProbeFailing);
        if shows && self.state.phase == Phase::Pending {
            self.state.phase = Phase::Troubled;
        }
        self.troubles = troubles;
        self
    }
}
