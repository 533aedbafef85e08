//! What happened, as data. Commands emit events; `report` decides how they look.
//!
//! With `-o json` each event is one line on stdout: `{"version":1,"event":"...", ...}`.

use std::time::Duration;

use serde::Serialize;

use crate::manifest::ObjectId;
use crate::readiness::Phase;

/// The version of the event lines. Fields may be added under one version, never changed.
pub const EVENT_VERSION: u32 = 1;

/// What became of one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It was there and is different now.
    Configured,
    /// It was there and is as it should be; nothing was written.
    Unchanged,
    /// It is gone.
    Deleted,
    /// It was left alone on purpose.
    Kept,
    /// A dry run: it would be created.
    WouldCreate,
    /// A dry run: it would be changed.
    WouldConfigure,
}

/// Something that happened. Holds no secret, ever.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A command began to work on a set.
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
    /// An object was written, or not.
    Object {
        /// Which.
        object: ObjectId,
        /// What became of it.
        outcome: Outcome,
        /// Why, or what else there is to say (`keeps 4 replicas: kubectl owns spec.replicas`).
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// The state of something waited for changed.
    State {
        /// Which.
        object: ObjectId,
        /// Where it stands.
        phase: Phase,
        /// In words: `Pulling image`, `Cloning 40 %`, `Ready, streaming`.
        state: String,
    },
    /// Nothing changed for a while; what is still waited for.
    Heartbeat {
        /// Since the wait began.
        #[serde(serialize_with = "seconds", rename = "elapsed_seconds")]
        elapsed: Duration,
        /// The objects waited for, with the state of each.
        waiting_for: Vec<String>,
    },
    /// Something a person should know; the command goes on.
    Warning {
        /// The sentence.
        message: String,
    },
    /// Where to connect, what to type next, where the data is.
    Note {
        /// The sentence.
        message: String,
        /// Whether it is shown with `-q`, too: where kept data lies, what is left to do.
        #[serde(skip)]
        matters: bool,
    },
    /// The command ended well.
    Finished {
        /// In words: `pgset is up: 2 of 2 pods ready, 1 replica streaming`.
        message: String,
        /// How long the command took.
        #[serde(serialize_with = "seconds", rename = "elapsed_seconds")]
        elapsed: Duration,
    },
    /// The command failed: the last event.
    Failed {
        /// The error.
        #[serde(flatten)]
        failure: crate::error::Report,
    },
}

impl Event {
    /// Something a person should know; the command goes on.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::Warning { message: message.into() }
    }

    /// Where to connect, what to type next.
    pub fn note(message: impl Into<String>) -> Self {
        Self::Note { message: message.into(), matters: false }
    }

    /// A note that is shown with `-q`, too: where kept data lies.
    pub fn note_that_matters(message: impl Into<String>) -> Self {
        Self::Note { message: message.into(), matters: true }
    }
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}
