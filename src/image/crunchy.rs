//! Crunchy's PostgreSQL images, tags 1.2.6 to 2.4.2: what each range of tags needs.
//!
//! Source: the public repository CrunchyData/crunchy-containers (`bin/postgres/start.sh`,
//! `examples/kube/statefulset`), read tag by tag.

use serde_json::{Value, json};

use super::ImageError;

/// The repository of the images, without its prefix; variants have more behind it.
pub(super) const REPOSITORY: &str = "crunchy-postgres";

/// The facts of one tag. All pure functions of the version; templates ask them, nothing else does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crunchy {
    /// The container suite's version: `centos7-9.5-1.2.6` is `[1, 2, 6]`.
    pub version: [u32; 3],
    /// PostgreSQL's version in the tag: `9.5`, `10.3`. Empty if the tag has none.
    pub postgres: String,
}

/// The directories where the container reads secrets from the files `username` and `password`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretDirectories {
    /// The directory for the replication role.
    pub primary: &'static str,
    /// The directory for the application's role.
    pub user: &'static str,
    /// The directory for the superuser.
    pub root: &'static str,
}

impl Crunchy {
    /// What templates know about the image.
    pub(super) fn template_values(&self) -> Value {
        json!({
            "prefix": self.primary_prefix(),
            "replica_host": self.needs_replica_host(),
            "namespace_variable": self.needs_namespace_variable(),
            "user_id": self.user_id(),
        })
    }

    /// The oldest version that can be run: the one the article names.
    pub const OLDEST: [u32; 3] = [1, 2, 6];
    /// The newest supported version.
    pub const NEWEST: [u32; 3] = [2, 4, 2];

    /// Parses a tag such as `centos7-9.5-1.2.6`, or `centos7-9.6-1.4.1-1` with a build number or `rc1`
    /// after the version. The version is the last component with dots, and at most one component may follow
    /// it.
    pub fn from_tag(tag: &str) -> Result<Self, ImageError> {
        let no_version = || ImageError::NoVersion { tag: tag.to_owned() };
        let components: Vec<&str> = tag.split('-').collect();
        let (index, version) = components
            .iter()
            .enumerate()
            .rev()
            .take(2)
            .find_map(|(index, component)| Some((index, version(component)?)))
            .ok_or_else(no_version)?;
        let postgres = index
            .checked_sub(1)
            .and_then(|before| components.get(before))
            .filter(|component| component.starts_with(|c: char| c.is_ascii_digit()));
        // `centos7-9.5` has only PostgreSQL's version.
        let short = components[index].matches('.').count() == 1;
        if short && postgres.is_none() {
            return Err(no_version());
        }
        let written = || components[index..].join("-");
        if version < Self::OLDEST {
            return Err(ImageError::TooOld { version: written() });
        }
        if version > Self::NEWEST {
            return Err(ImageError::TooNew { version: written() });
        }
        Ok(Self { version, postgres: postgres.map_or_else(String::new, ToString::to_string) })
    }

    /// PostgreSQL's major version: `9.5`, `10`. `None` if the tag has none.
    #[must_use]
    pub fn postgres_major(&self) -> Option<&str> {
        let mut dots = self.postgres.match_indices('.').map(|(at, _)| at);
        let first = dots.next().unwrap_or(self.postgres.len());
        let number: u32 = self.postgres[..first].parse().ok()?;
        if number >= 10 {
            return Some(&self.postgres[..first]);
        }
        let second = dots.next().unwrap_or(self.postgres.len());
        (first < self.postgres.len()).then(|| &self.postgres[..second])
    }

    /// The prefix of the container's variables: `PG_MASTER` up to 1.5, `PG_PRIMARY` from 1.6.
    #[must_use]
    pub fn primary_prefix(&self) -> &'static str {
        if self.version >= [1, 6, 0] { "PG_PRIMARY" } else { "PG_MASTER" }
    }

    /// Whether replicas set their label to the value of `PG_REPLICA_HOST`. Without this variable the label
    /// would be empty.
    #[must_use]
    pub fn needs_replica_host(&self) -> bool {
        self.version >= [1, 8, 2]
    }

    /// Whether the container needs its namespace in `CCP_NAMESPACE`.
    #[must_use]
    pub fn needs_namespace_variable(&self) -> bool {
        self.version >= [2, 2, 0]
    }

    /// Whether the set's name may contain a dash. Up to 1.4.1 the container reads its ordinal from the
    /// second field of its host name, so every pod of the set `my-set` would be a replica that waits for a
    /// master.
    #[must_use]
    pub fn name_may_have_dash(&self) -> bool {
        self.version >= [1, 5, 0]
    }

    /// Whether the scripts of the probes need `PGHOST=/tmp` in the environment.
    #[must_use]
    pub fn probes_need_pghost(&self) -> bool {
        self.version < [1, 7, 0]
    }

    /// Where secrets are mounted.
    #[must_use]
    pub fn secret_directories(&self) -> SecretDirectories {
        let primary = if self.version >= [1, 6, 0] { "/pgprimary" } else { "/pgmaster" };
        SecretDirectories { primary, user: "/pguser", root: "/pgroot" }
    }

    /// The container's `max_wal_senders`, unless `MAX_WAL_SENDERS` overrides it.
    #[must_use]
    pub fn max_wal_senders_default(&self) -> u32 {
        6
    }

    /// The maximum number of pods of a set, including the master: 6.
    ///
    /// A streaming replica uses one WAL sender. A replica that is being cloned uses two, because of
    /// `pg_basebackup -X stream`. With `OrderedReady` only one replica is cloned at a time, so the last one
    /// needs `(replicas - 1) + 2 <= 6` senders. This allows 5 replicas and the master.
    #[must_use]
    pub fn replicas_limit(&self) -> u32 {
        let replicas = self.max_wal_senders_default() - 1;
        replicas + 1
    }

    /// The uid, gid and fsGroup of PostgreSQL in the container.
    #[must_use]
    pub fn user_id(&self) -> u32 {
        26
    }
}

