//! `pgset down`.

use clap::Args;

use super::{DryRun, NameArg};

const AFTER_HELP: &str = "\
Examples:
  pgset down
  pgset down orders -n shop --yes
  pgset down --dry-run
  pgset down --delete-data

Shows what is deleted and what is kept, and asks. Without a terminal it needs
--yes. After `pgset down`, `pgset up` creates the set again with its data.";

/// Arguments of `pgset down`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP, next_help_heading = "Options")]
pub struct DownArgs {
    /// Name of the set.
    #[command(flatten)]
    pub name: NameArg,
    /// Delete the data and the passwords, too
    ///
    /// Deletes the claims, the volumes that pgset created, and the Secret with the passwords. This cannot be
    /// undone. You are asked to type the set's name; --yes answers that, too.
    #[arg(long)]
    pub delete_data: bool,
    /// Change nothing
    ///
    /// Asks nothing, and prints what would be deleted and what would be kept.
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true,
          default_missing_value = "client")]
    pub dry_run: Option<DryRun>,
}
