//! The name of a set as an argument: `pgset status orders`.

use clap::Args;
use clap::error::ErrorKind;

use super::{Cli, Command};

/// The name of the set, for commands without another argument.
#[derive(Args, Clone, Debug, Default)]
pub struct NameArg {
    /// Name of the set, like --name [default: pgset]
    #[arg(value_name = "NAME", help_heading = None::<&'static str>)]
    pub set_name: Option<String>,
}

impl Command {
    /// The name that was given as an argument.
    fn set_name(&self) -> Option<&str> {
        let argument = match self {
            Self::Restart(args) => return args.named().0,
            Self::Rejoin(args) => return args.set_name(),
            Self::Up(args) => &args.name,
            Self::Scale(args) => &args.name,
            Self::Switchover(args) => &args.name,
            Self::Failover(args) => &args.name,
            Self::Test(args) => &args.name,
            Self::Status(args) => &args.name,
            Self::Stop(args) => &args.name,
            Self::Start(args) => &args.name,
            Self::Down(args) => &args.name,
            Self::Connect(args) => &args.name,
            Self::Diff(args) => &args.name,
            _ => return None,
        };
        argument.set_name.as_deref()
    }
}

/// Uses the argument as `--name`.
///
/// # Errors
/// When both are given and differ.
pub(super) fn merge(cli: &mut Cli, definition: &mut clap::Command) -> Result<(), clap::Error> {
    let Some(argument) = cli.command.set_name().map(str::to_owned) else { return Ok(()) };
    match &cli.global.name {
        Some(name) if *name != argument => {
            let message =
                format!("two names for one set: the argument is '{argument}', --name is '{name}'");
            Err(super::error_of(&cli.command, definition, ErrorKind::ArgumentConflict, message))
        }
        _ => {
            cli.global.name = Some(argument);
            Ok(())
        }
    }
}
