//! PostgreSQL parameters that would break the set, and why.

use crate::values::Invalid;

/// Parameters that are always refused, and why.
const REFUSED: &[(&str, &str)] = &[
    ("listen_addresses", "clients and replicas connect to the pod's address"),
    ("port", "the Services use port 5432"),
    ("unix_socket_directories", "probes and pgset use the socket in /var/run/postgresql"),
    ("unix_socket_group", "probes and pgset use the socket in /var/run/postgresql"),
    ("unix_socket_permissions", "probes and pgset use the socket in /var/run/postgresql"),
    ("data_directory", "pgset chooses the data directory on the volume"),
    ("config_file", "the file is in the set's ConfigMap"),
    ("hba_file", "the file is in the set's ConfigMap"),
    ("ident_file", "the file is in the set's ConfigMap"),
    ("external_pid_file", "pgset uses the PID file in the data directory"),
    ("hot_standby", "a replica that accepts no queries never becomes ready"),
    ("primary_conninfo", "each replica sets its connection to the master at every start"),
    ("primary_slot_name", "each replica sets the name of its slot at every start"),
    ("promote_trigger_file", "promoting a replica by a file would create a second master"),
    ("restore_command", "replicas are cloned and stream; pgset does not restore from an archive"),
    (
        "archive_cleanup_command",
        "it is only for restoring from an archive, which pgset does not do",
    ),
    ("recovery_end_command", "it is only for restoring from an archive, which pgset does not do"),
    ("recovery_min_apply_delay", "every replica would lag, and the replication test would fail"),
    ("db_user_namespace", "it would change the names with which the roles log in"),
];

/// Names that include another file or directory.
const INCLUDES: [&str; 3] = ["include", "include_if_exists", "include_dir"];

/// Parameters that enable TLS or name its files. The user may set TLS versions, ciphers and curves.
const TLS: [&str; 9] = [
    "ssl",
    "ssl_cert_file",
    "ssl_key_file",
    "ssl_ca_file",
    "ssl_crl_file",
    "ssl_crl_dir",
    "ssl_dh_params_file",
    "ssl_passphrase_command",
    "ssl_passphrase_command_supports_reload",
];

/// The minimum of `max_wal_senders` and `max_replication_slots` in a set of any size.
pub(super) const FEWEST_SENDERS: u32 = 10;

/// The values that `max_wal_senders` and `max_replication_slots` need in a set with this number of pods.
/// Each replica counts twice, because it needs two connections while it is cloned; a few more are for other
/// tools.
#[must_use]
pub fn senders(pods: u32) -> u32 {
    pods.saturating_sub(1).saturating_mul(2).saturating_add(4).max(FEWEST_SENDERS)
}

/// Refuses a parameter that breaks any set, whatever its size and its other settings.
pub(super) fn check(name: &str, value: &str) -> Result<(), Invalid> {
    let refused =
        |why: &str| Err(Invalid::new(format!("must not be set: {why}")).hint("leave it out"));
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return refused(why);
    }
    if INCLUDES.contains(&name) {
        return Err(Invalid::new(
            "must not be used: only one file is copied into the set's ConfigMap",
        )
        .hint("copy the included settings into the file itself"));
    }
    if name.starts_with("recovery_target") {
        return refused("a server that stops at a recovery target diverges from the set");
    }
    if TLS.contains(&name) {
        return Err(Invalid::new(
            "must not be set: pgset manages the certificates and their files",
        )
        .hint("to encrypt connections: --tls"));
    }
    match name {
        "synchronous_standby_names" => {
            Err(Invalid::new("must not be set: pgset sets it to the names of the replicas")
                .hint("to make commits wait for one replica: --synchronous 1"))
        }
        "wal_level" if value.eq_ignore_ascii_case("minimal") => {
            Err(Invalid::new("must be replica or logical: minimal does not allow replication"))
        }
        "password_encryption" if !value.eq_ignore_ascii_case("scram-sha-256") => {
            Err(Invalid::new("must be scram-sha-256: pg_hba.conf accepts no other method"))
        }
        "wal_receiver_status_interval" if number(value) == Some(0) => Err(Invalid::new(
            "must not be 0: the master would keep all WAL for replicas that never report their position",
        )),
        "max_wal_senders" | "max_replication_slots" => at_least(value, FEWEST_SENDERS),
        _ => Ok(()),
    }
}