/// Parses `1.2.6`, `v2.4.2`, and `1.5` as `1.5.0`.
fn version(text: &str) -> Option<[u32; 3]> {
    let numbers: Vec<u32> = text
        .strip_prefix('v')
        .unwrap_or(text)
        .split('.')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    match numbers[..] {
        [major, minor] => Some([major, minor, 0]),
        [major, minor, patch] => Some([major, minor, patch]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crunchy(version: &str) -> Crunchy {
        Crunchy::from_tag(&format!("centos7-9.6-{version}")).unwrap()
    }

    #[test]
    fn reads_tags() {
        for (tag, version, postgres, major) in [
            ("centos7-9.5-1.2.6", [1, 2, 6], "9.5", Some("9.5")),
            ("centos7-9.6-1.4.1-1", [1, 4, 1], "9.6", Some("9.6")),
            ("rhel7-9.6.10-2.1.0", [2, 1, 0], "9.6.10", Some("9.6")),
            ("centos7-10.3-1.8.2", [1, 8, 2], "10.3", Some("10")),
            ("centos7-11.4-2.4.2-rc1", [2, 4, 2], "11.4", Some("11")),
            ("centos7-9.6-1.5", [1, 5, 0], "9.6", Some("9.6")),
            ("1.2.7", [1, 2, 7], "", None),
            ("v2.4.2", [2, 4, 2], "", None),
        ] {
            let read = Crunchy::from_tag(tag).unwrap();
            assert_eq!((read.version, read.postgres.as_str()), (version, postgres), "{tag}");
            assert_eq!(read.postgres_major(), major, "{tag}");
        }
    }

    #[test]
    fn refuses_tags_with_the_reason() {
        for (tag, reason) in [
            ("latest", "must have a tag that ends in the version of Crunchy's containers"),
            ("17", "must have a tag that ends in the version of Crunchy's containers"),
            ("centos7-9.5", "must have a tag that ends in the version of Crunchy's containers"),
            ("centos7-9.5-1.2.6-a-b", "must have a tag that ends in the version"),
            ("centos7-9.5-1.2.5", "1.2.5 does not support PG_MODE=set"),
            ("centos7-9.5-1.2.5-1", "1.2.5-1 does not support PG_MODE=set"),
            ("centos7-11.5-2.4.3", "2.4.3 no longer supports PG_MODE=set"),
            ("centos7-12.4-4.4.0", "4.4.0 no longer supports PG_MODE=set"),
            ("ubi8-13.3-4.4", "4.4 no longer supports PG_MODE=set"),
        ] {
            let error = Crunchy::from_tag(tag).unwrap_err();
            assert!(error.to_string().contains(reason), "{tag}: {error}");
            assert!(error.hint().is_some(), "{tag}");
        }
    }

    #[test]
    fn each_fact_turns_at_its_tag() {
        assert_eq!(crunchy("1.5.1").primary_prefix(), "PG_MASTER");
        assert_eq!(crunchy("1.5.1").secret_directories().primary, "/pgmaster");
        assert_eq!(crunchy("1.6.0").primary_prefix(), "PG_PRIMARY");
        assert_eq!(crunchy("1.6.0").secret_directories().primary, "/pgprimary");
        assert!(!crunchy("1.8.1").needs_replica_host());
        assert!(crunchy("1.8.2").needs_replica_host());
        assert!(!crunchy("2.1.1").needs_namespace_variable());
        assert!(crunchy("2.2.0").needs_namespace_variable());
        assert!(!crunchy("1.4.1-1").name_may_have_dash());
        assert!(crunchy("1.5.0").name_may_have_dash());
        assert!(crunchy("1.6.0").probes_need_pghost());
        assert!(!crunchy("1.7.0").probes_need_pghost());
        assert_eq!(crunchy("2.4.2").replicas_limit(), 6);
    }
}
