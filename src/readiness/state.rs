//! Where the objects of a set stand: what the rule for each kind answers.

use serde::Serialize;

use super::phase::Phase;
use super::trouble::{Cause, Trouble};
use crate::manifest::ObjectId;

/// Where one object stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectState {
    /// Which.
    pub object: ObjectId,
    /// In short.
    pub phase: Phase,
    /// In words: `Pulling image`, `Cloning 40 %`, `Ready, streaming`. One line.
    pub state: String,
}

/// A pod that has to be deleted before the controller goes on; its claim is kept.
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
        let state = ObjectState { object, phase: Phase::Ready, state: state.into() };
        Self { state, waiting: None, troubles: Vec::new() }
    }

    /// The state is what is waited to change.
    pub(super) fn waiting(object: ObjectId, phase: Phase, state: impl Into<String>) -> Self {
        let state = state.into();
        let waiting = Some(state.clone());
        Self { state: ObjectState { object, phase, state }, waiting, troubles: Vec::new() }
    }

    /// The same, with what is wrong.
    pub(super) fn troubled(mut self, troubles: Vec<Trouble>) -> Self {
        // A probe that fails within its budget is how every server starts.
        let shows = troubles.iter().any(|trouble| trouble.cause != Cause::ProbeFailing);
        if shows && self.state.phase == Phase::Pending {
            self.state.phase = Phase::Troubled;
        }
        self.troubles = troubles;
        self
    }
}
