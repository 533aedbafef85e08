//! Rotates the password of a role, in PostgreSQL and in the Secret.

use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Next, Poll, Procedure, Work, credentials, login, pods, poll, run, sql, tls};
use crate::cli::RoleKind;
use crate::cluster::exec::Exec;
use crate::error::{Exit, Failure};
use crate::postgres::{Script, rotation};
use crate::readiness::is_ready;
use crate::set::{Role, objects, passwords};
use crate::values::Secret;

/// How often the Secret may be changed by others during a rotation.
const CONFLICTS: usize = 20;
/// How long a pod may take to write its passfile and to log in with it.
const PASSFILE_WITHIN: Duration = Duration::from_secs(30);
/// How long a replica may take to stream again.
const STREAMING_WITHIN: Duration = Duration::from_secs(30);

/// The keys of a role in the Secret.
#[derive(Clone, Copy)]
pub(crate) struct Keys {
    /// The key of the password.
    pub(crate) password: &'static str,
    /// The key of the role's name. `None` if the name is fixed.
    name: Option<&'static str>,
}

/// The keys of a role.
pub(crate) fn keys(role: RoleKind) -> Keys {
    match role {
        RoleKind::Superuser => Keys { password: passwords::SUPERUSER_PASSWORD, name: None },
        RoleKind::Replication => {
            Keys { password: passwords::PRIMARY_PASSWORD, name: Some("primary-user") }
        }
        RoleKind::User => Keys { password: passwords::USER_PASSWORD, name: Some("user") },
    }
}

/// Gives a role a new password: the one in `given`, otherwise the one that an interrupted rotation left,
/// otherwise a generated one.
/// The Secret stores the new password beside the old one from the first step to the last. So it is known
/// whenever pgset is killed, and the next run resumes with it. Each write of the Secret requires the version
/// that was read: if two rotations run at the same time, one gets a conflict and reads the Secret again, and
/// no password is lost.
///
/// # Errors
/// When a write, a statement or a login fails. The new password stays in the Secret.
pub(crate) async fn rotate(
    work: Work<'_>,
    master: &str,
    role: RoleKind,
    given: Option<&Secret>,
) -> anyhow::Result<()> {
    let rotation = Rotation {
        work,
        master,
        role,
        keys: keys(role),
        given,
        generated: Secret::random(),
        chosen: None,
        conflicts: 0,
        told: false,
        altered: None,
        proved: None,
        secret: Value::Null,
    };
    run(work, rotation).await?;
    Ok(())
}

/// The progress of a rotation.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact that the next step depends on")]
struct Facts {
    /// Whether the Secret stores the new password as pending.
    kept: bool,
    /// Whether PostgreSQL has the new password.
    altered: bool,
    /// Whether the new password is the current one in the Secret.
    in_force: bool,
    /// Whether a login with the new password has succeeded.
    proved: bool,
    /// Whether the rotation is complete.
    cleared: bool,
}

#[derive(Debug, PartialEq)]
enum Step {
    /// Store the new password in the Secret as pending.
    Keep,
    /// Change the password in PostgreSQL.
    Alter,
    /// Make it the current password in the Secret. It also stays pending, because not every pod has it yet.
    Promote,
    /// Log in with it. For the replication role, first write it to each pod's passfile.
    Prove,
    /// Remove the pending password: the rotation is complete.
    Clear,
}

struct Rotation<'a> {
    work: Work<'a>,
    master: &'a str,
    role: RoleKind,
    keys: Keys,
    given: Option<&'a Secret>,
    generated: Secret,
    /// The new password. Chosen after the Secret is read.
    chosen: Option<Secret>,
    conflicts: usize,
    told: bool,
    /// The password that PostgreSQL was given.
    altered: Option<Secret>,
    /// The password that a login has succeeded with.
    proved: Option<Secret>,
    /// The Secret as last read or written. `Null` if it must be read again.
    secret: Value,
}

