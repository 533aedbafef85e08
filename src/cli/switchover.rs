//! `pgset switchover`.

use clap::Args;

use super::NameArg;

const AFTER_HELP: &str = "\
Examples:
  pgset switchover                    the replica that has replayed most
  pgset switchover --to pgset-1
  pgset switchover --dry-run          show the checks, change nothing
  pgset switchover --drain node-2     only if the master is on that node
  pgset switchover --back-out         the old master stays the master

Asks first; without a terminal it needs --yes. Nothing is lost: the replica is
promoted only once it has everything that the master wrote. If the run is
interrupted, the same command completes it.";

/// Arguments of `pgset switchover`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP, next_help_heading = "Options")]
pub struct SwitchoverArgs {
    /// Name of the set.
    #[command(flatten)]
    pub name: NameArg,
    /// Pod that becomes the master
    ///
    /// The default is the replica that has replayed most.
    #[arg(long, value_name = "POD")]
    pub to: Option<String>,
    /// Move the master away from this node, if it is there
    #[arg(long, value_name = "NODE", conflicts_with = "back_out")]
    pub drain: Option<String>,
    /// Show the result of each check, change nothing
    #[arg(long, conflicts_with = "back_out")]
    pub dry_run: bool,
    /// Undo a run that was interrupted before the promotion
    #[arg(long, conflicts_with = "to")]
    pub back_out: bool,
}
