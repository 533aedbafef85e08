//! What ALTER SYSTEM has left in the `postgresql.auto.conf` of a server. A server reads this file last, so it
//! overrides the settings of pgset without a word. From PostgreSQL 17 on, pgset turns ALTER SYSTEM off, but the file
//! may be older.

/// Queries the names as a JSON list; null if there are none. Values may contain secrets, so they are not read. The
/// bootstrap removes the connection to the master from the file.
pub(super) const NAMES: &str = "(select json_agg(distinct name) from pg_file_settings where sourcefile like '%/postgresql.auto.conf' and name not in ('primary_conninfo', 'primary_slot_name'))";

/// Says which servers have which settings. Servers with the same settings are named together.
#[must_use]
pub fn messages<'a>(servers: impl IntoIterator<Item = (&'a str, &'a [String])>) -> Vec<String> {
    let altered = servers.into_iter().filter(|(_, names)| !names.is_empty());
    let messages = by_value(altered).into_iter().map(|(names, pods)| {
        format!(
            "{pods}: ALTER SYSTEM has set {}, which overrides the settings of pgset, and new replicas copy it; `alter system reset NAME` removes it",
            names.join(", ")
        )
    });
    messages.collect()
}

/// The servers with the same value: `Pod pgset-0`, `Pods pgset-0, pgset-1`.
pub(super) fn by_value<'a, T: PartialEq>(
    servers: impl Iterator<Item = (&'a str, T)>,
) -> Vec<(T, String)> {
    let mut groups: Vec<(T, Vec<&str>)> = Vec::new();
    for (pod, value) in servers {
        match groups.iter_mut().find(|(known, _)| *known == value) {
            Some((_, pods)) => pods.push(pod),
            None => groups.push((value, vec![pod])),
        }
    }
    let named = groups.into_iter().map(|(value, pods)| match pods.as_slice() {
        [pod] => (value, format!("Pod {pod}")),
        pods => (value, format!("Pods {}", pods.join(", "))),
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_with_the_same_settings_are_named_together() {
        let names = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (both, one, none) = (names("jit work_mem"), names("jit"), names(""));
        let servers = [("a-0", &both[..]), ("a-1", &one), ("a-2", &both), ("a-3", &none)];
        let messages = messages(servers);
        assert_eq!(messages.len(), 2);
        assert!(messages[0].starts_with("Pods a-0, a-2: ALTER SYSTEM has set jit, work_mem, "));
        assert!(messages[1].starts_with("Pod a-1: ALTER SYSTEM has set jit, "));
    }
}