impl Rotation<'_> {
    fn text(&self, key: &str) -> anyhow::Result<String> {
        let lacks = || credentials::lacks(self.work.set, key);
        Ok(passwords::text(&self.secret, key).ok_or_else(lacks)?)
    }

    /// The name of the role.
    fn name(&self) -> anyhow::Result<String> {
        self.keys.name.map_or_else(|| Ok("postgres".to_owned()), |key| self.text(key))
    }

    fn pending(&self) -> Option<Secret> {
        passwords::password(&self.secret, &passwords::pending(self.keys.password))
    }

    /// The new password.
    fn password(&self) -> &Secret {
        self.chosen.as_ref().unwrap_or(&self.generated)
    }

    /// Writes the Secret if it has not changed since it was read. Otherwise the next observation reads it
    /// again.
    async fn write(&mut self, step: &Step) -> anyhow::Result<()> {
        let patch = patch(&self.secret, self.keys.password, self.password(), step);
        let id = objects::passwords(self.work.set);
        match self.work.cluster.merge(&id, &patch, false).await {
            Ok(written) => self.secret = written,
            Err(error) if error.is_conflict() => {
                self.conflicts += 1;
                // Another client changed the Secret, maybe another rotation: everything is done again.
                self.secret = Value::Null;
                self.chosen = None;
                self.altered = None;
                self.proved = None;
                if self.conflicts >= CONFLICTS {
                    let name = self.work.set.secret();
                    let message = format!("Secret {name} is changed by somebody else all the time");
                    let failure = Failure::new(Exit::Refused, message);
                    return Err(failure.hint(self.work.context.again.clone()).into());
                }
            }
            Err(error) => {
                let error = anyhow::Error::from(error);
                return Err(error.context("writing the new password into the Secret"));
            }
        }
        Ok(())
    }

    async fn alter(&mut self) -> anyhow::Result<()> {
        let (name, password) = (self.name()?, self.password().clone());
        let script = Script::new(self.master, &rotation::statements(&name, &password)?);
        let failed = format!("giving {name} its new password on {}", self.master);
        let output = sql::run(self.work.cluster, self.work.namespace(), &script)
            .await
            .with_context(|| failed.clone())?;
        if let Some(trouble) = output.trouble() {
            return Err(Failure::new(Exit::Failed, format!("{failed}: {trouble}"))
                .hint(format!("{}  # goes on with the same password", self.work.context.again))
                .into());
        }
        self.altered = Some(password);
        Ok(())
    }

    async fn promote(&mut self) -> anyhow::Result<()> {
        self.write(&Step::Promote).await?;
        if !self.secret.is_null() {
            self.work.context.note(format!(
                "{}: {} has its new password, in PostgreSQL and in Secret {}",
                self.role,
                self.name()?,
                self.work.set.secret()
            ));
        }
        Ok(())
    }

    async fn prove(&mut self) -> anyhow::Result<()> {
        let (name, password) = (self.name()?, self.password().clone());
        match self.role {
            RoleKind::Replication => self.passfiles(&name, &password).await?,
            RoleKind::Superuser | RoleKind::User => self.verify(&name, &password).await?,
        }
        self.proved = Some(password);
        Ok(())
    }

    /// Writes each pod's passfile, which its replica uses to connect, and logs in with it.
    ///
    /// A pod that is not ready reads the Secret when it starts.
    async fn passfiles(&self, name: &str, password: &Secret) -> anyhow::Result<()> {
        let (work, line) = (self.work, rotation::passfile_line(name, password));
        for pod in pods::list(work.cluster, work.set).await? {
            let Some(ordinal) = pods::ordinal(work.set, &pod) else { continue };
            let pod_name = work.set.pod(ordinal);
            if !is_ready(&pod) {
                work.context
                    .note(format!("{pod_name} is not ready: it reads the Secret when it starts"));
                continue;
            }
            let exec = Exec {
                namespace: work.namespace(),
                pod: &pod_name,
                container: sql::CONTAINER,
                argv: rotation::write_passfile(name),
                stdin: line.clone(),
                timeout: PASSFILE_WITHIN,
            };
            let output = work.cluster.exec(exec).await?;
            if output.code != 0 {
                let said = output.stderr.trim().lines().last().unwrap_or("no message").to_owned();
                let message =
                    format!("{pod_name}: {name} can't log in with its new passfile: {said}");
                return Err(Failure::new(Exit::Failed, message)
                    .hint(format!("{}  # goes on with the same password", work.context.again))
                    .into());
            }
        }
        self.streaming().await
    }

    /// Waits until every ready replica streams.
    async fn streaming(&self) -> anyhow::Result<()> {
        let work = self.work;
        let found = pods::list(work.cluster, work.set).await?;
        let replicas: Vec<(String, String)> = found
            .iter()
            .filter(|pod| {
                is_ready(pod) && pods::labelled_role(work.set, pod) == Some(Role::Replica)
            })
            .filter_map(|pod| {
                Some((pod.metadata.name.clone()?, pod.status.as_ref()?.pod_ip.clone()?))
            })
            .collect();
        let until = Instant::now() + STREAMING_WITHIN;
        let look = async || {
            let (cluster, namespace) = (work.cluster.clone(), work.namespace().to_owned());
            let master = self.master.to_owned();
            let seen = sql::streaming(cluster, namespace, master, replicas.clone()).await;
            let streams =
                |pod: &str| seen.replicas.iter().any(|r| r.pod == pod && r.state == "streaming");
            let missing: Vec<&str> =
                replicas.iter().map(|(pod, _)| pod.as_str()).filter(|pod| !streams(pod)).collect();
            if missing.is_empty() && seen.error.is_none() {
                return Ok(Poll::Ready(()));
            }
            let reason = seen.error.unwrap_or_else(|| format!("{} does not", missing.join(", ")));
            if Instant::now() >= until {
                return Err(not_streaming(work, Exit::Failed, &reason).into());
            }
            Ok(Poll::Pending(reason))
        };
        poll(work, &self.done(), look, |why| not_streaming(work, Exit::TimedOut, &why)).await
    }

    /// Logs in with the new password through the master's Service.
    async fn verify(&self, name: &str, password: &Secret) -> anyhow::Result<()> {
        let work = self.work;
        let (secret, tls) = futures::try_join!(
            credentials::credentials(work.cluster, work.set),
            tls::of_set(work.cluster, work.set)
        )?;
        let verified = tls::is_required(tls.as_ref());
        let login = login::Login { user: name, password, database: &secret.database, verified };
        match login::log_in(work, self.master, login).await? {
            None => Ok(()),
            Some(trouble) => Err(Failure::new(
                Exit::Failed,
                format!("{name} can't log in with the new password: {}", trouble.message),
            )
            .hint(format!("{}  # what is there, and what is wrong", work.context.sibling("status")))
            .into()),
        }
    }
}

