//! `pgset down`.

use clap::Args;

const AFTER_HELP: &str = "\
Examples:
  pgset down
  pgset down --yes
  pgset down --delete-data

Shows what goes and what stays, and asks. Without a terminal it needs --yes.";

/// Arguments of `pgset down`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP)]
pub struct DownArgs {
    /// Delete claims, volumes and passwords too; asks for the set's name
    #[arg(long)]
    pub delete_data: bool,
}
