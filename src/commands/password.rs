//! `pgset password`.

use crate::procedure::server;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use serde_json::{Value, json};

use crate::cli::{PasswordCommand, RoleKind, RotateArgs, ShowArgs};
use crate::cluster::Cluster;
use crate::cluster::exec::Exec;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::image::Profile;
use crate::postgres::{Script, rotation};
use crate::procedure::{live, password_file, role, sql, tls, wait};
use crate::readiness;
use crate::set::SetIdentity;
use crate::set::objects;
use crate::set::passwords;
use crate::set::rights;
use crate::values::Secret;

/// How often somebody else may change the Secret under a rotation.
const CONFLICTS: usize = 20;
/// How long a pod may take for its passfile, and a login with it.
const PASSFILE_WITHIN: Duration = Duration::from_secs(30);
/// How long a replica may take to stream again.
const STREAMING_WITHIN: Duration = Duration::from_secs(30);

/// Shows or replaces a password.
pub async fn run(command: &PasswordCommand, context: &Context) -> anyhow::Result<Exit> {
    match command {
        PasswordCommand::Show(args) => show(*args, context).await,
        PasswordCommand::Rotate(args) => rotate(args, context).await,
    }
}

/// The Secret's keys of a role.
#[derive(Clone, Copy)]
struct Keys {
    /// The password.
    password: &'static str,
    /// The role's name; none where the name never changes.
    name: Option<&'static str>,
}

fn keys(role: RoleKind) -> Keys {
    match role {
        RoleKind::Superuser => Keys { password: passwords::SUPERUSER_PASSWORD, name: None },
        RoleKind::Replication => {
            Keys { password: passwords::PRIMARY_PASSWORD, name: Some("primary-user") }
        }
        RoleKind::User => Keys { password: passwords::USER_PASSWORD, name: Some("user") },
    }
}

/// Prints a password, alone.
async fn show(args: ShowArgs, context: &Context) -> anyhow::Result<Exit> {
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let cluster = context.cluster(&target).await?;
    live::check_rights(&cluster, rights::reading_passwords(&set)).await?;
    let secret = sql::secret(&cluster, &set).await?;
    let key = keys(args.role).password;
    let password = passwords::password(&secret, key).ok_or_else(|| lacks(&set, key))?;
    if passwords::password(&secret, &passwords::pending(key)).is_some_and(|next| next != password) {
        context.warn(format!(
            "a rotation was interrupted, so PostgreSQL may have a newer one already: {} goes on",
            context.sibling(&format!("password rotate {}", args.role))
        ));
    }
    context.reporter.print(&format!("{}\n", password.expose()))?;
    Ok(Exit::Done)
}

fn lacks(set: &SetIdentity, key: &str) -> Failure {
    Failure::new(Exit::Failed, format!("Secret {} has no key {key}", set.secret()))
}

/// What a rotation works on.
struct Rotation<'a> {
    context: &'a Context,
    cluster: &'a Cluster,
    set: &'a SetIdentity,
    master: String,
}

/// Gives roles new passwords, one role after the other.
async fn rotate(args: &RotateArgs, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let roles = roles(args)?;
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let read = match &args.password_file {
        // What every image takes; what this one doesn't is refused when it is known.
        Some(file) => Some(password_file::password(file, false, context).await?),
        None => None,
    };
    let cluster = context.cluster(&target).await?;
    context.begin("password rotate", &set, &target);
    let id = objects::statefulset(&set);
    let (missing, statefulset) =
        futures::join!(live::check_rights(&cluster, rights::rotating(&set)), cluster.get(&id));
    missing?;
    let statefulset = statefulset?.ok_or_else(|| live::no_set(&set, context))?;
    live::check_ours(&statefulset, &id, &set)?;
    if is_crunchy(&statefulset) {
        check_crunchy(&roles, read.as_ref())?;
    }
    let master = server::master(context, &cluster, &set).await?;
    let rotation = Rotation { context, cluster: &cluster, set: &set, master };
    for role in &roles {
        rotation.one(*role, read.as_ref()).await?;
    }
    let names: Vec<String> = roles.iter().map(ToString::to_string).collect();
    context.finish(format!("{}: new password of {}", set.name, names.join(", ")), started);
    Ok(Exit::Done)
}

/// Which roles, in their order, each once.
fn roles(args: &RotateArgs) -> Result<Vec<RoleKind>, Failure> {
    let mut roles = args.roles.clone();
    if roles.is_empty() {
        roles.push(RoleKind::User);
    }
    roles.sort();
    roles.dedup();
    if args.password_file.is_some() && roles.len() > 1 {
        let message = "one password for several roles: --password-file is for one role at a time";
        return Err(Failure::new(Exit::Usage, message)
            .hint("pgset password rotate user --password-file FILE"));
    }
    Ok(roles)
}

/// Whether Crunchy's entry point runs the set, and not a bootstrap of pgset's.
pub(crate) fn is_crunchy(statefulset: &Value) -> bool {
    role::profile(statefulset) != Some(Profile::POSTGRES)
}

