//! Decides which pod is the master of a set. No other module decides this.
//!
//! The topology is recorded in the ConfigMap `NAME-topology`. If it names no master, the master is the pod
//! with ordinal 0, as in [`Topology::default`].

use serde_json::Value;

use super::identity::SetIdentity;
use super::objects;
use super::role::Role;
use crate::error::{Exit, Failure};

/// The key of PostgreSQL's system identifier in the ConfigMap, and the name of the file in the pods.
pub const SYSTEM_IDENTIFIER: &str = "system-identifier";
/// The key of the master's pod name in the ConfigMap, and the name of the file in the pods.
pub const MASTER: &str = "master";
/// The key that says that the set is being created: no volume and no topology was there. Its pods need not wait for
/// each other's answer before they create a data directory. Without meaning once the identifier is recorded.
pub const FIRST_START: &str = "first-start";
/// The value of [`MASTER`] when no pod may be the master.
const NO_POD: &str = "none";

/// Which pod should be the master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Master {
    /// The topology names no master: the pod with ordinal 0 is the master.
    #[default]
    Unset,
    /// No pod: every pod must start as a standby.
    NoPod,
    /// The pod with this ordinal.
    Pod(u32),
}

/// The order in which pods are restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The default. Also used when a setting increases that must have at least the master's value on every
    /// replica.
    #[default]
    ReplicasFirst,
    /// Used when such a setting decreases. The replicas restart after they have replayed the change.
    MasterFirst,
}

/// The system identifier of a set's data, and its master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// PostgreSQL's system identifier. `None` until it is recorded.
    pub system_identifier: Option<String>,
    master: Master,
}

impl Topology {
    /// Reads the topology from the set's ConfigMap. Without a ConfigMap it is the default topology.
    ///
    /// # Errors
    /// When the recorded master is not a pod of the set: every decision that is based on it would be wrong.
    pub fn recorded(set: &SetIdentity, config_map: Option<&Value>) -> Result<Self, Failure> {
        let text = |key: &str| config_map.and_then(|map| map["data"][key].as_str());
        let master = match text(MASTER).map(str::trim) {
            None => Master::Unset,
            Some(NO_POD) => Master::NoPod,
            Some(pod) => Master::Pod(set.ordinal(pod).ok_or_else(|| {
                let id = objects::topology(set);
                let message =
                    format!("{id} names {pod:?} as the master, which is not a pod of {}", set.name);
                Failure::new(Exit::Refused, message)
            })?),
        };
        Ok(Self { system_identifier: text(SYSTEM_IDENTIFIER).map(str::to_owned), master })
    }

    /// A topology with the pod of this ordinal as the master.
    #[cfg(test)]
    fn with_master(ordinal: u32) -> Self {
        Self { system_identifier: None, master: Master::Pod(ordinal) }
    }

    /// The ordinal of the master. `None` when no pod may be the master.
    #[must_use]
    pub fn master(&self) -> Option<u32> {
        match self.master {
            Master::Unset => Some(0),
            Master::NoPod => None,
            Master::Pod(ordinal) => Some(ordinal),
        }
    }

    /// The name of the master's pod.
    #[must_use]
    pub fn master_pod(&self, set: &SetIdentity) -> Option<String> {
        self.master().map(|ordinal| set.pod(ordinal))
    }

    /// The role of the pod with an ordinal.
    #[must_use]
    pub fn role(&self, ordinal: u32) -> Role {
        if self.master() == Some(ordinal) { Role::Master } else { Role::Replica }
    }

    /// The role of a pod, by its name. `None` if the pod does not belong to the set.
    #[must_use]
    pub fn role_of(&self, set: &SetIdentity, pod: &str) -> Option<Role> {
        set.ordinal(pod).map(|ordinal| self.role(ordinal))
    }

    /// The pods of a set with this number of replicas. The master is always included, so that it never loses
    /// the right to label itself.
    #[must_use]
    pub fn pods(&self, set: &SetIdentity, replicas: u32) -> Vec<String> {
        let beyond = self.master().filter(|master| *master >= replicas && replicas > 0);
        (0..replicas).chain(beyond).map(|ordinal| set.pod(ordinal)).collect()
    }

