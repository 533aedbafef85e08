//! `pgset password`.

use std::time::Instant;

use crate::cli::{PasswordCommand, RoleKind, RotateArgs, ShowArgs};
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::image::Capabilities;
use crate::postgres::verifier;
use crate::procedure::existing::{self, Existing};
use crate::procedure::rotate::{self, Servers, keys};
use crate::procedure::{Work, credentials, lease, live, password_file, server};
use crate::set::{SetIdentity, objects, passwords, rights};
use crate::settings::credentials::check_password;
use crate::values::Secret;

/// Shows or replaces a password.
pub async fn run(command: &PasswordCommand, context: &Context) -> anyhow::Result<Exit> {
    match command {
        PasswordCommand::Show(args) => show(*args, context).await,
        PasswordCommand::Rotate(args) => rotate(args, context).await,
    }
}

/// Prints a password and nothing else.
async fn show(args: ShowArgs, context: &Context) -> anyhow::Result<Exit> {
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let cluster = context.cluster(&target).await?;
    live::check_rights(&cluster, rights::reading_passwords(&set)).await?;
    let secret = credentials::secret(&cluster, &set).await?;
    let key = keys(args.role).password;
    let password =
        passwords::password(&secret, key).ok_or_else(|| credentials::lacks(&set, key))?;
    if passwords::password(&secret, &passwords::pending(key)).is_some_and(|next| next != password) {
        context.warn(format!(
            "a rotation was interrupted: PostgreSQL may have a newer password; to resume: {}",
            context.sibling(&format!("password rotate {}", args.role))
        ));
    }
    context.reporter.print(&format!("{}\n", password.expose()))?;
    Ok(Exit::Done)
}

/// Rotates the passwords of roles, one role after the other.
async fn rotate(args: &RotateArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let roles = roles(args)?;
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let given = match &args.password_file {
        // Check what every image accepts. What this set's image refuses is checked once the image is known.
        Some(file) => Some(password_file::password(file, false, context).await?),
        None => None,
    };
    let cluster = context.cluster(&target).await?;
    context.begin("password rotate", &set, &target, Vec::new());
    let attempt =
        async || Box::pin(rotate_all(context, &cluster, &set, &roles, given.as_ref())).await;
    lease::planned(attempt).await?;
    let names: Vec<String> = roles.iter().map(ToString::to_string).collect();
    context.finish(format!("{}: passwords rotated: {}", set.name, names.join(", ")), started);
    Ok(Exit::Done)
}

async fn rotate_all(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    roles: &[RoleKind],
    given: Option<&Secret>,
) -> anyhow::Result<()> {
    let found = existing::find(cluster, set, rights::rotating(set)).await?;
    let Some(Existing { statefulset, topology }) = found else {
        return Err(live::no_set(cluster, set, context).await.into());
    };
    let capabilities = objects::capabilities(&statefulset);
    check(capabilities, roles, given)?;
    let work = Work { context, cluster, set, topology: &topology };
    lease::check_transition(work)?;
    let master = server::master(work).await?;
    lease::hold(work).await?;
    let pods = topology.pods(set, objects::replicas(&statefulset));
    let accept_verifiers = capabilities.accepts_verifiers;
    let servers = Servers { master: &master, pods: &pods, accept_verifiers };
    for role in roles {
        rotate::rotate(work, servers, *role, given).await?;
    }
    Ok(())
}

/// The roles to rotate, sorted and without duplicates.
fn roles(args: &RotateArgs) -> Result<Vec<RoleKind>, Failure> {
    let mut roles = args.roles.clone();
    if roles.is_empty() {
        roles.push(RoleKind::User);
    }
    roles.sort();
    roles.dedup();
    if args.password_file.is_some() && roles.len() > 1 {
        let message = "--password-file sets the password of one role, but several roles are named";
        return Err(Failure::new(Exit::Usage, message)
            .hint("pgset password rotate user --password-file FILE"));
    }
    Ok(roles)
}

/// Refuses a rotation that the set's image does not support.
fn check(
    capabilities: &Capabilities,
    roles: &[RoleKind],
    given: Option<&Secret>,
) -> Result<(), Failure> {
    if let Some(reason) = capabilities.rotation_of_replication_password.refusal()
        && roles.contains(&RoleKind::Replication)
    {
        return Err(Failure::new(Exit::Refused, reason)
            .hint("pgset password rotate superuser user  # rotates the other passwords"));
    }
    let Some(given) = given else { return Ok(()) };
    let checked = check_password(given.expose(), capabilities.writes_unquoted_sql).and_then(|_| {
        if capabilities.accepts_verifiers { verifier::of(given).map(drop) } else { Ok(()) }
    });
    checked.map_err(|invalid| Failure::new(Exit::Usage, format!("the password {}", invalid.reason)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_come_once_and_one_password_is_for_one_role() {
        let of = |names: &[RoleKind], file: bool| {
            roles(&RotateArgs { roles: names.to_vec(), password_file: file.then(|| "-".into()) })
        };
        assert_eq!(of(&[], true).unwrap(), [RoleKind::User]);
        let twice = [RoleKind::User, RoleKind::Superuser, RoleKind::User];
        assert_eq!(of(&twice, false).unwrap(), [RoleKind::Superuser, RoleKind::User]);
        assert_eq!(of(&twice, true).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn crunchys_replication_password_is_refused_with_the_reason() {
        let refused =
            check(Capabilities::of_profile(None), &[RoleKind::Replication], None).unwrap_err();
        assert_eq!(refused.exit, Exit::Refused);
        assert!(refused.message.contains("recovery.conf"));
        let given = Secret::new("with-dash".to_owned());
        let refused =
            check(Capabilities::of_profile(None), &[RoleKind::User], Some(&given)).unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(!refused.message.contains("with-dash"));
        assert!(
            check(Capabilities::of_profile(None), &[RoleKind::User, RoleKind::Superuser], None)
                .is_ok()
        );
    }
}
