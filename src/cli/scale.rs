//! `pgset scale`.

use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  pgset scale --replicas 3
  pgset scale --replicas 1 --name orders -n shop

Fewer pods go from the top; their claims and data stay.";

/// Arguments of `pgset scale`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP)]
pub struct ScaleArgs {
    /// Number of pods, the master included
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub replicas: String,
    /// Do not wait until the pods are ready and stream
    #[arg(long)]
    pub no_wait: bool,
}