fn not_streaming(work: Work<'_>, exit: Exit, reason: &str) -> Failure {
    Failure::new(exit, format!("not every replica streams: {reason}"))
        .hint(work.context.sibling("status"))
}

impl Procedure for Rotation<'_> {
    type Facts = Facts;
    type Step = Step;

    async fn look(&mut self) -> anyhow::Result<Facts> {
        if self.secret.is_null() {
            self.secret = credentials::secret(self.work.cluster, self.work.set).await?;
        }
        let pending = self.pending();
        if self.chosen.is_none() {
            self.chosen = self.given.cloned().or_else(|| pending.clone());
        }
        let foreign = pending.as_ref().is_some_and(|pending| *pending != self.generated);
        if self.given.is_none() && foreign && !self.told {
            self.told = true;
            self.work.context.note(format!("{}: an interrupted rotation goes on", self.role));
        }
        let password = self.password().clone();
        let in_force = passwords::password(&self.secret, self.keys.password);
        let proved = self.proved.as_ref() == Some(&password);
        Ok(Facts {
            kept: pending.as_ref() == Some(&password),
            altered: self.altered.as_ref() == Some(&password),
            cleared: proved && pending.is_none() && in_force.as_ref() == Some(&password),
            in_force: in_force.as_ref() == Some(&password),
            proved,
        })
    }

    fn next(facts: &Facts) -> Next<Step> {
        match *facts {
            Facts { cleared: true, .. } => Next::Done,
            Facts { kept: false, .. } => Next::Act(Step::Keep),
            Facts { altered: false, .. } => Next::Act(Step::Alter),
            Facts { in_force: false, .. } => Next::Act(Step::Promote),
            Facts { proved: false, .. } => Next::Act(Step::Prove),
            Facts { .. } => Next::Act(Step::Clear),
        }
    }

    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Keep => self.write(&Step::Keep).await,
            Step::Alter => self.alter().await,
            Step::Promote => self.promote().await,
            Step::Prove => self.prove().await,
            Step::Clear => self.write(&Step::Clear).await,
        }
    }

    /// Once PostgreSQL has the new password, the Secret must have it, too: clients read it there.
    fn may_be_interrupted_before(step: &Step) -> bool {
        matches!(step, Step::Keep | Step::Alter)
    }

    fn done(&self) -> String {
        if self.altered.is_some() {
            "PostgreSQL has the new password, and the Secret keeps it".to_owned()
        } else if self.pending().is_some() {
            "the new password is kept in the Secret, and is not in force yet".to_owned()
        } else {
            "nothing was changed".to_owned()
        }
    }

    fn too_late(&self, why: String) -> Failure {
        self.work.too_late(why)
    }
}

