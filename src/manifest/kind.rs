//! The kinds that pgset applies or reads, and the order in which it applies them.

use serde::{Deserialize, Serialize};

/// A kind of Kubernetes object. The order of the variants is the order of apply; teardown is the reverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// `v1`, cluster-scoped; read only.
    Namespace,
    /// `v1`.
    ServiceAccount,
    /// `rbac.authorization.k8s.io/v1`.
    Role,
    /// `rbac.authorization.k8s.io/v1`.
    RoleBinding,
    /// `v1`.
    Secret,
    /// `v1`.
    ConfigMap,
    /// `v1`, cluster-scoped.
    PersistentVolume,
    /// `v1`.
    PersistentVolumeClaim,
    /// `v1`.
    Service,
    /// `networking.k8s.io/v1`.
    NetworkPolicy,
    /// `policy/v1`; `policy/v1beta1` on servers before 1.21.
    PodDisruptionBudget,
    /// `apps/v1`.
    StatefulSet,
    /// `v1`; read, and deleted where a rule says so, never applied.
    Pod,
    /// `storage.k8s.io/v1`, cluster-scoped; read only.
    StorageClass,
}

/// Every kind, in the order of apply.
pub const KINDS: [Kind; 14] = [
    Kind::Namespace,
    Kind::ServiceAccount,
    Kind::Role,
    Kind::RoleBinding,
    Kind::Secret,
    Kind::ConfigMap,
    Kind::PersistentVolume,
    Kind::PersistentVolumeClaim,
    Kind::Service,
    Kind::NetworkPolicy,
    Kind::PodDisruptionBudget,
    Kind::StatefulSet,
    Kind::Pod,
    Kind::StorageClass,
];

impl Kind {
    /// `StatefulSet`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::ServiceAccount => "ServiceAccount",
            Self::Role => "Role",
            Self::RoleBinding => "RoleBinding",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::PersistentVolume => "PersistentVolume",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::Service => "Service",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::StatefulSet => "StatefulSet",
            Self::Pod => "Pod",
            Self::StorageClass => "StorageClass",
        }
    }

    /// The plural in paths and in RBAC rules: `statefulsets`.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Namespace => "namespaces",
            Self::ServiceAccount => "serviceaccounts",
            Self::Role => "roles",
            Self::RoleBinding => "rolebindings",
            Self::Secret => "secrets",
            Self::ConfigMap => "configmaps",
            Self::PersistentVolume => "persistentvolumes",
            Self::PersistentVolumeClaim => "persistentvolumeclaims",
            Self::Service => "services",
            Self::NetworkPolicy => "networkpolicies",
            Self::PodDisruptionBudget => "poddisruptionbudgets",
            Self::StatefulSet => "statefulsets",
            Self::Pod => "pods",
            Self::StorageClass => "storageclasses",
        }
    }

    /// The API group; empty for the core group.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::Role | Self::RoleBinding => "rbac.authorization.k8s.io",
            Self::NetworkPolicy => "networking.k8s.io",
            Self::PodDisruptionBudget => "policy",
            Self::StatefulSet => "apps",
            Self::StorageClass => "storage.k8s.io",
            _ => "",
        }
    }

    /// `apps/v1`.
    #[must_use]
    pub fn api_version(self) -> String {
        match self.group() {
            "" => "v1".to_owned(),
            group => format!("{group}/v1"),
        }
    }

    /// The same on a server of this minor version (0: not known): before 1.21 a PodDisruptionBudget was
    /// still a beta, of the same fields.
    #[must_use]
    pub fn api_version_on(self, minor: u32) -> String {
        match (self, minor) {
            (Self::PodDisruptionBudget, 1..=20) => "policy/v1beta1".to_owned(),
            _ => self.api_version(),
        }
    }

    /// Whether some server has it under another version.
    #[must_use]
    pub fn varies(self) -> bool {
        self.api_version_on(1) != self.api_version()
    }

    /// Whether objects of this kind live in a namespace.
    #[must_use]
    pub fn namespaced(self) -> bool {
        !matches!(self, Self::Namespace | Self::PersistentVolume | Self::StorageClass)
    }

    /// Whether pgset is willing to apply a document of this kind.
    #[must_use]
    pub fn applicable(self) -> bool {
        !matches!(self, Self::Namespace | Self::Pod | Self::StorageClass)
    }

    /// Whether the object is the data, or is needed to read it: kept by `down` without `--delete-data`.
    #[must_use]
    pub fn holds_data(self) -> bool {
        matches!(self, Self::Secret | Self::PersistentVolume | Self::PersistentVolumeClaim)
    }

    /// The kinds whose objects have to be there before one of this kind is applied; it waits for no
    /// others.
    ///
    /// A RoleBinding comes after its Role (the server reads the Role to forbid escalation), a claim
    /// after its volumes (a claim that finds none is looked at again only after 15 s), the StatefulSet
    /// after all that its pods mount or refer to.
    #[must_use]
    pub fn needs(self) -> &'static [Self] {
        match self {
            Self::RoleBinding => &[Self::ServiceAccount, Self::Role],
            Self::PersistentVolumeClaim => &[Self::PersistentVolume],
            Self::StatefulSet => &[
                Self::ServiceAccount,
                Self::Role,
                Self::RoleBinding,
                Self::Secret,
                Self::ConfigMap,
                Self::PersistentVolume,
                Self::PersistentVolumeClaim,
                Self::Service,
                Self::NetworkPolicy,
                Self::PodDisruptionBudget,
            ],
            Self::Pod => &[Self::StatefulSet],
            _ => &[],
        }
    }

    /// The longest way down to a kind that needs nothing. Teardown goes the other way, all objects of
    /// one depth at once.
    #[must_use]
    pub fn depth(self) -> usize {
        self.needs().iter().map(|kind| kind.depth() + 1).max().unwrap_or(0)
    }

    /// The kind of a document by its `apiVersion` and `kind`.
    #[must_use]
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        let known = |k: &Self| [0, 1].iter().any(|minor| k.api_version_on(*minor) == api_version);
        KINDS.into_iter().find(|k| k.name() == kind && known(k))
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kind_needs_stands_before_it_in_the_order_of_apply() {
        for kind in KINDS {
            assert!(kind.needs().iter().all(|needed| *needed < kind), "{kind}");
        }
        let applicable = KINDS.into_iter().filter(|kind| kind.applicable());
        let all_but_itself: Vec<_> = applicable.filter(|kind| *kind != Kind::StatefulSet).collect();
        assert_eq!(Kind::StatefulSet.needs(), all_but_itself);
    }

    #[test]
    fn teardown_begins_with_what_needs_the_others() {
        assert!(Kind::StatefulSet.depth() > Kind::RoleBinding.depth());
        assert!(Kind::RoleBinding.depth() > Kind::Role.depth());
        assert!(Kind::PersistentVolumeClaim.depth() > Kind::PersistentVolume.depth());
    }
}
