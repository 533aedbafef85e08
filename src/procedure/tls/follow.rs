//! One pod and its certificates: the kubelet brings them, the server uses them.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::time::Instant;

use super::recorded::{certificates_of, line_of};
use crate::cluster::exec::Exec;
use crate::error::{Exit, Failure};
use crate::postgres::tls;
use crate::procedure::kubelet::Nudges;
use crate::procedure::sql::CONTAINER;
use crate::procedure::{AT_ONCE, Next, Procedure, Work, pods, run};
use crate::set::objects;
use crate::settings::tls::Stage;

/// How long a certificate may be unusable: the kubelet may be bringing another one.
const UNUSABLE_FOR: Duration = Duration::from_secs(20);

/// What every pod is to have.
struct Wanted {
    /// What the bootstrap script prints then, or the beginning of it.
    output: String,
    /// The version of the objects, for the kubelet.
    version: String,
}

impl Wanted {
    fn is(&self, output: &str) -> bool {
        // No TLS at all is an empty output; every other one begins with the stage.
        if self.output.is_empty() { output.is_empty() } else { output.starts_with(&self.output) }
    }
}

/// Waits until every server has the certificates, and is in the stage, that the objects in the cluster say; a
/// server proves it by a connection that verifies in full.
///
/// # Errors
/// When a server can't use them, or its kubelet does not bring them in time.
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
        // With any certificate, or none: no client needs one any more.
        return Ok(Wanted { output: format!("{tls}\n"), version: version(config) });
    }
    let id = objects::secret(work.set, &tls.secret);
    let secret = work.cluster.get(&id).await?.ok_or_else(|| {
        Failure::new(Exit::Failed, format!("{id} is gone, which the certificate is in"))
            .hint(format!("{}  # makes it again, where pgset made it", work.set.command("up")))
    })?;
    let there = certificates_of(&secret);
    Ok(Wanted {
        output: format!("{tls}\n{}{}", there.authorities, there.certificate),
        version: format!("{}-{}", version(config), version(&secret)),
    })
}

/// How a pod stands.
#[derive(Debug)]
struct Facts {
    /// Why the pod does not have what it should; none when it has.
    why: Option<String>,
    /// Whether it is time to tell the kubelet.
    nudge: bool,
    /// Whether the server has not been able to use what it has for too long.
    unusable: bool,
}

#[derive(Debug, PartialEq)]
enum Step {
    /// Have the kubelet bring the files.
    Nudge,
    /// Give up: the server can't use them, for this reason.
    Fail(String),
}

struct Follow<'a> {
    work: Work<'a>,
    pod: &'a Pod,
    wanted: &'a Wanted,
    nudges: Nudges,
    /// Since when the server can't use what it has.
    unusable: Option<Instant>,
}

impl Procedure for Follow<'_> {
    type Facts = Facts;
    type Step = Step;

    async fn look(&mut self) -> anyhow::Result<Facts> {
        let exec = Exec {
            namespace: self.work.namespace(),
            pod: pods::name(self.pod),
            container: CONTAINER,
            argv: tls::bring(),
            stdin: String::new(),
            timeout: tls::BRING_WITHIN,
        };
        let output = self.work.cluster.exec(exec).await;
        let is_unusable = output.as_ref().is_ok_and(|output| output.code == tls::UNUSABLE);
        self.unusable = self.unusable.or_else(|| Some(Instant::now())).filter(|_| is_unusable);
        let unusable = self.unusable.is_some_and(|since| since.elapsed() >= UNUSABLE_FOR);
        let (why, answered) = match output {
            Ok(output) if output.code == 0 && self.wanted.is(&output.stdout) => (None, true),
            Ok(output) if output.code == 0 => {
                (Some("its kubelet has not brought the certificate".to_owned()), true)
            }
            Ok(output) => (Some(tls::trouble(&output.stderr)), true),
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
                    .hint(format!("{}  # once the Secret is right", self.work.context.again))
                    .into())
            }
        }
    }

    fn done(&self) -> String {
        "the new certificates are written, not every pod has them".to_owned()
    }

    fn too_late(&self, why: String) -> Failure {
        self.work.too_late(format!("pod {}: {why}", pods::name(self.pod)))
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
