//! psql: arguments, connections, scripts for its standard input, and parsing of its error output.
//!
//! psql first connects over the pod's Unix socket, where the images trust local users. A script that tests
//! the network then runs `\connect` with a connection URI. So passwords appear only on standard input. The
//! scripts must work in psql 9.5, so they use neither `\if` nor `\gexec`.

use std::fmt;
use std::time::Duration;

use super::connections;
use crate::error::{Diagnose, Exit};
use crate::text::{DAMAGE, percent_encode};
use crate::values::Secret;

/// The time limit to open a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit of one statement. The server enforces it, so it has no effect on a stopped server: see
/// [`Script::deadline`].
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// The port of every server and Service of the set.
pub const PORT: u16 = 5432;
/// `application_name` of pgset's sessions.
pub const APPLICATION_NAME: &str = "pgset";

/// The command line of psql, with the program first. It connects as `postgres` over the pod's Unix socket.
///
/// If the server is frozen, psql exits after [`CONNECT_TIMEOUT`] with code 2. `--no-password` keeps psql from
/// prompting: a prompt would read the next line of the script as the password.
#[must_use]
pub fn argv() -> Vec<String> {
    let database = format!(
        "--dbname=dbname=postgres user=postgres connect_timeout={} application_name={APPLICATION_NAME} client_encoding=UTF8 options='{}'",
        CONNECT_TIMEOUT.as_secs(),
        server_options(),
    );
    [
        "psql",
        "--no-psqlrc",
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--no-password",
        "--set=ON_ERROR_STOP=1",
        "--set=VERBOSITY=verbose",
        &database,
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The schemas in which pgset's own statements look up names. A user's function or operator of the same name must never
/// run as the superuser. A value in the connection's options takes precedence over those of a role and a database, and
/// functions are never looked up in `pg_temp` ([`search_path`]).
///
/// [`search_path`]: https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-SEARCH-PATH
const SEARCH_PATH: &str = "pg_catalog,pg_temp";

/// `synchronous_commit=local`: pgset's statements must not wait for a synchronous standby that is gone.
fn server_options() -> String {
    format!(
        "-c search_path={SEARCH_PATH} -c statement_timeout={} -c synchronous_commit=local -c intervalstyle=postgres",
        STATEMENT_TIMEOUT.as_millis()
    )
}

/// Why a script can't be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// psql cuts an input line at the first NUL.
    #[error("the {0} contains a NUL character, which PostgreSQL does not accept")]
    Nul(&'static str),
}

impl Diagnose for ScriptError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// A connection over TCP.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// A DNS name or an address.
    pub host: &'a str,
    /// The role.
    pub user: &'a str,
    /// Its password.
    pub password: &'a Secret,
    /// The database.
    pub database: &'a str,
    /// Whether to use TLS and verify the server.
    pub verified: bool,
    /// The address to connect to, if `host` does not resolve to it. Then `host` is only used for
    /// verification.
    pub address: Option<&'a str>,
}

impl Connection<'_> {
    /// The `\connect` line, with its newline. Its argument is a URI with all parts percent-encoded.
    ///
    /// It does not use `keyword=value`: psql strips double quotes from that argument even inside single
    /// quotes, and libpq prints parts of a connection string that it can't parse, including passwords. A
    /// URI needs no quoting. With a connection string psql reuses nothing of the previous session
    /// (`-reuse-previous` exists only since 9.5.4).
    pub fn connect(&self) -> Result<String, ScriptError> {
        self.line("")
    }

    /// The same without TLS, whatever the server prefers: a test uses it to see that the server refuses it.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn plain(&self) -> Result<String, ScriptError> {
        Connection { verified: false, ..*self }.line("&sslmode=disable")
    }

    fn line(&self, mode: &str) -> Result<String, ScriptError> {
        let encode = |value: &str, what| {
            if value.contains('\0') {
                return Err(ScriptError::Nul(what));
            }
            Ok(percent_encode(value).to_string())
        };
        let address = self.address.map(|address| format!("&hostaddr={}", percent_encode(address)));
        // psql concatenates a quoted word and a variable that follow each other directly.
        let (before, verify) = if self.verified {
            let ask = format!("\\set ca_file `echo \"{}\"`\n", super::tls::CA_FILE);
            (ask, "&sslmode=verify-full&sslrootcert=':ca_file")
        } else {
            (String::new(), "'")
        };
        let address = address.unwrap_or_default() + mode;
        Ok(format!(
            "{before}\\connect 'postgresql://{}:{}@{}:{PORT}/{}?connect_timeout={}&application_name={APPLICATION_NAME}&client_encoding=UTF8&options={}{address}{verify}\n",
            encode(self.user, "user name")?,
            encode(self.password.expose(), "password")?,
            encode(self.host, "host name")?,
            encode(self.database, "database name")?,
            CONNECT_TIMEOUT.as_secs(),
            percent_encode(&server_options()),
        ))
    }
}

