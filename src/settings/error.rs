//! Why a setting was refused.

use std::fmt;

use super::Source;
use crate::environment::NotUnicode;
use crate::error::{Diagnose, Exit};
use crate::values::Invalid;

/// A refused setting. Settings are checked before pgset connects to a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// Which setting, in words: `set name`.
    pub field: &'static str,
    /// The value that was given. Never a password.
    pub value: Option<String>,
    /// The source of the value.
    pub source: Source,
    /// `must be ...`.
    pub reason: String,
    /// How to correct the value.
    pub hint: Option<String>,
}

impl SettingsError {
    /// An error that shows the value.
    pub(crate) fn of(
        field: &'static str,
        value: impl Into<String>,
        source: Source,
        invalid: Invalid,
    ) -> Self {
        Self { value: Some(value.into()), ..Self::hidden(field, source, invalid) }
    }

    /// An error that does not show the value, or has none.
    pub(crate) fn hidden(field: &'static str, source: Source, invalid: Invalid) -> Self {
        Self { field, value: None, source, reason: invalid.reason, hint: invalid.hint }
    }
}

impl From<NotUnicode> for SettingsError {
    fn from(error: NotUnicode) -> Self {
        let invalid = Invalid::new("must be valid UTF-8");
        Self::hidden("variable", Source::Variable(error.variable), invalid)
    }
}

/// `set name "PgSet" (from --name) must be ...`.
impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 100;
        f.write_str(self.field)?;
        if let Some(value) = &self.value {
            match value.char_indices().nth(SHOWN) {
                Some((end, _)) => write!(f, " {:?}...", &value[..end])?,
                None => write!(f, " {value:?}")?,
            }
        }
        write!(f, " (from {}) {}", self.source, self.reason)
    }
}

impl std::error::Error for SettingsError {}

impl Diagnose for SettingsError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hints(&self) -> Vec<String> {
        self.hint.iter().cloned().collect()
    }
}
