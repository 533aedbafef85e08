//! The command line: clap derive and nothing else. What values mean is settled in `settings`.

pub mod completions;
pub mod connect;
mod definition;
pub mod diff;
pub mod down;
pub mod env;
pub mod failover;
pub mod global;
pub mod man;
pub mod name;
pub mod password;
pub mod psql;
pub mod render;
pub mod restart;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod scale;
pub mod settings;
pub mod start;
pub mod status;
pub mod stop;
pub mod switchover;
pub mod templates;
pub mod test;
mod tips;
pub mod up;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{FromArgMatches as _, Parser, Subcommand};

use crate::text;

pub use completions::{CompletionsArgs, Shell, completions};
pub use connect::ConnectArgs;
pub use definition::command;
pub use diff::DiffArgs;
pub use down::DownArgs;
pub use env::EnvArgs;
pub use failover::{FailoverArgs, RejoinArgs};
pub use global::{Color, GlobalArgs, Output};
pub use man::{ManArgs, man};
pub use name::NameArg;
pub use password::{PasswordArgs, PasswordCommand, RoleKind, RotateArgs, ShowArgs};
pub use psql::PsqlArgs;
pub use render::RenderArgs;
pub use restart::RestartArgs;
#[cfg(feature = "sandbox")]
pub use sandbox::{NodeCommand, NodeName, SandboxArgs, SandboxCommand, SandboxNodes};
pub use scale::ScaleArgs;
pub use settings::SettingsArgs;
pub use start::StartArgs;
pub use status::StatusArgs;
pub use stop::StopArgs;
pub use switchover::SwitchoverArgs;
pub use templates::{TemplatesArgs, TemplatesCommand};
pub use test::TestArgs;
pub use up::{DryRun, UpArgs};

macro_rules! examples {
    () => {
        "\
Examples:
  pgset up                   create the set and wait until its replicas stream
  pgset test                 test replication with SQL
  pgset scale --replicas 3   add a replica
  pgset status               show pods, replication and problems
  pgset psql                 open psql on the master
  pgset stop                 stop the pods, keep everything else
  pgset start                start them again
  pgset down                 delete the set's objects, keep its data
  pgset up orders -n shop    a set with another name in another namespace

"
    };
}

const AFTER_HELP: &str =
    concat!(examples!(), "A command with --help explains each of its options: pgset up --help");

const AFTER_LONG_HELP: &str = concat!(
    examples!(),
    "\
Settings: a flag takes precedence over its PGSET_* variable, the variable over
the variables of the 2017 article, these over what is recorded for the set, and
that over the default. `pgset env` prints all settings and where they come from. Passwords are taken from
PG_PASSWORD, PG_PRIMARY_PASSWORD and PG_ROOT_PASSWORD, or generated.

Exit codes: 0 done; 1 failed; 2 bad usage or input; 3 the cluster cannot be
reached, or access is denied; 4 conflict, refused for safety, or cancelled;
5 a check of `pgset test` failed; 70 timed out; 130 interrupted;
143 terminated. The exit code of `pgset psql` is psql's."
);

/// Run a PostgreSQL replica set on Kubernetes
#[derive(Clone, Debug, Parser)]
#[command(name = "pgset", version, max_term_width = 100)]
#[command(after_help = AFTER_HELP, after_long_help = AFTER_LONG_HELP)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Create or update the set and wait until its replicas stream
    ///
    /// Everything is checked before anything is written: the settings, the rights of the account, the
    /// namespace, the storage, and objects that the set does not own. Then the objects are created or
    /// updated, and the command waits until every pod is ready and every replica streams. If a pod does not
    /// become ready, it prints the cause.
    Up(UpArgs),
    /// Change the number of pods and wait until the replicas stream
    Scale(ScaleArgs),
    /// Restart pods one by one, replicas first
    ///
    /// Without an argument, the pods that run a previous template, or whose PostgreSQL has to start again to use
    /// a setting. Each pod must be ready and stream before the next one restarts, and the master restarts last.
    Restart(RestartArgs),
    /// Make a replica the master, without loss
    ///
    /// The master stops cleanly, and a replica is promoted once it is proved that it has everything. Nothing can be
    /// written for a moment. A run that was interrupted is completed by the same command, or undone with --back-out.
    Switchover(SwitchoverArgs),
    /// Make a replica the master when the master does not come back
    ///
    /// Only with proof that the old master writes no more, and after it has said what may be missing. The data of the
    /// old master is kept. A run that was interrupted is completed by the same command, or undone with --back-out
    /// while no pod is promoted.
    Failover(FailoverArgs),
    /// Make an old master follow the new one, and keep its data
    ///
    /// A pod whose server has written something that the master never had can't stream. Its data directory is moved
    /// beside, and the pod is cloned.
    Rejoin(RejoinArgs),
    /// Test replication with SQL, inside the cluster
    Test(TestArgs),
    /// Show pods, replication, services, volumes and problems
    Status(StatusArgs),
    /// Stop the pods, keep the set's objects and its data
    ///
    /// Each PostgreSQL is shut down cleanly. The number of pods is recorded, together with who stopped the set
    /// and when.
    Stop(StopArgs),
    /// Start a stopped set and wait until its replicas stream
    Start(StartArgs),
    /// Delete the set's objects, keep its data
    ///
    /// PostgreSQL is shut down first. The claims with the data, the Secret with the passwords and the
    /// ConfigMap that identifies the data are kept, unless --delete-data is given.
    Down(DownArgs),
    /// Open psql on the master or on a replica, inside its pod
    Psql(PsqlArgs),
    /// Print how to connect: URIs, and variables for libpq
    Connect(ConnectArgs),
    /// Show a password, or rotate it
    Password(PasswordArgs),
    /// Print the objects that up would apply
    Render(RenderArgs),
    /// Show what up would change
    Diff(DiffArgs),
    /// Write the built-in templates to a directory
    Templates(TemplatesArgs),
    /// Print every setting, its value, and where the value comes from
    Env(EnvArgs),
    /// Try pgset without a cluster: a small Kubernetes on this machine
    #[cfg(feature = "sandbox")]
    Sandbox(SandboxArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
}

