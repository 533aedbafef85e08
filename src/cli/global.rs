//! Options that every command has.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum, ValueHint};

/// The heading of these options in the help: the last group of each command.
pub(super) const HEADING: &str = "Global options";

/// Options of every command.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = HEADING)]
pub struct GlobalArgs {
    /// Kubeconfig file [default: ~/.kube/config]
    ///
    /// KUBECONFIG can name one or more files, separated by colons. Without any kubeconfig, pgset uses the
    /// service account of the pod that it runs in.
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: current]
    ///
    /// `kubectl config get-contexts` lists them.
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// Namespace of the set [default: the context's]
    ///
    /// The default is the namespace of the kubeconfig's context, else `default`.
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Name of the set [default: pgset]
    ///
    /// The names of all objects start with it: StatefulSet NAME, pods NAME-0, NAME-1, Services NAME,
    /// NAME-master and NAME-replica. Commands that take the name as an argument do not need this option:
    /// `pgset status orders` is `pgset --name orders status`.
    #[arg(long, global = true, value_name = "NAME")]
    pub name: Option<String>,
    /// Output format; each command lists its formats
    ///
    /// The default is `human`. Documents go to standard output, everything else to standard error.
    #[arg(short, long, global = true, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<Output>,
    /// Use color
    ///
    /// The default is `auto`: color on a terminal, unless `NO_COLOR` is set.
    #[arg(long, global = true, value_name = "WHEN")]
    pub color: Option<Color>,
    /// Print only warnings and errors
    ///
    /// A command that was asked for a result, such as `status`, prints it.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print more details: -v to -vvvv
    ///
    /// -v shows every object and every change of state, -vv also logs requests, -vvvv everything that the
    /// libraries log. Secrets are never logged. All of it goes to standard error; `PGSET_LOG` sets the log's
    /// filter.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Answer every question with yes
    ///
    /// Without a terminal, a command that must ask fails unless this option is given.
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Time limit, such as 90s or 1h30m [default: 10m]
    ///
    /// Time limit of the whole command: units h, m, s and ms, or a plain number of seconds; from 1ms to
    /// 168h. When it is over, the command fails, with exit code 70 if no cause is known. Run it again to
    /// resume. There is no time limit for `pgset status --watch`, and none for `pgset psql` once psql runs.
    #[arg(long, global = true, value_name = "DURATION",
          value_parser = crate::values::duration::parse, allow_negative_numbers = true)]
    pub timeout: Option<Duration>,
}

/// `--output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Human,
    /// For people, with more columns
    Wide,
    /// JSON, one document or one line per event
    Json,
    /// YAML
    Yaml,
    /// JUnit XML
    Junit,
    /// Lines NAME=VALUE for a shell or an env file
    Env,
}

/// `--color`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

macro_rules! display_as_possible_value {
    ($($kind:ty),+) => {$(
        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.to_possible_value().map_or(Ok(()), |value| f.pad(value.get_name()))
            }
        }
    )+};
}
display_as_possible_value!(Output, Color);
