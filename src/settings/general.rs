//! Options of every command: how to connect to the cluster, how to print, how long to wait.

use std::ffi::OsString;
use std::time::Duration;

use clap::ValueEnum;

use super::sources::Sources;
use super::table::InForce;
use super::{Recipe, SettingsError, Source, Sourced};
use crate::cli::{Color, GlobalArgs, Output};
use crate::environment::{self as variables, Environment, Variable};
use crate::values::Invalid;
use crate::values::duration;

/// How long a command waits by default.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// Flags and variables that do not belong to the settings of a set.
#[derive(Clone, Debug)]
pub struct General {
    /// The kubeconfig: `--kubeconfig` is one file, `KUBECONFIG` is a list of files separated by colons.
    pub kubeconfig: Option<Sourced<OsString>>,
    /// The context. `None` is the current context of the kubeconfig.
    pub context: Option<Sourced<String>>,
    /// The output format.
    pub output: Output,
    /// When to use colors.
    pub color: Color,
    /// How long to wait.
    pub timeout: Duration,
    /// Whether to print only errors.
    pub quiet: bool,
    /// How often `-v` was given.
    pub verbosity: u8,
    /// Whether to answer every question with yes.
    pub yes: bool,
    /// The filter of the log (`PGSET_LOG`).
    pub log: Option<String>,
    /// The same settings, for the table of variables.
    pub in_force: Vec<InForce>,
}

/// Resolves [`General`] for a command. `outputs` are the output formats that the command supports; the
/// first is its default.
///
/// An unsupported format is refused if it comes from the flag. If it comes from `PGSET_OUTPUT`, which
/// applies to every command, it is ignored.
pub fn general(
    global: &GlobalArgs,
    environment: &Environment,
    outputs: &[Output],
) -> Result<General, SettingsError> {
    let recipe = Recipe::default();
    let mut sources = Sources::new(environment, &recipe);
    let kubeconfig = match &global.kubeconfig {
        Some(path) => {
            Some(Sourced { value: path.clone().into(), source: Source::Flag("--kubeconfig") })
        }
        None => environment.raw(&variables::KUBECONFIG).map(|files| Sourced {
            value: files.to_owned(),
            source: Source::Variable(variables::KUBECONFIG.name),
        }),
    };
    if let Some(Sourced { value, source }) = &kubeconfig {
        if value.is_empty() {
            let invalid = Invalid::new("must name a file");
            return Err(SettingsError::of("kubeconfig", "", source.clone(), invalid));
        }
        sources.settle(&variables::KUBECONFIG, value.to_string_lossy(), source);
    }
    let context = sources
        .given("--context", global.context.as_deref(), &[&variables::PGSET_CONTEXT])?
        .map(|given| Sourced { value: given.value.to_owned(), source: given.source });
    if let Some(Sourced { value, source }) = &context {
        if value.is_empty() {
            let invalid = Invalid::new("must name a context of the kubeconfig")
                .hint("kubectl config get-contexts");
            return Err(SettingsError::of("context", "", source.clone(), invalid));
        }
        sources.settle(&variables::PGSET_CONTEXT, value, source);
    }
    let output = output(global, &mut sources, outputs)?;
    let color = match global.color {
        Some(color) => Sourced { value: color, source: Source::Flag("--color") },
        None => one_of("color", &sources, &variables::PGSET_COLOR)?
            .unwrap_or(Sourced { value: Color::Auto, source: Source::Default }),
    };
    sources.settle(&variables::PGSET_COLOR, color.value, &color.source);
    let timeout = timeout(global, &mut sources)?;
    Ok(General {
        kubeconfig,
        context,
        output,
        color: color.value,
        timeout,
        quiet: global.quiet,
        verbosity: global.verbose,
        yes: global.yes,
        log: environment.get(&variables::PGSET_LOG)?.map(str::to_owned),
        in_force: sources.in_force,
    })
}

fn output(
    global: &GlobalArgs,
    sources: &mut Sources<'_>,
    outputs: &[Output],
) -> Result<Output, SettingsError> {
    let default = outputs.first().copied().unwrap_or(Output::Human);
    let found = match global.output {
        Some(output) if outputs.contains(&output) => {
            Sourced { value: output, source: Source::Flag("--output") }
        }
        Some(output) => {
            let known: Vec<String> = outputs.iter().map(ToString::to_string).collect();
            let invalid = Invalid::new(format!("must be {} for this command", known.join(" or ")));
            let source = Source::Flag("--output");
            return Err(SettingsError::of("output format", output.to_string(), source, invalid));
        }
        None => one_of::<Output>("output format", sources, &variables::PGSET_OUTPUT)?
            .filter(|found| outputs.contains(&found.value))
            .unwrap_or(Sourced { value: default, source: Source::Default }),
    };
    sources.settle(&variables::PGSET_OUTPUT, found.value, &found.source);
    Ok(found.value)
}

