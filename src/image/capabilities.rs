//! What a set can do, by the image that it runs: the facts that the rest of pgset asks for, instead of
//! asking which image it is.

use super::ProfileName;

/// Whether a set can do something, or why it can't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// It can.
    Yes,
    /// It can't, for this reason: a fragment that ends the sentence about what was asked for.
    No(&'static str),
}

impl Ability {
    /// Whether it can.
    #[must_use]
    pub fn is_there(self) -> bool {
        self == Self::Yes
    }

    /// Why it can't; none where it can.
    #[must_use]
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Yes => None,
            Self::No(reason) => Some(reason),
        }
    }
}

/// What a set of an image can do. Each field is one fact that some command depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// pgset writes `postgresql.conf` and `pg_hba.conf`, in a ConfigMap: PostgreSQL's settings and
    /// synchronous replication can be chosen and changed.
    pub configuration: Ability,
    /// The servers can offer and require TLS.
    pub tls: Ability,
    /// The system identifier of the set is recorded in a ConfigMap, and each pod compares its data with it.
    pub has_topology: bool,
    /// The Role names each pod, so that a pod can change no label but its own. Whoever adds a pod must add
    /// its name first.
    pub names_pods_in_role: bool,
    /// Each replica has a replication slot on the master, which outlives the replica.
    pub has_replication_slots: bool,
    /// Resources, placement, labels, annotations and a NetworkPolicy can be chosen.
    pub has_pod_settings: bool,
    /// The password of the replication role can be replaced. Otherwise each replica keeps the one that it was
    /// cloned with.
    pub rotation_of_replication_password: Ability,
    /// The entry point writes the names of roles and databases, and the passwords, into SQL without quotes.
    pub writes_unquoted_sql: bool,
    /// The data lies on NFS where no storage was chosen, as in the article. Otherwise on the default
    /// StorageClass.
    pub defaults_to_nfs: bool,
    /// The name of the replication role where none was chosen.
    pub default_replication_role: &'static str,
}

impl Capabilities {
    /// Of Crunchy's images: their entry point sets up PostgreSQL and replication by itself.
    const CRUNCHY: Self = Self {
        configuration: Ability::No(
            "must not be given with an image of Crunchy's, which writes its own configuration",
        ),
        tls: Ability::No(
            "is not to be had with Crunchy's images: they set up PostgreSQL themselves",
        ),
        has_topology: false,
        names_pods_in_role: false,
        has_replication_slots: false,
        has_pod_settings: false,
        rotation_of_replication_password: Ability::No(
            "the replication password of Crunchy's images can't be replaced: each replica keeps it in its recovery.conf from the time when it was cloned, and would not find its master again",
        ),
        writes_unquoted_sql: true,
        defaults_to_nfs: true,
        // The same for every tag, although Crunchy's own examples changed the name with 1.6: roles are
        // created at the first start only, and a newer tag must still log in to an old volume.
        default_replication_role: "master",
    };

    /// Of the official image: pgset's bootstrap script sets up PostgreSQL and replication.
    const POSTGRES: Self = Self {
        configuration: Ability::Yes,
        tls: Ability::Yes,
        has_topology: true,
        names_pods_in_role: true,
        has_replication_slots: true,
        has_pod_settings: true,
        rotation_of_replication_password: Ability::Yes,
        writes_unquoted_sql: false,
        defaults_to_nfs: false,
        default_replication_role: "primaryuser",
    };

    /// Of the images of a profile.
    #[must_use]
    pub fn of(profile: ProfileName) -> &'static Self {
        match profile {
            ProfileName::Crunchy => &Self::CRUNCHY,
            ProfileName::Postgres => &Self::POSTGRES,
        }
    }

    /// Of a set that was created with the profile of this name. A set that names none was created before
    /// sets named theirs, with an image of Crunchy's.
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
