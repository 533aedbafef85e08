//! Synchronous replication: the number of replicas that must confirm each commit (`--synchronous`).

use super::parameters::conf;
use super::sources::Sources;
use super::{SettingsError, Source, Sourced};
use crate::cli::SettingsArgs;
use crate::environment as variables;
use crate::set::SetIdentity;
use crate::values::Invalid;
use crate::values::Replicas;

const FIELD: &str = "number of synchronous replicas";
const NAMES: &str = "synchronous_standby_names";

/// The value of `synchronous_standby_names` for a set: any `synchronous` of its pods. `pods` is the largest
/// number of pods that the set can have.
///
/// It lists pod names instead of `*`, because a clone in progress and other streaming tools also confirm
/// what they receive, but are not replicas. It lists every possible pod name, so that the value stays valid
/// when the set is scaled, by pgset or by another tool; PostgreSQL ignores a name without a pod. It
/// includes the master's name, because another pod may become the master later.
#[must_use]
pub fn standby_names(set: &SetIdentity, synchronous: u32, pods: u32) -> String {
    let names = (0..pods).map(|ordinal| format!("\"{}\"", set.pod(ordinal)));
    format!("ANY {synchronous} ({})", names.collect::<Vec<_>>().join(", "))
}

/// Returns the number of replicas that must confirm each commit, from the `postgresql.conf` of a set.
#[must_use]
pub fn of_set(postgresql_conf: &str) -> u32 {
    let entries = conf::parse(postgresql_conf).unwrap_or_default();
    let value = entries.into_iter().rev().find(|entry| entry.name == NAMES);
    value.and_then(|entry| of_names(&entry.value)).unwrap_or(0)
}

/// Returns the number in `ANY 2 (a, b, c)`, or `None` if pgset did not write the value.
#[must_use]
pub fn of_names(value: &str) -> Option<u32> {
    value.strip_prefix("ANY ")?.split_once(" (")?.0.parse().ok()
}

/// The same, if the value lists pods of this set only: nothing else confirms a commit.
#[must_use]
pub fn of_pods(set: &SetIdentity, value: &str) -> Option<u32> {
    let number = of_names(value)?;
    let list = value.split_once(" (")?.1.strip_suffix(')')?;
    let is_pod = |name: &str| {
        let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
        name.is_some_and(|name| set.ordinal(name).is_some())
    };
    list.split(", ").all(is_pod).then_some(number)
}

/// Refuses more synchronous replicas than a set with this number of pods has.
///
/// # Errors
/// When commits would wait for replicas that do not exist.
pub fn check(synchronous: u32, pods: u32) -> Result<(), Invalid> {
    let replicas = pods.saturating_sub(1);
    if synchronous <= replicas {
        return Ok(());
    }
    let reason = match replicas {
        0 => "must be 0 in a set of one pod: no commit would complete".to_owned(),
        n => format!("must be at most {n} in a set of {pods} pods: no commit would complete"),
    };
    let more = synchronous.saturating_add(1);
    Err(Invalid::new(reason)
        .hint(format!("for more pods: --replicas {more}; to wait for no replica: --synchronous 0")))
}

/// The number that was set, or `None`.
pub(super) fn synchronous(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
    replicas: Option<&Sourced<Replicas>>,
) -> Result<Option<Sourced<u32>>, SettingsError> {
    let variable = &variables::PGSET_SYNCHRONOUS;
    let given =
        sources.given_or_recorded("--synchronous", args.synchronous.as_deref(), &[variable])?;
    let Some(Sourced { value: text, source }) = given else { return Ok(None) };
    let refused = |invalid| SettingsError::of(FIELD, text, source.clone(), invalid);
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|n| digits && *n < Replicas::MAX).ok_or_else(|| {
        let most = Replicas::MAX - 1;
        refused(Invalid::new(format!(
            "must be a whole number from 0 (commits do not wait) to {most}"
        )))
    })?;
    // What the set has, and not the user, is compared with the number of pods when the set is known.
    if let Some(pods) = replicas.filter(|_| source != Source::Recorded) {
        check(number, pods.value.get()).map_err(refused)?;
    }
    sources.settle(variable, number, &source);
    Ok(Some(Sourced { value: number, source }))
}

/// The error for an image that does not support synchronous replication.
pub(super) fn not_here(given: &Sourced<u32>, invalid: Invalid) -> SettingsError {
    SettingsError::of(FIELD, given.value.to_string(), given.source.clone(), invalid)
}

/// The error for a running set that would have too few replicas after scaling.
#[must_use]
pub fn too_few(synchronous: u32, invalid: Invalid) -> SettingsError {
    SettingsError::of(FIELD, synchronous.to_string(), Source::Derived("the running set"), invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> SetIdentity {
        SetIdentity { name: "my-set".parse().unwrap(), namespace: "pg".parse().unwrap() }
    }

    #[test]
    fn names_are_those_of_the_pods_and_are_read_back() {
        let names = standby_names(&set(), 2, 3);
        assert_eq!(names, r#"ANY 2 ("my-set-0", "my-set-1", "my-set-2")"#);
        let conf = format!("a = 1\n{NAMES} = {}\nb = 2\n", conf::quote(&names));
        assert_eq!(of_set(&conf), 2);
        assert_eq!(of_set("a = 1\n"), 0);
        assert_eq!(of_set(&format!("{NAMES} = ''")), 0);
        assert_eq!(of_names("FIRST 1 (a)"), None);
        assert_eq!(of_names("ANY 1 (*)"), Some(1));
        assert_eq!(of_pods(&set(), &names), Some(2));
        for other in ["ANY 1 (*)", r#"ANY 1 ("my-set-0", "archive")"#, r"ANY 1 (my-set-0", ""] {
            assert_eq!(of_pods(&set(), other), None, "{other}");
        }
    }

    #[test]
    fn a_commit_waits_for_no_more_than_there_are() {
        for (synchronous, pods) in [(0, 1), (1, 2), (2, 3), (0, 0)] {
            assert!(check(synchronous, pods).is_ok());
        }
        for (synchronous, pods) in [(1, 1), (2, 2), (1, 0)] {
            assert!(check(synchronous, pods).is_err());
        }
    }
}
