//! Settings from flags, environment variables and defaults. They are validated once, before any other work.

pub mod changes;
pub mod computed;
pub mod credentials;
pub mod error;
pub mod general;
pub mod max_lag;
pub mod parameters;
pub mod pods;
pub mod readback;
pub mod recipe;
pub mod resolve;
pub mod service_account;
mod sources;
pub mod storage;
pub mod synchronous;
pub mod table;
pub mod tls;
mod user_id;

pub use computed::Computed;
pub use credentials::Credentials;
pub use error::SettingsError;
pub use general::General;
pub use parameters::Parameters;
pub use pods::Pods;
pub use recipe::Recipe;
pub use storage::{AccessMode, Storage};
pub use tls::{Tls, TlsSetting};

use crate::image::{ImageReference, Profile};
use crate::set::SetIdentity;
use crate::values::{Quantity, Replicas};

/// The source of a setting's value. Errors name it, and `pgset env` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag, as typed: `--storage`.
    Flag(&'static str),
    /// An environment variable.
    Variable(&'static str),
    /// The kubeconfig's current context.
    Context,
    /// The value follows from another setting, named here in words: `the image's name`.
    Derived(&'static str),
    /// The recipe of the set: an earlier `up` was given the value.
    Recorded,
    /// The value was not set: the default is used.
    Default,
}

impl Source {
    /// Whether the user gives the value to this run, by a flag or by a variable.
    #[must_use]
    pub fn is_given(&self) -> bool {
        matches!(self, Self::Flag(_) | Self::Variable(_))
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) | Self::Derived(name) => f.write_str(name),
            Self::Context => f.write_str("the kubeconfig's context"),
            Self::Recorded => f.write_str("recorded"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Its source.
    pub source: Source,
}

/// All settings that decide which objects `up` generates. No setting depends on the state of the cluster.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name and namespace of the set.
    pub set: SetIdentity,
    /// The image.
    pub image: ImageReference,
    /// The profile of the image: it decides how pgset runs the image.
    pub profile: Profile,
    /// The number of pods, if it was set. If not, the running set keeps its number, and a new set gets
    /// [`Replicas::DEFAULT`].
    pub replicas: Option<Sourced<Replicas>>,
    /// Where the data is stored.
    pub storage: Storage,
    /// The size that each PersistentVolumeClaim requests.
    pub size: Quantity,
    /// The access mode of each claim.
    pub access_mode: AccessMode,
    /// Prefix of the names of static volumes: `pv` gives `pv1`, `pv2`, `pv3`.
    pub volume_prefix: String,
    /// Roles, database, and the passwords that were set.
    pub credentials: Credentials,
    /// PostgreSQL parameters, if any were set. If not, the running set keeps its parameters.
    pub parameters: Option<Parameters>,
    /// Whether PostgreSQL has settings that pgset computes from the memory limit and the size.
    pub computed: Computed,
    /// The number of replicas that must confirm each commit, if it was set. If not, the running set keeps
    /// its number.
    pub synchronous: Option<Sourced<u32>>,
    /// How many bytes of the log a replica may be behind the master and still be ready.
    pub max_lag: Quantity,
    /// TLS, if it was set. If not, the running set keeps its TLS state.
    pub tls: Option<Sourced<TlsSetting>>,
    /// Settings of the pods, such as resources, scheduling, labels and annotations.
    pub pods: Pods,
    /// The existing ServiceAccount that the pods use, if it was set. If not, pgset creates one.
    pub service_account: Option<String>,
    /// The directory of the user's own templates.
    pub templates: Option<Sourced<std::path::PathBuf>>,
    /// The variables of the settings that this run was given, by flag or by variable, or that it resets.
    pub asked: Vec<&'static str>,
}
