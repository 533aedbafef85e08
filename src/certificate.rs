//! Certificates of a set: made and renewed by pgset's own CA, or somebody else's that are looked at
//! before they are used.
//!
//! Pure: the time is brought from outside. What is in PEM is public; keys are [`Secret`]s.

mod inspect;
mod issue;
pub mod names;

pub use inspect::{Dates, Unfit, check, dates};
pub use issue::{IssueError, Renewal, renew};

use crate::values::Secret;

/// Key of a Secret: the certificates of the CAs that clients trust, PEM.
pub const CA_CERTIFICATE: &str = "ca.crt";
/// Key of a Secret: the keys of these CAs, PEM, in the same order. Never mounted.
pub const CA_KEY: &str = "ca.key";
/// Key of a Secret: the servers' certificate, PEM, and what leads from it to a CA.
pub const CERTIFICATE: &str = "tls.crt";
/// Key of a Secret: the servers' key, PEM.
pub const KEY: &str = "tls.key";

/// What the Secret of a set holds that pgset made itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// The CAs, the one that signs first.
    pub authorities: String,
    /// Their keys; none of one that somebody took away.
    pub authority_keys: Secret,
    /// The servers' certificate.
    pub certificate: String,
    /// Its key.
    pub key: Secret,
}

#[cfg(test)]
mod tests;
