//! The major version of PostgreSQL.

use std::fmt;
use std::str::FromStr;

use super::ImageError;
use super::official::{NEWEST, OLDEST};
use crate::values::Invalid;

/// A major version of PostgreSQL that pgset runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MajorVersion(u32);

impl FromStr for MajorVersion {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.parse::<u32>() {
            Ok(number) if (OLDEST..=NEWEST).contains(&number) => Ok(Self(number)),
            Ok(number) if number < OLDEST => {
                Err(ImageError::PostgresTooOld { major: number }.into())
            }
            Ok(number) => Err(ImageError::PostgresTooNew { major: number }.into()),
            Err(_) => Err(Invalid::new(format!(
                "must be a major version of PostgreSQL, {OLDEST} to {NEWEST}"
            ))
            .hint("for a minor version or a variant: --image postgres:17.2-bookworm")),
        }
    }
}

impl fmt::Display for MajorVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
