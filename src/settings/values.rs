//! Newtypes of the settings' values: parsed once, valid ever after.

use std::fmt;
use std::str::FromStr;

/// Why a value was refused: `must be ...`, with what to do. The caller adds the field and its source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);
        impl $name {
            /// The value.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(&self.0) }
        }
    };
}

text!(
    /// A set's name: a DNS label (RFC 1035) of at most 52 characters, so that the label value
    /// `controller-revision-hash` (name, dash, hash) stays within Kubernetes' 63.
    SetName
);
text!(
    /// A namespace: a DNS label (RFC 1123) of at most 63 characters.
    Namespace
);
text!(
    /// A PostgreSQL role: a lower-case identifier of at most 63 bytes, not `pg_*`.
    RoleName
);
text!(
    /// A PostgreSQL database: a lower-case identifier of at most 63 bytes.
    DatabaseName
);

/// The number of pods, master included: at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replicas(u32);

impl Replicas {
    /// The article's: a master and a replica.
    pub const DEFAULT: Self = Self(2);

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A Kubernetes quantity of bytes, as it was written: `100M`, `10Gi`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    text: String,
    bytes: u64,
}

impl Quantity {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// In bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