/// The merge patch of a step for the Secret. The version that was read is a precondition.
///
/// A merge patch removes a field regardless of its field manager; a server-side apply does not.
fn patch(read: &Value, key: &str, password: &Secret, step: &Step) -> Value {
    let encoded = base64::engine::general_purpose::STANDARD.encode(password.expose());
    let pending = passwords::pending(key);
    let data = match step {
        Step::Keep => json!({ pending: encoded }),
        Step::Promote => json!({ key: encoded }),
        Step::Clear => json!({ pending: null }),
        Step::Alter | Step::Prove => json!({}),
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

    /// The Secret holds the new password from the first step to the last, and the old one until PostgreSQL
    /// has the new one.
    #[test]
    fn a_password_is_known_at_every_step() {
        let read = json!({"metadata": {"uid": "u", "resourceVersion": "7", "name": "x"}});
        let of = |step: &Step| patch(&read, "user-password", &Secret::new("new".to_owned()), step);
        assert_eq!(of(&Step::Keep)["data"], json!({"next-user-password": "bmV3"}));
        assert_eq!(of(&Step::Promote)["data"], json!({"user-password": "bmV3"}));
        assert_eq!(of(&Step::Clear)["data"], json!({"next-user-password": null}));
        for step in [Step::Keep, Step::Promote, Step::Clear] {
            assert_eq!(of(&step)["metadata"], json!({"uid": "u", "resourceVersion": "7"}));
        }
    }

    #[test]
    fn each_step_follows_from_what_is_done_already() {
        let facts = |kept, altered, in_force, proved, cleared| Facts {
            kept,
            altered,
            in_force,
            proved,
            cleared,
        };
        for (facts, next) in [
            (facts(false, false, false, false, false), Next::Act(Step::Keep)),
            (facts(true, false, false, false, false), Next::Act(Step::Alter)),
            // An interrupted run may have stopped at any step, so PostgreSQL is given the password again.
            (facts(true, false, true, false, false), Next::Act(Step::Alter)),
            (facts(true, true, false, false, false), Next::Act(Step::Promote)),
            (facts(true, true, true, false, false), Next::Act(Step::Prove)),
            (facts(true, true, true, true, false), Next::Act(Step::Clear)),
            (facts(false, true, true, true, true), Next::Done),
            // Another rotation has stored its own password in the meantime: start from the beginning.
            (facts(false, true, true, true, false), Next::Act(Step::Keep)),
        ] {
            assert_eq!(Rotation::next(&facts), next, "{facts:?}");
        }
    }
}
