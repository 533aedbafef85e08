//! Password changes: the SQL for the role, and the passfile that replicas log in with.

use crate::values::Secret;

use super::psql::ScriptError;

/// Settings that would show the statement in a log or a view, each with the value that disables it. The script
/// skips settings that the server's version and modules do not have.
const SILENT: &[(&str, &str)] = &[
    ("log_statement", "none"),
    ("log_min_error_statement", "panic"),
    ("log_min_duration_statement", "-1"),
    ("log_min_duration_sample", "-1"),
    ("log_transaction_sample_rate", "0"),
    ("log_duration", "off"),
    // In the log as the statement of a process that crashed or is in a deadlock, and in pg_stat_activity.
    ("track_activities", "off"),
    ("debug_print_raw_parse", "off"),
    ("debug_print_parse", "off"),
    ("debug_print_rewritten", "off"),
    ("debug_print_plan", "off"),
    // Before version 16 it stores the text of utility statements as it is.
    ("pg_stat_statements.track", "none"),
    ("pg_stat_statements.track_utility", "off"),
    ("pgaudit.log", "none"),
    ("auto_explain.log_min_duration", "-1"),
];

/// The key of an advisory lock that serializes password changes: PostgreSQL refuses two concurrent changes
/// of one role ("tuple concurrently updated"). The bytes are the letters `pgset`.
const TURN: i64 = 0x70_6773_6574;

/// The SQL that sets a role's password, without a trace of it in the server's log. `password` is what is sent: a
/// [verifier](super::verifier), or the password itself for servers that do not accept one.
///
/// # Errors
/// When the role or the password contains a NUL character.
pub fn statements(role: &str, password: &Secret) -> Result<String, ScriptError> {
    for (text, what) in [(role, "role"), (password.expose(), "password")] {
        if text.contains('\0') {
            return Err(ScriptError::Nul(what));
        }
    }
    let values: Vec<String> =
        SILENT.iter().map(|(name, value)| format!("('{name}', '{value}')")).collect();
    Ok(format!(
        "select set_config(s.name, v.value, false) from (values {}) v (name, value) \
         join pg_settings s on s.name = v.name;\n\
         select pg_advisory_lock({TURN});\n\
         alter role {} password {};\n",
        values.join(", "),
        identifier(role),
        literal(password.expose())
    ))
}

/// Quotes an SQL identifier.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes an SQL string. The result does not depend on `standard_conforming_strings`.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// The passfile line for this role. It matches every host, port and database.
#[must_use]
pub fn passfile_line(role: &str, password: &Secret) -> String {
    let escaped = |text: &str| text.replace('\\', r"\\").replace(':', r"\:");
    format!("*:*:*:{}:{}\n", escaped(role), escaped(password.expose()))
}

/// Replaces the pod's passfile with the line on standard input, atomically, and uses it to log in as a
/// replica.
const WRITE: &str = r#"
set -eu
umask 077
run=${PGSET_RUN:-/run/pgset}
file=$run/passfile
if [ -e "${PGSET_ETC:-/etc/pgset}/tls" ]; then
  case $(cat "${PGSET_ETC:-/etc/pgset}/tls") in
    required*) export PGSSLMODE=verify-full PGSSLROOTCERT="$run/tls/ca.crt" ;;
  esac
fi
IFS= read -r line
printf '%s\n' "$line" >"$file.new"
mv "$file.new" "$file"
PGPASSFILE=$file PGUSER=$1 PGHOST=$PGSET_MASTER_HOST psql --no-psqlrc --no-password -Atq \
  -d 'dbname=replication replication=true connect_timeout=10' -c IDENTIFY_SYSTEM </dev/null >/dev/null
"#;

/// The command that writes the [`passfile_line`] from its standard input.
#[must_use]
pub fn write_passfile(role: &str) -> Vec<String> {
    ["bash", "-c", WRITE, "pgset", role].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_of_every_kind_stay_inside() {
        assert_eq!(literal(r"it's \ 'x"), r"E'it\'s \\ \'x'");
        assert_eq!(identifier(r#"a"b"#), r#""a""b""#);
        let password = Secret::new("a'b".to_owned());
        let sql = statements("joe", &password).unwrap();
        assert!(sql.ends_with("alter role \"joe\" password E'a\\'b';\n"), "{sql}");
        // The settings must come first: the script stops at the first error.
        for (setting, _) in SILENT {
            assert!(sql.find(setting).unwrap() < sql.find("alter role").unwrap(), "{setting}");
        }
        assert!(statements("joe", &Secret::new("a\0b".to_owned())).is_err());
    }

    #[test]
    fn a_passfile_escapes_its_separator() {
        let password = Secret::new(r"a:b\c".to_owned());
        assert_eq!(passfile_line("primaryuser", &password), "*:*:*:primaryuser:a\\:b\\\\c\n");
    }
}
