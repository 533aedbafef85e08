//! The command line: clap derive and nothing else. What values mean is settled in `settings`.

pub mod completions;
pub mod connect;
pub mod diff;
pub mod down;
pub mod env;
pub mod man;
pub mod password;
pub mod psql;
pub mod render;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod scale;
pub mod status;
pub mod templates;
pub mod test;
pub mod up;

use crate::image::ProfileName;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

pub use completions::{CompletionsArgs, Shell, completions};
pub use connect::ConnectArgs;
pub use diff::DiffArgs;
pub use down::DownArgs;
pub use env::EnvArgs;
pub use man::{ManArgs, man};
pub use password::{PasswordArgs, PasswordCommand, RoleKind, RotateArgs, ShowArgs};
pub use psql::PsqlArgs;
pub use render::RenderArgs;
#[cfg(feature = "sandbox")]
pub use sandbox::{SandboxArgs, SandboxCommand};
pub use scale::ScaleArgs;
pub use status::StatusArgs;
pub use templates::{TemplatesArgs, TemplatesCommand};
pub use test::TestArgs;
pub use up::{DryRun, UpArgs};

const AFTER_HELP: &str = "\
Examples:
  pgset up                  make the set, wait until its replicas stream
  pgset test                prove by SQL that it replicates
  pgset scale --replicas 3  add a replica
  pgset status              what runs, what is wrong
  pgset psql                open psql on the master
  pgset down                take it down, keep its data

Settings: flag, else PGSET_* variable, else the article's variable, else
default; pgset env prints them all. Passwords come from PG_PASSWORD,
PG_PRIMARY_PASSWORD and PG_ROOT_PASSWORD, or are made.

Exit codes: 0 done; 1 failed; 2 bad usage or input; 3 no cluster, or not let
in; 4 conflict, or refused for safety; 5 the test found something wrong;
70 timed out; 130 interrupted; 143 terminated. psql ends with psql's own.";

/// Run a PostgreSQL replica set on Kubernetes
#[derive(Clone, Debug, Parser)]
#[command(name = "pgset", version, after_help = AFTER_HELP, max_term_width = 100)]
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
    /// Make the set, or bring it to what the settings say, and wait until it replicates
    Up(UpArgs),
    /// Change the number of pods, and wait until the new ones stream
    Scale(ScaleArgs),
    /// Prove by SQL, from inside the cluster, that the set replicates
    Test(TestArgs),
    /// Show pods, replication, services and volumes, and what is wrong
    Status(StatusArgs),
    /// Take the set down; its data stays unless told otherwise
    Down(DownArgs),
    /// Open psql on the master or on a replica, inside its pod
    Psql(PsqlArgs),
    /// Print how to connect: URIs, and variables for libpq
    Connect(ConnectArgs),
    /// Show a password, or replace it by a new one
    Password(PasswordArgs),
    /// Print the objects that up would apply
    Render(RenderArgs),
    /// Show what up would change
    Diff(DiffArgs),
    /// Write out the built-in templates
    Templates(TemplatesArgs),
    /// Print every environment variable, with the value in force and where it comes from
    Env(EnvArgs),
    /// Try pgset without a cluster: a small Kubernetes of this machine's processes
    #[cfg(feature = "sandbox")]
    Sandbox(SandboxArgs),
    /// Print a completion script
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
}

impl Command {
    /// The output formats that the command has, its default first.
    #[must_use]
    pub fn outputs(&self) -> &'static [Output] {
        match self {
            Self::Test(_) => &[Output::Human, Output::Json, Output::Junit],
            Self::Status(_) => &[Output::Human, Output::Wide, Output::Json, Output::Yaml],
            Self::Render(_) => &[Output::Human, Output::Yaml],
            Self::Connect(_) => &[Output::Human, Output::Json, Output::Yaml, Output::Env],
            Self::Psql(_) | Self::Password(_) | Self::Completions(_) | Self::Man(_) => {
                &[Output::Human]
            }
            #[cfg(feature = "sandbox")]
            Self::Sandbox(_) => &[Output::Human],
            Self::Up(_)
            | Self::Scale(_)
            | Self::Down(_)
            | Self::Diff(_)
            | Self::Templates(_)
            | Self::Env(_) => &[Output::Human, Output::Json],
        }
    }
}

/// Flags of every command.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Kubeconfig file
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// Namespace of the set
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Name of the set [default: pgset]
    #[arg(long, global = true, value_name = "NAME")]
    pub name: Option<String>,
    /// Output format, where the command has it
    #[arg(short, long, global = true, value_name = "FORMAT")]
    pub output: Option<Output>,
    /// When to color
    #[arg(long, global = true, value_name = "WHEN")]
    pub color: Option<Color>,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: -v, -vv, -vvv
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Answer every question with yes
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// How long to wait: 90s, 10m, 1h30m, or seconds [default: 10m]
    #[arg(long, global = true, value_name = "DURATION",
          value_parser = crate::values::duration::parse, allow_negative_numbers = true)]
    pub timeout: Option<Duration>,
}

