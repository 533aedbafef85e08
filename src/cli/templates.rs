//! `pgset templates`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `pgset templates`.
#[derive(Args, Clone, Debug)]
pub struct TemplatesArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: TemplatesCommand,
}

/// The commands of `pgset templates`.
#[derive(Clone, Debug, Subcommand)]
pub enum TemplatesCommand {
    /// Write the built-in templates into a directory, to start from
    #[command(after_help = "\
Examples:
  pgset templates export templates
  pgset up --templates templates

Keep only what you change: a template that is missing is taken from the binary.
No file is replaced.")]
    Export {
        /// The directory; made if it is not there
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}
