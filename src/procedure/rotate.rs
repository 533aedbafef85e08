//! Rotates the password of a role, in PostgreSQL and in the Secret.

mod progress;

use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Next, Poll, Procedure, Work, credentials, lease, login, pods, poll, run, sql, tls};
use crate::cli::RoleKind;
use crate::cluster::exec::Exec;
use crate::error::{Exit, Failure};
use crate::postgres::{Script, rotation};
use crate::readiness::is_ready;
use crate::set::{Role, objects, passwords};
use crate::values::Secret;
use progress::{Facts, Progress, Step, Stored};

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
        progress: Progress::new(given.cloned(), Secret::random()),
        conflicts: 0,
        told: false,
        secret: Value::Null,
    };
    run(work, rotation).await?;
    Ok(())
}

struct Rotation<'a> {
    work: Work<'a>,
    master: &'a str,
    role: RoleKind,
    keys: Keys,
    progress: Progress,
    conflicts: usize,
    told: bool,
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

    /// What the Secret stores of the role.
    fn stored(&self) -> Stored {
        let password = |key: &str| passwords::password(&self.secret, key);
        let pending = password(&passwords::pending(self.keys.password));
        Stored { current: password(self.keys.password), pending }
    }

    /// Writes the Secret if it has not changed since it was read. Otherwise the next observation reads it
    /// again.
    async fn write(&mut self, step: Step) -> anyhow::Result<()> {
        let patch = patch(&self.secret, self.keys.password, self.progress.password(), step);
        let id = objects::passwords(self.work.set);
        match self.work.cluster.merge(&id, &patch, false).await {
            Ok(written) => self.secret = written,
            Err(error) if error.is_conflict() => {
                self.conflicts += 1;
                self.secret = Value::Null;
                self.progress.start_again();
                if self.conflicts >= CONFLICTS {
                    let name = self.work.set.secret();
                    let message = format!("Secret {name} is repeatedly changed by another client");
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
        lease::still_ours(self.work).await?;
        let (name, password) = (self.name()?, self.progress.password().clone());
        let script = Script::new(self.master, &rotation::statements(&name, &password)?);
        let failed = format!("changing the password of {name} on pod {}", self.master);
        let output = sql::run(self.work.cluster, self.work.namespace(), &script)
            .await
            .with_context(|| failed.clone())?;
        if let Some(trouble) = output.trouble() {
            return Err(Failure::new(Exit::Failed, format!("{failed}: {trouble}"))
                .hint(format!("{}  # resumes with the same password", self.work.context.again))
                .into());
        }
        self.progress.altered();
        Ok(())
    }

    async fn promote(&mut self) -> anyhow::Result<()> {
        self.write(Step::Promote).await?;
        if !self.secret.is_null() {
            self.work.context.note(format!(
                "password of role {} ({}) is replaced in PostgreSQL and in Secret {}",
                self.name()?,
                self.role,
                self.work.set.secret()
            ));
        }
        Ok(())
    }

    async fn prove(&mut self) -> anyhow::Result<()> {
        let (name, password) = (self.name()?, self.progress.password().clone());
        match self.role {
            RoleKind::Replication => self.passfiles(&name, &password).await?,
            RoleKind::Superuser | RoleKind::User => self.verify(&name, &password).await?,
        }
        self.progress.proved();
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
                    .note(format!("Pod {pod_name}: not ready; reads the Secret when it starts"));
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
                    format!("pod {pod_name}: {name} can't log in with its new passfile: {said}");
                return Err(Failure::new(Exit::Failed, message)
                    .hint(format!("{}  # resumes with the same password", work.context.again))
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
            let reason =
                seen.error.unwrap_or_else(|| format!("waiting for {}", missing.join(", ")));
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
            .hint(format!("{}  # shows the pods and problems", work.context.sibling("status")))
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
        let stored = self.stored();
        if self.progress.choose(&stored) && !self.told {
            self.told = true;
            self.work.context.note(format!("{}: resuming an interrupted rotation", self.role));
        }
        Ok(self.progress.facts(&stored))
    }

    fn next(facts: &Facts) -> Next<Step> {
        progress::next(facts)
    }

    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Keep => self.write(Step::Keep).await,
            Step::Alter => self.alter().await,
            Step::Promote => self.promote().await,
            Step::Prove => self.prove().await,
            Step::Clear => self.write(Step::Clear).await,
        }
    }

    /// Once PostgreSQL has the new password, the Secret must have it, too: clients read it there.
    fn may_be_interrupted_before(step: &Step) -> bool {
        matches!(step, Step::Keep | Step::Alter)
    }

    fn done(&self) -> String {
        if self.progress.has_altered() {
            "PostgreSQL and the Secret have the new password".to_owned()
        } else if self.stored().pending.is_some() {
            "the new password is stored in the Secret, but is not in effect yet".to_owned()
        } else {
            "nothing was changed".to_owned()
        }
    }
}

/// The merge patch of a step for the Secret. The version that was read is a precondition.
///
/// A merge patch removes a field regardless of its field manager; a server-side apply does not.
fn patch(read: &Value, key: &str, password: &Secret, step: Step) -> Value {
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
        let of = |step: Step| patch(&read, "user-password", &Secret::new("new".to_owned()), step);
        assert_eq!(of(Step::Keep)["data"], json!({"next-user-password": "bmV3"}));
        assert_eq!(of(Step::Promote)["data"], json!({"user-password": "bmV3"}));
        assert_eq!(of(Step::Clear)["data"], json!({"next-user-password": null}));
        for step in [Step::Keep, Step::Promote, Step::Clear] {
            assert_eq!(of(step)["metadata"], json!({"uid": "u", "resourceVersion": "7"}));
        }
    }
}
