//! Runs pgset: from the command line to an exit code.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;

use crate::cli::{self, Cli, Command, PasswordCommand};
use crate::commands;
use crate::complete;
use crate::context::Context;
use crate::context::lease::{LeaseSlot, PlanAgain};
use crate::environment::{self, Environment};
use crate::error::{self, Diagnose, Diagnosed, Exit, Failure, Report};
use crate::event::Event;
use crate::interrupt;
use crate::postgres::connections;
use crate::prompt;
use crate::report::{self, Display, Reporter, Terminal};
use crate::settings::general::{General, general};
use crate::text;

/// The number of the error of a closed pipe.
const BROKEN_PIPE: i32 = rustix::io::Errno::PIPE.raw_os_error();

/// Runs the program. The first argument is the program's name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Not generic from here on: the program would be compiled a second time for its only caller.
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    run(&arguments)
}

fn run(arguments: &[OsString]) -> ExitCode {
    let program = arguments.first().map_or(text::PROGRAM, |program| text::program(program));
    let early = |error: &anyhow::Error| early(error, program);
    let environment = Environment::read();
    match complete::run(arguments, &environment) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        // An unknown shell is of the same kind, but no error of the operating system.
        Err(error) if error.to_string().contains("(os error ") => {
            return unwritten(&error, program);
        }
        Err(error) => return usage(&error, program),
    }
    let cli = match crate::cli::parse(arguments.to_vec()) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, program),
    };
    let general = match general(&cli.global, &environment, cli.command.outputs()) {
        Ok(general) => general,
        Err(error) => return early(&error.into()),
    };
    let display = match display(&general, &cli.command, &environment, program) {
        Ok(display) => display,
        Err(error) => return early(&error),
    };
    if let Err(error) = log(&general) {
        return early(&error);
    }
    let reporter = Reporter::new(display);
    // Their output does not depend on settings.
    if !matches!(cli.command, Command::Completions(_) | Command::Man(_)) {
        environment
            .warnings()
            .into_iter()
            .for_each(|warning| reporter.emit(Event::warning(warning)));
    }
    let exit = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(supervise(
                cli,
                general,
                environment,
                reporter.clone(),
                crate::context::command_line::command_line(arguments),
            ));
            // A prompt that still waits for input must not delay the exit.
            runtime.shutdown_background();
            exit
        }
        Err(error) => return early(&error.into()),
    };
    match reporter.finish() {
        Ok(()) => ExitCode::from(exit.code()),
        // A reader of the events must not mistake an incomplete stream for a complete one.
        Err(error) => {
            let done = if exit == Exit::Done { "is done, but" } else { "failed, and" };
            let what = format!(
                "the command {done} some of its events could not be written to standard output"
            );
            let code = early(&anyhow::Error::new(error).context(what));
            if exit == Exit::Done { code } else { ExitCode::from(exit.code()) }
        }
    }
}

/// Runs the command. The second signal cancels it.
async fn supervise(
    cli: Cli,
    general: General,
    environment: Environment,
    reporter: Reporter,
    again: String,
) -> Exit {
    let (interrupter, interrupt) = interrupt::channel();
    let context = Context {
        prompt: Arc::from(prompt::choose(general.yes)),
        global: cli.global,
        general,
        environment,
        reporter: reporter.clone(),
        interrupt,
        again,
        lease: LeaseSlot::default(),
    };
    let command = cli.command;
    // Commands that only read have nothing to clean up: the first signal ends them.
    let reads = !command.changes_set()
        && !matches!(
            command,
            Command::Test(_)
                | Command::Password(cli::PasswordArgs { command: PasswordCommand::Rotate(_) })
        );
    // The sandbox must stop its processes in order.
    #[cfg(feature = "sandbox")]
    let reads = reads && !matches!(command, Command::Sandbox(_));
    let interrupt = context.interrupt.clone();
    let result = tokio::select! {
        // If a signal and an error arrive at the same time, the signal takes precedence.
        biased;
        signal = interrupter.listen() => match signal {
            Ok(exit) => Ok(exit),
            Err(error) => Err(error.into()),
        },
        exit = interrupt.wait(), if reads => return exit,
        result = dispatch(&command, &context) => result,
    };
    context.lease.release().await;
    match result {
        Ok(exit) => exit,
        Err(error) => match (failed(&reporter, &error, &context), &command) {
            // As in `kubectl diff`, exit code 1 means that there are differences, so an error needs another
            // code.
            (Exit::Failed, Command::Diff(_)) => Exit::Usage,
            (exit, _) => exit,
        },
    }
}

