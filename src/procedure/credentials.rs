//! Reads the roles and passwords from a set's Secret.

use serde_json::Value;

use super::live;
use crate::cluster::Cluster;
use crate::error::{Exit, Failure};
use crate::set::{SetIdentity, objects, passwords};
use crate::values::Secret;

/// The roles and passwords in a set's Secret.
pub(crate) struct Credentials {
    pub(crate) superuser_password: Secret,
    pub(crate) user: String,
    pub(crate) user_password: Secret,
    pub(crate) database: String,
    /// Whether a rotation of the application's password is unfinished.
    pub(crate) rotating: bool,
}

/// Reads the set's Secret.
///
/// # Errors
/// When it does not exist, can't be read, or does not belong to the set.
pub(crate) async fn secret(cluster: &Cluster, set: &SetIdentity) -> anyhow::Result<Value> {
    let name = set.secret();
    let id = objects::passwords(set);
    let Some(secret) = cluster.get(&id).await? else {
        return Err(Failure::new(Exit::Failed, format!("there is no Secret {name}"))
            .hint(format!("{}  # creates the set and its passwords", set.command("up")))
            .into());
    };
    live::check_ours(&secret, &id, set)?;
    Ok(secret)
}

/// Reads the roles and passwords from the set's Secret.
///
/// # Errors
/// The errors of [`secret`], and a missing key.
pub(crate) async fn credentials(
    cluster: &Cluster,
    set: &SetIdentity,
) -> anyhow::Result<Credentials> {
    let secret = secret(cluster, set).await?;
    let password = |key| passwords::password(&secret, key).ok_or_else(|| lacks(set, key));
    let text = |key| passwords::text(&secret, key).ok_or_else(|| lacks(set, key));
    Ok(Credentials {
        superuser_password: password(passwords::SUPERUSER_PASSWORD)?,
        user_password: password(passwords::USER_PASSWORD)?,
        user: text("user")?,
        database: text("database")?,
        rotating: passwords::password(&secret, &passwords::pending(passwords::USER_PASSWORD))
            .is_some(),
    })
}

/// The failure when a key is missing in the Secret.
pub(crate) fn lacks(set: &SetIdentity, key: &str) -> Failure {
    Failure::new(Exit::Failed, format!("Secret {} has no key {key}", set.secret()))
}
