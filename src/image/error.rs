//! Why an image was refused.

use crate::error::{Diagnose, Exit};
use crate::values::Invalid;

/// Why an image was refused: `must ...`, printed after the image and its source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The reference is empty.
    #[error("must not be empty")]
    Empty,
    /// A character that is not allowed.
    #[error("must not contain {bad:?} (in the {part})")]
    Character {
        /// `registry`, `repository`, `tag` or `image`.
        part: &'static str,
        /// The character.
        bad: char,
    },
    /// A repository with upper-case letters.
    #[error("must have a repository without upper-case letters")]
    Capitals {
        /// The component in lower case.
        mended: String,
    },
    /// `a//b`.
    #[error("must not have an empty component between slashes")]
    EmptyComponent,
    /// `-a`, or a registry without a host or with a bad port.
    #[error("must have components that begin and end with a letter or digit, not {component:?}")]
    Component {
        /// The component.
        component: String,
    },
    /// A tag that is empty, too long, or begins with a dot or dash.
    #[error(
        "must have a tag after the colon: letters, digits, dots, dashes and underscores, at most 128"
    )]
    Tag,
    /// A digest that is not `sha256:` and 64 hexadecimal digits.
    #[error("must have a digest of the form sha256: and 64 hexadecimal digits")]
    Digest,
    /// A Crunchy image without a tag.
    #[error(
        "must have a tag: the tag of a Crunchy image decides which variables its container reads"
    )]
    NoTag,
    /// A tag without a version of the containers.
    #[error("must have a tag that ends in the version of Crunchy's containers, not {tag:?}")]
    NoVersion {
        /// The tag.
        tag: String,
    },
    /// A version of the containers that is too old.
    #[error(
        "must be of Crunchy's containers 1.2.6 to 2.4.2: {version} does not support \
         PG_MODE=set, with which the pods of a set determine their roles"
    )]
    TooOld {
        /// The version.
        version: String,
    },
    /// A version of the containers that is too new.
    #[error(
        "must be of Crunchy's containers 1.2.6 to 2.4.2: {version} no longer supports \
         PG_MODE=set, so the pods of a set could not determine their roles"
    )]
    TooNew {
        /// The version.
        version: String,
    },
    /// A PostgreSQL version that lacks features that the bootstrap script needs.
    #[error(
        "must be PostgreSQL 13 to 18: {major} has no pg_verifybackup, which checks a clone, and no limit for the WAL that is kept for a dead replica"
    )]
    PostgresTooOld {
        /// The major version.
        major: u32,
    },
    /// A PostgreSQL version that is newer than this version of pgset supports.
    #[error("must be PostgreSQL 13 to 18: {major} is not supported by this version of pgset")]
    PostgresTooNew {
        /// The major version.
        major: u32,
    },
}

impl ImageError {
    /// A hint for a correct image.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let example = "an image that works: crunchydata/crunchy-postgres:centos7-9.5-1.2.6";
        match self {
            Self::Capitals { mended } => Some(format!("did you mean {mended}?")),
            Self::NoTag | Self::NoVersion { .. } => Some(example.to_owned()),
            Self::TooOld { .. } | Self::TooNew { .. } => {
                Some(format!("{example}; newer PostgreSQL: --image postgres:17"))
            }
            Self::PostgresTooOld { .. } | Self::PostgresTooNew { .. } => {
                Some("an image that works: postgres:17".to_owned())
            }
            Self::Empty => Some("an image is [registry/]repository[:tag]: postgres:17".to_owned()),
            _ => None,
        }
    }
}

impl Diagnose for ImageError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hints(&self) -> Vec<String> {
        self.hint().into_iter().collect()
    }
}

impl From<ImageError> for Invalid {
    fn from(error: ImageError) -> Self {
        Self { reason: error.to_string(), hint: error.hint() }
    }
}
