//! Decides which pod is the master of a set. No other module decides this.
//!
//! The topology is recorded in the ConfigMap `NAME-topology`. If it names no master, and the master never changed, the
//! master is the pod with ordinal 0, as in [`Topology::default`]. The topology also says how many pods there were and are.

use std::num::NonZeroU32;
use std::str::FromStr;

use serde_json::{Value, json};

use super::identity::SetIdentity;
use super::knowledge::Knowledge;
use super::last_change::LastChange;
use super::objects;
use super::role::Role;
use super::transition::{Step, Transition};
use crate::error::{Exit, Failure};

/// The key of PostgreSQL's system identifier in the ConfigMap, and the name of the file in the pods.
pub const SYSTEM_IDENTIFIER: &str = "system-identifier";
/// The key of the master's pod name in the ConfigMap, and the name of the file in the pods.
pub const MASTER: &str = "master";
/// The key that says that the set is being created: no volume and no topology was there. Its pods need not wait for
/// each other's answer before they create a data directory. Without meaning once the identifier is recorded.
pub const FIRST_START: &str = "first-start";
/// The key of the most pods that there ever were. It is raised before the StatefulSet gets more pods. It is never
/// lowered, because the data of a deleted pod is kept.
const MOST_PODS: &str = "most-pods";
/// The key of the number of pods that the set should have. It is raised before the StatefulSet gets more pods, and
/// lowered afterwards.
const PODS: &str = "pods";
/// The key of the number of times that another pod became the master, plus 1.
const EPOCH: &str = "epoch";
/// The key that exists while another pod becomes the master.
const TRANSITION: &str = "transition";
/// The key that asks a pod to replace its data directory, which has diverged: a [`super::rejoin::Request`].
pub const REJOIN: &str = "rejoin";
/// The key that says how the current master became the master.
const LAST_CHANGE: &str = "last-change";
/// The value of [`MASTER`] when no pod may be the master.
const NO_POD: &str = "none";

/// Which pod should be the master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Master {
    /// The topology names no master, and the master never changed: the pod with ordinal 0 is the master.
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

/// The system identifier of a set's data, its master, and its numbers of pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// PostgreSQL's system identifier. `None` until it is recorded.
    pub system_identifier: Option<String>,
    master: Master,
    /// The most pods that there ever were. `None` until it is recorded.
    pub most_pods: Option<u32>,
    /// The number of pods that the set should have, as pgset last knew it. `None` until it is recorded.
    pub pods: Option<u32>,
    /// It is higher by 1 after each change of the master.
    pub epoch: u64,
    /// The change of the master that is under way.
    pub transition: Option<Transition>,
    /// The last change of the master. `Err` is the text of a record that this pgset can't read: it is shown, and is no
    /// reason to refuse anything.
    pub last_change: Option<Result<LastChange, String>>,
}

impl Default for Topology {
    fn default() -> Self {
        Self {
            system_identifier: None,
            master: Master::Unset,
            most_pods: None,
            pods: None,
            epoch: 1,
            transition: None,
            last_change: None,
        }
    }
}

/// The numbers of pods that the topology should record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodNumbers {
    /// The most pods that there ever were.
    pub most: u32,
    /// The number of pods that the set should have.
    pub pods: u32,
}

impl PodNumbers {
    /// The keys of the ConfigMap, with their values.
    #[must_use]
    pub fn data(self) -> Value {
        json!({ MOST_PODS: self.most.to_string(), PODS: self.pods.to_string() })
    }
}

