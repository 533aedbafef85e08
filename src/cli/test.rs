//! `pgset test`.

use std::time::Duration;

use clap::Args;

use super::NameArg;

const AFTER_HELP: &str = "\
Examples:
  pgset test
  pgset test orders --lag-limit 2s
  pgset test -o junit > pgset.xml

Runs psql inside the pods, through the set's Services. Writes a row to a
test table and deletes the table. Exit code 5 if a check fails.";

/// Arguments of `pgset test`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP, next_help_heading = "Options")]
pub struct TestArgs {
    /// Name of the set.
    #[command(flatten)]
    pub name: NameArg,
    /// Maximum replication delay
    ///
    /// A row that was written on the master must be readable on every replica within this time. Units h, m,
    /// s and ms, or a plain number of seconds.
    #[arg(long, value_name = "DURATION", default_value = "10s", allow_negative_numbers = true,
          value_parser = crate::values::duration::parse)]
    pub lag_limit: Duration,
}
