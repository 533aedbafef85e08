//! `pgset man`: one page, a section per subcommand.

use std::io::{self, Write};

use clap::{Args, Command};
use clap_mangen::Man;

use super::command;

/// Arguments of `pgset man`.
#[derive(Args, Clone, Debug, Default)]
#[command(
    after_help = "Examples:\n  pgset man > /usr/local/share/man/man1/pgset.1\n  pgset man | man -l -"
)]
pub struct ManArgs {}

/// The manual page `pgset.1`, as roff.
#[must_use]
pub fn man() -> String {
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = write(&mut page);
    String::from_utf8_lossy(&page).into_owned()
}

fn write(page: &mut Vec<u8>) -> io::Result<()> {
    let program = command();
    let main = Man::new(program.clone());
    let mut text = Vec::new();
    main.render_title(&mut text)?;
    main.render_name_section(&mut text)?;
    main.render_synopsis_section(&mut text)?;
    main.render_description_section(&mut text)?;
    main.render_options_section(&mut text)?;
    page.extend_from_slice(PREAMBLE.as_bytes());
    write_lines(page, &text, "")?;
    for subcommand in program.get_subcommands() {
        write_subcommand(page, &format!("pgset {}", subcommand.get_name()), subcommand)?;
    }
    let mut text = Vec::new();
    main.render_extra_section(&mut text)?;
    write_lines(page, &text, ".SH EXAMPLES AND NOTES")
}

fn write_subcommand(page: &mut Vec<u8>, name: &str, command: &Command) -> io::Result<()> {
    if command.has_subcommands() {
        for inner in command.get_subcommands() {
            write_subcommand(page, &format!("{name} {}", inner.get_name()), inner)?;
        }
        return Ok(());
    }
    writeln!(page, ".SH \"{}\"", name.to_uppercase())?;
    // Not built from the program, so that the global options are not repeated in every section.
    let command = command.clone().bin_name(name).disable_help_flag(true);
    let has_options = command.get_arguments().next().is_some();
    let has_arguments = command.get_positionals().any(|arg| arg.get_help_heading().is_none());
    let section = Man::new(command);
    let mut text = Vec::new();
    section.render_description_section(&mut text)?;
    section.render_synopsis_section(&mut text)?;
    if has_options {
        section.render_options_section(&mut text)?;
    }
    section.render_extra_section(&mut text)?;
    let text = String::from_utf8_lossy(&text).replace(".SH DESCRIPTION\n", "");
    // Only arguments have no heading; the library calls them options.
    let text =
        if has_arguments { text.replacen("\n.SH OPTIONS\n", "\n.SH ARGUMENTS\n", 1) } else { text };
    write_lines(page, text.replace(".SH ", ".SS ").as_bytes(), ".SS EXAMPLES")
}

/// The apostrophe, for old and new roff: `clap_mangen` repeats it before every section.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// Writes what `clap_mangen` made; its section EXTRA, the last, under another heading and with its
/// lines as they are.
fn write_lines(page: &mut Vec<u8>, text: &[u8], extra: &str) -> io::Result<()> {
    let text = String::from_utf8_lossy(text);
    let mut verbatim = false;
    for line in text.lines().filter(|line| !PREAMBLE.lines().any(|known| known == *line)) {
        match line {
            ".SH EXTRA" | ".SS EXTRA" => {
                verbatim = true;
                writeln!(page, "{extra}\n.nf")?;
            }
            "Examples:" => {}
            _ => writeln!(page, "{}", line.trim_end())?,
        }
    }
    if verbatim { writeln!(page, ".fi") } else { Ok(()) }
}
