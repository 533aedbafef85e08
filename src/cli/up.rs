//! `pgset up`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::{NameArg, SettingsArgs};

const AFTER_HELP: &str = "\
Examples:
  pgset up
  pgset up orders -n shop --create-namespace
  pgset up --replicas 3 --storage class:fast --size 10Gi
  pgset up --postgres-version 16 --requests cpu=1,memory=2Gi
  pgset up --set work_mem=64MB --tls
  pgset up --reset limits
  pgset up --dry-run=server
  CCP_IMAGE_TAG=centos7-9.5-1.2.6 pgset up --storage hostpath:/srv/pgset

Run it again at any time: it changes what differs and nothing else.";

/// Arguments of `pgset up`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP, next_help_heading = "Options")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct UpArgs {
    /// Name of the set.
    #[command(flatten)]
    pub name: NameArg,
    /// Settings of the set.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Go back to the default of a setting; repeatable
    ///
    /// The settings of a set are recorded; what a later `pgset up` is not given stays as it is. `--reset size`
    /// forgets the recorded size, `--reset set.work_mem` one PostgreSQL setting, `--reset all` everything.
    #[arg(long, value_name = "SETTING")]
    pub reset: Vec<String>,
    /// Change nothing
    ///
    /// Prints what would be created and changed.
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true,
          default_missing_value = "client")]
    pub dry_run: Option<DryRun>,
    /// Apply the objects and do not wait
    ///
    /// Servers that are running read new PostgreSQL settings and TLS settings at the next `pgset up` without
    /// this option.
    #[arg(long)]
    pub no_wait: bool,
    /// Move the master before its pod restarts
    ///
    /// If pods restart, the replicas do so first, then the master moves as with `pgset switchover`, and the old master
    /// restarts as a replica. If --replicas would delete the master's pod, the master moves to one that stays.
    #[arg(long)]
    pub switchover: bool,
    /// Create the namespace if it does not exist
    ///
    /// An existing namespace is not changed. Needs the right to create namespaces, which are cluster-scoped.
    #[arg(long)]
    pub create_namespace: bool,
    /// File with the application's password, or -
    ///
    /// `-` is standard input. A file that every user can read is refused. Without it the password is taken
    /// from `PG_PASSWORD`, else generated: 32 letters and digits. Only for a new set: `pgset password
    /// rotate` changes the password of an existing set.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,
    /// Take over fields that another manager owns
    ///
    /// Without it, a field that was changed with another client, such as kubectl, keeps its value; if this run asks
    /// for another value, or if the set needs the field, the command ends with exit code 4.
    #[arg(long)]
    pub force_conflicts: bool,
}

/// `--dry-run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// Only read the live objects
    Client,
    /// Send the changes to the API server, which checks and discards them
    Server,
}