async fn dispatch(command: &Command, context: &Context) -> anyhow::Result<Exit> {
    match command {
        Command::Up(args) => Box::pin(commands::up::run(args, context)).await,
        Command::Scale(args) => commands::scale::run(args, context).await,
        Command::Restart(args) => commands::restart::run(args, context).await,
        Command::Switchover(args) => commands::switchover::run(args, context).await,
        Command::Failover(args) => commands::failover::run(args, context).await,
        Command::Rejoin(args) => commands::rejoin::run(args, context).await,
        Command::Test(args) => Box::pin(commands::test::run(args, context)).await,
        Command::Status(args) => commands::status::run(args, context).await,
        Command::Stop(args) => commands::stop::run(args, context).await,
        Command::Start(args) => commands::start::run(args, context).await,
        Command::Down(args) => commands::down::run(args, context).await,
        Command::Psql(args) => Box::pin(commands::psql::run(args, context)).await,
        Command::Connect(args) => commands::connect::run(args, context).await,
        Command::Password(args) => commands::password::run(&args.command, context).await,
        Command::Render(args) => commands::render::run(args, context).await,
        Command::Diff(args) => Box::pin(commands::diff::run(args, context)).await,
        Command::Env(args) => commands::env::run(args, context).await,
        #[cfg(feature = "sandbox")]
        Command::Sandbox(args) => commands::sandbox::run(args, context).await,
        Command::Templates(args) => commands::templates::run(args, context),
        Command::Completions(args) => commands::completions::run(args, context),
        Command::Man(_) => commands::man::run(context),
    }
}

/// Every error type of pgset that implements `Diagnose`. A type that is missing here loses its exit code and
/// hints.
fn diagnosed<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a dyn Diagnose> {
    let types: &[Diagnosed] = &[
        error::diagnosed::<Failure>,
        error::diagnosed::<PlanAgain>,
        error::diagnosed::<crate::prompt::PromptError>,
        error::diagnosed::<crate::cluster::ClusterError>,
        error::diagnosed::<crate::settings::SettingsError>,
        error::diagnosed::<crate::image::ImageError>,
        error::diagnosed::<crate::render::RenderError>,
        error::diagnosed::<crate::manifest::ManifestError>,
        error::diagnosed::<crate::plan::Refusal>,
        error::diagnosed::<crate::postgres::ScriptError>,
        error::diagnosed::<crate::postgres::identity::NoIdentifier>,
        #[cfg(feature = "sandbox")]
        error::diagnosed::<crate::sandbox::place::PlaceError>,
        #[cfg(feature = "sandbox")]
        error::diagnosed::<crate::sandbox::nodes::NodeError>,
    ];
    types.iter().find_map(|diagnosed| diagnosed(error))
}

fn failed(reporter: &Reporter, error: &anyhow::Error, context: &Context) -> Exit {
    let mut failure = Report::of(error, diagnosed);
    add_limit(&mut failure);
    for hint in &mut failure.hints {
        *hint = context.for_set(hint).into_owned();
    }
    let exit = failure.exit;
    let text = report::failure::render(&failure, false, None) + "\n";
    reporter.emit(Event::Failed { failure });
    if reporter.has_lost_events() {
        // The last event is lost, too, so this is the only place that shows the reason.
        let _ = std::io::stderr().write_all(context.for_set(&text).as_bytes());
    }
    exit
}

/// Adds what to do if the server accepts no more connections: every command that runs SQL can fail for that reason.
fn add_limit(failure: &mut Report) {
    if failure.hints.iter().any(|hint| hint.contains("max_connections")) {
        return;
    }
    let said = [&failure.error].into_iter().chain(&failure.caused_by).chain(&failure.details);
    // Lines of a log are indented. They may be older than the failure.
    let said = said.filter(|line| !line.starts_with("  "));
    let hints = said.map(|line| connections::hints(line, None)).find(|hints| !hints.is_empty());
    failure.hints.splice(0..0, hints.unwrap_or_default());
}

/// Prints an error that occurs before the output format is known.
fn early(error: &anyhow::Error, program: &str) -> ExitCode {
    let report = Report::of(error, diagnosed);
    let text = report::failure::render(&report, false, None) + "\n";
    let text = text::as_called(&text, program);
    // If writing to stderr fails, there is no other way to report the error.
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(report.exit.code())
}

