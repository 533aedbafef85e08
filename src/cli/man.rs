//! `pgset man`: one page, a section per subcommand.

use std::io::{self, Write};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use super::Cli;

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
    let program = Cli::command();
    let main = Man::new(program.clone());
    main.render_title(page)?;
    main.render_name_section(page)?;
    main.render_synopsis_section(page)?;
    main.render_description_section(page)?;
    main.render_options_section(page)?;
    for subcommand in program.get_subcommands() {
        write_subcommand(page, &format!("pgset {}", subcommand.get_name()), subcommand)?;
    }
    let mut notes = Vec::new();
    main.render_extra_section(&mut notes)?;
    page.write_all(String::from_utf8_lossy(&notes).replace(".SH EXTRA", ".SH NOTES").as_bytes())
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
    let section = Man::new(command);
    let mut parts = Vec::new();
    section.render_description_section(&mut parts)?;
    section.render_synopsis_section(&mut parts)?;
    if has_options {
        section.render_options_section(&mut parts)?;
    }
    section.render_extra_section(&mut parts)?;
    for line in String::from_utf8_lossy(&parts).lines() {
        match line {
            ".SH DESCRIPTION" | ".ie \\n(.g .ds Aq \\(aq" | ".el .ds Aq '" => {}
            ".SH EXTRA" => writeln!(page, ".SS EXAMPLES")?,
            _ => writeln!(page, "{}", line.replacen(".SH ", ".SS ", 1))?,
        }
    }
    Ok(())
}
