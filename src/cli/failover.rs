//! `pgset failover` and `pgset rejoin`.

use clap::Args;

use super::NameArg;

const FAILOVER_HELP: &str = "\
Examples:
  pgset failover --dry-run                 what is known, change nothing
  pgset failover                           the replica that has most
  pgset failover --node-is-off node-2      the master's node is switched off
  pgset failover --to pgset-2 --accept-data-loss
  pgset failover --back-out                the old master stays the master

For a master that does not come back; one that works is moved by switchover.
Asks first; without a terminal it needs --yes. It never continues without
proof that the old master writes no more. If the run is interrupted, the same
command completes it.";

/// Arguments of `pgset failover`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = FAILOVER_HELP, next_help_heading = "Options")]
pub struct FailoverArgs {
    /// Name of the set.
    #[command(flatten)]
    pub name: NameArg,
    /// Pod that becomes the master
    ///
    /// The default is the replica that has most of the master's WAL.
    #[arg(long, value_name = "POD")]
    pub to: Option<String>,
    /// Say that the master's node is switched off
    ///
    /// This is the proof that the old master writes no more where its node does not answer. A node that is only cut off
    /// from the cluster continues: its clients may still write to it.
    #[arg(long, value_name = "NODE", conflicts_with = "back_out")]
    pub node_is_off: Option<String>,
    /// Allow a pod that has less than another replica
    #[arg(long, requires = "to", conflicts_with = "back_out")]
    pub accept_data_loss: bool,
    /// Show what is known, change nothing
    #[arg(long, conflicts_with = "back_out")]
    pub dry_run: bool,
    /// Undo a run that was interrupted before the promotion
    #[arg(long, conflicts_with = "to")]
    pub back_out: bool,
}

const REJOIN_HELP: &str = "\
Examples:
  pgset rejoin pgset-0
  pgset rejoin pgset-0 --clone     also if its data looks right

For an old master, or a replica, that has data which the master never had.
Asks first; without a terminal it needs --yes. Its data directory is moved
beside and kept, and the pod is cloned from the master: its volume needs room
for both.";

/// Arguments of `pgset rejoin`.
#[derive(Args, Clone, Debug)]
#[command(after_help = REJOIN_HELP, next_help_heading = "Options")]
pub struct RejoinArgs {
    /// Pod that follows the master again
    ///
    /// Its name also names its set: orders-1 is a pod of the set orders.
    #[arg(value_name = "POD", help_heading = None::<&'static str>)]
    pub pod: String,
    /// Clone the pod in any case
    ///
    /// Without it, only a directory that has diverged, or that can't be read, is moved beside. Others are compared with the
    /// master, and stream.
    #[arg(long)]
    pub clone: bool,
}

impl RejoinArgs {
    /// The set of the pod.
    #[must_use]
    pub fn set_name(&self) -> Option<&str> {
        self.pod.rsplit_once('-').map(|(set, _)| set).filter(|set| !set.is_empty())
    }
}
