//! Events as data. Commands emit events; `report` decides how they look.
//!
//! With `-o json` each event is one line on stdout: `{"version":1,"event":"...", ...}`.

use std::time::Duration;

use serde::Serialize;

use crate::manifest::ObjectId;
use crate::postgres::address::Connection;
use crate::readiness::{Milestone, Phase};

/// The version of the event lines. Within one version, fields may be added but not changed.
pub const EVENT_VERSION: u32 = 1;

/// What happened to one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It did not exist and was created.
    Created,
    /// It existed and was changed.
    Configured,
    /// It existed and needed no change; nothing was written.
    Unchanged,
    /// It was deleted.
    Deleted,
    /// It was intentionally not deleted or changed.
    Kept,
    /// A dry run: it would be created.
    WouldCreate,
    /// A dry run: it would be changed.
    WouldConfigure,
    /// A dry run: it would be deleted.
    WouldDelete,
    /// A dry run: it would not be deleted.
    WouldKeep,
}

/// Who is told about an event. Programs (`-o json`) are told about every event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audience {
    /// Everybody.
    #[default]
    Everybody,
    /// Whoever asks for details with `-v`.
    Verbose,
}

/// An event. It never contains a secret.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A command started to work on a set.
    Started {
        /// `up`, `scale`, ...
        command: &'static str,
        /// The set's name.
        set: String,
        /// Its namespace.
        namespace: String,
        /// The kubeconfig's context; empty inside a cluster.
        context: String,
        /// What the command works with: `postgres:17`, `2 pods`, `class standard`.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        details: Vec<String>,
    },
    /// An object was processed.
    Object {
        /// The object.
        object: ObjectId,
        /// What happened to it.
        outcome: Outcome,
        /// The reason or other details (`keeps 4 replicas: kubectl owns spec.replicas`).
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
        /// Who is told.
        #[serde(skip)]
        audience: Audience,
    },
    /// The state of an object that pgset waits for has changed.
    State {
        /// The object.
        object: ObjectId,
        /// Its phase.
        phase: Phase,
        /// Its state for people: `Pulling image`, `Cloning 40 %`, `Ready, streaming`.
        state: String,
        /// Time since the command began.
        #[serde(serialize_with = "seconds", rename = "elapsed_seconds")]
        elapsed: Duration,
        /// Who is told.
        #[serde(skip)]
        audience: Audience,
    },
    /// A pod that pgset waits for has completed a step.
    Milestone {
        /// The pod.
        object: ObjectId,
        /// The step.
        #[serde(flatten)]
        milestone: Milestone,
        /// Time since the command began.
        #[serde(serialize_with = "seconds", rename = "elapsed_seconds")]
        elapsed: Duration,
    },
    /// Nothing has changed for a while; pgset is still waiting.
    Heartbeat {
        /// Time since the command began.
        #[serde(serialize_with = "seconds", rename = "elapsed_seconds")]
        elapsed: Duration,
        /// The objects waited for, with the state of each.
        waiting_for: Vec<String>,
    },
    /// A warning for the user; the command continues.
    Warning {
        /// The text.
        message: String,
    },
    /// Information: where to connect, what to run next, where the data is.
    Note {
        /// The text.
        message: String,
        /// Who is told.
        #[serde(skip)]
        audience: Audience,
    },
    /// The command succeeded.
    Finished {
        /// A summary: `pgset is up: 2 of 2 pods ready, 1 replica streaming`.
        message: String,
        /// How long the command took.
        #[serde(serialize_with = "seconds", rename = "elapsed_seconds")]
        elapsed: Duration,
        /// How clients connect to the set.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        connection: Option<Connection>,
        /// What to use next, with a label each: `password`, `pgset password show`.
        #[serde(skip)]
        next: Vec<(&'static str, String)>,
    },
    /// The command failed. This is the last event.
    Failed {
        /// The error.
        #[serde(flatten)]
        failure: crate::error::Report,
    },
}

impl Event {
    /// A warning for the user; the command continues.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::Warning { message: message.into() }
    }

    /// Information: where to connect, what to run next.
    pub fn note(message: impl Into<String>) -> Self {
        Self::Note { message: message.into(), audience: Audience::Everybody }
    }

    /// A note that is shown with `-v` only.
    pub fn detail(message: impl Into<String>) -> Self {
        Self::Note { message: message.into(), audience: Audience::Verbose }
    }

    /// Who is told.
    #[must_use]
    pub fn audience(&self) -> Audience {
        match self {
            Self::Object { audience, .. }
            | Self::State { audience, .. }
            | Self::Note { audience, .. } => *audience,
            _ => Audience::Everybody,
        }
    }

    /// What happened to an object.
    #[must_use]
    pub fn object(object: ObjectId, outcome: Outcome, detail: Option<String>) -> Self {
        Self::Object { object, outcome, detail, audience: Audience::Everybody }
    }
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}