/// Prints help, the version or a usage error. Exits with 0 for `--help` and `--version`, and with a usage error
/// for everything else.
fn usage(error: &clap::Error, program: &str) -> ExitCode {
    let printed = if program == text::PROGRAM { error.print() } else { print_as(error, program) };
    // A part of the text may still be in the buffer of standard output.
    let printed = printed.and_then(|()| std::io::stdout().flush());
    match (error.kind(), printed) {
        (ErrorKind::DisplayHelp | ErrorKind::DisplayVersion, Ok(())) => ExitCode::SUCCESS,
        (ErrorKind::DisplayHelp | ErrorKind::DisplayVersion, Err(error)) => {
            unwritten(&error, program)
        }
        // If writing to stderr fails, there is no other way to report the error.
        _ => ExitCode::from(Exit::Usage.code()),
    }
}

/// Reports that standard output could not be written. A reader that has closed the pipe, as `head` does, has what it
/// needs.
fn unwritten(error: &dyn std::error::Error, program: &str) -> ExitCode {
    let text = error.to_string();
    let text = text.trim().trim_start_matches("error: ");
    // clap keeps only the text of the error.
    let closed = std::io::Error::from_raw_os_error(BROKEN_PIPE).to_string();
    if text == closed {
        return ExitCode::SUCCESS;
    }
    let message = format!("standard output could not be written: {text}");
    early(&Failure::new(Exit::Failed, message).into(), program)
}

/// Prints help or an error with the commands as the user calls the program.
fn print_as(error: &clap::Error, program: &str) -> std::io::Result<()> {
    let stderr = error.use_stderr();
    let colors = if stderr { console::colors_enabled_stderr() } else { console::colors_enabled() };
    let rendered = error.render();
    let rendered = if colors { rendered.ansi().to_string() } else { rendered.to_string() };
    let text = text::as_called(&rendered, program);
    if stderr {
        std::io::stderr().write_all(text.as_bytes())
    } else {
        std::io::stdout().write_all(text.as_bytes())
    }
}

fn display(
    general: &General,
    command: &Command,
    environment: &Environment,
    program: &'static str,
) -> anyhow::Result<Display> {
    // Commands that print a document on stdout show their events in the human format.
    let events = command.changes_set();
    let flags = report::Flags {
        output: match general.output {
            cli::Output::Json if events => report::Output::Json,
            _ => report::Output::Human,
        },
        color: match general.color {
            cli::Color::Auto => report::ColorChoice::Auto,
            cli::Color::Always => report::ColorChoice::Always,
            cli::Color::Never => report::ColorChoice::Never,
        },
        quiet: general.quiet,
        verbose: general.verbosity,
        program,
    };
    let terminal = Terminal {
        ci: environment.is_set(&environment::CI),
        no_color: environment.is_set(&environment::NO_COLOR),
        clicolor_force: environment.get(&environment::CLICOLOR_FORCE)?.is_some_and(|v| v != "0"),
        term_dumb: environment.get(&environment::TERM)?.is_none_or(|term| term == "dumb"),
        ..Terminal::attached()
    };
    Ok(report::display(flags, terminal))
}

/// Sets up logging: `-vv` logs requests, `-vvv` more, `-vvvv` everything that the libraries log.
/// `PGSET_LOG` overrides these. Headers and bodies are never logged, because they contain secrets.
fn log(general: &General) -> anyhow::Result<()> {
    let filter = match (&general.log, general.verbosity) {
        (Some(filter), _) => filter.as_str(),
        // With one -v the events are told in full, which is not a log.
        (None, 0 | 1) => return Ok(()),
        (None, 2) => "pgset=debug",
        (None, 3) => "pgset=trace,kube=debug",
        (None, _) => "pgset=trace,kube=debug,kube_client=debug,kube_runtime=debug,hyper_util=debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .map_err(|e| Failure::new(Exit::Usage, format!("PGSET_LOG is not a valid filter: {e}")))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .finish();
    // Fails only if a subscriber is already set, which happens only in tests.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_server_is_explained_whichever_command_met_it() {
        let full =
            "PostgreSQL in pod pgset-0 does not answer: FATAL:  sorry, too many clients already";
        let report = |failure: Failure| {
            let mut report = Report::of(&failure.into(), diagnosed);
            add_limit(&mut report);
            report.hints
        };
        let failure = || Failure::new(Exit::Failed, "there is no master").hint("pgset status");
        let hints = report(failure().details([full]));
        assert!(hints[0].contains("max_connections"), "{hints:?}");
        assert_eq!(hints.last().unwrap(), "pgset status");
        assert_eq!(report(failure()), ["pgset status"]);
        assert_eq!(report(failure().details([format!("  {full}")])), ["pgset status"]);
        // The command that failed knows the value.
        let known = failure().details([full]).hint("max_connections is 100");
        assert_eq!(report(known), ["pgset status", "max_connections is 100"]);
    }
}