/// What to run, and where. Holds passwords: `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub struct Script {
    /// The pod in which psql runs.
    pub pod: String,
    /// psql's standard input. The script ends with `\quit`, because version 4 of the exec protocol can't
    /// close standard input.
    pub stdin: String,
    /// When to stop the whole exec: a stopped server (SIGSTOP) does not enforce its own timeouts.
    pub deadline: Duration,
}

impl Script {
    /// A script for psql in `pod`. `statements` may begin with [`Connection::connect`].
    #[must_use]
    pub fn new(pod: &str, statements: &str) -> Self {
        let mut stdin = statements.to_owned();
        if !stdin.is_empty() && !stdin.ends_with('\n') {
            stdin.push('\n');
        }
        stdin.push_str("\\quit\n");
        // At most two connections (socket and network) and one slow statement.
        let deadline = 2 * CONNECT_TIMEOUT + STATEMENT_TIMEOUT;
        Self { pod: pod.to_owned(), stdin, deadline }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("pod", &self.pod)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// The output of psql.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit code; `None` if the exec ended without one.
    pub exit_code: Option<i32>,
}

impl ExecOutput {
    /// Whether psql succeeded. It exits with 1 on an error of its own, with 2 if its first connection
    /// fails, with 3 if a statement or `\connect` fails.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.exit_code == Some(0)
    }

    /// The JSON objects in the lines of standard output, in order.
    pub fn rows(&self) -> impl Iterator<Item = serde_json::Map<String, serde_json::Value>> {
        self.stdout.lines().filter_map(|line| serde_json::from_str(line.trim()).ok())
    }

    /// The first error on standard error; `None` if psql succeeded.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        if self.succeeded() {
            return None;
        }
        let lines = || self.stderr.lines().map(str::trim).filter(|line| !line.is_empty());
        if let Some(trouble) = lines().find_map(statement_error) {
            return Some(trouble);
        }
        let message = lines()
            .find(|line| !line.starts_with("WARNING:") && !line.starts_with("NOTICE:"))
            .map(|line| without_prefix(line).to_owned());
        Some(Trouble {
            sqlstate: None,
            message: message.unwrap_or_else(|| match self.exit_code {
                // The shell's way to report a signal: 128 and its number.
                Some(code @ 129..=192) => {
                    format!("psql was ended by signal {}, as when its container stops", code - 128)
                }
                Some(code) => format!("psql ended with exit code {code} and no message"),
                None => "psql ended without an exit code".to_owned(),
            }),
        })
    }
}

/// An error message of psql.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The SQLSTATE of a failed statement. Connection errors have none.
    pub sqlstate: Option<String>,
    /// The message, without the severity.
    pub message: String,
}

