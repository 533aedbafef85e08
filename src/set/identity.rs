//! The identity of a set, and the names of all its objects.

use super::role::Role;
use crate::manifest::labels::Ownership;
use crate::manifest::object::{LABEL_INSTANCE, LABEL_MANAGED_BY, MANAGER};
use crate::values::{Namespace, SetName};

/// The name and the namespace of a set. Every command needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetIdentity {
    /// The set's name. The StatefulSet and the headless Service have the same name.
    pub name: SetName,
    /// Its namespace.
    pub namespace: Namespace,
}

impl SetIdentity {
    /// The name of the master's Service, which is also its DNS name and label value.
    #[must_use]
    pub fn master(&self) -> String {
        format!("{}-master", self.name)
    }
    /// The name of the replicas' Service, which is also their label value.
    #[must_use]
    pub fn replica(&self) -> String {
        format!("{}-replica", self.name)
    }
    /// The value of the label `name` of the pods of a role, which is the name of their Service.
    #[must_use]
    pub fn label(&self, role: Role) -> String {
        match role {
            Role::Master => self.master(),
            Role::Replica => self.replica(),
        }
    }
    /// The role that the value of a pod's label `name` stands for.
    #[must_use]
    pub fn role_of_label(&self, label: &str) -> Option<Role> {
        [Role::Master, Role::Replica].into_iter().find(|role| self.label(*role) == label)
    }
    /// The name of the pod with an ordinal.
    #[must_use]
    pub fn pod(&self, ordinal: u32) -> String {
        format!("{}-{ordinal}", self.name)
    }
    /// The ordinal in a pod's name. `None` for a name that the StatefulSet controller does not generate for
    /// this set.
    #[must_use]
    pub fn ordinal(&self, pod: &str) -> Option<u32> {
        let ordinal = pod.strip_prefix(self.name.as_str())?.strip_prefix('-')?.parse().ok()?;
        (self.pod(ordinal) == pod).then_some(ordinal)
    }
    /// The ordinal of the pod that a claim belongs to. `None` for a claim that the StatefulSet controller does not
    /// create for this set.
    #[must_use]
    pub fn ordinal_of_claim(&self, claim: &str) -> Option<u32> {
        self.ordinal(claim.strip_prefix("pgdata-")?)
    }
    /// The name of the shared claim for static storage.
    #[must_use]
    pub fn claim(&self) -> String {
        format!("{}-pvc", self.name)
    }
    /// A pgset command for this set, as the user would type it.
    #[must_use]
    pub fn command(&self, command: &str) -> String {
        match self.name.as_str() {
            "pgset" => format!("pgset {command} -n {}", self.namespace),
            name => format!("pgset {command} -n {} --name {name}", self.namespace),
        }
    }
    /// The name of the Secret with the passwords.
    #[must_use]
    pub fn secret(&self) -> String {
        format!("{}-auth", self.name)
    }
    /// The name of the Secret with the certificates that pgset issues.
    #[must_use]
    pub fn tls_secret(&self) -> String {
        format!("{}-tls", self.name)
    }
    /// The name of the ConfigMap with the pods' script. Each version of the script has its own.
    #[must_use]
    pub fn scripts(&self, hash: &str) -> String {
        format!("{}{hash}", self.scripts_prefix())
    }
    /// The prefix of the names of the ConfigMaps with the pods' scripts.
    #[must_use]
    pub fn scripts_prefix(&self) -> String {
        format!("{}-scripts-", self.name)
    }
    /// The name of the ConfigMap with PostgreSQL's configuration.
    #[must_use]
    pub fn config(&self) -> String {
        format!("{}-config", self.name)
    }
    /// The name of the ConfigMap with the topology: the system identifier of the set's data, and the master.
    #[must_use]
    pub fn topology(&self) -> String {
        format!("{}-topology", self.name)
    }
    /// The name of the ConfigMap with the recipe: the settings of the set.
    #[must_use]
    pub fn settings(&self) -> String {
        format!("{}-settings", self.name)
    }
    /// The name of the ServiceAccount, the Role and the RoleBinding.
    #[must_use]
    pub fn service_account(&self) -> String {
        format!("{}-sa", self.name)
    }
    /// The storage class name of static volumes. No StorageClass with this name exists, so only a claim
    /// with this class name binds to them. Neither the namespace nor the set's name can contain a dot, so
    /// no two sets share the name.
    #[must_use]
    pub fn static_storage_class(&self) -> String {
        format!("{}.{}.static", self.namespace, self.name)
    }
    /// The label selector for all objects of the set.
    #[must_use]
    pub fn selector(&self) -> String {
        format!("{LABEL_MANAGED_BY}={MANAGER},{LABEL_INSTANCE}={}", self.name)
    }

    /// The values of the ownership labels on the set's objects.
    #[must_use]
    pub fn ownership(&self) -> Ownership<'_> {
        Ownership { instance: self.name.as_str(), namespace: self.namespace.as_str() }
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
