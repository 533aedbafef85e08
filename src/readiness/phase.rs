//! The phase of an object that pgset waits for.

use serde::Serialize;

/// The phase of an object that pgset waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Not ready yet, but nothing is wrong.
    Pending,
    /// Ready.
    Ready,
    /// Something is wrong, but it may recover.
    Troubled,
    /// Being deleted.
    Terminating,
    /// Deleted.
    Gone,
}
