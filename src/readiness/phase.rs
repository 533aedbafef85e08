//! Where a thing that is waited for stands.

use serde::Serialize;

/// Where a thing that is waited for stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Not there yet, and nothing is wrong.
    Pending,
    /// Ready.
    Ready,
    /// Something is wrong; it may still heal.
    Troubled,
    /// On its way out.
    Terminating,
    /// Gone.
    Gone,
}
