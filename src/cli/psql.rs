//! `pgset psql`.

use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  pgset psql
  pgset psql --replica
  pgset psql -U testuser -d userdb
  pgset psql -- -c '\\l+'
  echo 'select 1' | pgset psql -- -At
  pgset psql < script.sql
  pgset psql -- --single-transaction < script.sql  # all of it, or nothing

psql runs in the pod as the superuser postgres, over the pod's Unix socket: this
machine needs neither kubectl, nor psql, nor a password. Files that psql names
(\\i, -f) are files of the pod; standard input is read from this machine. The
exit code is psql's.

With standard input from a file or a pipe, psql stops at the first error (exit
code 3). If the connection breaks before the end of the input, psql is ended and
its open transaction is rolled back.";

/// Arguments of `pgset psql`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP, next_help_heading = "Options")]
pub struct PsqlArgs {
    /// Connect to a replica
    ///
    /// Replicas are read-only. Without N it is any replica that is ready; N is the number of the pod: 1 for
    /// NAME-1. Without this option psql connects to the master.
    #[arg(long, value_name = "N", num_args = 0..=1)]
    pub replica: Option<Option<u32>>,
    /// Role to act as [default: postgres]
    ///
    /// psql logs in as the superuser and runs SET ROLE.
    #[arg(short = 'U', long, value_name = "ROLE")]
    pub user: Option<String>,
    /// Database [default: the application's]
    #[arg(short, long, value_name = "DATABASE")]
    pub database: Option<String>,
    /// Continue after an error
    ///
    /// Without this option psql stops at the first error if standard input is not a terminal.
    #[arg(long)]
    pub keep_going: bool,
    /// Arguments of psql, after --
    #[arg(last = true, value_name = "ARGS", help_heading = None::<&'static str>)]
    pub args: Vec<String>,
}