impl Command {
    /// The name of the command, as it is typed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Up(_) => "up",
            Self::Scale(_) => "scale",
            Self::Restart(_) => "restart",
            Self::Switchover(_) => "switchover",
            Self::Failover(_) => "failover",
            Self::Rejoin(_) => "rejoin",
            Self::Test(_) => "test",
            Self::Status(_) => "status",
            Self::Stop(_) => "stop",
            Self::Start(_) => "start",
            Self::Down(_) => "down",
            Self::Psql(_) => "psql",
            Self::Connect(_) => "connect",
            Self::Password(_) => "password",
            Self::Render(_) => "render",
            Self::Diff(_) => "diff",
            Self::Templates(_) => "templates",
            Self::Env(_) => "env",
            #[cfg(feature = "sandbox")]
            Self::Sandbox(_) => "sandbox",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
        }
    }

    /// Whether the command creates, changes or deletes a set, and tells so by events.
    #[must_use]
    pub fn changes_set(&self) -> bool {
        matches!(
            self,
            Self::Up(_)
                | Self::Scale(_)
                | Self::Restart(_)
                | Self::Switchover(_)
                | Self::Failover(_)
                | Self::Rejoin(_)
                | Self::Stop(_)
                | Self::Start(_)
                | Self::Down(_)
        )
    }

    /// The output formats that the command has, its default first.
    #[must_use]
    pub fn outputs(&self) -> &'static [Output] {
        outputs(self.name())
    }
}

/// The output formats of a command, its default first.
fn outputs(command: &str) -> &'static [Output] {
    match command {
        "up" | "scale" | "restart" | "switchover" | "failover" | "rejoin" | "stop" | "start"
        | "down" | "env" => &[Output::Human, Output::Json],
        "test" => &[Output::Human, Output::Json, Output::Junit],
        "status" => &[Output::Human, Output::Wide, Output::Json, Output::Yaml],
        "render" => &[Output::Human, Output::Yaml],
        "connect" => &[Output::Human, Output::Json, Output::Yaml, Output::Env],
        _ => &[Output::Human],
    }
}

/// Reads the arguments, the program's name first. An error may be `--help` or `--version`:
/// [`clap::Error::exit_code`] says how the program ends.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    let program = args.first().map_or(text::PROGRAM, |program| text::program(program));
    let mut definition = command().bin_name(program);
    // The arguments after `--` are psql's; they are checked there.
    let ours = args.iter().skip(1).take_while(|argument| *argument != "--");
    if ours.into_iter().any(|argument| holds_password(&argument.to_string_lossy())) {
        return Err(definition.error(
            ErrorKind::UnknownArgument,
            "passwords are never taken from the command line, where every process can read them: \
             set PG_PASSWORD, PG_PRIMARY_PASSWORD or PG_ROOT_PASSWORD, give a file with \
             --password-file, or let pgset generate them",
        ));
    }
    let words: Vec<String> =
        args.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let matches = definition
        .try_get_matches_from_mut(&args)
        .map_err(|error| tips::with_tips(error, &words))?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut definition))?;
    check_format(&cli, &definition)?;
    tips::check_values(&cli.command, &words, &mut definition)?;
    name::merge(&mut cli, &mut definition)?;
    Ok(cli)
}

/// Refuses a format that the command does not have. If `--output` is given after the command, the parser has
/// refused it already.
fn check_format(cli: &Cli, definition: &clap::Command) -> Result<(), clap::Error> {
    let formats = cli.command.outputs();
    let Some(output) = cli.global.output.filter(|output| !formats.contains(output)) else {
        return Ok(());
    };
    let valid = formats.iter().map(ToString::to_string).collect();
    let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(definition);
    let argument = "--output <FORMAT>".to_owned();
    error.insert(ContextKind::InvalidArg, ContextValue::String(argument));
    error.insert(ContextKind::InvalidValue, ContextValue::String(output.to_string()));
    error.insert(ContextKind::ValidValue, ContextValue::Strings(valid));
    Err(error)
}

/// An error with the usage of the command.
fn error_of(
    command: &Command,
    definition: &mut clap::Command,
    kind: ErrorKind,
    message: String,
) -> clap::Error {
    match definition.find_subcommand_mut(command.name()) {
        Some(command) => command.error(kind, message),
        None => definition.error(kind, message),
    }
}

/// `--password`, `--pg-password=x` and `PG_PASSWORD=x`. Looked for before clap does, whose own
/// errors would print the value.
fn holds_password(argument: &str) -> bool {
    let (name, value) = match argument.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (argument, None),
    };
    // These name a file, or print a password.
    if ["--password-file", "--show-password"].contains(&name) {
        return false;
    }
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    (name.starts_with("--") || value.is_some())
        && is_name
        && name.to_ascii_lowercase().contains("password")
}

#[cfg(test)]
mod tests;
