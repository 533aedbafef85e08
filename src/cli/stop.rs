//! `pgset stop`.

use clap::Args;

use super::NameArg;

const AFTER_HELP: &str = "\
Examples:
  pgset stop
  pgset stop orders -n shop --yes

Asks first; without a terminal it needs --yes. The objects and the data of the
set are kept. `pgset start` starts as many pods as there were; `pgset status`
says who stopped the set, and when.";

/// Arguments of `pgset stop`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP, next_help_heading = "Options")]
pub struct StopArgs {
    /// Name of the set.
    #[command(flatten)]
    pub name: NameArg,
    /// Do not wait until the pods are stopped
    #[arg(long)]
    pub no_wait: bool,
}
