//! The names of the profiles, as used by `--profile` and by the annotation `pgset/profile`.

use clap::ValueEnum;

/// A profile by its name. The comments of the variants are the help of `--profile`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProfileName {
    /// Crunchy's images of 2017 to 2019
    Crunchy,
    /// PostgreSQL's official image
    Postgres,
}

impl ProfileName {
    /// Every profile.
    pub const ALL: [Self; 2] = [Self::Crunchy, Self::Postgres];

    /// The profile with a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == name)
    }

    /// The profile of a set, by the name that its StatefulSet records. A set without one was created with an image
    /// of Crunchy's, before sets recorded their profile.
    #[must_use]
    pub fn of_set(name: Option<&str>) -> Self {
        name.and_then(Self::named).unwrap_or(Self::Crunchy)
    }

    /// The name: that of `--profile` and of the template directory.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crunchy => "crunchy",
            Self::Postgres => "postgres",
        }
    }
}

impl std::fmt::Display for ProfileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_as_the_command_line_takes_it() {
        for name in ProfileName::value_variants() {
            assert_eq!(ProfileName::from_str(name.as_str(), false), Ok(*name));
        }
    }
}
