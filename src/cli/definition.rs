//! The definition of the command line: what the derive macros generate, with each command's own formats and
//! with the environment variable of each option.

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Arg, ArgAction, Command, CommandFactory as _, ValueEnum as _};

use super::global::HEADING;
use super::{Cli, Output, outputs};
use crate::environment::Variable;

/// The definition of the command line.
///
/// `--output` is a global option, so that it can be given before and after the command. Each command has its
/// own definition of it with the formats of this command.
#[must_use]
pub fn command() -> Command {
    let program = Cli::command()
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(help())
        .arg(
            Arg::new("version")
                .short('V')
                .long("version")
                .help_heading(HEADING)
                .help("Print the version")
                .action(ArgAction::Version),
        )
        .mut_args(with_variable);
    let output = program.get_arguments().find(|arg| arg.get_id() == "output").cloned();
    program.mut_subcommands(|command| {
        let command = command.mut_args(with_variable);
        match &output {
            Some(output) => {
                let formats = outputs(command.get_name());
                command.arg(own_output(output, formats))
            }
            None => command,
        }
    })
}

/// `--help`, in the group of the global options.
fn help() -> Arg {
    Arg::new("help")
        .short('h')
        .long("help")
        .global(true)
        .help_heading(HEADING)
        .help("Print help; --help explains every option")
        .action(ArgAction::Help)
}

/// `--output` of a command with these formats. Hidden if there is only one.
fn own_output(output: &Arg, formats: &'static [Output]) -> Arg {
    let names = formats.iter().filter_map(Output::to_possible_value);
    let parser = PossibleValuesParser::new(names).try_map(|name| Output::from_str(&name, false));
    output
        .clone()
        .value_parser(parser)
        .help("Format")
        .long_help("Output format\n\nThe default is `human`. A document goes to standard output, everything else to standard error.\n\nVariable: PGSET_OUTPUT")
        .hide_possible_values(false)
        .hide(formats.len() == 1)
}

/// Names the variable of an option in its long help: `--tls-secret` has `PGSET_TLS_SECRET`.
fn with_variable(arg: Arg) -> Arg {
    // A required option has no variable, even if another command's option of the same name has one.
    let Some(long) = arg.get_long().filter(|_| !arg.is_required_set()) else { return arg };
    let name = format!("PGSET_{}", long.to_uppercase().replace('-', "_"));
    if Variable::named(&name).is_none() {
        return arg;
    }
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    arg.long_help(format!("{help}\n\nVariable: {name}"))
}
