//! What a switchover does in the pods, and to their labels.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::cluster::ClusterError;
use crate::error::{Exit, Failure};
use crate::postgres::replication::Lsn;
use crate::postgres::script::{self, Ended, Proof};
use crate::postgres::takeover::{self, Candidate};
use crate::postgres::{ExecOutput, Script, slots};
use crate::procedure::{LOOK_EVERY, Work, lease, pods, sql};
use crate::set::{Role, Transition, objects};

/// How long a container that does not run is waited for: its pod may be created again.
const RUNS_WITHIN: Duration = Duration::from_secs(60);

/// How long the old master may take to accept connections as a standby.
const REACHED_WITHIN: Duration = Duration::from_secs(10);

/// How often a long wait is mentioned.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// The servers of the set.
pub(in crate::procedure) struct Servers<'a> {
    pub(in crate::procedure) work: Work<'a>,
}

impl Servers<'_> {
    /// Makes the new master keep WAL for the others, and the old one write its checkpoint.
    pub(in crate::procedure) async fn prepare(&self, from: u32, to: u32) -> anyhow::Result<()> {
        let (work, set) = (self.work, self.work.set);
        let others: Vec<String> = pods::running(work.cluster, set)
            .await?
            .iter()
            .filter_map(|pod| pods::ordinal(set, pod))
            .filter(|ordinal| *ordinal != to)
            .map(|ordinal| slots::name(set, ordinal))
            .collect();
        let slots = takeover::create_slots(&set.pod(to), &others);
        let run = async |script: Script| -> anyhow::Result<()> {
            let output = sql::run(work.cluster, work.namespace(), &script).await?;
            let Some(trouble) = output.trouble() else { return Ok(()) };
            let message = format!("{}: {trouble}; nothing was changed", script.pod);
            Err(Failure::new(Exit::Failed, message).into())
        };
        run(slots).await?;
        let from = set.pod(from);
        let checkpoint = run(takeover::checkpoint(&from));
        patiently(work, &format!("{from} is still writing its checkpoint"), checkpoint).await
    }

    /// Stops the old master. Its label is removed first, not changed: a server that is still writable must not be behind
    /// the Service of the replicas.
    pub(in crate::procedure) async fn fence(&self, it: &Transition) -> anyhow::Result<Proof> {
        let from = self.work.set.pod(it.from);
        self.label(&from, None).await?;
        let call = format!("fence {}", it.id);
        let stopped = self.call(&from, &call, script::STOP_WITHIN);
        let output =
            patiently(self.work, &format!("{from} is still shutting down"), stopped).await?;
        let proof =
            Proof::parse(&output).map_err(|why| self.failed(&from, "did not stop", &why))?;
        let recorded = self.work.topology.system_identifier.as_deref();
        // Files that can't be read tell no identifier.
        if proof.ended != Ended::Lost
            && recorded.is_some_and(|recorded| recorded != proof.system_identifier)
        {
            let message = format!("{from} has another system identifier than the set");
            return Err(Failure::new(Exit::Refused, message).into());
        }
        Ok(proof)
    }

    /// Why the new master does not have everything yet.
    pub(in crate::procedure) async fn lacks(&self, it: &Transition) -> Option<String> {
        let to = self.work.set.pod(it.to);
        let Some(end) = it.end else {
            return Some("it is not known where the WAL ends".to_owned());
        };
        let script = takeover::ask(&to);
        let output = match sql::run(self.work.cluster, self.work.namespace(), &script).await {
            Ok(output) => output,
            Err(error) => return Some(error.to_string()),
        };
        match Candidate::parse(&output) {
            Ok(it) if it.position.is_some_and(|position| position > end.position) => None,
            Ok(it) if it.paused => Some("its replay is paused".to_owned()),
            Ok(it) => Some(match it.position {
                Some(position) => format!("it has replayed up to {position}, not {}", end.position),
                None => "it reports no position".to_owned(),
            }),
            Err(words) => Some(words),
        }
    }

    /// Promotes the new master. The label comes first: a connection through the Service of the replicas must not become
    /// writable. With `least`, it must have the record that begins there.
    pub(in crate::procedure) async fn promote(
        &self,
        it: &Transition,
        epoch: u64,
        least: Option<Lsn>,
    ) -> anyhow::Result<u32> {
        let to = self.work.set.pod(it.to);
        self.label(&to, Some(Role::Master)).await?;
        let least = least.map_or_else(String::new, |position| format!(" {position}"));
        let call = format!("promote {epoch}{least}");
        let output = self.call(&to, &call, script::PROMOTE_WITHIN).await?;
        script::promoted(&output).map_err(|why| {
            let instead = it.instead(self.work.set, &self.work.context.sibling("failover"));
            self.failed(&to, "was not promoted", &why).hint(instead).into()
        })
    }

    /// Makes the other pods follow the new master, except those that can't be reached. What can't be told to a pod, its
    /// bootstrap reads when it starts, or it reads it from the mounted topology. Returns the pods that were not told.
    pub(in crate::procedure) async fn follow(
        &self,
        it: &Transition,
        epoch: u64,
        away: &[String],
    ) -> anyhow::Result<Vec<String>> {
        let (work, set) = (self.work, self.work.set);
        let to = set.pod(it.to);
        let running = pods::running(work.cluster, set).await?;
        let others = running.iter().filter(|pod| {
            let name = pods::name(pod);
            name != to && !away.iter().any(|away| away == name)
        });
        let told = others.map(async |there| {
            let pod = pods::name(there);
            let mut done = self.tell(pod, &format!("follow {epoch} {to}")).await;
            // Also the old master of a switchover that a failover has taken over is fenced, and without a label.
            let was_master = pods::labelled_role(set, there) != Some(Role::Replica);
            if done.is_ok() && (was_master || pod == set.pod(it.from)) {
                done = self.tell(pod, &format!("unfence {}", it.id)).await;
                self.label(pod, Some(Role::Replica)).await?;
            }
            anyhow::Ok(done.err().map(|why| {
                let message = format!("{pod} was not told to follow {to}: {why}");
                work.context.detail(message);
                pod.to_owned()
            }))
        });
        let untold = join_all(told).await.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        Ok(untold.into_iter().flatten().collect())
    }

    /// Drops the slots on a pod that is not the master: unused, they would keep WAL. Waits for a server that starts. If it
    /// does not come, the slots stay, which is no reason not to complete what is under way.
    pub(in crate::procedure) async fn tidy(&self, ordinal: u32) {
        let (work, set, pod) = (self.work, self.work.set, self.work.set.pod(ordinal));
        let ask = async |script: Script| {
            let within = REACHED_WITHIN.min(work.cluster.deadline.remaining());
            let asked = sql::run_once_reachable(work.cluster, work.namespace(), &script, within);
            let output = asked.await.map_err(|error| error.to_string())?;
            output.trouble().map_or(Ok(()), |trouble| Err(trouble.to_string()))?;
            Ok::<ExecOutput, String>(output)
        };
        let tidied: Result<(), String> = async {
            let listed = ask(slots::list(&pod)).await?;
            for slot in slots::beyond(set, &(0..u32::MAX), &listed) {
                ask(slots::drop(&pod, &slot)).await?;
            }
            Ok(())
        }
        .await;
        if let Err(why) = tidied {
            work.context.warn(format!("the replication slots on {pod} are left: {why}"));
        }
    }

    /// Makes the old master serve again. A pod that was created again meanwhile is a replica: it is created once more, as the
    /// master.
    pub(in crate::procedure) async fn serve_again(&self, it: &Transition) -> anyhow::Result<()> {
        let (work, from) = (self.work, self.work.set.pod(it.from));
        if self.tell(&from, &format!("unfence {} master", it.id)).await.is_err() {
            return pods::delete(work, &from).await;
        }
        self.label(&from, Some(Role::Master)).await
    }

    /// Gives a pod the label of a role, or removes it. A pod that does not exist labels itself when it starts.
    pub(in crate::procedure) async fn label(
        &self,
        pod: &str,
        role: Option<Role>,
    ) -> anyhow::Result<()> {
        lease::hold(self.work).await?;
        let id = objects::pod(self.work.set, pod);
        let label = role.map_or(Value::Null, |role| Value::from(self.work.set.label(role)));
        let patch = json!({ "metadata": { "labels": { "name": label } } });
        match self.work.cluster.merge(&id, &patch, false).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Calls the script in a pod, once its container runs.
    async fn call(&self, pod: &str, call: &str, timeout: Duration) -> anyhow::Result<ExecOutput> {
        let until = Instant::now() + RUNS_WITHIN.min(self.work.cluster.deadline.remaining());
        loop {
            let called = self.try_call(pod, call, timeout).await;
            match called {
                Err(ClusterError::NotRunning { .. }) if Instant::now() < until => {
                    sleep(LOOK_EVERY).await;
                }
                called => return Ok(called?),
            }
        }
    }

    pub(in crate::procedure) async fn try_call(
        &self,
        pod: &str,
        call: &str,
        timeout: Duration,
    ) -> Result<ExecOutput, ClusterError> {
        let timeout = timeout.min(self.work.cluster.deadline.remaining());
        sql::call(self.work, pod, call, timeout).await
    }

    pub(in crate::procedure) async fn tell(&self, pod: &str, call: &str) -> Result<(), String> {
        let output = self.try_call(pod, call, script::FILES_WITHIN).await;
        script::done(&output.map_err(|error| error.to_string())?)
    }

    fn failed(&self, pod: &str, what: &str, why: &str) -> Failure {
        let context = self.work.context;
        Failure::new(Exit::Failed, format!("{pod} {what}: {why}"))
            .hint(format!("{}  # resumes", context.again))
    }
}

/// Says now and then what a long wait is for.
async fn patiently<T>(work: Work<'_>, waits: &str, wait: impl Future<Output = T>) -> T {
    let (began, mut wait) = (Instant::now(), std::pin::pin!(wait));
    loop {
        match tokio::time::timeout(SAY_EVERY, &mut wait).await {
            Ok(done) => return done,
            Err(_) => work.context.note(format!("{waits}, {} s", began.elapsed().as_secs())),
        }
    }
}

/// A pod as [`super::choice`] needs it.
pub(crate) async fn ask(work: Work<'_>, pod: &Pod, previous: bool) -> Option<super::choice::Pod> {
    let name = pods::name(pod);
    let ordinal = work.set.ordinal(name)?;
    let output = sql::run(work.cluster, work.namespace(), &takeover::ask(name)).await;
    let server = match output {
        Ok(output) => Candidate::parse(&output),
        Err(error) => Err(error.to_string()),
    };
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let ready = crate::readiness::is_ready(pod);
    Some(super::choice::Pod { ordinal, ready, node, previous, server })
}
