//! Troubles, and how long each may last before it counts as a failure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::manifest::ObjectId;

/// The trouble fails immediately.
pub(super) const AT_ONCE: Duration = Duration::ZERO;
/// Image pulls that fail for a possibly temporary reason, and a first crash.
pub(super) const CONTAINER_GRACE: Duration = Duration::from_secs(30);
/// Operations that the scheduler, the volume plugins and the provisioners keep retrying.
pub(super) const RETRIED_GRACE: Duration = Duration::from_secs(60);
/// A pod that the API server has refused once.
pub(super) const CREATE_GRACE: Duration = Duration::from_secs(15);
/// A missing StatefulSet: long enough for a watch to catch up.
pub(super) const MISSING_GRACE: Duration = Duration::from_secs(3);
/// How long pgset leaves a wedged pod to the controller before it offers to delete the pod.
pub const WEDGE_GRACE: Duration = Duration::from_secs(20);

/// Why an object fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The image reference can't be parsed.
    InvalidImageName,
    /// The image can't be pulled, or it is missing on the node and the pull policy forbids pulling.
    ImagePull,
    /// The container's configuration refers to an object or key that does not exist.
    CreateContainerConfig,
    /// The container runtime refuses to create the container.
    CreateContainer,
    /// A container keeps starting and exiting.
    CrashLoop,
    /// The scheduler finds no node for the pod.
    Unschedulable,
    /// The pod's phase is Failed, and it was not evicted.
    PodFailed,
    /// A volume can't be mounted or attached.
    FailedMount,
    /// The readiness probe fails for longer than its time budget.
    ProbeFailing,
    /// The API server refuses the pods: quota, forbidden, denied, Pod Security.
    FailedCreate,
    /// The object was replaced: its UID differs from that of the applied one.
    Replaced,
    /// The object was deleted.
    Deleted,
    /// The claim has lost its volume.
    ClaimLost,
    /// The claim's StorageClass does not exist, or it names none and there is no default.
    NoStorageClass,
    /// The provisioner can't create the volume.
    ProvisioningFailed,
    /// No volume fits the claim.
    FailedBinding,
    /// The volume still refers to a deleted claim, so Kubernetes never binds it again.
    VolumeReleased,
    /// The reclaim of the volume failed.
    VolumeFailed,
    /// The volume is bound to a claim of another owner.
    VolumeClaimedByOther,
    /// A pod of an old revision never becomes ready, and the controller does not replace it for that reason
    /// (kubernetes/kubernetes#67250).
    Wedged,
}

/// A current problem of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The object.
    pub object: ObjectId,
    /// Its UID. A new object with the same name starts without this history.
    pub uid: Option<String>,
    /// The cause.
    pub cause: Cause,
    /// How long it may last before it counts as a failure; zero means immediate failure.
    pub grace: Duration,
    /// A message of one line without the object's name, mostly Kubernetes' own text.
    pub message: String,
    /// The container, if the problem is one container's.
    pub container: Option<String>,
    /// The number of restarts of the container.
    pub restarts: Option<i32>,
    /// The exit code of its last run.
    pub exit_code: Option<i32>,
    /// Whether its last run was killed because of lack of memory.
    pub out_of_memory: bool,
    /// Whether its last run that has ended began before the configuration was changed: its log and its end have
    /// another cause.
    pub ran_before_change: bool,
}

impl Trouble {
    pub(super) fn new(
        object: ObjectId,
        uid: Option<&str>,
        cause: Cause,
        grace: Duration,
        message: impl Into<String>,
    ) -> Self {
        Self {
            object,
            uid: uid.map(str::to_owned),
            cause,
            grace,
            message: message.into(),
            container: None,
            restarts: None,
            exit_code: None,
            out_of_memory: false,
            ran_before_change: false,
        }
    }

    pub(super) fn in_container(mut self, name: &str) -> Self {
        self.container = Some(name.to_owned());
        self
    }
}

/// Identifies a trouble across assessments. The message is not part of it, because its counts and times
/// change.
type Key = (ObjectId, Option<String>, Cause, Option<String>);

/// Remembers when each trouble was first seen. Use one per wait.
#[derive(Clone, Debug, Default)]
pub struct Graces {
    seen: BTreeMap<Key, Sighting>,
}

