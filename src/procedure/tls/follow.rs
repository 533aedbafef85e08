//! Certificates, to every pod of a set that runs.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::cluster::exec::Exec;
use crate::error::{Exit, Failure};
use crate::postgres::tls;
use crate::procedure::configure;
use crate::procedure::configure::{AT_ONCE, NUDGE_EVERY};
use crate::procedure::live;
use crate::procedure::sql::{CONTAINER, LOOK_EVERY};
use crate::procedure::tls::{certificates_of, line_of};
use crate::procedure::wait::Wait;
use crate::set::SetIdentity;
use crate::set::objects;
use crate::settings::tls::Stage;

/// How long a certificate may be unusable: the kubelet may be bringing another one.
const UNUSABLE_FOR: std::time::Duration = std::time::Duration::from_secs(20);

/// What every pod is to have.
struct Wanted {
    /// What the bootstrap script prints then, or how that begins.
    output: String,
    /// Of the objects, for the kubelet.
    version: String,
}

impl Wanted {
    fn is(&self, output: &str) -> bool {
        // No TLS at all is an empty output; every other one begins with the stage.
        if self.output.is_empty() { output.is_empty() } else { output.starts_with(&self.output) }
    }
}

/// Waits until every server has the certificates, and is in the stage, that the cluster's objects say; a
/// server proves it by a connection that verifies in full.
///
/// # Errors
/// When a server can't use them, or its kubelet does not bring them in time.
pub(crate) async fn follow(
    cluster: &Cluster,
    set: &SetIdentity,
    wait: &Wait<'_>,
) -> anyhow::Result<()> {
    let config = cluster.get(&objects::config(set)).await?.unwrap_or_default();
    let wanted = wanted(cluster, set, &config).await?;
    let mut pods = live::pods(cluster, set).await?;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    stream::iter(&pods)
        .map(|pod| one(cluster, set, pod, &wanted, wait.next))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

async fn wanted(cluster: &Cluster, set: &SetIdentity, config: &Value) -> anyhow::Result<Wanted> {
    let version = |object: &Value| {
        object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
    };
    let Some(tls) = line_of(config) else {
        return Ok(Wanted { output: String::new(), version: version(config) });
    };
    if tls.stage == Stage::Leaving {
        // With whatever certificate, if any: nobody needs one any more.
        return Ok(Wanted { output: format!("{tls}\n"), version: version(config) });
    }
    let id = objects::secret(set, &tls.secret);
    let secret = cluster.get(&id).await?.ok_or_else(|| {
        Failure::new(Exit::Failed, format!("{id} is gone, which the certificate is in"))
            .hint(format!("{}  # makes it again, where pgset made it", set.command("up")))
    })?;
    let there = certificates_of(&secret);
    Ok(Wanted {
        output: format!("{tls}\n{}{}", there.authorities, there.certificate),
        version: format!("{}-{}", version(config), version(&secret)),
    })
}

async fn one(
    cluster: &Cluster,
    set: &SetIdentity,
    pod: &Pod,
    wanted: &Wanted,
    next: &str,
) -> anyhow::Result<()> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let mut nudged: Option<Instant> = None;
    let mut unusable: Option<Instant> = None;
    loop {
        let exec = Exec {
            namespace: set.namespace.as_str(),
            pod: name,
            container: CONTAINER,
            argv: tls::bring(),
            stdin: String::new(),
            timeout: tls::BRING_WITHIN,
        };
        let output = cluster.exec(exec).await;
        let is_unusable = output.as_ref().is_ok_and(|output| output.code == tls::UNUSABLE);
        unusable = if is_unusable { unusable.or_else(|| Some(Instant::now())) } else { None };
        let why = match output {
            Ok(output) if output.code == 0 && wanted.is(&output.stdout) => return Ok(()),
            Ok(output) => {
                if nudged.is_none_or(|at| at.elapsed() >= NUDGE_EVERY) {
                    configure::nudge(cluster, set, pod, &wanted.version).await?;
                    nudged = Some(Instant::now());
                }
                match output.code {
                    0 => "its kubelet has not brought the certificate".to_owned(),
                    _ => tls::trouble(&output.stderr),
                }
            }
            Err(error) => error.to_string(),
        };
        if unusable.is_some_and(|since| since.elapsed() >= UNUSABLE_FOR) {
            return Err(Failure::new(Exit::Failed, format!("pod {name}: {why}"))
                .hint(format!("{next}  # once the Secret is right"))
                .into());
        }
        if cluster.deadline.remaining() < LOOK_EVERY {
            return Err(Failure::new(Exit::TimedOut, format!("pod {name}: {why}"))
                .hint(format!("{next}  # goes on"))
                .into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
