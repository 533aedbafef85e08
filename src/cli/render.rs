//! `pgset render`.

use std::path::PathBuf;

use clap::Args;

use super::SettingsArgs;

const AFTER_HELP: &str = "\
Examples:
  pgset render | kubectl apply --dry-run=server -f -
  pgset render --output-dir manifests
  pgset render --list

Talks to no cluster. The Secret is left out unless --show-secrets is given.";

/// Arguments of `pgset render`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = AFTER_HELP)]
pub struct RenderArgs {
    /// Settings of the set.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Name each template and where it comes from, and render nothing
    #[arg(long, conflicts_with_all = ["output_dir", "show_secrets"])]
    pub list: bool,
    /// Write a file per object into this directory
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
    /// Print the Secret, too: it holds the passwords
    #[arg(long)]
    pub show_secrets: bool,
}
