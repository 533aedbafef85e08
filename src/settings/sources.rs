//! Looks up a setting: first the flag, then its variables in order.

use std::str::FromStr;

use super::table::InForce;
use super::{Recipe, SettingsError, Source, Sourced};
use crate::environment::{Environment, Variable};
use crate::values::Invalid;

/// The environment, the recipe of the set, and a record of all resolved settings.
pub(super) struct Sources<'a> {
    pub(super) environment: &'a Environment,
    pub(super) recipe: &'a Recipe,
    pub(super) in_force: Vec<InForce>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(environment: &'a Environment, recipe: &'a Recipe) -> Self {
        Self { environment, recipe, in_force: Vec::new() }
    }

    /// The value of a setting in the recipe. It takes precedence over the default only.
    pub(super) fn recorded(&self, variable: &Variable) -> Option<Sourced<&'a str>> {
        let value = self.recipe.get(variable)?;
        Some(Sourced { value, source: Source::Recorded })
    }

    /// The same as [`Sources::given`]; if nothing was given, the value of the first variable's setting in the
    /// recipe.
    pub(super) fn given_or_recorded(
        &self,
        flag: &'static str,
        value: Option<&'a str>,
        variables: &[&Variable],
    ) -> Result<Option<Sourced<&'a str>>, SettingsError> {
        match value {
            Some(_) => self.given(flag, value, variables),
            None => self.variable_or_recorded(variables),
        }
    }

    /// The same without a flag.
    pub(super) fn variable_or_recorded(
        &self,
        variables: &[&Variable],
    ) -> Result<Option<Sourced<&'a str>>, SettingsError> {
        let recorded = || variables.first().and_then(|variable| self.recorded(variable));
        Ok(self.variable(variables)?.or_else(recorded))
    }

    /// Returns the flag's value, or else the value of the first variable that is set.
    pub(super) fn given(
        &self,
        flag: &'static str,
        value: Option<&'a str>,
        variables: &[&Variable],
    ) -> Result<Option<Sourced<&'a str>>, SettingsError> {
        if let Some(value) = value {
            return Ok(Some(Sourced { value, source: Source::Flag(flag) }));
        }
        self.variable(variables)
    }

    /// Returns the value of the first variable that is set.
    pub(super) fn variable(
        &self,
        variables: &[&Variable],
    ) -> Result<Option<Sourced<&'a str>>, SettingsError> {
        for variable in variables {
            if let Some(value) = self.environment.get(variable)? {
                return Ok(Some(Sourced { value, source: Source::Variable(variable.name) }));
            }
        }
        Ok(None)
    }

    /// Records the value in force for the setting of a variable.
    pub(super) fn settle(
        &mut self,
        variable: &Variable,
        value: impl std::fmt::Display,
        source: &Source,
    ) {
        self.in_force.push(InForce {
            variable: variable.name,
            value: value.to_string(),
            source: source.clone(),
        });
    }

    /// The variables of the settings that were given by flag or by variable.
    pub(super) fn asked(&self) -> Vec<&'static str> {
        let given = self.in_force.iter().filter(|setting| setting.source.is_given());
        given.map(|setting| setting.variable).collect()
    }
}

/// Parses a given value. The error names the field and the source.
pub(super) fn parse<T: FromStr<Err: Into<Invalid>>>(
    field: &'static str,
    given: &Sourced<&str>,
) -> Result<Sourced<T>, SettingsError> {
    match given.value.parse() {
        Ok(value) => Ok(Sourced { value, source: given.source.clone() }),
        Err(error) => {
            Err(SettingsError::of(field, given.value, given.source.clone(), error.into()))
        }
    }
}
