//! The current problems, each cause once.

use super::explain::explain;
use super::group::{Group, groups, is_same_trouble};
use super::snapshot::{Logs, Snapshot};
use super::trouble::Trouble;
use crate::manifest::Kind;

/// A problem, with all objects that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `Pods pgset-0 and pgset-1: image x can't be pulled: not found`.
    pub text: String,
    /// What to do.
    pub hint: Option<String>,
    /// The pods that it affects, also those that only wait for an object with the problem.
    pub pods: Vec<String>,
}

/// The problems behind these troubles, root causes first.
#[must_use]
pub fn problems(troubles: &[Trouble], snapshot: &Snapshot) -> Vec<Problem> {
    let problem = |group: Group<'_, &Trouble>| {
        let is_member = |trouble: &&Trouble| {
            group.objects.contains(&&trouble.object) && is_same_trouble(trouble, group.common)
        };
        let members: Vec<&Trouble> = troubles.iter().filter(is_member).collect();
        let affected = troubles.iter().filter(|trouble| {
            trouble.object.kind == Kind::Pod
                && (is_member(trouble) || members.iter().any(|member| follows(trouble, member)))
        });
        Problem {
            text: group.text(&group.common.message),
            hint: explain(group.common, troubles, snapshot, &Logs::default()).hint,
            pods: affected.map(|trouble| trouble.object.name.clone()).collect(),
        }
    };
    causes(troubles).into_iter().map(problem).collect()
}

/// The texts of the problems.
pub(super) fn texts(troubles: &[Trouble]) -> Vec<String> {
    causes(troubles).iter().map(|group| group.text(&group.common.message)).collect()
}

/// The troubles that do not merely repeat another object's, each with all objects that have it.
fn causes(troubles: &[Trouble]) -> Vec<Group<'_, &Trouble>> {
    let is_root = |trouble: &&Trouble| !troubles.iter().any(|other| follows(trouble, other));
    let roots = troubles.iter().filter(is_root).map(|trouble| (&trouble.object, trouble));
    groups(roots, |a, b| is_same_trouble(a, b))
}

/// Whether an object only waits for another one: its message then ends with the other's.
fn follows(trouble: &Trouble, other: &Trouble) -> bool {
    trouble.object != other.object
        && trouble.message.len() > other.message.len()
        && trouble.message.ends_with(&other.message)
        && trouble.message.contains(&other.object.name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::manifest::ObjectId;
    use crate::readiness::fixtures::healthy;
    use crate::readiness::{Cause, unmet};

    fn trouble(kind: Kind, name: &str, cause: Cause, message: &str) -> Trouble {
        Trouble::new(ObjectId::new(kind, "pg", name), None, cause, Duration::ZERO, message)
    }

    #[test]
    fn a_cause_is_told_once_and_what_waits_for_it_is_not() {
        let claim = "no StorageClass nope";
        let waits = |n: u32| format!("waiting for PersistentVolumeClaim data-{n}: {claim}");
        let troubles = [
            trouble(Kind::PersistentVolumeClaim, "data-0", Cause::NoStorageClass, claim),
            trouble(Kind::PersistentVolumeClaim, "data-1", Cause::NoStorageClass, claim),
            trouble(Kind::Pod, "pgset-0", Cause::Unschedulable, &waits(0)),
            trouble(Kind::Pod, "pgset-1", Cause::Unschedulable, &waits(1)),
            trouble(Kind::Pod, "pgset-2", Cause::Unschedulable, "no node"),
        ];
        let world = healthy(3);
        let found = problems(&troubles, &world.snapshot);
        let texts: Vec<&str> = found.iter().map(|problem| problem.text.as_str()).collect();
        let shared = "PersistentVolumeClaims data-0 and data-1: no StorageClass nope";
        assert_eq!(texts, [shared, "Pod pgset-2: no node"]);
        assert_eq!(found[0].pods, ["pgset-0", "pgset-1"]);
        assert!(found[0].hint.is_some());
        let mut assessment = world.assess();
        assessment.troubles = troubles.to_vec();
        assert_eq!(unmet(&assessment), texts);
    }
}
