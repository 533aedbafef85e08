//! Where the first data of a set comes from.

/// What the bootstrap of the master does with an empty volume in a set that was never initialised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// It creates a new cluster of databases.
    #[default]
    Initdb,
    /// It takes over what was restored from a backup.
    Restore,
    /// It takes over what an upgrade prepared.
    Upgrade,
}

impl Origin {
    /// The value of the bootstrap's variable `PGSET_ORIGIN`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initdb => "initdb",
            Self::Restore => "restore",
            Self::Upgrade => "upgrade",
        }
    }
}
