//! Image references, and how each image must be run.

pub mod crunchy;
pub mod error;
pub mod official;
pub mod reference;

pub use crunchy::Crunchy;
pub use error::ImageError;
pub use official::Official;
pub use reference::ImageReference;

/// How pgset runs an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Crunchy's images of 2017 to 2019: the entry point of the image sets up replication.
    Crunchy(Crunchy),
    /// PostgreSQL's official image, and images built from it: pgset's own script sets up replication.
    Postgres(Official),
}

impl Profile {
    /// The name of [`Profile::Crunchy`].
    pub const CRUNCHY: &'static str = "crunchy";
    /// The name of [`Profile::Postgres`].
    pub const POSTGRES: &'static str = "postgres";

    /// Chooses the profile by the image's name: `crunchy-postgres` and `crunchy-postgres-gis` are Crunchy's
    /// images. All others are run like the official image.
    #[must_use]
    pub fn name_for(image: &ImageReference) -> &'static str {
        if image.base_name().starts_with("crunchy-postgres") {
            Self::CRUNCHY
        } else {
            Self::POSTGRES
        }
    }

    /// Builds the profile of an image from its tag. `crunchy` selects [`Profile::Crunchy`].
    pub fn of(image: &ImageReference, crunchy: bool) -> Result<Self, ImageError> {
        if !crunchy {
            return Ok(Self::Postgres(Official::from_image(image)?));
        }
        let tag = image.tag.as_deref().ok_or(ImageError::NoTag)?;
        Ok(Self::Crunchy(Crunchy::from_tag(tag)?))
    }

    /// The name of the profile, for `--profile` and for the template directory.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Crunchy(_) => Self::CRUNCHY,
            Self::Postgres(_) => Self::POSTGRES,
        }
    }

    /// The maximum number of pods of a set with this image, and the reason for it.
    #[must_use]
    pub fn limit(&self) -> Limit {
        match self {
            Self::Crunchy(image) => Limit {
                pods: image.replicas_limit(),
                max_wal_senders: image.max_wal_senders_default(),
                cloned: "as one that is being cloned needs two",
            },
            Self::Postgres(image) => Limit {
                pods: image.replicas_limit(),
                max_wal_senders: official::MAX_WAL_SENDERS,
                cloned: "as each that is being cloned needs two",
            },
        }
    }
}

/// The maximum number of pods of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The maximum, including the master.
    pub pods: u32,
    /// The value of `max_wal_senders`, which causes the limit.
    pub max_wal_senders: u32,
    /// How replicas use WAL senders, in words.
    pub cloned: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_follows_the_last_component_of_the_repository() {
        for (image, name) in [
            ("crunchydata/crunchy-postgres:x", "crunchy"),
            ("localhost:5000/mirror/crunchy-postgres-gis:x", "crunchy"),
            ("crunchydata/postgres", "postgres"),
            ("crunchy-postgres/other", "postgres"),
            ("postgres:17", "postgres"),
        ] {
            assert_eq!(Profile::name_for(&image.parse().unwrap()), name, "{image}");
        }
    }

    #[test]
    fn crunchy_needs_a_tag() {
        let image = "crunchydata/crunchy-postgres".parse().unwrap();
        assert_eq!(Profile::of(&image, true), Err(ImageError::NoTag));
        let official = Official { major: None, alpine: false };
        assert_eq!(Profile::of(&image, false), Ok(Profile::Postgres(official)));
    }
}
