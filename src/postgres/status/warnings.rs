//! What is risky in the servers, and not wrong now: it does not change the health of the set.

use super::PodFacts;
use crate::postgres::altered;
use crate::postgres::measurements::Measurements;
use crate::settings::parameters;

/// The warnings about the servers.
pub(super) fn warnings(pods: &[PodFacts]) -> Vec<String> {
    let measured = pods.iter().filter_map(|pod| Some((&*pod.name, pod.measurements.as_ref()?)));
    let mut found: Vec<String> = parameters::RISKY
        .iter()
        .filter_map(|(name, risk)| off(measured.clone(), name, risk))
        .collect();
    found.extend(altered::messages(
        measured.map(|(pod, measured)| (pod, &*measured.altered_settings)),
    ));
    found
}

/// `Pods pgset-0, pgset-1: fsync is off: ...`.
fn off<'a>(
    measured: impl Iterator<Item = (&'a str, &'a Measurements)>,
    name: &str,
    risk: &str,
) -> Option<String> {
    let is_off = |measured: &Measurements| measured.risky_settings.iter().any(|off| off == name);
    let servers = measured.filter(|(_, measured)| is_off(measured)).map(|(pod, _)| (pod, ()));
    let ((), pods) = altered::by_value(servers).pop()?;
    Some(format!("{pods}: {name} is off: {risk}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::status::tests::pod;
    use crate::set::Role;

    #[test]
    fn what_is_risky_is_told_for_each_server() {
        let of = |risky: &[&str], altered: &[&str]| {
            let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
            let (risky_settings, altered_settings) = (names(risky), names(altered));
            Some(Measurements { risky_settings, altered_settings, ..Measurements::default() })
        };
        let mut pods = [pod(0, Role::Master), pod(1, Role::Replica), pod(2, Role::Replica)];
        pods[0].measurements = of(&["fsync"], &["work_mem"]);
        pods[1].measurements = of(&["fsync", "restart_after_crash"], &[]);
        let found = warnings(&pods);
        assert_eq!(found.len(), 3);
        assert!(found[0].starts_with("Pods pgset-0, pgset-1: fsync is off: "), "{found:?}");
        assert!(found[1].starts_with("Pod pgset-1: restart_after_crash is off: "), "{found:?}");
        assert!(found[2].starts_with("Pod pgset-0: ALTER SYSTEM has set work_mem, "), "{found:?}");
        pods[0].measurements = of(&[], &[]);
        assert_eq!(warnings(&pods[..1]), [""; 0]);
    }
}
