//! Settings: flags, environment and defaults, validated once, at the edge.

pub mod credentials;
pub mod error;
pub mod general;
pub mod parameters;
pub mod pods;
pub mod resolve;
mod sources;
pub mod storage;
pub mod synchronous;
pub mod table;
pub mod tls;

pub use credentials::Credentials;
pub use error::SettingsError;
pub use general::General;
pub use parameters::Parameters;
pub use pods::Pods;
pub use storage::{AccessMode, Storage};
pub use tls::{Tls, TlsSetting};

use crate::image::{ImageReference, Profile};
use crate::set::SetIdentity;
use crate::values::{Quantity, Replicas};

/// Where a setting's value came from: what an error names and `pgset env` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag, as typed: `--storage`.
    Flag(&'static str),
    /// An environment variable.
    Variable(&'static str),
    /// The kubeconfig's current context.
    Context,
    /// What another setting implies, in words: `the image's name`.
    Derived(&'static str),
    /// Nobody said anything.
    Default,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) | Self::Derived(name) => f.write_str(name),
            Self::Context => f.write_str("the kubeconfig's context"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Its source.
    pub source: Source,
}

/// Everything that decides what `up` makes. Nothing in it depends on what is in the cluster.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The set.
    pub set: SetIdentity,
    /// The image.
    pub image: ImageReference,
    /// How the image is run.
    pub profile: Profile,
    /// The number of pods, when somebody said it. Otherwise what runs, or else [`Replicas::DEFAULT`].
    pub replicas: Option<Sourced<Replicas>>,
    /// Where the data lies.
    pub storage: Storage,
    /// What each claim asks for.
    pub size: Quantity,
    /// How the claim is mounted.
    pub access_mode: AccessMode,
    /// Prefix of the names of static volumes: `pv` makes `pv1`, `pv2`, `pv3`.
    pub volume_prefix: String,
    /// Users, database, and the passwords that somebody gave.
    pub credentials: Credentials,
    /// PostgreSQL's own settings, when somebody gave any. Otherwise those that run.
    pub parameters: Option<Parameters>,
    /// For how many replicas a commit waits, when somebody said it. Otherwise for as many as it does.
    pub synchronous: Option<Sourced<u32>>,
    /// TLS, when somebody said anything about it. Otherwise as it runs.
    pub tls: Option<Sourced<TlsSetting>>,
    /// What the pods ask for, where they run, and what is written on them.
    pub pods: Pods,
    /// Where templates of the user's own are.
    pub templates: Option<Sourced<std::path::PathBuf>>,
}
