//! PostgreSQL parameters that the user sets: `--set`, `--config`.

pub mod conf;
mod refused;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use super::sources::Sources;
use super::{Settings, SettingsError, Source, Sourced, computed};
use crate::environment as variables;
use crate::values::Invalid;

pub use refused::{RISKY, senders};

/// The line before the user's parameters in the set's `postgresql.conf`. If no parameters are given, pgset
/// reads them back from the lines after it.
pub const MARKER: &str = "# Settings of the user's own: pgset up --set, --config";

const FIELD: &str = "PostgreSQL setting";
const FILE: &str = "settings file";

/// PostgreSQL parameters by name, in lower case. Parameters that would break a set are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether there are no parameters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The names, for a sentence: `work_mem, max_connections`.
    #[must_use]
    pub fn names(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Formats the parameters as lines of a `postgresql.conf`. Empty if there are none.
    #[must_use]
    pub fn text(&self) -> String {
        self.iter().fold(String::new(), |text, (name, value)| {
            text + name + " = " + &conf::quote(value) + "\n"
        })
    }

    /// Reads the user's parameters, which follow [`MARKER`] in a set's `postgresql.conf`. Skips lines that
    /// `--set` would refuse; a template of the user's own or a manual edit may have added them.
    #[must_use]
    pub fn of_set(postgresql_conf: &str) -> Self {
        postgresql_conf
            .split_once(MARKER)
            .map(|(_, text)| Self::of_recorded(text))
            .unwrap_or_default()
    }

    /// The same, and the computed settings. If the user sets one of these, it has the user's value.
    #[must_use]
    pub fn shown(postgresql_conf: &str) -> Self {
        let mut shown = Self::of_set(postgresql_conf);
        let entries = conf::parse(postgresql_conf).unwrap_or_default();
        // The last line of a name applies.
        let computed = entries.into_iter().filter(|e| computed::NAMES.contains(&&*e.name));
        shown.0.extend(computed.map(|entry| (entry.name, entry.value)));
        shown
    }

    /// Reads the parameters of a recipe. Skips lines that `--set` would refuse.
    #[must_use]
    pub fn of_recorded(text: &str) -> Self {
        let entries = conf::parse(text).unwrap_or_default();
        let taken = entries.into_iter().filter(|e| refused::check(&e.name, &e.value).is_ok());
        Self(taken.map(|entry| (entry.name, entry.value)).collect())
    }

    /// The parameters without this one.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(&name.to_ascii_lowercase());
        self
    }

    /// Fills the PostgreSQL settings that were not given with the values of the running set.
    /// `postgresql_conf` is the file of the running set, if there is one.
    #[must_use]
    pub fn in_force(settings: &Settings, postgresql_conf: Option<&str>) -> Settings {
        let live = postgresql_conf.unwrap_or_default();
        let mut settings = settings.clone();
        settings.parameters.get_or_insert_with(|| Self::of_set(live));
        settings.synchronous.get_or_insert_with(|| Sourced {
            value: super::synchronous::of_set(live),
            source: Source::Derived("the running set"),
        });
        settings
    }

    /// Refuses parameters that do not fit a set with this number of pods and of synchronous replicas.
    ///
    /// # Errors
    /// With the first parameter that breaks the set.
    pub fn check_for(&self, pods: u32, synchronous: u32) -> Result<(), SettingsError> {
        for (name, value) in self.iter() {
            refused::check_for(name, value, pods, synchronous).map_err(|invalid| {
                SettingsError::of(FIELD, format!("{name}={value}"), SOURCE, invalid)
            })?;
        }
        Ok(())
    }

    /// Describes each change since `before`: `work_mem '4MB' -> '64MB'`.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let mut names: Vec<&String> = self.0.keys().chain(before.0.keys()).collect();
        names.sort();
        names.dedup();
        let changes =
            names.into_iter().filter_map(|name| match (before.get(name), self.get(name)) {
                (None, Some(now)) => Some(format!("sets {name} = {}", conf::quote(now))),
                (Some(was), None) => {
                    Some(format!("no longer sets {name} (was {})", conf::quote(was)))
                }
                (Some(was), Some(now)) if was != now => {
                    Some(format!("{name} {} -> {}", conf::quote(was), conf::quote(now)))
                }
                _ => None,
            });
        changes.collect()
    }
}

/// The source of a parameter after all sources were merged.
const SOURCE: Source = Source::Derived("--set or --config");

/// Refuses settings for an image that writes its own configuration.
pub(super) fn refuse(
    parameters: Option<&Parameters>,
    synchronous: Option<&Sourced<u32>>,
    reason: &'static str,
) -> Result<(), SettingsError> {
    let invalid = || Invalid::new(reason).hint("use the official image: --image postgres:17");
    if let Some(synchronous) = synchronous.filter(|given| given.value > 0) {
        return Err(super::synchronous::not_here(synchronous, invalid()));
    }
    match parameters.filter(|parameters| !parameters.is_empty()) {
        Some(parameters) => Err(SettingsError::of(FIELD, parameters.names(), SOURCE, invalid())),
        None => Ok(()),
    }
}

