//! `pgset templates`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// Arguments of `pgset templates`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  pgset templates export templates")]
pub struct TemplatesArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: TemplatesCommand,
}

/// The commands of `pgset templates`.
#[derive(Clone, Debug, Subcommand)]
pub enum TemplatesCommand {
    /// Write the built-in templates to a directory, as a starting point
    #[command(after_help = "\
Examples:
  pgset templates export templates
  pgset up --templates templates

Delete the files that you do not change: the built-in template is used for each
missing file. Existing files are never overwritten.")]
    Export {
        /// The directory; created if it does not exist
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
}
