//! The logins that prove a new password.

use std::time::Duration;

use tokio::time::Instant;

use super::Rotation;
use crate::cli::RoleKind;
use crate::cluster::exec::Exec;
use crate::error::{Exit, Failure};
use crate::postgres::rotation;
use crate::procedure::{Poll, Procedure as _, Work, credentials, login, pods, poll, sql, tls};
use crate::readiness::is_ready;
use crate::set::Role;
use crate::values::Secret;

/// How long a pod may take to write its passfile and to log in with it.
const PASSFILE_WITHIN: Duration = Duration::from_secs(30);
/// How long a replica may take to stream again.
const STREAMING_WITHIN: Duration = Duration::from_secs(30);

impl Rotation<'_> {
    /// Logs in with the new password. For the replication role, every replica does.
    pub(super) async fn prove(&mut self) -> anyhow::Result<()> {
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
            let master = self.servers.master.to_owned();
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
        match login::log_in(work, self.servers.master, login).await? {
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
