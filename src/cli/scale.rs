//! `pgset scale`.

use clap::Args;

use super::NameArg;

const AFTER_HELP: &str = "\
Examples:
  pgset scale --replicas 3
  pgset scale orders -n shop --replicas 1
  pgset scale --replicas 1 --switchover    the master moves if it has to

Scaling down deletes the pods with the highest numbers. Their claims and their
data are kept.";

/// Arguments of `pgset scale`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP, next_help_heading = "Options")]
pub struct ScaleArgs {
    /// Name of the set.
    #[command(flatten)]
    pub name: NameArg,
    /// Number of pods, including the master
    ///
    /// 3 is one master and two replicas. The maximum is 31, or 6 with the article's image, because of
    /// `max_wal_senders`.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub replicas: String,
    /// Do not wait until the pods are ready and stream
    ///
    /// When the number shrinks, the replication slots of the deleted replicas stay, and keep WAL on the
    /// master, until the command is run without this option.
    #[arg(long)]
    pub no_wait: bool,
    /// Move the master first if its pod would be deleted
    ///
    /// The master moves to a pod that stays, as with `pgset switchover`.
    #[arg(long)]
    pub switchover: bool,
}
