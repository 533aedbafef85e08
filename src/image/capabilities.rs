//! What a set can do with its image. The rest of pgset asks for these facts instead of for the image's name.

use super::ProfileName;

/// Whether a set can do something, or why it can't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// It can.
    Yes,
    /// It can't. The reason is a fragment that completes a sentence about the setting or command.
    No(&'static str),
}

impl Ability {
    /// Whether it can.
    #[must_use]
    pub fn is_there(self) -> bool {
        self == Self::Yes
    }

    /// Why it can't. `None` if it can.
    #[must_use]
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Yes => None,
            Self::No(reason) => Some(reason),
        }
    }
}

/// What a set can do with its image. Each field is one fact that a command depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a list of independent facts")]
pub struct Capabilities {
    /// pgset writes `postgresql.conf` and `pg_hba.conf` into a ConfigMap. So users can change PostgreSQL's
    /// settings and synchronous replication.
    pub configuration: Ability,
    /// The servers can offer TLS and require it.
    pub tls: Ability,
    /// Users can set the user ID of PostgreSQL: an image without a telling tag may have any.
    pub user_id: Ability,
    /// A ConfigMap records the set's system identifier, and each pod compares its data with it.
    pub has_topology: bool,
    /// The Role lists the set's pods by name, so that pods can change only the labels of these pods. The name
    /// of a new pod must be added to the Role before the pod starts.
    pub names_pods_in_role: bool,
    /// Each replica has a replication slot on the master. The slot remains when the replica is deleted.
    pub has_replication_slots: bool,
    /// Users can set resources, placement, labels, annotations and a NetworkPolicy.
    pub has_pod_settings: bool,
    /// The password of the replication role can be rotated. If not, each replica keeps the password from when
    /// it was cloned.
    pub rotation_of_replication_password: Ability,
    /// Every login uses SCRAM, so a role can be given a verifier in place of its password.
    pub accepts_verifiers: bool,
    /// The entry point writes role names, database names and passwords into SQL without quoting them.
    pub writes_unquoted_sql: bool,
    /// The default storage is NFS, as in the article. Otherwise it is the default StorageClass.
    pub defaults_to_nfs: bool,
    /// The default name of the replication role.
    pub default_replication_role: &'static str,
}

impl Capabilities {
    /// Crunchy's images: their entry point configures PostgreSQL and replication.
    const CRUNCHY: Self = Self {
        configuration: Ability::No(
            "must not be given with a Crunchy image, which writes its own configuration",
        ),
        tls: Ability::No(
            "is not supported with Crunchy's images: they configure PostgreSQL themselves",
        ),
        user_id: Ability::No("must not be given with a Crunchy image, which has its own user"),
        has_topology: false,
        names_pods_in_role: false,
        has_replication_slots: false,
        has_pod_settings: false,
        rotation_of_replication_password: Ability::No(
            "the replication password of Crunchy's images can't be replaced: each replica stored it in its recovery.conf when it was cloned, and could not connect to its master again",
        ),
        accepts_verifiers: false,
        writes_unquoted_sql: true,
        defaults_to_nfs: true,
        // The same for every tag, although Crunchy's own examples changed the name with 1.6: roles are
        // created at the first start only, and a newer image must be able to log in to an old volume.
        default_replication_role: "master",
    };

    /// The official image: pgset's bootstrap script configures PostgreSQL and replication.
    const POSTGRES: Self = Self {
        configuration: Ability::Yes,
        tls: Ability::Yes,
        user_id: Ability::Yes,
        has_topology: true,
        names_pods_in_role: true,
        has_replication_slots: true,
        has_pod_settings: true,
        rotation_of_replication_password: Ability::Yes,
        accepts_verifiers: true,
        writes_unquoted_sql: false,
        defaults_to_nfs: false,
        default_replication_role: "primaryuser",
    };

    /// The capabilities of a profile's images.
    #[must_use]
    pub fn of(profile: ProfileName) -> &'static Self {
        match profile {
            ProfileName::Crunchy => &Self::CRUNCHY,
            ProfileName::Postgres => &Self::POSTGRES,
        }
    }

    /// The capabilities of a set, by the name of its recorded profile. A set without one was created with an
    /// image of Crunchy's, before sets recorded their profile.
    #[must_use]
    pub fn of_profile(name: Option<&str>) -> &'static Self {
        if name == Some(ProfileName::Postgres.as_str()) { &Self::POSTGRES } else { &Self::CRUNCHY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_names_no_profile_is_of_crunchys_image() {
        assert_eq!(Capabilities::of_profile(Some("postgres")), &Capabilities::POSTGRES);
        assert_eq!(Capabilities::of_profile(Some("crunchy")), &Capabilities::CRUNCHY);
        assert_eq!(Capabilities::of_profile(None), &Capabilities::CRUNCHY);
    }
}
