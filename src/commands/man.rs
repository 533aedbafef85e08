//! `pgset man`.

use crate::cli;
use crate::context::Context;
use crate::error::Exit;

/// Prints the manual page.
pub fn run(context: &Context) -> anyhow::Result<Exit> {
    context.reporter.print(&cli::man())?;
    Ok(Exit::Done)
}