fn check_crunchy(roles: &[RoleKind], given: Option<&Secret>) -> Result<(), Failure> {
    if roles.contains(&RoleKind::Replication) {
        let message = "the replication password of Crunchy's images can't be replaced: each replica keeps it in its recovery.conf from the time when it was cloned, and would not find its master again";
        return Err(Failure::new(Exit::Refused, message)
            .hint("pgset password rotate superuser user  # the others can be"));
    }
    if let Some(given) = given
        && let Err(invalid) = crate::settings::credentials::check_password(given.expose(), true)
    {
        return Err(Failure::new(Exit::Usage, format!("the password {}", invalid.reason)));
    }
    Ok(())
}

impl Rotation<'_> {
    /// Gives one role a new password.
    ///
    /// The new password is kept beside the old one before anything is done with it, and until all is
    /// done: it is known whenever this is killed, and the next run goes on with it. Each write of the
    /// Secret names the version that was read: two rotations at once come out as one after the other,
    /// never as a password that nobody knows.
    async fn one(&self, role: RoleKind, given: Option<&Secret>) -> anyhow::Result<()> {
        let keys = keys(role);
        let made = Secret::random();
        for _ in 0..CONFLICTS {
            let mut secret = sql::secret(self.cluster, self.set).await?;
            let name = match keys.name {
                Some(key) => passwords::text(&secret, key).ok_or_else(|| lacks(self.set, key))?,
                None => "postgres".to_owned(),
            };
            let pending = passwords::password(&secret, &passwords::pending(keys.password));
            if given.is_none() && pending.as_ref().is_some_and(|pending| *pending != made) {
                self.context.note(format!("{role}: an interrupted rotation goes on"));
            }
            let next = given.or(pending.as_ref()).unwrap_or(&made);
            if pending.as_ref() != Some(next) {
                let Some(written) = self.write(&secret, keys, next, Step::Keep).await? else {
                    continue;
                };
                secret = written;
            }
            self.check_interrupt(
                "the new password is kept in the Secret, and is not in force yet",
            )?;
            self.alter(&name, next).await?;
            let Some(written) = self.write(&secret, keys, next, Step::Promote).await? else {
                continue;
            };
            self.context.note(format!(
                "{role}: {name} has its new password, in PostgreSQL and in Secret {}",
                self.set.secret()
            ));
            match role {
                RoleKind::Replication => self.passfiles(&name, next).await?,
                RoleKind::Superuser | RoleKind::User => self.verify(&name, next).await?,
            }
            if self.write(&written, keys, next, Step::Clear).await?.is_some() {
                return Ok(());
            }
        }
        let message =
            format!("Secret {} is changed by somebody else all the time", self.set.secret());
        Err(Failure::new(Exit::Refused, message).hint(self.context.again.clone()).into())
    }

    /// Gives each pod the passfile that its replica logs in with, and logs in with it.
    ///
    /// A pod that does not run reads the Secret when it starts.
    async fn passfiles(&self, name: &str, password: &Secret) -> anyhow::Result<()> {
        let line = rotation::passfile_line(name, password);
        for pod in live::pods(self.cluster, self.set).await? {
            let Some(ordinal) = live::ordinal(self.set, &pod) else { continue };
            let pod_name = self.set.pod(ordinal);
            if !readiness::is_ready(&pod) {
                self.context
                    .note(format!("{pod_name} is not ready: it reads the Secret when it starts"));
                continue;
            }
            let exec = Exec {
                namespace: self.set.namespace.as_str(),
                pod: &pod_name,
                container: sql::CONTAINER,
                argv: rotation::write_passfile(name),
                stdin: line.clone(),
                timeout: PASSFILE_WITHIN,
            };
            let output = self.cluster.exec(exec).await?;
            if output.code != 0 {
                let said = output.stderr.trim().lines().last().unwrap_or("no message").to_owned();
                let message =
                    format!("{pod_name}: {name} can't log in with its new passfile: {said}");
                return Err(Failure::new(Exit::Failed, message)
                    .hint(format!("{}  # goes on with the same password", self.context.again))
                    .into());
            }
        }
        self.streaming().await
    }

    /// Waits until every ready replica streams; none has had a reason to stop.
    async fn streaming(&self) -> anyhow::Result<()> {
        let pods: Vec<(String, String)> = live::pods(self.cluster, self.set)
            .await?
            .iter()
            .filter(|pod| readiness::is_ready(pod) && wait::role(pod) == Some(&self.set.replica()))
            .filter_map(|pod| {
                Some((pod.metadata.name.clone()?, pod.status.as_ref()?.pod_ip.clone()?))
            })
            .collect();
        let until = tokio::time::Instant::now() + STREAMING_WITHIN;
        loop {
            let (cluster, namespace) = (self.cluster.clone(), self.set.namespace.to_string());
            let seen = sql::streaming(cluster, namespace, self.master.clone(), pods.clone()).await;
            let streams =
                |pod: &str| seen.replicas.iter().any(|r| r.pod == pod && r.state == "streaming");
            let missing: Vec<&str> =
                pods.iter().map(|(pod, _)| pod.as_str()).filter(|pod| !streams(pod)).collect();
            if missing.is_empty() && seen.error.is_none() {
                return Ok(());
            }
            if tokio::time::Instant::now() >= until {
                let reason =
                    seen.error.unwrap_or_else(|| format!("{} does not", missing.join(", ")));
                let message = format!("not every replica streams: {reason}");
                return Err(Failure::new(Exit::Failed, message)
                    .hint(self.context.sibling("status"))
                    .into());
            }
            tokio::time::sleep(sql::LOOK_EVERY).await;
        }
    }

    fn check_interrupt(&self, done: &str) -> Result<(), Failure> {
        self.context.interrupt.check(|| done.to_owned(), &self.context.again)
    }

    /// Writes the Secret, if it is still what was read; none when it is not.
    async fn write(
        &self,
        read: &Value,
        keys: Keys,
        password: &Secret,
        step: Step,
    ) -> anyhow::Result<Option<Value>> {
        let patch = patch(read, keys.password, password, step);
        match self.cluster.merge(&objects::passwords(self.set), &patch, false).await {
            Ok(written) => Ok(Some(written)),
            Err(error) if error.is_conflict() => Ok(None),
            Err(error) => Err(error).context("writing the new password into the Secret"),
        }
    }

    async fn alter(&self, name: &str, password: &Secret) -> anyhow::Result<()> {
        let script = Script::new(&self.master, &rotation::statements(name, password)?);
        let namespace = self.set.namespace.as_str();
        let failed = format!("giving {name} its new password on {}", self.master);
        let output =
            sql::run(self.cluster, namespace, &script).await.with_context(|| failed.clone())?;
        let Some(trouble) = output.trouble() else { return Ok(()) };
        Err(Failure::new(Exit::Failed, format!("{failed}: {trouble}"))
            .hint(format!("{}  # goes on with the same password", self.context.again))
            .into())
    }

    /// Logs in with it, through the master's Service.
    async fn verify(&self, name: &str, password: &Secret) -> anyhow::Result<()> {
        let (secret, tls) = futures::try_join!(
            sql::credentials(self.cluster, self.set),
            tls::of_set(self.cluster, self.set)
        )?;
        let verified = tls::is_required(tls.as_ref());
        let login = sql::Login { user: name, password, database: &secret.database, verified };
        match sql::log_in(self.cluster, self.set, &self.master, login).await? {
            None => Ok(()),
            Some(trouble) => Err(Failure::new(
                Exit::Failed,
                format!("{name} can't log in with the new password: {}", trouble.message),
            )
            .hint(format!("{}  # what is there, and what is wrong", self.context.sibling("status")))
            .into()),
        }
    }
}

