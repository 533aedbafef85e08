//! Rotates the password of a role, in PostgreSQL and in the Secret.

mod progress;
mod prove;

use anyhow::Context as _;
use base64::Engine as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::replay::Replay;
use super::{LOOK_EVERY, Next, Poll, Procedure, Work, credentials, lease, poll, run, sql};
use crate::cli::RoleKind;
use crate::error::{Exit, Failure};
use crate::postgres::{Script, rotation, verifier};
use crate::set::{objects, passwords};
use crate::values::Secret;
use progress::{Facts, Progress, Step, Stored};

/// How often the Secret may be changed by others during a rotation.
const CONFLICTS: usize = 20;

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

/// The servers that get new passwords.
#[derive(Clone, Copy)]
pub(crate) struct Servers<'a> {
    /// The pod of the master.
    pub(crate) master: &'a str,
    /// All pods of the set, also those that do not run.
    pub(crate) pods: &'a [String],
    /// Whether they accept a verifier in place of the password.
    pub(crate) accept_verifiers: bool,
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
    servers: Servers<'_>,
    role: RoleKind,
    given: Option<&Secret>,
) -> anyhow::Result<()> {
    let rotation = Rotation {
        work,
        servers,
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
    servers: Servers<'a>,
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

    async fn catch_up(&mut self) -> anyhow::Result<()> {
        let mut replay = Replay::new(self.work, self.servers.master);
        let too_late = |why| {
            Failure::new(Exit::TimedOut, format!("the password is not changed: {why}"))
                .hint(self.work.context.sibling("status"))
        };
        poll(self.work, &self.done(), async || replay.look().await, too_late).await?;
        self.progress.caught_up();
        Ok(())
    }

    async fn alter(&mut self) -> anyhow::Result<()> {
        lease::still_ours(self.work).await?;
        let (name, password) = (self.name()?, self.progress.password());
        let failed = format!("changing the password of {name} on pod {}", self.servers.master);
        let sent = if self.servers.accept_verifiers {
            verifier::of(password).map_err(|invalid| {
                Failure::new(Exit::Usage, format!("{failed}: it {}", invalid.reason))
            })?
        } else {
            password.clone()
        };
        let script = Script::new(self.servers.master, &rotation::statements(&name, &sent)?);
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

    /// Waits until every replica that streams has replayed the new password. The master has it already, so clients
    /// must not have to wait for a slow replica without end: half of the time is left for the Secret, and an
    /// interrupt ends the wait.
    async fn replay(&mut self) -> anyhow::Result<()> {
        let (work, name) = (self.work, self.name()?);
        let mut replay = Replay::new(work, self.servers.master);
        let until = Instant::now() + work.cluster.deadline.remaining() / 2;
        loop {
            let why = match replay.look().await? {
                Poll::Ready(streaming) => {
                    let away = away(self.servers, &streaming);
                    if !away.is_empty() {
                        work.context.note(format!(
                            "not streaming: {}; the new password of {name} takes effect there when it is replayed",
                            away.join(", ")
                        ));
                    }
                    break;
                }
                Poll::Pending(why) => why,
            };
            if Instant::now() >= until || work.context.interrupt.requested().is_some() {
                work.context.warn(format!(
                    "{why}: {name} can't log in there until the new password is replayed"
                ));
                break;
            }
            tokio::select! {
                _ = work.context.interrupt.wait() => {}
                () = sleep(LOOK_EVERY) => {}
            }
        }
        self.progress.replayed();
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
}

/// The replicas that do not stream.
fn away<'a>(servers: Servers<'a>, streaming: &[String]) -> Vec<&'a str> {
    let pods = servers.pods.iter().map(String::as_str);
    pods.filter(|pod| *pod != servers.master && !streaming.iter().any(|there| there == pod))
        .collect()
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
            Step::CatchUp => self.catch_up().await,
            Step::Keep => self.write(Step::Keep).await,
            Step::Alter => self.alter().await,
            Step::Replay => self.replay().await,
            Step::Promote => self.promote().await,
            Step::Prove => self.prove().await,
            Step::Clear => self.write(Step::Clear).await,
        }
    }

    /// Once PostgreSQL has the new password, the Secret must have it, too: clients read it there.
    fn may_be_interrupted_before(step: &Step) -> bool {
        matches!(step, Step::CatchUp | Step::Keep | Step::Alter)
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
        Step::CatchUp | Step::Alter | Step::Replay | Step::Prove => json!({}),
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

    #[test]
    fn replicas_that_do_not_stream_are_named() {
        let pods = ["x-0", "x-1", "x-2"].map(str::to_owned);
        let servers = Servers { master: "x-1", pods: &pods, accept_verifiers: true };
        assert_eq!(away(servers, &["x-2".to_owned()]), ["x-0"]);
        assert_eq!(away(servers, &["x-0".to_owned(), "x-2".to_owned()]), [""; 0]);
    }

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
