//! `pgset templates export`.

use anyhow::Context as _;

use crate::cli::{TemplatesArgs, TemplatesCommand};
use crate::context::{Context, files};
use crate::error::{Exit, Failure};
use crate::render;

/// Writes the templates in the binary to a directory, to start one's own from.
pub fn run(args: &TemplatesArgs, context: &Context) -> anyhow::Result<Exit> {
    let TemplatesCommand::Export { directory } = &args.command;
    let files = render::export();
    // Nothing that somebody may have edited is overwritten.
    if let Some((path, _)) = files.iter().find(|(path, _)| directory.join(path).exists()) {
        return Err(Failure::new(
            Exit::Refused,
            format!("{} is there already, nothing was written", directory.join(path).display()),
        )
        .hint("name another directory, or move the file away")
        .into());
    }
    for (path, text) in files {
        let file = directory.join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("making {}", parent.display()))?;
        }
        files::write(&file, text, false)?;
        context.reporter.print(&format!("{}\n", file.display()))?;
    }
    context.note(format!(
        "edit them, delete those that stay as they are, and use them with --templates {}",
        directory.display()
    ));
    Ok(Exit::Done)
}
