//! Makes one pod use new certificates: the kubelet updates the files, the server reloads them.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::time::Instant;

use super::recorded::{certificates_of, line_of};
use crate::error::{Exit, Failure};
use crate::postgres::{script, tls};
use crate::procedure::kubelet::Nudges;
use crate::procedure::{AT_ONCE, Next, Procedure, Work, pods, run, sql};
use crate::set::objects;
use crate::settings::tls::Stage;

/// How long a certificate may be unusable. The kubelet may be about to replace it.
const UNUSABLE_FOR: Duration = Duration::from_secs(20);

/// The certificates that every pod should have.
struct Wanted {
    /// The expected output of the bootstrap script, or its beginning.
    output: String,
    /// The version of the objects, for the pod's annotation.
    version: String,
}

impl Wanted {
    fn is(&self, output: &str) -> bool {
        // Without TLS the output is empty. Otherwise it begins with the stage.
        if self.output.is_empty() { output.is_empty() } else { output.starts_with(&self.output) }
    }
}

/// Waits until every server has the certificates and the stage of the objects in the cluster. Each server
/// proves it with a connection that verifies in full.
///
/// # Errors
/// When a server can't use the certificates, or its kubelet does not update them in time.
pub(super) async fn follow(work: Work<'_>) -> anyhow::Result<()> {
    let config = work.cluster.get(&objects::config(work.set)).await?.unwrap_or_default();
    let wanted = wanted(work, &config).await?;
    let running = pods::running(work.cluster, work.set).await?;
    stream::iter(&running)
        .map(|pod| {
            let nudges = Nudges::default();
            run(work, Follow { work, pod, wanted: &wanted, nudges, unusable: None })
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<Facts>>()
        .await?;
    Ok(())
}

async fn wanted(work: Work<'_>, config: &Value) -> anyhow::Result<Wanted> {
    let version = |object: &Value| {
        object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
    };
    let Some(tls) = line_of(config) else {
        return Ok(Wanted { output: String::new(), version: version(config) });
    };
    if tls.stage == Stage::Leaving {
        // Any certificate is accepted, or none, because no client needs one any more.
        return Ok(Wanted { output: format!("{tls}\n"), version: version(config) });
    }
    let id = objects::secret(work.set, &tls.secret);
    let secret = work.cluster.get(&id).await?.ok_or_else(|| {
        Failure::new(Exit::Failed, format!("{id} with the certificate does not exist"))
            .hint(format!("{}  # creates it again if pgset generated it", work.set.command("up")))
    })?;
    let there = certificates_of(&secret);
    Ok(Wanted {
        output: format!("{tls}\n{}{}", there.authorities, there.certificate),
        version: format!("{}-{}", version(config), version(&secret)),
    })
}

/// The state of a pod.
#[derive(Debug)]
struct Facts {
    /// Why the pod is not up to date. `None` if it is.
    why: Option<String>,
    /// Whether the pod should be annotated for its kubelet.
    nudge: bool,
    /// Whether the server's certificates have been unusable for too long.
    unusable: bool,
}

#[derive(Debug, PartialEq)]
enum Step {
    /// Make the kubelet update the files.
    Nudge,
    /// Give up: the server can't use the certificates, for this reason.
    Fail(String),
}

struct Follow<'a> {
    work: Work<'a>,
    pod: &'a Pod,
    wanted: &'a Wanted,
    nudges: Nudges,
    /// Since when the server can't use its certificates.
    unusable: Option<Instant>,
}

impl Procedure for Follow<'_> {
    type Facts = Facts;
    type Step = Step;

    async fn look(&mut self) -> anyhow::Result<Facts> {
        // Prints what the server uses afterwards.
        let output = sql::call(self.work, pods::name(self.pod), "tls", tls::BRING_WITHIN).await;
        let unusable = Some(tls::UNUSABLE);
        let is_unusable = output.as_ref().is_ok_and(|output| output.exit_code == unusable);
        self.unusable = self.unusable.or_else(|| Some(Instant::now())).filter(|_| is_unusable);
        let unusable = self.unusable.is_some_and(|since| since.elapsed() >= UNUSABLE_FOR);
        let (why, answered) = match output {
            Ok(output) if output.exit_code == Some(0) && self.wanted.is(&output.stdout) => {
                (None, true)
            }
            Ok(output) if output.exit_code == Some(0) => {
                (Some("the pod has not received the new certificate".to_owned()), true)
            }
            Ok(output) => (Some(script::trouble(&output.stderr)), true),
            Err(error) => (Some(error.to_string()), false),
        };
        Ok(Facts { why, nudge: answered && self.nudges.are_due(), unusable })
    }

    fn next(facts: &Facts) -> Next<Step> {
        match &facts.why {
            None => Next::Done,
            Some(why) if facts.unusable => Next::Act(Step::Fail(why.clone())),
            Some(_) if facts.nudge => Next::Act(Step::Nudge),
            Some(why) => Next::Wait(why.clone()),
        }
    }

    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Nudge => self.nudges.nudge(self.work, self.pod, &self.wanted.version).await,
            Step::Fail(why) => {
                let message = format!("pod {}: {why}", pods::name(self.pod));
                Err(Failure::new(Exit::Failed, message)
                    .hint(format!("{}  # after the Secret is corrected", self.work.context.again))
                    .into())
            }
        }
    }

    fn done(&self) -> String {
        "the new certificates are written, but not every pod has them".to_owned()
    }

    fn too_late(&self, work: Work<'_>, why: String) -> Failure {
        work.too_late(format!("pod {}: {why}", pods::name(self.pod)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubelet_is_told_and_an_unusable_certificate_is_given_up() {
        let facts = |why: Option<&str>, nudge, unusable| Facts {
            why: why.map(str::to_owned),
            nudge,
            unusable,
        };
        assert_eq!(Follow::next(&facts(None, false, false)), Next::Done);
        let old = Some("old");
        assert_eq!(Follow::next(&facts(old, true, false)), Next::Act(Step::Nudge));
        assert_eq!(Follow::next(&facts(old, false, false)), Next::Wait("old".to_owned()));
        assert_eq!(Follow::next(&facts(old, true, true)), Next::Act(Step::Fail("old".to_owned())));
    }
}
