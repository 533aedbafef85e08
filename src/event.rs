//! Events as data. Commands emit events; `report` decides how they look.
//!
//! With `-o json` each event is one line on stdout: `{"version":1,"event":"...", ...}`.

use std::time::Duration;

use serde::Serialize;

use crate::manifest::ObjectId;
use crate::readiness::Phase;

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
    },
    /// The state of an object that pgset waits for has changed.
    State {
        /// The object.
        object: ObjectId,
        /// Its phase.
        phase: Phase,
        /// Its state for people: `Pulling image`, `Cloning 40 %`, `Ready, streaming`.
        state: String,
    },
    /// Nothing has changed for a while; pgset is still waiting.
    Heartbeat {
        /// Time since the wait began.
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
        /// Whether it is also shown with `-q`: where kept data is, what is left to do.
        #[serde(skip)]
        matters: bool,
    },
    /// The command succeeded.
    Finished {
        /// A summary: `pgset is up: 2 of 2 pods ready, 1 replica streaming`.
        message: String,
        /// How long the command took.
        #[serde(serialize_with = "seconds", rename = "elapsed_seconds")]
        elapsed: Duration,
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
        Self::Note { message: message.into(), matters: false }
    }

    /// A note that is also shown with `-q`: where kept data is.
    pub fn note_that_matters(message: impl Into<String>) -> Self {
        Self::Note { message: message.into(), matters: true }
    }
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}
