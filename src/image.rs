//! Image references, and how each image must be run.

mod capabilities;
pub mod crunchy;
pub mod error;
mod major;
pub mod official;
mod profile_name;
pub mod reference;
pub(crate) mod templates;

pub use capabilities::{Ability, Capabilities};
pub use crunchy::Crunchy;
pub use error::ImageError;
pub use major::MajorVersion;
pub use official::Official;
pub use profile_name::ProfileName;
pub use reference::ImageReference;

use serde_json::Value;

/// The registry's user that the article takes Crunchy's images from.
pub const ARTICLE_PREFIX: &str = "crunchydata";

/// The repository of the article's image, by the prefix that the user chose.
#[must_use]
pub fn article_repository(prefix: &str) -> String {
    format!("{prefix}/{}", crunchy::REPOSITORY)
}

/// How an image is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Crunchy's images of 2017 to 2019: the entry point of the image sets up replication.
    Crunchy(Crunchy),
    /// PostgreSQL's official image, and images built from it: pgset's own script sets up replication.
    Postgres(Official),
}

impl Profile {
    /// The name of the profile that an image's name asks for: `crunchy-postgres` and
    /// `crunchy-postgres-gis` are Crunchy's, all others are run as the official image.
    #[must_use]
    pub fn name_for(image: &ImageReference) -> ProfileName {
        if image.base_name().starts_with(crunchy::REPOSITORY) {
            ProfileName::Crunchy
        } else {
            ProfileName::Postgres
        }
    }

    /// The profile of an image. Its tag is read.
    pub fn of(image: &ImageReference, name: ProfileName) -> Result<Self, ImageError> {
        match name {
            ProfileName::Postgres => Ok(Self::Postgres(Official::from_image(image)?)),
            ProfileName::Crunchy => {
                let tag = image.tag.as_deref().ok_or(ImageError::NoTag)?;
                Ok(Self::Crunchy(Crunchy::from_tag(tag)?))
            }
        }
    }

    /// The name of the profile, for `--profile` and for the template directory.
    #[must_use]
    pub fn name(&self) -> ProfileName {
        match self {
            Self::Crunchy(_) => ProfileName::Crunchy,
            Self::Postgres(_) => ProfileName::Postgres,
        }
    }

    /// Whether the name of a set may have a dash.
    #[must_use]
    pub fn name_may_have_dash(&self) -> bool {
        match self {
            Self::Crunchy(image) => image.name_may_have_dash(),
            Self::Postgres(_) => true,
        }
    }

    /// What templates know about the image, under the name of the profile. `volume`: the size of the volume
    /// in bytes.
    #[must_use]
    pub fn template_values(&self, volume: u64) -> Value {
        match self {
            Self::Crunchy(image) => image.template_values(),
            Self::Postgres(image) => image.template_values(volume),
        }
    }

    /// What a set of the image can do.
    #[must_use]
    pub fn capabilities(&self) -> &'static Capabilities {
        Capabilities::of(self.name())
    }

    /// The uid, gid and fsGroup of PostgreSQL in the container.
    #[must_use]
    pub fn user_id(&self) -> u32 {
        match self {
            Self::Crunchy(image) => image.user_id(),
            Self::Postgres(image) => image.user_id(),
        }
    }

    /// The user ID that was set, if one was.
    #[must_use]
    pub fn given_user_id(&self) -> Option<u32> {
        match self {
            Self::Crunchy(_) => None,
            Self::Postgres(image) => image.user,
        }
    }

    /// The profile with a user ID in place of the image's. A profile without this capability keeps its own.
    #[must_use]
    pub fn with_user_id(self, user: u32) -> Self {
        match self {
            Self::Crunchy(image) => Self::Crunchy(image),
            Self::Postgres(image) => Self::Postgres(Official { user: Some(user), ..image }),
        }
    }

    /// The major version of PostgreSQL, if the tag says it: `17`, `9.5`.
    #[must_use]
    pub fn postgres_major(&self) -> Option<String> {
        match self {
            Self::Crunchy(image) => image.postgres_major().map(str::to_owned),
            Self::Postgres(image) => image.major.map(|major| major.to_string()),
        }
    }

    /// The maximum number of pods of a set with this image, and the reason for it.
    #[must_use]
    pub fn limit(&self) -> Limit {
        match self {
            Self::Crunchy(image) => Limit {
                pods: image.replicas_limit(),
                max_wal_senders: image.max_wal_senders_default(),
                cloned: "one of them needs two while it is cloned",
            },
            Self::Postgres(image) => Limit {
                pods: image.replicas_limit(),
                max_wal_senders: official::MAX_WAL_SENDERS,
                cloned: "each of them needs two while it is cloned, and some are reserved",
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
            assert_eq!(Profile::name_for(&image.parse().unwrap()).as_str(), name, "{image}");
        }
    }

    #[test]
    fn crunchy_needs_a_tag() {
        let image = "crunchydata/crunchy-postgres".parse().unwrap();
        assert_eq!(Profile::of(&image, ProfileName::Crunchy), Err(ImageError::NoTag));
        let official = Official { major: None, alpine: false, user: None };
        assert_eq!(Profile::of(&image, ProfileName::Postgres), Ok(Profile::Postgres(official)));
    }
}