impl Topology {
    /// Reads the topology from the set's ConfigMap. Without a ConfigMap it is the default topology.
    ///
    /// # Errors
    /// When the recorded master is not a pod of the set, or a recorded number is not a number: every decision that is
    /// based on it would be wrong.
    pub fn recorded(set: &SetIdentity, config_map: Option<&Value>) -> Result<Self, Failure> {
        let text = |key: &str| config_map.and_then(|map| map["data"][key].as_str());
        let epoch = text(EPOCH).map(|text| parsed::<u64>(set, EPOCH, text)).transpose()?;
        if epoch == Some(0) {
            return Err(nonsense(set, EPOCH, "0"));
        }
        let epoch = epoch.unwrap_or(1);
        let under_way = text(TRANSITION).filter(|text| !text.trim().is_empty());
        let transition = under_way.map(|text| {
            Transition::parse(set, text).ok_or_else(|| {
                let id = objects::topology(set);
                let message =
                    format!("{id} records the transition {text:?}, which this pgset does not know");
                Failure::new(Exit::Refused, message)
                    .hint("use the pgset that began it, or a newer one")
            })
        });
        let transition = transition.transpose()?;
        let master = match text(MASTER).map(str::trim) {
            // The pods decide in the same way: `use_topology` in topology.sh.
            None if epoch > 1 || transition.is_some() => Master::NoPod,
            None => Master::Unset,
            Some(NO_POD) => Master::NoPod,
            Some(pod) => Master::Pod(set.ordinal(pod).ok_or_else(|| {
                let id = objects::topology(set);
                let message =
                    format!("{id} names {pod:?} as the master, which is not a pod of {}", set.name);
                Failure::new(Exit::Refused, message)
            })?),
        };
        let last_change = text(LAST_CHANGE)
            .map(|text| LastChange::parse(set, text).ok_or_else(|| text.to_owned()));
        let number = |key: &str| text(key).map(|text| parsed::<NonZeroU32>(set, key, text));
        Ok(Self {
            system_identifier: text(SYSTEM_IDENTIFIER).map(str::to_owned),
            master,
            most_pods: number(MOST_PODS).transpose()?.map(NonZeroU32::get),
            pods: number(PODS).transpose()?.map(NonZeroU32::get),
            epoch,
            transition,
            last_change,
        })
    }

    /// The numbers to record for a set that should have `pods` pods. `seen` is the most pods that its objects show:
    /// other clients change the number of pods without changing the record.
    #[must_use]
    pub fn numbers(&self, seen: u32, pods: u32) -> PodNumbers {
        let master = self.master().map_or(0, |ordinal| ordinal.saturating_add(1));
        let most = self.most_pods.unwrap_or_default().max(seen).max(pods).max(master);
        PodNumbers { most, pods }
    }

    /// The numbers to write so that the topology records these. `None` if it does. A higher record of the most pods
    /// stays.
    #[must_use]
    pub fn outdated(&self, wanted: PodNumbers) -> Option<PodNumbers> {
        let numbers = self.numbers(wanted.most, wanted.pods);
        let is_recorded = self.most_pods == Some(numbers.most) && self.pods == Some(numbers.pods);
        (!is_recorded).then_some(numbers)
    }

    /// A topology with the pod of this ordinal as the master.
    #[cfg(test)]
    fn with_master(ordinal: u32) -> Self {
        Self { master: Master::Pod(ordinal), ..Self::default() }
    }

    /// The data of the ConfigMap at a step of a transition. Before the new master is decided, no pod is the master.
    #[must_use]
    pub fn during(&self, set: &SetIdentity, transition: &Transition) -> Value {
        let transition_text = transition.text(set);
        match transition.step {
            Step::Fenced => json!({ MASTER: NO_POD, TRANSITION: transition_text }),
            // The epoch was raised by an earlier run.
            Step::Promoting if self.master() == Some(transition.to) => {
                json!({ TRANSITION: transition_text })
            }
            Step::Promoting => json!({
                MASTER: set.pod(transition.to),
                EPOCH: (self.epoch + 1).to_string(),
                TRANSITION: transition_text,
            }),
        }
    }

    /// The data of the ConfigMap after a transition that is complete.
    #[must_use]
    pub fn after(set: &SetIdentity, change: &LastChange) -> Value {
        json!({ TRANSITION: null, LAST_CHANGE: change.text(set) })
    }

    /// The data of the ConfigMap after a transition that is backed out: the old master is the master again.
    #[must_use]
    pub fn backed_out(set: &SetIdentity, transition: &Transition) -> Value {
        json!({ MASTER: set.pod(transition.from), TRANSITION: null })
    }

    /// Whether it is older than what a pod knows: the master of an epoch. So is one without the master of that epoch.
    #[must_use]
    pub fn is_older(&self, master: u32, epoch: u64) -> bool {
        let names = match self.master {
            Master::Pod(_) => true,
            Master::NoPod => false,
            Master::Unset => master == 0,
        };
        epoch > self.epoch || (epoch == self.epoch && !names)
    }

