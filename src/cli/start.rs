//! `pgset start`.

use clap::Args;

use super::NameArg;

const AFTER_HELP: &str = "\
Examples:
  pgset start
  pgset start orders -n shop

After `pgset stop`, or if another client has scaled the set to 0. After
`pgset down`, `pgset up` starts the set again.";

/// Arguments of `pgset start`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP, next_help_heading = "Options")]
pub struct StartArgs {
    /// Name of the set.
    #[command(flatten)]
    pub name: NameArg,
    /// Do not wait until the pods are ready and stream
    #[arg(long)]
    pub no_wait: bool,
}
