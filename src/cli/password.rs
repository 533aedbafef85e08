//! `pgset password`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

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

The new password is first stored beside the current one in the Secret, then set
in PostgreSQL, then made the current one in the Secret once the replicas have
it. PostgreSQL of the official image gets a SCRAM verifier, not the password.
If the command is interrupted, run it again: it resumes with the same password.
Open sessions stay; every new login needs the new password.";

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
    /// Print a password and nothing else
    Show(ShowArgs),
    /// Set new passwords of roles, in PostgreSQL and in the Secret
    Rotate(RotateArgs),
}

/// Arguments of `pgset password show`.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = SHOW_HELP)]
pub struct ShowArgs {
    /// superuser, replication or user
    ///
    /// The role whose password is printed: the superuser postgres, the role that replicas stream as, or the
    /// application's role.
    #[arg(value_name = "ROLE", default_value = "user", hide_possible_values = true)]
    pub role: RoleKind,
}

/// Arguments of `pgset password rotate`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = ROTATE_HELP, next_help_heading = "Options")]
pub struct RotateArgs {
    /// superuser, replication, user [default: user]
    ///
    /// The roles whose password is rotated: the superuser postgres, the role that replicas stream as, the
    /// application's role.
    #[arg(value_name = "ROLE", hide_possible_values = true, help_heading = None::<&'static str>)]
    pub roles: Vec<RoleKind>,
    /// File with the new password, or -
    ///
    /// `-` is standard input. Only for a single role. Without it the password is generated: 32 letters and
    /// digits. A file that every user can read is refused.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub password_file: Option<PathBuf>,
}

/// A role of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum RoleKind {
    /// The superuser postgres
    Superuser,
    /// The role that replicas stream as
    Replication,
    /// The application's role
    User,
}

impl std::fmt::Display for RoleKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_possible_value().map_or(Ok(()), |value| f.pad(value.get_name()))
    }
}
