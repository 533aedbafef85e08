//! Why a value was refused.

use std::str::FromStr;

/// Why a value was refused: a reason (`must be ...`), which is printed after the value, and a hint. The
/// caller adds the field and the value's source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Invalid {
    /// `must be ...`.
    pub reason: String,
    /// How to correct the value.
    pub hint: Option<String>,
}

impl Invalid {
    /// Creates an error with this reason and without a hint.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), hint: None }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Suggests `mended`, the corrected form of `text`, if it is valid. Parsing `mended` may call this
    /// function again. This recursion ends, because correcting a corrected text does not change it.
    #[must_use]
    pub fn suggest<T: FromStr>(self, text: &str, mended: &str) -> Self {
        if mended != text && mended.parse::<T>().is_ok() {
            self.hint(format!("did you mean {mended}?"))
        } else {
            self
        }
    }
}