#[derive(Clone, Copy, Debug)]
struct Sighting {
    first: Duration,
    grace: Duration,
}

impl Graces {
    /// Takes all troubles of one assessment at time `now` since the wait began. Returns those whose grace
    /// period has ended, in the same order. A trouble that is missing has healed: if it returns, its grace
    /// period starts again.
    pub fn observe(&mut self, troubles: &[Trouble], now: Duration) -> Vec<Trouble> {
        let before = std::mem::take(&mut self.seen);
        for trouble in troubles {
            let key = key(trouble);
            let first = before.get(&key).map_or(now, |sighting| sighting.first);
            let sighting = Sighting { first, grace: trouble.grace };
            self.seen
                .entry(key)
                .and_modify(|known| known.grace = known.grace.min(trouble.grace))
                .or_insert(sighting);
        }
        troubles
            .iter()
            .filter(|trouble| {
                self.seen.get(&key(trouble)).is_some_and(|s| now >= s.first + trouble.grace)
            })
            .cloned()
            .collect()
    }

    /// The time from `now` until the next grace period ends, for a timer. `None` if no grace period is
    /// running.
    #[must_use]
    pub fn next_deadline(&self, now: Duration) -> Option<Duration> {
        self.seen
            .values()
            .filter_map(|sighting| (sighting.first + sighting.grace).checked_sub(now))
            .filter(|left| !left.is_zero())
            .min()
    }
}

fn key(trouble: &Trouble) -> Key {
    (trouble.object.clone(), trouble.uid.clone(), trouble.cause, trouble.container.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Kind;

    fn trouble(cause: Cause, grace: u64) -> Trouble {
        let object = ObjectId::new(Kind::Pod, "pg", "pgset-0");
        Trouble::new(object, Some("u1"), cause, Duration::from_secs(grace), "text")
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_trouble_without_grace_counts_at_once() {
        let now = trouble(Cause::InvalidImageName, 0);
        assert_eq!(Graces::default().observe(std::slice::from_ref(&now), at(7)), [now]);
    }

    #[test]
    fn a_grace_is_counted_from_the_first_sighting() {
        let mut graces = Graces::default();
        let seen = [trouble(Cause::ImagePull, 30)];
        assert_eq!(graces.observe(&seen, at(10)), []);
        assert_eq!(graces.next_deadline(at(10)), Some(at(30)));
        assert_eq!(graces.observe(&seen, at(39)), []);
        assert_eq!(graces.next_deadline(at(39)), Some(at(1)));
        assert_eq!(graces.observe(&seen, at(40)), seen);
        assert_eq!(graces.next_deadline(at(40)), None);
    }

    #[test]
    fn a_trouble_that_heals_starts_again() {
        let mut graces = Graces::default();
        let seen = [trouble(Cause::Unschedulable, 60)];
        graces.observe(&seen, at(0));
        assert_eq!(graces.observe(&[], at(50)), []);
        assert_eq!(graces.next_deadline(at(50)), None);
        assert_eq!(graces.observe(&seen, at(61)), []);
        assert_eq!(graces.observe(&seen, at(121)), seen);
    }

    #[test]
    fn another_message_is_the_same_trouble() {
        let mut graces = Graces::default();
        graces.observe(&[trouble(Cause::ImagePull, 30)], at(0));
        let later = Trouble { message: "back-off".to_owned(), ..trouble(Cause::ImagePull, 30) };
        assert_eq!(graces.observe(std::slice::from_ref(&later), at(30)), [later]);
    }

    #[test]
    fn another_pod_of_the_same_name_is_another_trouble() {
        let mut graces = Graces::default();
        graces.observe(&[trouble(Cause::Wedged, 20)], at(0));
        let successor = Trouble { uid: Some("u2".to_owned()), ..trouble(Cause::Wedged, 20) };
        assert_eq!(graces.observe(&[successor], at(25)), []);
    }

    #[test]
    fn a_grace_may_shrink_while_it_runs() {
        let mut graces = Graces::default();
        graces.observe(&[trouble(Cause::CrashLoop, 30)], at(0));
        let second = [trouble(Cause::CrashLoop, 0)];
        assert_eq!(graces.observe(&second, at(12)), second);
    }
}
