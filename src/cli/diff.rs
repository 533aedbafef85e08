//! `pgset diff`.

use clap::Args;

use super::SettingsArgs;

const AFTER_HELP: &str = "\
Examples:
  pgset diff
  pgset diff --image postgres:17 --size 20Gi

Asks the API server by a dry run; secrets are masked.
Exit code 0: no difference; 1: some.";

/// Arguments of `pgset diff`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP)]
pub struct DiffArgs {
    /// Settings of the set.
    #[command(flatten)]
    pub settings: SettingsArgs,
}
