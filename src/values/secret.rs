//! A password in memory.

use std::fmt;

/// A password. `Debug` is redacted, there is no `Display`, and it does not serialize.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password without checking it.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The password itself. Use it only for the Secret object and for psql's standard input.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Generates a new password: 32 letters and digits, about 190 bits.
    #[must_use]
    pub fn random() -> Self {
        use rand::distr::{Alphanumeric, SampleString};
        Self(Alphanumeric.sample_string(&mut rand::rng(), 32))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}