fn timeout(global: &GlobalArgs, sources: &mut Sources<'_>) -> Result<Duration, SettingsError> {
    let found = match global.timeout {
        Some(timeout) => Sourced { value: timeout, source: Source::Flag("--timeout") },
        None => match sources.variable(&[&variables::PGSET_TIMEOUT])? {
            Some(given) => {
                let value = duration::parse(given.value).map_err(|invalid| {
                    SettingsError::of("timeout", given.value, given.source.clone(), invalid)
                })?;
                Sourced { value, source: given.source }
            }
            None => Sourced { value: DEFAULT_TIMEOUT, source: Source::Default },
        },
    };
    sources.settle(&variables::PGSET_TIMEOUT, duration::display(found.value), &found.source);
    Ok(found.value)
}

/// Reads a variable that takes the same words as a flag.
pub(super) fn one_of<T: ValueEnum>(
    field: &'static str,
    sources: &Sources<'_>,
    variable: &Variable,
) -> Result<Option<Sourced<T>>, SettingsError> {
    let Some(given) = sources.variable(&[variable])? else {
        return Ok(None);
    };
    let Ok(value) = T::from_str(given.value, true) else {
        let words: Vec<String> = T::value_variants()
            .iter()
            .filter_map(|variant| Some(variant.to_possible_value()?.get_name().to_owned()))
            .collect();
        let invalid = Invalid::new(format!("must be {}", words.join(" or ")));
        return Err(SettingsError::of(field, given.value, given.source, invalid));
    };
    Ok(Some(Sourced { value, source: given.source }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &[Output] = &[Output::Human, Output::Json];

    #[test]
    fn the_flag_wins_over_the_variable_and_that_over_the_default() {
        let environment = Environment::from_pairs([
            ("PGSET_OUTPUT", "JSON"),
            ("PGSET_COLOR", "never"),
            ("PGSET_TIMEOUT", "90s"),
            ("PGSET_CONTEXT", "staging"),
            ("KUBECONFIG", "/a:/b"),
        ]);
        let found = general(&GlobalArgs::default(), &environment, JSON).unwrap();
        assert_eq!((found.output, found.color), (Output::Json, Color::Never));
        assert_eq!(found.timeout, Duration::from_secs(90));
        assert_eq!(found.context.unwrap().source, Source::Variable("PGSET_CONTEXT"));
        assert_eq!(found.kubeconfig.unwrap().value, "/a:/b");

        let flags = GlobalArgs {
            output: Some(Output::Human),
            color: Some(Color::Always),
            timeout: Some(Duration::from_secs(1)),
            context: Some("prod".to_owned()),
            kubeconfig: Some("/c".into()),
            ..GlobalArgs::default()
        };
        let found = general(&flags, &environment, JSON).unwrap();
        assert_eq!((found.output, found.color), (Output::Human, Color::Always));
        assert_eq!(found.timeout, Duration::from_secs(1));
        assert_eq!(found.context.unwrap().value, "prod");
        assert_eq!(found.kubeconfig.unwrap().source, Source::Flag("--kubeconfig"));

        let found = general(&GlobalArgs::default(), &Environment::default(), JSON).unwrap();
        assert_eq!((found.output, found.color), (Output::Human, Color::Auto));
        assert_eq!(found.timeout, DEFAULT_TIMEOUT);
    }

    #[test]
    fn a_format_that_the_command_lacks_is_refused_from_the_flag_only() {
        let flags = GlobalArgs { output: Some(Output::Junit), ..GlobalArgs::default() };
        let error = general(&flags, &Environment::default(), JSON).unwrap_err();
        assert_eq!(
            error.to_string(),
            "output format \"junit\" (from --output) must be human or json for this command"
        );
        let environment = Environment::from_pairs([("PGSET_OUTPUT", "junit")]);
        let found = general(&GlobalArgs::default(), &environment, JSON).unwrap();
        assert_eq!(found.output, Output::Human);
    }

    #[test]
    fn bad_variables_are_refused_by_name() {
        for (variable, value, message) in [
            (
                "PGSET_OUTPUT",
                "xml",
                "output format \"xml\" (from PGSET_OUTPUT) must be human or wide or json or yaml or junit or env",
            ),
            (
                "PGSET_COLOR",
                "red",
                "color \"red\" (from PGSET_COLOR) must be auto or always or never",
            ),
            (
                "PGSET_TIMEOUT",
                "soon",
                "timeout \"soon\" (from PGSET_TIMEOUT) must be a duration from 1ms to 168h, such as 90s, 10m or 1h30m (a plain number is seconds)",
            ),
        ] {
            let environment = Environment::from_pairs([(variable, value)]);
            let error = general(&GlobalArgs::default(), &environment, JSON).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let flags = GlobalArgs { context: Some(String::new()), ..GlobalArgs::default() };
        let error = general(&flags, &Environment::default(), JSON).unwrap_err();
        assert_eq!(error.field, "context");
    }
}