impl Trouble {
    /// Whether no server was reached, or one that is starting or stopping. A retry may succeed.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        let says = |needle: &str| self.message.contains(needle);
        self.sqlstate.is_none()
            && !self.is_damage()
            && (says("refused")
                || says("timeout expired")
                || says("o route to host")
                || says("No such file or directory")
                || says("closed the connection unexpectedly")
                || says("could not translate host name")
                // For some connections that break during the handshake libpq prints no reason.
                || self.message.ends_with("failed:")
                || says("the database system is "))
    }

    /// Whether the server says that its files are missing or damaged. Their names are part of its message.
    fn is_damage(&self) -> bool {
        let message = self.message.to_lowercase();
        DAMAGE.iter().any(|words| message.contains(words))
    }

    /// The state of a server that is not running or not ready yet, in place of libpq's text. `None` for anything
    /// else.
    fn state(&self) -> Option<&'static str> {
        let says = |needle: &str| self.message.contains(needle);
        if says("the database system is starting up")
            || says("the database system is not yet accepting connections")
        {
            Some("PostgreSQL is starting and accepts no connections yet")
        } else if says("the database system is shutting down") {
            Some("PostgreSQL is shutting down and accepts no connections")
        } else if says("the database system is in recovery mode") {
            Some("PostgreSQL is recovering from a crash and accepts no connections yet")
        } else if self.sqlstate.is_none()
            && !self.is_damage()
            && (says(".s.PGSQL.") || says("domain socket"))
            && (says("No such file or directory") || says("refused"))
        {
            Some("PostgreSQL is not running: nothing listens on its socket")
        } else {
            None
        }
    }

    /// What to do about it, if known. `service` is the DNS name of the connection attempt. `max_connections` is the
    /// server's value, if known.
    #[must_use]
    pub fn hint(&self, service: &str, max_connections: Option<u32>) -> Option<String> {
        let says = |needle: &str| self.message.contains(needle);
        if let Some(hint) = connections::hint(&self.message, max_connections) {
            return Some(hint);
        }
        if says("password authentication failed") || says("no password supplied") {
            Some("users and passwords are created only at the first start of an empty volume: use the Secret that the volume was initialised with".to_owned())
        } else if says("could not translate host name") {
            Some(format!(
                "kubectl get service {service}: does it exist, and does it have endpoints?"
            ))
        } else if says("refused") || says("timeout expired") || says("o route to host") {
            Some(format!(
                "kubectl get endpointslices -l kubernetes.io/service-name={service}  # the pods behind the Service"
            ))
        } else if says("pg_hba.conf") {
            Some(
                "pg_hba.conf of the server refuses the client's address, user or database"
                    .to_owned(),
            )
        } else {
            None
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state().unwrap_or(&self.message))?;
        match &self.sqlstate {
            Some(sqlstate) => write!(f, " (SQLSTATE {sqlstate})"),
            None => Ok(()),
        }
    }
}

/// Parses `ERROR:  25006: cannot execute ...`, the format of `VERBOSITY=verbose`. The server translates the
/// severity, so only the shape of the line counts. Classes 00 to 02 are warnings, not errors.
fn statement_error(line: &str) -> Option<Trouble> {
    let (severity, rest) = without_prefix(line).split_once(":  ")?;
    let (sqlstate, message) = rest.split_once(": ")?;
    let is_state = sqlstate.len() == 5
        && sqlstate.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && !["00", "01", "02"].contains(&&sqlstate[..2]);
    let is_error = !severity.contains(' ') && is_state;
    is_error.then(|| Trouble {
        sqlstate: Some(sqlstate.to_owned()),
        message: message.trim().to_owned(),
    })
}

/// Removes prefixes such as `psql: error: `, `psql:<stdin>:3: `, `\connect: `.
fn without_prefix(line: &str) -> &str {
    let mut line = line;
    if let Some(rest) = line.strip_prefix("psql:<stdin>:") {
        line = rest.split_once(": ").map_or(rest, |(_, rest)| rest);
    }
    for prefix in ["psql: ", "error: ", "FATAL: ", "\\connect: "] {
        line = line.strip_prefix(prefix).unwrap_or(line).trim_start();
    }
    line
}

#[cfg(test)]
mod tests;