    /// What the pods should know. `None` while the master changes, or if the topology does not record all of it.
    #[must_use]
    pub fn knowledge(&self, set: &SetIdentity) -> Option<Knowledge> {
        let system_identifier = self.system_identifier.clone()?;
        let master = self.master_pod(set).filter(|_| self.transition.is_none())?;
        Some(Knowledge { system_identifier, epoch: self.epoch, master })
    }

    /// The data of the ConfigMap that a pod has remembered.
    #[must_use]
    pub fn remembered(&self, known: &Knowledge) -> Value {
        let mut data = json!({
            SYSTEM_IDENTIFIER: known.system_identifier,
            MASTER: known.master,
            EPOCH: known.epoch.to_string(),
        });
        // It is of an earlier master.
        if self.last_change.is_some() {
            data[LAST_CHANGE] = Value::Null;
        }
        data
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
                let scale = set.command("scale");
                Err(Failure::new(Exit::Refused, message)
                    .hint(format!(
                        "{scale} --replicas {replicas} --switchover  # moves the master first"
                    ))
                    .hint(format!(
                        "{scale} --replicas {pods}  # the smallest number that keeps it"
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

/// Parses a recorded number. Only the form that pgset writes is accepted: a shell would read `010` as 8.
fn parsed<N: FromStr + ToString>(set: &SetIdentity, key: &str, text: &str) -> Result<N, Failure> {
    let text = text.trim();
    let number = text.parse::<N>().ok().filter(|number| number.to_string() == text);
    number.ok_or_else(|| nonsense(set, key, text))
}

fn nonsense(set: &SetIdentity, key: &str, text: &str) -> Failure {
    let id = objects::topology(set);
    let message = format!("{id} has {text:?} as {key}, which is not a positive whole number");
    Failure::new(Exit::Refused, message)
}

/// The highest ordinal of these pods and claims, plus 1. 0 if there are none.
pub fn pods_seen<'a>(
    set: &SetIdentity,
    pods: impl Iterator<Item = &'a str>,
    claims: impl Iterator<Item = &'a str>,
) -> u32 {
    let pods = pods.filter_map(|pod| set.ordinal(pod));
    let claims = claims.filter_map(|claim| set.ordinal_of_claim(claim));
    pods.chain(claims).max().map_or(0, |ordinal| ordinal.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

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
    fn a_topology_that_lost_its_master_after_a_change_has_none() {
        let begun = "t7 switchover pgset-0 pgset-1 fenced 2026-11-30T10:00:00Z";
        for data in [json!({"epoch": "2"}), json!({"epoch": "1", "transition": begun})] {
            let topology = recorded(&data).unwrap();
            assert_eq!((topology.master(), topology.role(0)), (None, Role::Replica), "{data}");
        }
        assert_eq!(recorded(&json!({"epoch": "1"})).unwrap().master(), Some(0));
        assert_eq!(
            recorded(&json!({"epoch": "2", "master": "pgset-1"})).unwrap().master(),
            Some(1)
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
    fn numbers_of_pods_are_read_and_nonsense_is_refused() {
        let topology = recorded(&json!({})).unwrap();
        assert_eq!(topology, Topology::default());
        assert_eq!((topology.most_pods, topology.pods, topology.epoch), (None, None, 1));
        let data = json!({"most-pods": "3", "pods": "2\n", "epoch": "7"});
        let topology = recorded(&data).unwrap();
        assert_eq!((topology.most_pods, topology.pods), (Some(3), Some(2)));
        assert_eq!(topology.epoch, 7);
        assert_eq!(recorded(&json!({"transition": ""})).unwrap().transition, None);
        let refused = recorded(&json!({"transition": "t7 upgrade"})).unwrap_err();
        assert_eq!(refused.exit, Exit::Refused);
        for key in [MOST_PODS, PODS, EPOCH] {
            for text in ["", "0", "-1", "+3", "03", "three", "3.0", "99999999999999999999"] {
                let refused = recorded(&json!({ key: text })).unwrap_err();
                assert_eq!(refused.exit, Exit::Refused);
                let words = format!("ConfigMap pgset-topology has {text:?} as {key}, ");
                assert!(refused.message.starts_with(&words), "{}", refused.message);
            }
        }
    }

    #[test]
    fn a_transition_names_no_master_and_then_the_new_one() {
        let merged = |data: &mut Value, patch: Value| {
            for (key, value) in patch.as_object().unwrap() {
                if value.is_null() {
                    data.as_object_mut().unwrap().remove(key);
                } else {
                    data[key] = value.clone();
                }
            }
            recorded(data).unwrap()
        };
        let fenced = "t7 switchover pgset-0 pgset-1 fenced 2026-11-30T10:00:00Z";
        let fenced = Transition::parse(&set(), fenced).unwrap();
        let mut data = json!({"system-identifier": "7"});
        let before = recorded(&data).unwrap();
        let begun = merged(&mut data, before.during(&set(), &fenced));
        assert_eq!((begun.master(), begun.epoch), (None, 1));
        assert_eq!(begun.transition, Some(fenced.clone()));
        let back = merged(&mut data.clone(), Topology::backed_out(&set(), &fenced));
        assert_eq!((back.master(), back.epoch, back.transition), (Some(0), 1, None));
        let promoting = Transition { step: Step::Promoting, ..fenced };
        let decided = merged(&mut data, begun.during(&set(), &promoting));
        assert_eq!((decided.master(), decided.epoch), (Some(1), 2));
        // Written once more by the run that resumes.
        let again = merged(&mut data, decided.during(&set(), &promoting));
        assert_eq!(again, decided);
        let change = LastChange::of(&promoting, Timestamp::UNIX_EPOCH, 2);
        let after = merged(&mut data, Topology::after(&set(), &change));
        assert_eq!((after.master(), after.epoch, after.transition), (Some(1), 2, None));
        assert_eq!(after.last_change, Some(Ok(change)));
    }

    #[test]
    fn a_last_change_that_cannot_be_read_is_no_failure() {
        let topology = recorded(&json!({"last-change": "by hand"})).unwrap();
        assert_eq!(topology.last_change, Some(Err("by hand".to_owned())));
    }

    #[test]
    fn the_most_pods_never_become_fewer() {
        let topology = |most, pods| Topology { most_pods: most, pods, ..Topology::default() };
        let numbers = |most, pods| PodNumbers { most, pods };
        for (recorded, seen, pods, expected) in [
            // A set of a pgset that did not record it.
            (topology(None, None), 3, 2, Some(numbers(3, 2))),
            (topology(None, None), 0, 2, Some(numbers(2, 2))),
            (topology(Some(2), Some(2)), 2, 2, None),
            (topology(Some(2), Some(2)), 2, 3, Some(numbers(3, 3))),
            (topology(Some(3), Some(3)), 3, 2, Some(numbers(3, 2))),
            (topology(Some(3), Some(2)), 2, 2, None),
            // Another client has added pods and deleted them again: their claims are left.
            (topology(Some(2), Some(2)), 5, 2, Some(numbers(5, 2))),
            (Topology::with_master(3), 2, 2, Some(numbers(4, 2))),
        ] {
            let wanted = recorded.numbers(seen, pods);
            assert_eq!(recorded.outdated(wanted), expected, "{recorded:?} {seen} {pods}");
        }
        // Another command has raised the number since this one made its plan.
        let raised = topology(Some(9), Some(2)).outdated(numbers(3, 3));
        assert_eq!(raised, Some(numbers(9, 3)));
    }

    #[test]
    fn pods_and_claims_show_how_many_pods_there_were() {
        let seen = |pods: &[&str], claims: &[&str]| {
            pods_seen(&set(), pods.iter().copied(), claims.iter().copied())
        };
        assert_eq!(seen(&[], &[]), 0);
        assert_eq!(seen(&["pgset-0", "pgset-1"], &["pgset-pvc"]), 2);
        assert_eq!(seen(&["pgset-0"], &["pgdata-pgset-0", "pgdata-pgset-2"]), 3);
        assert_eq!(seen(&["other-9", "pgset-09"], &["pgdata-other-9", "pgset-9"]), 0);
    }

    #[test]
    fn a_set_is_not_scaled_down_past_its_master() {
        let topology = Topology::with_master(1);
        let refused = topology.check_replicas(&set(), 1).unwrap_err();
        assert_eq!(refused.exit, Exit::Refused);
        assert!(refused.message.starts_with("pgset-1 is the master"), "{}", refused.message);
        let hints = [
            "pgset scale -n pg --replicas 1 --switchover  # moves the master first",
            "pgset scale -n pg --replicas 2  # the smallest number that keeps it",
        ];
        assert_eq!(refused.hints, hints);
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
