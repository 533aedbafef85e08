//! `pgset test`.

use std::time::Duration;

use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  pgset test
  pgset test --lag-limit 2s
  pgset test -o junit > pgset.xml

Runs psql inside the pods, through the set's Services.
Exit code 5 if a check fails.";

/// Arguments of `pgset test`.
#[derive(Args, Clone, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct TestArgs {
    /// How long a row written on the master may take to be read on every replica
    #[arg(long, value_name = "DURATION", default_value = "10s", allow_negative_numbers = true,
          value_parser = crate::values::duration::parse)]
    pub lag_limit: Duration,
}
