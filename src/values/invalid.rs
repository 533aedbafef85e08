//! Why a value was refused.

use std::str::FromStr;

/// Why a value was refused: a reason (`must be ...`) that stands after the value, and what to do.
/// The caller adds the field and the value's source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Invalid {
    /// `must be ...`.
    pub reason: String,
    /// What to give instead.
    pub hint: Option<String>,
}

impl Invalid {
    /// Refused, for this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: None }
    }

    /// With what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the mended form of `text`, if it is one that would be taken. Parsing it may come here
    /// again; as mending what is mended changes nothing, that ends.
    #[must_use]
    pub fn suggest<T: FromStr>(self, text: &str, mended: &str) -> Self {
        if mended != text && mended.parse::<T>().is_ok() {
            self.hint(format!("did you mean {mended}?"))
        } else {
            self
        }
    }
}
