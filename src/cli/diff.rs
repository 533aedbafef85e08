//! `pgset diff`.

use clap::Args;

use super::{NameArg, SettingsArgs};

const AFTER_HELP: &str = "\
Examples:
  pgset diff
  pgset diff orders -n shop
  pgset diff --image postgres:17 --size 20Gi

The API server checks the objects in a dry run. Secrets are masked.
Exit code 0: no difference; 1: there are differences; 2: bad usage or input.";

/// Arguments of `pgset diff`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP)]
pub struct DiffArgs {
    /// Name of the set.
    #[command(flatten)]
    pub name: NameArg,
    /// Settings of the set.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Go back to the default of a setting; repeatable
    ///
    /// The settings of a set are recorded; what a later `pgset up` is not given stays as it is. `--reset size`
    /// forgets the recorded size, `--reset set.work_mem` one PostgreSQL setting, `--reset all` everything.
    #[arg(long, value_name = "SETTING")]
    pub reset: Vec<String>,
}
