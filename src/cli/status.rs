//! `pgset status`.

use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  pgset status
  pgset status --watch
  pgset status -o json | jq .

Exit code 0: healthy; 1: degraded or down.";

/// Arguments of `pgset status`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP)]
pub struct StatusArgs {
    /// Show it again whenever it changes, until Ctrl-C
    #[arg(short, long)]
    pub watch: bool,
}