/// A step of the Secret's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The new password is kept beside the one in force.
    Keep,
    /// It takes its place, and stays kept: not everybody has it yet.
    Promote,
    /// All is done.
    Clear,
}

/// What changes in the Secret. The version that was read is a precondition.
///
/// A merge patch takes a field away whoever put it there, which an apply does not.
fn patch(read: &Value, key: &str, password: &Secret, step: Step) -> Value {
    let encoded = base64::engine::general_purpose::STANDARD.encode(password.expose());
    let pending = passwords::pending(key);
    let data = match step {
        Step::Keep => json!({ pending: encoded }),
        Step::Promote => json!({ key: encoded }),
        Step::Clear => json!({ pending: null }),
    };
    let metadata = &read["metadata"];
    json!({
        "metadata": { "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"] },
        "data": data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The new password is in the Secret from the first step to the last, and the old one until
    /// PostgreSQL has the new.
    #[test]
    fn a_password_is_known_at_every_step() {
        let read = json!({"metadata": {"uid": "u", "resourceVersion": "7", "name": "x"}});
        let of = |step| patch(&read, "user-password", &Secret::new("new".to_owned()), step);
        assert_eq!(of(Step::Keep)["data"], json!({"next-user-password": "bmV3"}));
        assert_eq!(of(Step::Promote)["data"], json!({"user-password": "bmV3"}));
        assert_eq!(of(Step::Clear)["data"], json!({"next-user-password": null}));
        for step in [Step::Keep, Step::Promote, Step::Clear] {
            assert_eq!(of(step)["metadata"], json!({"uid": "u", "resourceVersion": "7"}));
        }
    }

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
        let refused = check_crunchy(&[RoleKind::Replication], None).unwrap_err();
        assert_eq!(refused.exit, Exit::Refused);
        assert!(refused.message.contains("recovery.conf"));
        let given = Secret::new("with-dash".to_owned());
        let refused = check_crunchy(&[RoleKind::User], Some(&given)).unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(!refused.message.contains("with-dash"));
        assert!(check_crunchy(&[RoleKind::User, RoleKind::Superuser], None).is_ok());
    }
}
