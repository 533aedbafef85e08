//! Names of the roles and of the database, and the passwords that were set.

use super::sources::{Sources, parse};
use super::{SettingsError, Source, Sourced};
use crate::environment::{self as variables, Variable};
use crate::image::{Capabilities, Profile};
use crate::values::{DatabaseName, RoleName, Secret};
use crate::values::{Invalid, names};

/// Names of the roles and of the database, and the passwords that were set. A password that was not set is
/// read from the live Secret, or generated if there is none.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Password of the superuser `postgres` (`PG_ROOT_PASSWORD`).
    pub superuser_password: Option<Secret>,
    /// The replication role (`PG_PRIMARY_USER`, `PG_MASTER_USER`).
    pub primary_user: RoleName,
    /// Its password.
    pub primary_password: Option<Secret>,
    /// The application's role (`PG_USER`).
    pub user: RoleName,
    /// Its password.
    pub password: Option<Secret>,
    /// The application's database (`PG_DATABASE`).
    pub database: DatabaseName,
}

impl Credentials {
    /// Whether every password was set. Then no password depends on the state of the cluster.
    #[must_use]
    pub fn all_passwords_given(&self) -> bool {
        [&self.superuser_password, &self.primary_password, &self.password]
            .iter()
            .all(|password| password.is_some())
    }
}

/// Resolves the credentials. Adds to the warnings.
pub(super) fn credentials(
    sources: &mut Sources<'_>,
    profile: &Profile,
    warnings: &mut Vec<String>,
) -> Result<Credentials, SettingsError> {
    let Capabilities { writes_unquoted_sql, default_replication_role, .. } =
        *profile.capabilities();
    let primary_given = primary_user_given(sources)?;
    let primary_user = role("replication role", primary_given, default_replication_role)?;
    let user = sources.variable_or_recorded(&[&variables::PG_USER])?;
    let user = role("application's role", user, "testuser")?;
    let database = sources
        .variable_or_recorded(&[&variables::PG_DATABASE])?
        .unwrap_or(Sourced { value: "userdb", source: Source::Default });
    let database: Sourced<DatabaseName> = parse("database", &database)?;
    if user.value == primary_user.value {
        let invalid = Invalid::new("must differ from the replication role");
        return Err(SettingsError::of(
            "application's role",
            user.value.as_str(),
            user.source,
            invalid.hint("set PG_USER and PG_PRIMARY_USER to different names"),
        ));
    }
    if writes_unquoted_sql {
        check_unquoted("replication role", primary_user.value.as_str(), &primary_user.source)?;
        check_unquoted("application's role", user.value.as_str(), &user.source)?;
        check_unquoted("database", database.value.as_str(), &database.source)?;
    }
    sources.settle(&variables::PG_PRIMARY_USER, &primary_user.value, &primary_user.source);
    sources.settle(&variables::PG_USER, &user.value, &user.source);
    sources.settle(&variables::PG_DATABASE, &database.value, &database.source);

    let mut passwords = Passwords { sources, unquoted: writes_unquoted_sql, warnings };
    Ok(Credentials {
        superuser_password: passwords.read(&variables::PG_ROOT_PASSWORD)?,
        primary_user: primary_user.value,
        primary_password: passwords.primary()?,
        user: user.value,
        password: passwords.read(&variables::PG_PASSWORD)?,
        database: database.value,
    })
}

/// Reads `PG_PRIMARY_USER` or `PG_MASTER_USER`. If both are set, they must be equal.
fn primary_user_given<'a>(
    sources: &Sources<'a>,
) -> Result<Option<Sourced<&'a str>>, SettingsError> {
    let primary = sources.variable(&[&variables::PG_PRIMARY_USER])?;
    let master = sources.variable(&[&variables::PG_MASTER_USER])?;
    if let (Some(primary), Some(master)) = (&primary, &master)
        && primary.value != master.value
    {
        let invalid = Invalid::new(format!(
            "must be the same as {} ({:?}), the older name of this variable",
            master.source, master.value
        ));
        return Err(SettingsError::of(
            "replication role",
            primary.value,
            primary.source.clone(),
            invalid.hint("unset PG_MASTER_USER"),
        ));
    }
    Ok(primary.or(master).or_else(|| sources.recorded(&variables::PG_PRIMARY_USER)))
}

fn role(
    field: &'static str,
    given: Option<Sourced<&str>>,
    default: &'static str,
) -> Result<Sourced<RoleName>, SettingsError> {
    let given = given.unwrap_or(Sourced { value: default, source: Source::Default });
    parse(field, &given)
}

fn check_unquoted(field: &'static str, name: &str, source: &Source) -> Result<(), SettingsError> {
    names::check_unquoted(name)
        .map_err(|invalid| SettingsError::of(field, name, source.clone(), invalid))
}

struct Passwords<'a, 'b> {
    sources: &'a Sources<'b>,
    unquoted: bool,
    warnings: &'a mut Vec<String>,
}

impl Passwords<'_, '_> {
    /// Reads `PG_PRIMARY_PASSWORD` or `PG_MASTER_PASSWORD`. If both are set, they must be equal.
    fn primary(&mut self) -> Result<Option<Secret>, SettingsError> {
        let primary = self.read(&variables::PG_PRIMARY_PASSWORD)?;
        let master = self.read(&variables::PG_MASTER_PASSWORD)?;
        if let (Some(primary), Some(master)) = (&primary, &master)
            && primary != master
        {
            let reason = "must be the same as PG_MASTER_PASSWORD, the older name of this variable";
            let invalid = Invalid::new(reason).hint("unset PG_MASTER_PASSWORD");
            let source = Source::Variable(variables::PG_PRIMARY_PASSWORD.name);
            return Err(SettingsError::hidden("password of the replication role", source, invalid));
        }
        Ok(primary.or(master))
    }

    /// Reads and checks a password. A variable that is set but empty is refused, unlike other variables:
    /// the user who sets it wants a password.
    fn read(&mut self, variable: &Variable) -> Result<Option<Secret>, SettingsError> {
        let Some(given) = self.sources.environment.get_even_empty(variable)? else {
            return Ok(None);
        };
        match check_password(given, self.unquoted) {
            Ok((password, warning)) => {
                let said = warning.map(|said| format!("{} {said}", variable.name));
                self.warnings.extend(said);
                Ok(Some(password))
            }
            Err(invalid) => {
                let invalid =
                    invalid.hint(format!("to generate a password: unset {}", variable.name));
                Err(SettingsError::hidden("password", Source::Variable(variable.name), invalid))
            }
        }
    }
}

/// Checks a password. Returns it, with a warning if there is one. Removes one newline at the end, because
/// files and the `$(...)` of some shells end with one.
///
/// # Errors
/// When the password is empty or has control characters, or the image does not support its characters.
pub fn check_password(
    given: &str,
    unquoted: bool,
) -> Result<(Secret, Option<&'static str>), Invalid> {
    let password = given.strip_suffix('\n').unwrap_or(given);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(Invalid::new("must not be empty"));
    }
    if unquoted && !password.bytes().all(|b| b.is_ascii_alphanumeric()) {
        let reason =
            "must contain only letters and digits: the image writes it into SQL without escaping";
        return Err(Invalid::new(reason));
    }
    if password.chars().any(char::is_control) {
        return Err(Invalid::new("must not contain control characters"));
    }
    let warning = (password == "password")
        .then_some("is the word \"password\": if none is given, pgset generates a password");
    Ok((Secret::new(password.to_owned()), warning))
}
