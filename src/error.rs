//! Errors as users and scripts see them: kinds, exit codes, cause chains and hints.
//!
//! Every module defines its own error type with `thiserror` and implements [`Diagnose`] for it. Commands wrap
//! these errors with `anyhow::Context`. [`Report::of`] turns the whole chain into the report that pgset
//! prints. The error types that it recognizes are listed in `run::diagnosed`.

use std::error::Error;

use serde::Serialize;

/// How pgset ends. The exit codes are documented in `docs/exit-codes.md` and are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// Success.
    Done,
    /// Failed; the cause was printed. `status`: the set is degraded or down. `diff`: there are differences.
    Failed,
    /// Bad usage or bad input; nothing was changed.
    Usage,
    /// The cluster can't be reached, or it denies access.
    NoCluster,
    /// A conflict with an object that this set does not own, an operation that is refused for safety, or a
    /// question that was answered with no.
    Refused,
    /// A check of `pgset test` failed.
    SmokeTest,
    /// The deadline passed and no cause was found.
    TimedOut,
    /// Interrupted by Ctrl-C.
    Interrupted,
    /// Terminated by SIGTERM.
    Terminated,
    /// The exit code of the command that `pgset sandbox run` ran.
    Other(u8),
    /// The exit code of psql (`pgset psql`).
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

/// What an error reports in addition to its message.
pub trait Diagnose: Error + Send + Sync + 'static {
    /// How the process ends.
    fn exit(&self) -> Exit;
    /// What to type or do next. Each hint is a whole sentence or a literal command.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }
    /// Evidence of the cause: events, the last lines of a log. Printed as a block, line by line.
    fn details(&self) -> Vec<String> {
        Vec::new()
    }
}

/// An error with an exit code and hints, which commands create themselves.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// A lower-case fragment without a full stop.
    pub message: String,
    /// Evidence of the cause: events, the last lines of a log.
    pub details: Vec<String>,
    /// What to type next.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure that ends pgset with `exit`.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), details: Vec::new(), hints: Vec::new() }
    }

    /// The failure when the user answers a question with no before anything was changed.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(Exit::Refused, "cancelled, nothing was changed")
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds details.
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

/// An error that is ready to print: what failed, why, and what to type next.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How the process ends.
    pub exit: Exit,
    /// What failed.
    pub error: String,
    /// The causes, outermost first.
    pub caused_by: Vec<String>,
    /// Evidence of the cause: events, the last lines of a log.
    pub details: Vec<String>,
    /// What to type next.
    pub hints: Vec<String>,
}

impl Report {
    /// Builds the report from the whole chain. The innermost error that implements [`Diagnose`] decides the
    /// exit code; if there is none, it is [`Exit::Failed`]. Hints and details of all errors are kept,
    /// outermost first.
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
            // Some libraries repeat the source's message in their own.
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

/// Returns an error of a chain as a [`Diagnose`], if its type is known.
///
/// An error can't be downcast to a trait, so the types are tried one by one. The list of types is in `run`,
/// so that this module does not depend on the modules that use it.
pub type Diagnosed = for<'a> fn(&'a (dyn Error + 'static)) -> Option<&'a dyn Diagnose>;

/// A [`Diagnosed`] for one type.
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
