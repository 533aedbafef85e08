//! The kinds that pgset applies or reads, and the order in which it applies them.

use serde::{Deserialize, Serialize};

/// A kind of Kubernetes object. Objects are applied in the order of the variants, and deleted in the
/// reverse order.
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
    /// `v1`; read, and in some cases deleted. pgset never applies documents of this kind.
    Pod,
    /// `storage.k8s.io/v1`, cluster-scoped; read only.
    StorageClass,
    /// `coordination.k8s.io/v1`; says which command changes the set. pgset never applies documents of this kind.
    Lease,
    /// `apps/v1`; read only.
    ControllerRevision,
    /// `v1`; read only.
    ResourceQuota,
    /// `v1`, cluster-scoped; read only, and only if the user may.
    Node,
}

/// All kinds, in the order in which pgset applies them.
pub const KINDS: [Kind; 18] = [
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
    Kind::Lease,
    Kind::ControllerRevision,
    Kind::ResourceQuota,
    Kind::Node,
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
            Self::Lease => "Lease",
            Self::ControllerRevision => "ControllerRevision",
            Self::ResourceQuota => "ResourceQuota",
            Self::Node => "Node",
        }
    }

    /// The plural, which is used in paths and in RBAC rules: `statefulsets`.
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
            Self::Lease => "leases",
            Self::ControllerRevision => "controllerrevisions",
            Self::ResourceQuota => "resourcequotas",
            Self::Node => "nodes",
        }
    }

    /// The API group; empty for the core group.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::Role | Self::RoleBinding => "rbac.authorization.k8s.io",
            Self::NetworkPolicy => "networking.k8s.io",
            Self::PodDisruptionBudget => "policy",
            Self::StatefulSet | Self::ControllerRevision => "apps",
            Self::StorageClass => "storage.k8s.io",
            Self::Lease => "coordination.k8s.io",
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

    /// The `apiVersion` on a server with this minor version (0 if it is unknown). Before 1.21,
    /// PodDisruptionBudget was a beta API with the same fields.
    #[must_use]
    pub fn api_version_on(self, minor: u32) -> String {
        match (self, minor) {
            (Self::PodDisruptionBudget, 1..=20) => "policy/v1beta1".to_owned(),
            _ => self.api_version(),
        }
    }

    /// Whether the `apiVersion` depends on the version of the server.
    #[must_use]
    pub fn varies(self) -> bool {
        self.api_version_on(1) != self.api_version()
    }

    /// Whether the kind is namespaced.
    #[must_use]
    pub fn namespaced(self) -> bool {
        !matches!(self, Self::Namespace | Self::PersistentVolume | Self::StorageClass | Self::Node)
    }

    /// Whether pgset applies documents of this kind.
    #[must_use]
    pub fn applicable(self) -> bool {
        !matches!(
            self,
            Self::Namespace
                | Self::Pod
                | Self::StorageClass
                | Self::Lease
                | Self::ControllerRevision
                | Self::ResourceQuota
                | Self::Node
        )
    }

    /// Whether the object contains the data, or is needed to read the data. `down` keeps it unless
    /// `--delete-data` is given.
    #[must_use]
    pub fn holds_data(self) -> bool {
        matches!(self, Self::Secret | Self::PersistentVolume | Self::PersistentVolumeClaim)
    }

    /// The kinds that must be applied before this kind. It does not wait for any other kind.
    ///
    /// A RoleBinding is applied after its Role, because the server reads the Role to prevent privilege
    /// escalation. A claim is applied after its volumes, because Kubernetes retries a claim that finds no
    /// volume only after 15 s. The StatefulSet is applied after all objects that its pods mount or refer
    /// to.
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

    /// The length of the longest chain of dependencies. Teardown goes from the greatest depth to 0, and
    /// deletes all objects of one depth at the same time.
    #[must_use]
    pub fn depth(self) -> usize {
        self.needs().iter().map(|kind| kind.depth() + 1).max().unwrap_or(0)
    }

    /// Finds the kind of a document by its `apiVersion` and `kind`.
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
