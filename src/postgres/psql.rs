//! psql: its arguments, connections, scripts on its standard input, and its error output.
//!
//! psql first connects over the pod's own Unix socket, where the images trust the local user; a
//! script that tests the network then says `\connect` with a connection URI. So a password is
//! only ever on standard input. What works in psql 9.5 works everywhere: there is no `\if` and no
//! `\gexec` in these scripts.

use std::fmt;
use std::time::Duration;

use crate::error::{Diagnose, Exit};
use crate::text::percent_encode;
use crate::values::Secret;

/// How long a connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one statement may run. The server enforces it, so a stopped server doesn't: see
/// [`Script::deadline`].
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// The port inside the set.
pub const PORT: u16 = 5432;
/// `application_name` of pgset's own sessions.
pub const APPLICATION_NAME: &str = "pgset";

/// The arguments of psql, the program first. It connects as `postgres` over the pod's own socket.
///
/// A frozen server ends it after [`CONNECT_TIMEOUT`] with exit code 2. `--no-password` keeps psql
/// from prompting, which would read the script's next line as a password.
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

/// `synchronous_commit=local`: no statement of pgset's waits for a synchronous standby that is gone.
fn server_options() -> String {
    format!(
        "-c statement_timeout={} -c synchronous_commit=local -c intervalstyle=postgres",
        STATEMENT_TIMEOUT.as_millis()
    )
}

/// Why a script can't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// psql reads lines that end at the first NUL.
    #[error("the {0} holds a NUL character, which PostgreSQL can't take")]
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
    /// Whether the server must prove who it is, over TLS.
    pub verified: bool,
    /// Where it is, if that is not what the name says: the name is then only what is verified.
    pub address: Option<&'a str>,
}

impl Connection<'_> {
    /// The `\connect` line, with its newline: a URI, everything in it percent-encoded.
    ///
    /// Not `keyword=value`: psql strips double quotes from that argument even inside single quotes,
    /// and libpq prints parts of a connection string that it can't parse, passwords included. In a
    /// URI there is nothing left to quote. Nothing of the session before is used again: that is
    /// psql's rule for a connection string (`-reuse-previous` itself came with 9.5.4).
    pub fn connect(&self) -> Result<String, ScriptError> {
        self.line("")
    }

    /// The same without TLS, whatever the server would like: to see that it is refused.
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
        // psql puts a quoted word and a variable together that stand side by side.
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
    /// psql's standard input. It ends psql itself: standard input can't be closed over the exec
    /// protocol's version 4.
    pub stdin: String,
    /// When to give the whole exec up: a stopped server (SIGSTOP) enforces no timeout of its own.
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
        // Two connections at most (the socket, the network), and one slow statement.
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

/// What psql answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit code; none when the exec ended without telling.
    pub exit_code: Option<i32>,
}

impl ExecOutput {
    /// Whether psql ran to its end. It exits with 1 on an error of its own, 2 when its first
    /// connection fails, 3 when a statement or `\connect` fails.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.exit_code == Some(0)
    }

    /// The JSON objects among the lines of standard output, in order.
    pub fn rows(&self) -> impl Iterator<Item = serde_json::Map<String, serde_json::Value>> {
        self.stdout.lines().filter_map(|line| serde_json::from_str(line.trim()).ok())
    }

    /// The first error on standard error; none when there is no error.
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
                Some(code) => format!("psql ended with exit code {code} and no message"),
                None => "psql ended without an exit code".to_owned(),
            }),
        })
    }
}

/// An error that psql printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The SQLSTATE of a statement's error. Errors of a connection come without one.
    pub sqlstate: Option<String>,
    /// The message, without its severity.
    pub message: String,
}

impl Trouble {
    /// Whether no server was reached, or one that starts or stops: another try may end otherwise.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        let says = |needle: &str| self.message.contains(needle);
        self.sqlstate.is_none()
            && (says("refused")
                || says("timeout expired")
                || says("o route to host")
                || says("No such file or directory")
                || says("closed the connection unexpectedly")
                || says("could not translate host name")
                // libpq has no words for some connections that break while they are made.
                || self.message.ends_with("failed:")
                || says("the database system is "))
    }

    /// What to do about it, where that is known. `service` is the DNS name that was tried.
    #[must_use]
    pub fn hint(&self, service: &str) -> Option<String> {
        let says = |needle: &str| self.message.contains(needle);
        if says("password authentication failed") || says("no password supplied") {
            Some("users and passwords are made on the first start of an empty volume only: the Secret must be the one that the volume was initialised with".to_owned())
        } else if says("could not translate host name") {
            Some(format!("kubectl get service {service}: does it exist, and has it endpoints?"))
        } else if says("refused") || says("timeout expired") || says("o route to host") {
            Some(format!("kubectl get endpoints {service}: which pods does it reach?"))
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
        f.write_str(&self.message)?;
        match &self.sqlstate {
            Some(sqlstate) => write!(f, " (SQLSTATE {sqlstate})"),
            None => Ok(()),
        }
    }
}

/// `ERROR:  25006: cannot execute ...`, which is what `VERBOSITY=verbose` prints. The severity is
/// translated by the server's locale, so only its shape counts; a warning's class is 00 to 02.
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

/// The line without `psql: error: `, `psql:<stdin>:3: `, `\connect: `.
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
