//! A new password for a role: the SQL, and what replicas read it from.

use crate::values::Secret;

use super::psql::ScriptError;

/// Settings that would write a statement down, each with the value that does not. Those that a server's
/// version or modules do not have are passed over.
const SILENT: &[(&str, &str)] = &[
    ("log_statement", "none"),
    ("log_min_error_statement", "panic"),
    ("log_min_duration_statement", "-1"),
    ("log_min_duration_sample", "-1"),
    ("log_transaction_sample_rate", "0"),
    ("log_duration", "off"),
    ("pg_stat_statements.track", "none"),
    ("pg_stat_statements.track_utility", "off"),
    ("pgaudit.log", "none"),
    ("auto_explain.log_min_duration", "-1"),
];

/// Whoever gives a role a password waits with this lock until the others have: PostgreSQL refuses two that
/// change one role at the same moment ("tuple concurrently updated"). The letters `pgset`.
const TURN: i64 = 0x70_6773_6574;

/// Gives a role a password, without a word of it in the server's log. The server makes the verifier, by
/// its own `password_encryption`.
///
/// # Errors
/// When PostgreSQL can't take the name or the password.
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

/// A name within SQL.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text within SQL, whatever `standard_conforming_strings` is.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// The line of a passfile: for this role, wherever it logs in.
#[must_use]
pub fn passfile_line(role: &str, password: &Secret) -> String {
    let escaped = |text: &str| text.replace('\\', r"\\").replace(':', r"\:");
    format!("*:*:*:{}:{}\n", escaped(role), escaped(password.expose()))
}

/// Puts the line on stdin in the place of a pod's passfile, whole, and logs in with it as a replica does.
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

/// The arguments of what writes [`passfile_line`], which it reads from stdin.
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
        // What keeps it out of the log comes first: the script stops at an error.
        assert!(sql.find("log_statement").unwrap() < sql.find("alter role").unwrap());
        assert!(statements("joe", &Secret::new("a\0b".to_owned())).is_err());
    }

    #[test]
    fn a_passfile_escapes_its_separator() {
        let password = Secret::new(r"a:b\c".to_owned());
        assert_eq!(passfile_line("primaryuser", &password), "*:*:*:primaryuser:a\\:b\\\\c\n");
    }
}