/// Refuses a parameter that breaks a set with this number of pods and of synchronous replicas.
pub(super) fn check_for(
    name: &str,
    value: &str,
    pods: u32,
    synchronous: u32,
) -> Result<(), Invalid> {
    match name {
        "max_wal_senders" | "max_replication_slots" => at_least(value, senders(pods)),
        "synchronous_commit"
            if synchronous > 0 && (value.eq_ignore_ascii_case("local") || is_false(value)) =>
        {
            Err(Invalid::new(
                "must not be off or local with --synchronous: commits would not wait for replicas",
            )
            .hint("for single transactions that may be lost, in SQL: set synchronous_commit = off"))
        }
        _ => Ok(()),
    }
}

/// Parameters that may be turned off, and what is at risk then.
pub const RISKY: [(&str, &str); 3] = [
    ("fsync", "a crash of the node loses commits and can damage all data permanently"),
    (
        "full_page_writes",
        "a crash of the node can leave half-written pages, whose rows are lost or damaged",
    ),
    (
        "restart_after_crash",
        "after the crash of one session, the server is down until the kubelet starts its container again, which can take 5 minutes",
    ),
];

/// A warning about a parameter that is allowed but risky.
pub(super) fn warning(name: &str, value: &str) -> Option<String> {
    let (_, risk) = RISKY.iter().find(|(risky, _)| *risky == name)?;
    is_false(value).then(|| format!("{name} = {value}: {risk}"))
}

fn at_least(value: &str, least: u32) -> Result<(), Invalid> {
    match number(value) {
        Some(number) if number < i64::from(least) => Err(Invalid::new(format!(
            "must be at least {least}: each replica needs one, and two while it is cloned"
        ))),
        // PostgreSQL refuses a value that is not a number.
        _ => Ok(()),
    }
}

/// Parses a whole number, with or without a unit.
fn number(value: &str) -> Option<i64> {
    let value = value.trim();
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    digits.parse().ok()
}

/// Like PostgreSQL's `parse_bool`: accepts any unambiguous prefix of a word for false.
fn is_false(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let prefix = |word: &str| !value.is_empty() && word.starts_with(&value);
    value == "0" || prefix("false") || prefix("no") || (value.len() > 1 && prefix("off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_the_set_is_refused_with_the_reason() {
        for (name, value, reason) in [
            ("port", "5433", "must not be set: the Services use port 5432"),
            (
                "include_dir",
                "x",
                "must not be used: only one file is copied into the set's ConfigMap",
            ),
            (
                "recovery_target_time",
                "now",
                "must not be set: a server that stops at a recovery target diverges from the set",
            ),
            (
                "wal_level",
                "Minimal",
                "must be replica or logical: minimal does not allow replication",
            ),
            (
                "max_wal_senders",
                "3",
                "must be at least 10: each replica needs one, and two while it is cloned",
            ),
            (
                "password_encryption",
                "md5",
                "must be scram-sha-256: pg_hba.conf accepts no other method",
            ),
        ] {
            assert_eq!(check(name, value).expect_err(name).reason, reason);
        }
        for name in TLS.iter().chain(&["synchronous_standby_names"]) {
            assert!(check(name, "on").unwrap_err().hint.is_some(), "{name}");
        }
        assert!(check("wal_receiver_status_interval", "0s").is_err());
        for (name, value) in [
            ("wal_level", "logical"),
            ("max_wal_senders", "10"),
            ("archive_mode", "on"),
            ("archive_command", "true"),
            ("password_encryption", "scram-sha-256"),
            ("ssl_min_protocol_version", "TLSv1.3"),
            ("work_mem", "64MB"),
            ("wal_receiver_status_interval", "1s"),
            ("synchronous_commit", "off"),
        ] {
            check(name, value).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }

    #[test]
    fn the_sets_size_decides_how_many_senders_it_needs() {
        assert_eq!((senders(1), senders(4), senders(5), senders(31)), (10, 10, 12, 64));
        assert!(check_for("max_wal_senders", "10", 4, 0).is_ok());
        let error = check_for("max_replication_slots", "10", 5, 0).unwrap_err();
        assert!(error.reason.starts_with("must be at least 12"), "{error}");
    }

    #[test]
    fn synchronous_replication_is_not_undone_by_a_setting() {
        for value in ["off", "OF", "local", "no", "false", "0"] {
            assert!(check_for("synchronous_commit", value, 2, 1).is_err(), "{value}");
            assert!(check_for("synchronous_commit", value, 2, 0).is_ok(), "{value}");
        }
        for value in ["on", "remote_apply", "remote_write", "o"] {
            assert!(check_for("synchronous_commit", value, 2, 1).is_ok(), "{value}");
        }
    }

    #[test]
    fn what_can_lose_data_is_said() {
        for (name, risk) in RISKY {
            assert_eq!(warning(name, "off"), Some(format!("{name} = off: {risk}")));
        }
        assert!(warning("fsync", "on").is_none());
        assert!(warning("work_mem", "off").is_none());
    }
}
