//! Where a new set gets its first data.

/// What the master's bootstrap does with an empty volume in a set that was never initialised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Creates a new database cluster with initdb.
    #[default]
    Initdb,
    /// Uses the data that was restored from a backup.
    Restore,
    /// Uses the data that an upgrade prepared.
    Upgrade,
}

impl Origin {
    /// The value of the variable `PGSET_ORIGIN` of the bootstrap script.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initdb => "initdb",
            Self::Restore => "restore",
            Self::Upgrade => "upgrade",
        }
    }
}
