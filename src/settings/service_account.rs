//! The ServiceAccount of the pods (`--service-account`).

use super::sources::Sources;
use super::{Settings, SettingsError};
use crate::cli::SettingsArgs;
use crate::environment as variables;
use crate::values::Invalid;
use crate::values::names::is_dns_name;

impl Settings {
    /// The name of the ServiceAccount that the pods use.
    #[must_use]
    pub fn account(&self) -> String {
        self.service_account.clone().unwrap_or_else(|| self.set.service_account())
    }
}

/// The existing ServiceAccount that was set, or `None`.
///
/// # Errors
/// When no object can have this name.
pub(super) fn service_account(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
) -> Result<Option<String>, SettingsError> {
    let variable = &variables::PGSET_SERVICE_ACCOUNT;
    let given = sources.given_or_recorded(
        "--service-account",
        args.service_account.as_deref(),
        &[variable],
    )?;
    let Some(given) = given else { return Ok(None) };
    if !is_dns_name(given.value) {
        let invalid = Invalid::new("must be a name: lower-case letters, digits, dashes and dots");
        return Err(SettingsError::of("service account", given.value, given.source, invalid));
    }
    sources.settle(variable, given.value, &given.source);
    Ok(Some(given.value.to_owned()))
}
