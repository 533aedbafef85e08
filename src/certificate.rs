//! The certificates of a set. pgset's own CA issues and renews them, or the user manages them and pgset
//! checks them before it uses them.
//!
//! This module is pure: the caller passes in the current time. PEM certificates are public; keys are
//! [`Secret`]s.

mod inspect;
mod issue;
pub mod names;

pub use inspect::{Dates, Unfit, check, dates};
pub use issue::{IssueError, Renewal, renew};

use crate::values::Secret;

/// Key in a Secret: the certificates of the CAs that clients trust, in PEM.
pub const CA_CERTIFICATE: &str = "ca.crt";
/// Key in a Secret: the private keys of these CAs, in PEM, in the same order. No pod mounts them.
pub const CA_KEY: &str = "ca.key";
/// Key in a Secret: the certificate of the servers, in PEM, with the chain from it to a CA.
pub const CERTIFICATE: &str = "tls.crt";
/// Key in a Secret: the private key of the servers, in PEM.
pub const KEY: &str = "tls.key";

/// The contents of a Secret with certificates that pgset issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// The certificates of the CAs. The CA that signs comes first.
    pub authorities: String,
    /// The keys of the CAs. A key is missing if someone removed it.
    pub authority_keys: Secret,
    /// The certificate of the servers.
    pub certificate: String,
    /// The private key of the servers.
    pub key: Secret,
}

#[cfg(test)]
mod tests;
