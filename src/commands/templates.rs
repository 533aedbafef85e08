//! `pgset templates export`.

use anyhow::Context as _;

use crate::cli::{TemplatesArgs, TemplatesCommand};
use crate::context::{Context, files};
use crate::error::{Exit, Failure};
use crate::render;

/// Writes the built-in templates to a directory, as a starting point for the user's own.
pub fn run(args: &TemplatesArgs, context: &Context) -> anyhow::Result<Exit> {
    let TemplatesCommand::Export { directory } = &args.command;
    let files = render::export();
    // Never overwrite a file: the user may have edited it.
    if let Some((path, _)) = files.iter().find(|(path, _)| directory.join(path).exists()) {
        return Err(Failure::new(
            Exit::Refused,
            format!("{} already exists, nothing was written", directory.join(path).display()),
        )
        .hint("use another directory, or move the file")
        .into());
    }
    for (path, text) in files {
        let file = directory.join(path);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("creating directory {}", parent.display()))?;
        }
        files::write(&file, text, false)?;
        context.reporter.print(&format!("{}\n", file.display()))?;
    }
    context.note(format!(
        "edit the templates, delete the unchanged ones, and use the others with --templates {}",
        directory.display()
    ));
    Ok(Exit::Done)
}
