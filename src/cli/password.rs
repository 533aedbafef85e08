//! `pgset password`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

const SHOW_HELP: &str = "\
Examples:
  pgset password show
  pgset password show superuser
  PGPASSWORD=$(pgset password show) psql -h localhost -U testuser userdb";

const ROTATE_HELP: &str = "\
Examples:
  pgset password rotate
  pgset password rotate superuser replication user
  pass show db/user | pgset password rotate user --password-file -

First the new password is put beside the old one in the Secret, then PostgreSQL
takes it, then it is the Secret's. Killed anywhere and run again, it goes on.
Sessions stay; whoever logs in afterwards needs the new password.";

const AFTER_HELP: &str = "\
Examples:
  pgset password show
  pgset password rotate";

/// Arguments of `pgset password`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct PasswordArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: PasswordCommand,
}

/// What to do with a password.
#[derive(Clone, Debug, Subcommand)]
pub enum PasswordCommand {
    /// Print a password, alone
    Show(ShowArgs),
    /// Give roles new passwords, in PostgreSQL and in the Secret
    Rotate(RotateArgs),
}

/// Arguments of `pgset password show`.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = SHOW_HELP)]
pub struct ShowArgs {
    /// Whose
    #[arg(value_name = "ROLE", default_value = "user")]
    pub role: RoleKind,
}

/// Arguments of `pgset password rotate`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = ROTATE_HELP)]
pub struct RotateArgs {
    /// Whose [default: user]
    #[arg(value_name = "ROLE")]
    pub roles: Vec<RoleKind>,
    /// Take the new password from this file, or from stdin (-) [default: made]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// A role of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum RoleKind {
    /// postgres
    Superuser,
    /// The role by which replicas stream
    Replication,
    /// The application's role
    User,
}

impl std::fmt::Display for RoleKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_possible_value().map_or(Ok(()), |value| f.pad(value.get_name()))
    }
}
