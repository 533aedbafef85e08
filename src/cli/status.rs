//! `pgset status`.

use clap::Args;

use super::NameArg;

const AFTER_HELP: &str = "\
Examples:
  pgset status
  pgset status orders -n shop
  pgset status --watch
  pgset status -o json | jq .

Checks pods, replication, Services, volumes, replication slots, transaction ids,
checksums, collations and old transactions. Each problem has a number, its limit
and the next command.

Exit code 0: healthy; 1: degraded, down or stopped.";

/// Arguments of `pgset status`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP, next_help_heading = "Options")]
pub struct StatusArgs {
    /// Name of the set.
    #[command(flatten)]
    pub name: NameArg,
    /// Show the status again after every change
    ///
    /// Until Ctrl-C, without a time limit. PostgreSQL is queried every 2 seconds.
    #[arg(short, long)]
    pub watch: bool,
}