/// Reads the parameters from flags, or else from variables. Returns `None` if nothing was given: the
/// running set keeps its parameters.
///
/// `--set` takes precedence over `--config FILE`. `PGSET_CONFIG` names a file, and `PGSET_SET` contains
/// lines of such a file. A name that occurs twice in one source is refused, because one of its values would
/// have no effect.
pub(super) fn parameters(
    sources: &mut Sources<'_>,
    set: &[String],
    config: Option<&Path>,
    read_file: &dyn Fn(&Path) -> Result<String, String>,
    warnings: &mut Vec<String>,
) -> Result<Option<Parameters>, SettingsError> {
    let file = match config {
        Some(path) => Some((path.to_owned(), Source::Flag("--config"))),
        None => sources.variable(&[&variables::PGSET_CONFIG])?.map(|g| (g.value.into(), g.source)),
    };
    let lines = sources.variable(&[&variables::PGSET_SET])?;
    let recorded = sources.recorded(&variables::PGSET_SET);
    let recorded = recorded.map(|g| of_text(g.value, "recipe", "set", &g.source)).transpose()?;
    if file.is_none() && set.is_empty() && lines.is_none() {
        return Ok(recorded);
    }
    // A file is the whole list. A single setting replaces that setting only.
    let mut all = recorded.filter(|_| file.is_none()).unwrap_or_default();
    if let Some((path, source)) = file {
        let shown = path.display().to_string();
        let refused = |reason: String| {
            SettingsError::of(FILE, shown.clone(), source.clone(), Invalid::new(reason))
        };
        let text = read_file(&path).map_err(|e| refused(format!("can't be read: {e}")))?;
        all = of_text(&text, FILE, &shown, &source)?;
        sources.settle(&variables::PGSET_CONFIG, &shown, &source);
    }
    let given = if set.is_empty() {
        match lines {
            Some(lines) => {
                sources.settle(&variables::PGSET_SET, lines.value, &lines.source);
                of_text(lines.value, "variable", "PGSET_SET", &lines.source)?
            }
            None => Parameters::default(),
        }
    } else {
        let source = Source::Flag("--set");
        let given = of_flags(set, &source)?;
        sources.settle(&variables::PGSET_SET, given.text().trim_end(), &source);
        given
    };
    all.0.extend(given.0);
    warnings.extend(all.iter().filter_map(|(name, value)| refused::warning(name, value)));
    Ok(Some(all))
}

/// Parses the `name=value` arguments.
fn of_flags(set: &[String], source: &Source) -> Result<Parameters, SettingsError> {
    let mut all = BTreeMap::new();
    for text in set {
        let refused = |invalid| SettingsError::of(FIELD, text.as_str(), source.clone(), invalid);
        let Some((name, value)) = text.split_once('=') else {
            let invalid = Invalid::new("must be name=value");
            return Err(refused(invalid.hint("for example: --set work_mem=64MB")));
        };
        let (name, value) = (name.trim(), value.trim());
        conf::check_name(name).map_err(|reason| {
            refused(Invalid::new(format!("must begin with the name of a setting, which {reason}")))
        })?;
        if value.contains('\0') {
            return Err(refused(Invalid::new("must not contain a NUL character")));
        }
        let name = name.to_ascii_lowercase();
        refused::check(&name, value).map_err(refused)?;
        match all.entry(name) {
            Entry::Occupied(known) => {
                let invalid = Invalid::new(format!("must be unique: {} is set twice", known.key()));
                return Err(refused(invalid.hint("give each name once")));
            }
            Entry::Vacant(free) => free.insert(value.to_owned()),
        };
    }
    Ok(Parameters(all))
}

/// Parses the text of a file, or of the variable.
fn of_text(
    text: &str,
    field: &'static str,
    shown: &str,
    source: &Source,
) -> Result<Parameters, SettingsError> {
    let refused = |line: usize, reason: String, hint: Option<String>| {
        let reason = format!("line {line} {reason}");
        SettingsError::of(field, shown, source.clone(), Invalid { reason, hint })
    };
    if text.contains('\0') {
        return Err(SettingsError::of(field, shown, source.clone(), Invalid::new("must be text")));
    }
    let entries = conf::parse(text).map_err(|e| refused(e.line, e.reason, None))?;
    let mut all: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for conf::Entry { line, name, value } in entries {
        refused::check(&name, &value)
            .map_err(|e| refused(line, format!("has {name}, which {}", e.reason), e.hint))?;
        if let Some((first, _)) = all.get(&name) {
            let reason = format!("sets {name} again: line {first} already sets it");
            return Err(refused(line, reason, Some("keep one of them".to_owned())));
        }
        all.insert(name, (line, value));
    }
    Ok(Parameters(all.into_iter().map(|(name, (_, value))| (name, value)).collect()))
}

#[cfg(test)]
mod tests;
