//! `pgset completions`.

use crate::cli::{self, CompletionsArgs};
use crate::context::Context;
use crate::error::Exit;

/// Prints the completion script of a shell.
pub fn run(args: &CompletionsArgs, context: &Context) -> anyhow::Result<Exit> {
    context.reporter.print(&cli::completions(args.shell))?;
    Ok(Exit::Done)
}
