//! What went wrong, for a person and for a script: kinds, exit codes, cause chains and hints.
//!
//! Every module defines its own error with `thiserror` and implements [`Diagnose`] for it. Commands
//! wrap them with `anyhow::Context`. [`Report::of`] turns the whole chain into what is printed; the list of
//! the types that it knows is `run::diagnosed`.

use std::error::Error;

use serde::Serialize;

/// How pgset ended. The numbers are documented in the README and are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// Done.
    Done,
    /// Failed: the cause has been printed. `status`: degraded or down. `diff`: there are differences.
    Failed,
    /// Bad usage or bad input; nothing was touched.
    Usage,
    /// No cluster, or not let in.
    NoCluster,
    /// A conflict with somebody else's objects, or refused for safety.
    Refused,
    /// The smoke test found something wrong.
    SmokeTest,
    /// The deadline passed without a cause found.
    TimedOut,
    /// Interrupted by Ctrl-C.
    Interrupted,
    /// Ended by SIGTERM.
    Terminated,
    /// As a command that was run for somebody did: `pgset sandbox run`.
    Other(u8),
    /// `psql`: what psql itself ended with.
    Psql(u8),
}

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NoCluster => 3,
            Self::Refused => 4,
            Self::SmokeTest => 5,
            Self::TimedOut => 70,
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::Other(code) | Self::Psql(code) => code,
        }
    }
}

/// What an error knows beyond its message.
pub trait Diagnose: Error + Send + Sync + 'static {
    /// How the process should end.
    fn exit(&self) -> Exit;
    /// What to type or do next; each a whole sentence or a literal command.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }
    /// What shows the cause: events, the last lines of a log. Shown as a block, line by line.
    fn details(&self) -> Vec<String> {
        Vec::new()
    }
}

/// An error of a kind, with hints: what commands raise themselves.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// A lower-case fragment without a full stop.
    pub message: String,
    /// What shows the cause: events, the last lines of a log.
    pub details: Vec<String>,
    /// What to type next.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure that ends with `exit`.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), details: Vec::new(), hints: Vec::new() }
    }

    /// The same failure with one more hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same failure with more details.
    #[must_use]
    pub fn details(mut self, details: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.details.extend(details.into_iter().map(Into::into));
        self
    }
}

impl Diagnose for Failure {
    fn exit(&self) -> Exit {
        self.exit
    }
    fn hints(&self) -> Vec<String> {
        self.hints.clone()
    }
    fn details(&self) -> Vec<String> {
        self.details.clone()
    }
}

/// An error ready to be shown: what failed, why, and what to type next.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How the process ends.
    pub exit: Exit,
    /// What failed.
    pub error: String,
    /// Why, outermost first.
    pub caused_by: Vec<String>,
    /// What shows the cause: events, the last lines of a log.
    pub details: Vec<String>,
    /// What to type next.
    pub hints: Vec<String>,
}

impl Report {
    /// Reads the whole chain. The innermost error that [`Diagnose`]s decides the exit code; hints and
    /// details of all are shown, outermost first; an error nobody diagnosed is a plain failure.
    #[must_use]
    pub fn of(error: &anyhow::Error, diagnosed: Diagnosed) -> Self {
        let mut exit = None;
        let mut hints: Vec<String> = Vec::new();
        let mut details: Vec<String> = Vec::new();
        let mut messages: Vec<String> = Vec::new();
        for cause in error.chain() {
            if let Some(known) = diagnosed(cause) {
                exit = Some(known.exit());
                details.extend(known.details());
                for hint in known.hints() {
                    if !hints.contains(&hint) {
                        hints.push(hint);
                    }
                }
            }
            let message = cause.to_string();
            // Some libraries repeat their source in their own message.
            if !messages.iter().any(|m| m.ends_with(&message)) {
                messages.push(message);
            }
        }
        let mut messages = messages.into_iter();
        Self {
            exit: exit.unwrap_or(Exit::Failed),
            error: messages.next().unwrap_or_default(),
            caused_by: messages.collect(),
            details,
            hints,
        }
    }
}

/// Looks at one error of a chain: what it knows, where it is a type that [`Diagnose`]s.
///
/// `std` can't ask an error for a trait, so the types are tried one by one; the list of all of them stands
/// where the program is put together, so that this module knows none of its users.
pub type Diagnosed = for<'a> fn(&'a (dyn Error + 'static)) -> Option<&'a dyn Diagnose>;

/// A [`Diagnosed`] that knows one type.
#[must_use]
pub fn diagnosed<'a, T: Diagnose>(error: &'a (dyn Error + 'static)) -> Option<&'a dyn Diagnose> {
    error.downcast_ref::<T>().map(|known| known as &dyn Diagnose)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_chain_is_read_whole() {
        let failure = Failure::new(Exit::Refused, "the volume pv1 is somebody else's")
            .hint("pgset up --volume-prefix mine")
            .details(["claimed by shop/data"]);
        let error = Err::<(), _>(failure).context("checking what is there").unwrap_err();
        let report = Report::of(&error, diagnosed::<Failure>);
        assert_eq!(report.exit, Exit::Refused);
        assert_eq!(report.error, "checking what is there");
        assert_eq!(report.caused_by, ["the volume pv1 is somebody else's"]);
        assert_eq!(report.details, ["claimed by shop/data"]);
        assert_eq!(report.hints, ["pgset up --volume-prefix mine"]);
    }

    #[test]
    fn an_undiagnosed_error_is_a_plain_failure() {
        let report = Report::of(&anyhow::anyhow!("no idea"), diagnosed::<Failure>);
        assert_eq!((report.exit, report.error.as_str()), (Exit::Failed, "no idea"));
    }
}
