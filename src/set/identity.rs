//! Which set, and the names of everything that belongs to it.

use super::Role;
use crate::manifest::labels::Ownership;
use crate::manifest::object::{LABEL_INSTANCE, LABEL_MANAGED_BY, MANAGER};
use crate::values::{Namespace, SetName};

/// The set and where it lives: what every command needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetIdentity {
    /// The set's name: that of the StatefulSet and the headless Service.
    pub name: SetName,
    /// Its namespace.
    pub namespace: Namespace,
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
    /// The value of the label `name` of the pods of a role, which is the name of their Service.
    #[must_use]
    pub fn label(&self, role: Role) -> String {
        match role {
            Role::Master => self.master(),
            Role::Replica => self.replica(),
        }
    }
    /// The role that a pod's label `name` says.
    #[must_use]
    pub fn role_of_label(&self, label: &str) -> Option<Role> {
        [Role::Master, Role::Replica].into_iter().find(|role| self.label(*role) == label)
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
        format!("{LABEL_MANAGED_BY}={MANAGER},{LABEL_INSTANCE}={}", self.name)
    }

    /// What the ownership labels of the set's objects say.
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
