//! Settings: flags, environment and defaults, validated once, at the edge.

pub mod credentials;
pub mod duration;
pub mod error;
pub mod general;
pub mod parameters;
pub mod pods;
pub mod quantity;
mod reserved;
pub mod resolve;
pub mod secret;
mod sources;
pub mod storage;
pub mod synchronous;
pub mod table;
pub mod tls;
pub mod values;

pub use credentials::Credentials;
pub use error::SettingsError;
pub use general::General;
pub use parameters::Parameters;
pub use pods::Pods;
pub use quantity::Quantity;
pub use secret::Secret;
pub use storage::{AccessMode, Storage};
pub use tls::{Tls, TlsSetting};
pub use values::{
    DatabaseName, MajorVersion, Namespace, Replicas, RoleName, SetName, VolumePrefix,
};

use crate::image::{ImageReference, Profile};

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

/// The set and where it lives: what every command needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetIdentity {
    /// The set's name: that of the StatefulSet and the headless Service.
    pub name: SetName,
    /// Its namespace.
    pub namespace: Namespace,
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

impl SetIdentity {
    /// The master's Service, DNS name and label value.
    #[must_use]
    pub fn master(&self) -> String {
        format!("{}-master", self.name)
    }
    /// The replicas' Service and label value.
    #[must_use]
    pub fn replica(&self) -> String {
        format!("{}-replica", self.name)
    }
    /// The pod of an ordinal.
    #[must_use]
    pub fn pod(&self, ordinal: u32) -> String {
        format!("{}-{ordinal}", self.name)
    }
    /// The ordinal in a pod's name; none for a name that the set's controller does not give.
    #[must_use]
    pub fn ordinal(&self, pod: &str) -> Option<u32> {
        let ordinal = pod.strip_prefix(self.name.as_str())?.strip_prefix('-')?.parse().ok()?;
        (self.pod(ordinal) == pod).then_some(ordinal)
    }
    /// The shared claim of static storage.
    #[must_use]
    pub fn claim(&self) -> String {
        format!("{}-pvc", self.name)
    }
    /// A pgset command for this set, as it is typed.
    #[must_use]
    pub fn command(&self, command: &str) -> String {
        match self.name.as_str() {
            "pgset" => format!("pgset {command} -n {}", self.namespace),
            name => format!("pgset {command} -n {} --name {name}", self.namespace),
        }
    }
    /// The Secret that holds the passwords.
    #[must_use]
    pub fn secret(&self) -> String {
        format!("{}-auth", self.name)
    }
    /// The Secret of the certificates that pgset makes.
    #[must_use]
    pub fn tls_secret(&self) -> String {
        format!("{}-tls", self.name)
    }
    /// The ConfigMap of what the pods run and how PostgreSQL is set up.
    #[must_use]
    pub fn config(&self) -> String {
        format!("{}-config", self.name)
    }
    /// The ConfigMap that says whose data the set's is.
    #[must_use]
    pub fn topology(&self) -> String {
        format!("{}-topology", self.name)
    }
    /// The ServiceAccount, Role and RoleBinding.
    #[must_use]
    pub fn service_account(&self) -> String {
        format!("{}-sa", self.name)
    }
    /// The storage class name of static volumes: no class of that name exists, so that only a claim
    /// that names it binds to them. Neither part can have a dot, so that no two sets share it.
    #[must_use]
    pub fn static_storage_class(&self) -> String {
        format!("{}.{}.static", self.namespace, self.name)
    }
    /// The label selector of everything that belongs to the set.
    #[must_use]
    pub fn selector(&self) -> String {
        use crate::manifest::object::{LABEL_INSTANCE, LABEL_MANAGED_BY, MANAGER};
        format!("{LABEL_MANAGED_BY}={MANAGER},{LABEL_INSTANCE}={}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinal_is_what_the_controller_writes() {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        for ordinal in [0, 1, 10] {
            assert_eq!(set.ordinal(&set.pod(ordinal)), Some(ordinal));
        }
        for other in ["pgset", "pgset-", "pgset-01", "pgset-two-0", "other-0", "pgset-+1"] {
            assert_eq!(set.ordinal(other), None, "{other}");
        }
    }
}
