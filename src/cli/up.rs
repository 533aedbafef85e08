//! `pgset up`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::SettingsArgs;

const AFTER_HELP: &str = "\
Examples:
  pgset up
  pgset up --replicas 3 --storage class:fast --size 10Gi
  pgset up --postgres-version 16 --requests cpu=1,memory=2Gi
  pgset up --dry-run=server
  CCP_IMAGE_TAG=centos7-9.5-1.2.6 pgset up --storage hostpath:/srv/pgset

Run again, it changes what differs and nothing else.";

/// Arguments of `pgset up`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP)]
pub struct UpArgs {
    /// Settings of the set.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Change nothing: show what would change (client), or let the API server check it too (server)
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true,
          default_missing_value = "client")]
    pub dry_run: Option<DryRun>,
    /// Apply, and do not wait
    #[arg(long)]
    pub no_wait: bool,
    /// Take the application's password from this file, or from stdin (-)
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Take over fields that another manager owns
    #[arg(long)]
    pub force_conflicts: bool,
}

/// `--dry-run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// Compare with what is there
    Client,
    /// Let the API server check, and keep nothing
    Server,
}