    /// Checks that the master remains with this number of pods.
    ///
    /// # Errors
    /// When the master's pod would be deleted.
    pub fn check_replicas(&self, set: &SetIdentity, replicas: u32) -> Result<(), Failure> {
        match self.master() {
            Some(master) if replicas > 0 && master >= replicas => {
                let (pod, pods) = (set.pod(master), master + 1);
                let message = format!("{pod} is the master: --replicas {replicas} would delete it");
                Err(Failure::new(Exit::Refused, message).hint(format!(
                    "{} --replicas {pods}  # the smallest number that keeps it",
                    set.command("scale")
                )))
            }
            _ => Ok(()),
        }
    }

    /// Sorts pods into the order of their restart. Replicas are sorted from the highest ordinal down, as the
    /// StatefulSet controller does.
    pub fn sort_for_restart<T>(
        &self,
        pods: &mut [T],
        order: Order,
        ordinal: impl Fn(&T) -> Option<u32>,
    ) {
        pods.sort_by_key(|pod| {
            let ordinal = ordinal(pod);
            let is_master = ordinal.is_some() && ordinal == self.master();
            (is_master == (order == Order::ReplicasFirst), std::cmp::Reverse(ordinal))
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set() -> SetIdentity {
        SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() }
    }

    fn recorded(data: &Value) -> Result<Topology, Failure> {
        Topology::recorded(&set(), Some(&json!({ "data": data })))
    }

    #[test]
    fn a_topology_that_names_no_master_means_ordinal_0() {
        for topology in
            [Topology::recorded(&set(), None), recorded(&json!({"system-identifier": "7"}))]
        {
            let topology = topology.unwrap();
            assert_eq!(topology.master_pod(&set()).unwrap(), "pgset-0");
            assert_eq!((topology.role(0), topology.role(1)), (Role::Master, Role::Replica));
        }
        assert_eq!(
            recorded(&json!({"system-identifier": "7"})).unwrap().system_identifier.unwrap(),
            "7"
        );
    }

    #[test]
    fn the_master_is_who_the_topology_names() {
        let topology = recorded(&json!({"master": "pgset-1\n"})).unwrap();
        assert_eq!(topology, Topology::with_master(1));
        assert_eq!((topology.role(0), topology.role(1)), (Role::Replica, Role::Master));
        assert_eq!(topology.role_of(&set(), "pgset-1"), Some(Role::Master));
        assert_eq!(topology.role_of(&set(), "other-1"), None);
        let none = recorded(&json!({"master": "none"})).unwrap();
        assert_eq!((none.master(), none.role(0)), (None, Role::Replica));
        let refused = recorded(&json!({"master": "other-1"})).unwrap_err();
        assert_eq!(refused.exit, Exit::Refused);
    }

    #[test]
    fn a_set_is_not_scaled_down_past_its_master() {
        let topology = Topology::with_master(1);
        let refused = topology.check_replicas(&set(), 1).unwrap_err();
        assert_eq!(refused.exit, Exit::Refused);
        assert!(refused.message.starts_with("pgset-1 is the master"), "{}", refused.message);
        assert!(
            refused.hints[0].starts_with("pgset scale -n pg --replicas 2"),
            "{:?}",
            refused.hints
        );
        for replicas in [0, 2, 3] {
            assert!(topology.check_replicas(&set(), replicas).is_ok(), "{replicas}");
        }
        assert!(Topology::default().check_replicas(&set(), 1).is_ok());
        assert_eq!(topology.pods(&set(), 1), ["pgset-0", "pgset-1"]);
        assert_eq!(topology.pods(&set(), 2), ["pgset-0", "pgset-1"]);
        assert_eq!(Topology::default().pods(&set(), 1), ["pgset-0"]);
    }

    #[test]
    fn the_master_restarts_last_or_first_and_replicas_from_the_top() {
        let sorted = |topology: &Topology, order| {
            let mut pods = vec![0, 1, 2, 10];
            topology.sort_for_restart(&mut pods, order, |pod| Some(*pod));
            pods
        };
        assert_eq!(sorted(&Topology::default(), Order::ReplicasFirst), [10, 2, 1, 0]);
        assert_eq!(sorted(&Topology::default(), Order::MasterFirst), [0, 10, 2, 1]);
        assert_eq!(sorted(&Topology::with_master(2), Order::ReplicasFirst), [10, 1, 0, 2]);
        assert_eq!(sorted(&Topology::with_master(2), Order::MasterFirst), [2, 10, 1, 0]);
    }
}
