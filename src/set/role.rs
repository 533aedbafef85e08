//! The two roles of the pods of a set.

use serde::Serialize;

/// What a pod does in its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Takes writes.
    Master,
    /// Follows the master.
    Replica,
}

impl Role {
    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Replica => "replica",
        }
    }
}
