//! Image references, and what each image expects of those who run it.

pub mod crunchy;
pub mod reference;

pub use crunchy::Crunchy;
pub use reference::ImageReference;

/// How an image is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Crunchy's images of 2017 to 2019: their entry point does the replication.
    Crunchy(Crunchy),
    /// PostgreSQL's official image.
    Postgres,
}

impl Profile {
    /// The name: that of `--profile` and of the template directory.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Crunchy(_) => "crunchy",
            Self::Postgres => "postgres",
        }
    }
}
