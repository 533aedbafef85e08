//! PostgreSQL's official image: what pgset reads from its tag, and its limits.

use serde_json::{Value, json};

use super::{ImageError, ImageReference};

/// The oldest supported major version. It introduced `pg_verifybackup`, which checks a clone, and the limit
/// on the WAL that a replication slot keeps.
pub const OLDEST: u32 = 13;
/// The newest supported major version.
pub const NEWEST: u32 = 18;

/// The number of WAL senders and of replication slots of every server. It is fixed, because changing it
/// needs a restart. It is much more than two pods need, because an unused one costs only a few kilobytes.
pub const MAX_WAL_SENDERS: u32 = 64;
/// The user ID of PostgreSQL in the images that are based on Debian.
pub const DEBIAN_USER: u32 = 999;
/// The user ID of PostgreSQL in the images that are based on Alpine.
pub const ALPINE_USER: u32 = 70;
/// WAL senders that are not for replicas: for backups and other tools.
const SPARE_SENDERS: u32 = 4;

/// An image for which pgset's own script starts the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Official {
    /// The major version, if the tag has it: `17` in `postgres:17.2-bookworm`. The script in the container
    /// checks the version in any case, and refuses an unsupported one.
    pub major: Option<u32>,
    /// Whether the image is based on Alpine, where PostgreSQL's user has another UID.
    pub alpine: bool,
    /// The user ID that was set in place of that of the image's variant.
    pub user: Option<u32>,
}

impl Official {
    /// What templates know about the image, and the limits of the WAL on a volume of so many bytes.
    pub(super) fn template_values(&self, volume: u64) -> Value {
        let megabytes = |bytes: u64| format!("{}MB", (bytes >> 20).max(1));
        json!({
            "user_id": self.user_id(),
            "max_wal_senders": MAX_WAL_SENDERS,
            // PostgreSQL's own default is a gigabyte, which is all of a small volume.
            "max_wal_size": megabytes((volume / 4).clamp(80 << 20, 1 << 30)),
            // A replica that is gone keeps at most a quarter of the volume, and is cloned again.
            "max_slot_wal_keep_size": megabytes(volume / 4),
            "wal_keep_size": megabytes((volume / 8).min(1 << 30)),
        })
    }

    /// Reads an image's tag.
    ///
    /// # Errors
    /// When PostgreSQL's version is too old, or not known yet.
    pub fn from_image(image: &ImageReference) -> Result<Self, ImageError> {
        let tag = image.tag.as_deref().unwrap_or_default();
        // In other images, a number at the start of the tag may be the version of something else.
        let major = if image.base_name() == "postgres" { major(tag) } else { named_major(tag) };
        match major {
            Some(major) if major < OLDEST => Err(ImageError::PostgresTooOld { major }),
            Some(major) if major > NEWEST => Err(ImageError::PostgresTooNew { major }),
            _ => Ok(Self { major, alpine: tag.contains("alpine"), user: None }),
        }
    }

    /// The uid, gid and fsGroup of PostgreSQL in the container.
    #[must_use]
    pub fn user_id(&self) -> u32 {
        self.user.unwrap_or(if self.alpine { ALPINE_USER } else { DEBIAN_USER })
    }

    /// The maximum number of pods of a set, including the master. Several replicas can be cloned at the
    /// same time, and a replica that is being cloned uses two WAL senders.
    #[must_use]
    pub fn replicas_limit(&self) -> u32 {
        (MAX_WAL_SENDERS - SPARE_SENDERS) / 2 + 1
    }
}

/// Returns `17` for `17`, `17.2`, `17-bookworm` and `17beta1`; `None` for `latest` and `bookworm`.
fn major(tag: &str) -> Option<u32> {
    let end = tag.find(|c: char| !c.is_ascii_digit()).unwrap_or(tag.len());
    tag[..end].parse().ok()
}

/// Returns `17` for `pg17` and `2.17.2-pg17`: extensions name PostgreSQL's version so.
fn named_major(tag: &str) -> Option<u32> {
    tag.split('-').find_map(|part| part.strip_prefix("pg")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn read(image: &str) -> Result<Official, ImageError> {
        Official::from_image(&image.parse().unwrap())
    }

    #[test]
    fn reads_tags() {
        for (image, major, user) in [
            ("postgres", None, 999),
            ("postgres:latest", None, 999),
            ("postgres:alpine", None, 70),
            // The tag is read although the digest decides.
            (&format!("postgres:17-alpine@{DIGEST}"), Some(17), 70),
            (&format!("postgres:17@{DIGEST}"), Some(17), 999),
            (&format!("postgres@{DIGEST}"), None, 999),
            ("postgres:13", Some(13), 999),
            ("postgres:17.2-bookworm", Some(17), 999),
            ("docker.io/library/postgres:18-alpine3.22", Some(18), 70),
            ("postgres:18beta1", Some(18), 999),
            // The number in the tag of another image is not taken as PostgreSQL's version.
            ("registry.example/orders-db:5", None, 999),
            ("pgvector/pgvector:pg17", Some(17), 999),
            ("registry.example/timescaledb:2.17.2-pg16-oss", Some(16), 999),
            ("registry.example/orders-db:pgbouncer-5", None, 999),
        ] {
            let read = read(image).unwrap();
            assert_eq!((read.major, read.user_id()), (major, user), "{image}");
        }
    }

    #[test]
    fn a_user_that_was_set_takes_precedence() {
        let image = Official { user: Some(1001), ..read("postgres:17-alpine").unwrap() };
        assert_eq!(image.user_id(), 1001);
        assert_eq!(image.template_values(1 << 30)["user_id"], 1001);
    }

    #[test]
    fn refuses_versions_with_the_reason() {
        let old = read("postgres:12.4").unwrap_err();
        assert!(old.to_string().contains("12 has no pg_verifybackup"), "{old}");
        let new = read("registry:5000/postgres:19").unwrap_err();
        assert!(new.to_string().contains("19 is not supported"), "{new}");
        assert!(old.hint().is_some() && new.hint().is_some());
    }
}
