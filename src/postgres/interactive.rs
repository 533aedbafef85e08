//! The command that runs psql in a pod for `pgset psql`, interactive or from a pipe.
//!
//! psql connects over the pod's Unix socket as `postgres`; the images trust local connections. These
//! defaults are set with libpq's environment variables, so psql's arguments override them.

use super::pipe::{self, Mark};
use crate::error::{Exit, Failure};

/// The role that psql logs in as.
pub const SUPERUSER: &str = "postgres";

/// Role, database and arguments for psql. They never contain a password.
#[derive(Clone, Debug, Default)]
pub struct Interactive<'a> {
    /// The role to act as; `None` for the superuser.
    pub role: Option<&'a str>,
    /// The database.
    pub database: &'a str,
    /// The arguments for psql.
    pub args: &'a [String],
    /// Whether psql on a pipe stops at the first error.
    pub stops: bool,
}

impl Interactive<'_> {
    /// The command for a terminal: psql reads the keyboard input.
    #[must_use]
    pub fn on_a_terminal(&self) -> Vec<String> {
        let mut argv = self.surroundings();
        // Most terminals understand this value. The value that the container runtime sets has no colours.
        argv.push("TERM=xterm-256color".to_owned());
        argv.push("psql".to_owned());
        argv.extend(self.args.iter().cloned());
        argv
    }

    /// The command for a pipe: psql reads the frames of [`pipe`], and its end is `marked`.
    #[must_use]
    pub fn on_a_pipe(&self, mark: &Mark) -> Vec<String> {
        let mut psql = vec!["psql".to_owned()];
        if self.stops {
            // Before the user's arguments, which override it.
            psql.push("--set=ON_ERROR_STOP=1".to_owned());
        }
        psql.extend(self.args.iter().cloned());
        let mut argv = self.surroundings();
        argv.extend(pipe::command(mark, psql));
        argv
    }

    fn surroundings(&self) -> Vec<String> {
        let mut argv = vec![
            "env".to_owned(),
            format!("PGUSER={SUPERUSER}"),
            format!("PGDATABASE={}", self.database),
            "PGAPPNAME=pgset psql".to_owned(),
            "PGCONNECT_TIMEOUT=10".to_owned(),
            // The typed statements may contain passwords, so psql must not write them to disk.
            "PSQL_HISTORY=/dev/null".to_owned(),
        ];
        if let Some(role) = self.role {
            argv.push(format!("PGOPTIONS=-c role={}", escaped(role)));
        }
        argv
    }
}

/// Escapes a value for `PGOPTIONS`, which splits at spaces and uses backslashes as escapes.
fn escaped(value: &str) -> String {
    let special = |c: char| c.is_whitespace() || c == '\\';
    value.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Refuses arguments for psql that contain a password: it would be visible in the audit log of the API server
/// and in the process list of the pod.
///
/// # Errors
/// When an argument contains a password. The hints name the alternatives.
pub fn check(args: &[String]) -> Result<(), Failure> {
    if !args.iter().any(|argument| connects_with_password(argument) || sets_password(argument)) {
        return Ok(());
    }
    let message = "psql's arguments must not contain a password: command lines are visible in audit logs and in lists of processes";
    Err(Failure::new(Exit::Usage, message)
        .hint("SQL with a password: pgset psql < FILE")
        .hint("no password is needed: the superuser is trusted, and -U ROLE acts as another role"))
}

/// Whether the argument is a URI with `user:password@`, or a connection string or URI with `password=`.
fn connects_with_password(argument: &str) -> bool {
    let argument = argument.strip_prefix("--dbname=").unwrap_or(argument);
    if let Some((scheme, rest)) = argument.split_once("://")
        && ["postgres", "postgresql"].contains(&scheme)
    {
        let (authority, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = authority.split('/').next().unwrap_or_default();
        return authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
            || parameters.split('&').any(|parameter| parameter.starts_with("password="));
    }
    // Each part of a connection string is `keyword=value`; spaces around `=` are allowed.
    let mut keywords = argument.split('=').map(|part| part.split_whitespace().last());
    let first = argument.split('=').next().unwrap_or_default().trim();
    let is_connection = argument.contains('=') && first.chars().all(|c| c.is_ascii_lowercase());
    is_connection && keywords.any(|keyword| keyword == Some("password"))
}

/// Whether the argument contains a statement like `alter role joe password 'x'`.
fn sets_password(argument: &str) -> bool {
    let words = argument.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let about_a_role = ["alter role", "alter user", "create role", "create user", "alter group"];
    about_a_role.iter().any(|words_of_it| words.contains(words_of_it))
        && ["password '", "password e'", "password $"].iter().any(|sets| words.contains(sets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split('|').map(str::to_owned).collect()
    }

    #[test]
    fn psql_keeps_its_arguments_as_they_are() {
        let args = words("-At|-c|select 'it''s'; -- $(x)");
        let mut interactive =
            Interactive { role: None, database: "user db", args: &args, stops: false };
        let command = interactive.on_a_terminal();
        assert_eq!(command[0], "env");
        assert!(command.contains(&"PGDATABASE=user db".to_owned()));
        assert!(!command.iter().any(|word| word.starts_with("PGOPTIONS")));
        assert_eq!(command[command.len() - 4..], [&["psql".to_owned()][..], &args].concat());
        let mark = Mark::new("it ends");
        let command = interactive.on_a_pipe(&mark);
        assert_eq!(command[command.len() - 5..command.len() - 3], ["it ends", "psql"]);
        assert_eq!(command[command.len() - 3..], args);
        // What the user sets comes last, and wins.
        interactive.stops = true;
        let command = interactive.on_a_pipe(&mark);
        assert_eq!(command[command.len() - 4], "--set=ON_ERROR_STOP=1");
        assert_eq!(command[command.len() - 3..], args);
    }

    #[test]
    fn a_role_is_one_value_of_the_options() {
        let interactive =
            Interactive { role: Some(r"a b\c"), database: "d", args: &[], stops: true };
        let command = interactive.on_a_pipe(&Mark::new("it ends"));
        let options = command.into_iter().find(|word| word.starts_with("PGOPTIONS"));
        assert_eq!(options.unwrap(), r"PGOPTIONS=-c role=a\ b\\c");
    }

    #[test]
    fn passwords_are_refused_and_what_only_sounds_like_one_is_not() {
        for bad in [
            "postgresql://joe:s3cret@host/db",
            "--dbname=postgres://joe:x@host",
            "postgresql://host/db?user=joe&password=x",
            "host=h password=x",
            "--dbname=user=joe password = x",
            "password=x",
            "-c|alter role joe  PASSWORD 'x'",
        ] {
            assert!(check(&words(bad)).is_err(), "{bad}");
        }
        for good in [
            "--password",
            "--no-password",
            "-c|alter role joe password null",
            "-c|select count(*) from t where password='x'",
            "postgresql://joe@host:5432/db",
            "postgresql://host:5432/db",
            "host=h user=joe",
        ] {
            assert!(check(&words(good)).is_ok(), "{good}");
        }
    }
}