/// What only the official image's pods have.
const PODS: &str = "Pods, of the official image";

/// Flags that decide what the set is made of.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub struct SettingsArgs {
    /// Number of pods, the master included [default: what runs, else 2]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub replicas: Option<String>,
    /// The image.
    #[arg(
        long,
        value_name = "IMAGE",
        help = "Image [default: the article's when CCP_IMAGE_TAG is set, else postgres:17]"
    )]
    pub image: Option<String>,
    /// Major version of PostgreSQL, 13 to 18: the image postgres:N
    #[arg(long, value_name = "N", conflicts_with = "image", allow_negative_numbers = true)]
    pub postgres_version: Option<String>,
    /// How the image is run [default: by its name]
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<ProfileName>,
    /// Where the data lies.
    #[arg(
        long,
        value_name = "STORAGE",
        help = "Where the data lies: nfs://SERVER/PATH, hostpath:/PATH, class[:NAME] or claim:NAME"
    )]
    pub storage: Option<String>,
    /// What each claim asks for, such as 10Gi [default: 1Gi]
    #[arg(long, value_name = "QUANTITY", allow_negative_numbers = true)]
    pub size: Option<String>,
    /// Access mode of volumes and claims: ReadWriteOnce, ReadWriteMany or ReadWriteOncePod
    #[arg(long, value_name = "MODE")]
    pub access_mode: Option<String>,
    /// Prefix of the static volumes' names: pv makes pv1, pv2, pv3 [default: pv]
    #[arg(long, value_name = "PREFIX")]
    pub volume_prefix: Option<String>,
    /// A setting of PostgreSQL's, again for more [default: what runs]
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// File of PostgreSQL's settings, in the syntax of postgresql.conf
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// For how many replicas a commit waits; 0 for none [default: what runs]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub synchronous: Option<String>,
    /// Encrypt every connection, by a certificate that pgset makes and renews [default: what runs]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub tls: Option<String>,
    /// The same by a Secret of your own, with ca.crt, tls.crt and tls.key
    #[arg(long, value_name = "SECRET")]
    pub tls_secret: Option<String>,
    /// Directory of your own templates
    #[arg(long, value_name = "DIR")]
    pub templates: Option<PathBuf>,
    /// What each container is promised, such as cpu=500m,memory=1Gi
    #[arg(long, help_heading = PODS, value_name = "RESOURCES")]
    pub requests: Vec<String>,
    /// What each container can't exceed; none takes a limit away: cpu=none
    #[arg(long, help_heading = PODS, value_name = "RESOURCES")]
    pub limits: Vec<String>,
    /// Label that a node must have
    #[arg(long, help_heading = PODS, value_name = "KEY=VALUE")]
    pub node_selector: Vec<String>,
    /// Taint that the pods put up with, such as dedicated=db:NoSchedule
    #[arg(long, help_heading = PODS, value_name = "TAINT")]
    pub toleration: Vec<String>,
    /// Secret that opens the image's registry
    #[arg(long, help_heading = PODS, value_name = "SECRET")]
    pub image_pull_secret: Vec<String>,
    /// Label of every object and pod
    #[arg(long, help_heading = PODS, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Annotation of every object and pod
    #[arg(long, help_heading = PODS, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Let pods of this namespace in, and nobody else
    #[arg(long, help_heading = PODS, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub network_policy: Option<String>,
    /// How long a pod may take to stop before it is killed [default: 10m]
    #[arg(long, help_heading = PODS, value_name = "DURATION", allow_negative_numbers = true)]
    pub termination_grace_period: Option<String>,
}

/// `--output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Human,
    /// For people, with every column
    Wide,
    /// JSON, a document or a line per event
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

/// Reads the arguments, the program's name first. An error may be `--help` or `--version`:
/// [`clap::Error::exit_code`] says how the program ends.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    // What stands behind `--` is psql's; what it may hold is looked at there.
    let ours = args.iter().skip(1).take_while(|argument| *argument != "--");
    if ours.into_iter().any(|argument| holds_password(&argument.to_string_lossy())) {
        return Err(Cli::command().error(
            ErrorKind::UnknownArgument,
            "passwords are never taken from the command line, where every process can read them: \
             set PG_PASSWORD, PG_PRIMARY_PASSWORD or PG_ROOT_PASSWORD, give a file with \
             --password-file, or leave them to be made",
        ));
    }
    Cli::try_parse_from(args)
}

/// `--password`, `--pg-password=x` and `PG_PASSWORD=x`. Looked for before clap does, whose own
/// errors would print the value.
fn holds_password(argument: &str) -> bool {
    let (name, value) = match argument.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (argument, None),
    };
    // These name a file, or ask.
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
