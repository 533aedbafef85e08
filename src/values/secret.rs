//! A password in memory.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A password. `Debug` is redacted, there is no `Display`, it does not serialize, and its memory is
/// overwritten when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a password without checking it.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value.into())
    }

    /// The password itself. Use it only for the Secret object and for psql's standard input.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Generates a new password: 32 letters and digits, about 190 bits.
    #[must_use]
    pub fn random() -> Self {
        Self::new(letters_and_digits(32))
    }
}

/// Generates a name that nothing else has: 8 letters and digits. It is no secret.
#[must_use]
pub fn random_id() -> String {
    letters_and_digits(8)
}

fn letters_and_digits(length: usize) -> String {
    use rand::distr::{Alphanumeric, SampleString};
    Alphanumeric.sample_string(&mut rand::rng(), length)
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}
