//! The two roles of a set's pods.

use serde::Serialize;

/// The role of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Accepts writes.
    Master,
    /// Replicates from the master.
    Replica,
}

impl Role {
    /// The name of the role.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Replica => "replica",
        }
    }
}
