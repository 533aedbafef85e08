//! Records the topology again when it was deleted, or replaced by an earlier one: from what the pods know. Until then a
//! pod that starts follows no master, and is not ready.

use std::time::Duration;

use anyhow::Context as _;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::planning::Planned;
use super::{Work, lease, live, pods, sql};
use crate::cluster::exec::Exec;
use crate::error::{Exit, Failure};
use crate::event::{Audience, Event, Outcome};
use crate::image::Capabilities;
use crate::postgres::follows::{self, Follows};
use crate::postgres::script;
use crate::readiness::is_ready;
use crate::set::newest::{self, Known};
use crate::set::{Knowledge, Role, SetIdentity, Topology, objects};

/// The time limit for the answer of a pod.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// The pause between two looks at pods that start.
const EVERY: Duration = Duration::from_secs(2);
/// The same, after the pods have told nothing new.
const AGAIN: Duration = Duration::from_secs(10);
/// The init container of the pods.
const BOOTSTRAP: &str = "bootstrap";
/// The exit code of a pod whose script knows of a later epoch: see `E_TOPOLOGY` in bootstrap.sh.
const IS_OUTDATED: i32 = 26;

/// What a pod said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// What it knows and follows.
    Told(Follows),
    /// Its server does not start, because another pod knows a later epoch.
    Outdated,
    /// Nothing: it may know a later epoch than the others.
    Nothing,
}

/// What the pods of a set said.
struct Heard {
    pods: Vec<(Pod, Answer)>,
}

/// What to do about what the pods said.
enum Found {
    /// Record what they know.
    Newer(Box<Newer>),
    /// Tell the pods what is recorded.
    Recorded(Knowledge, Heard),
    /// Nothing, or nothing yet.
    Nothing,
}

/// A topology to record.
pub(crate) struct Newer {
    known: Known,
    /// What it says about the recorded one.
    difference: String,
    heard: Heard,
    /// The ConfigMap. `None` if it does not exist.
    there: Option<Value>,
    recorded: Topology,
}

/// Whether a plan is based on a topology that may not be the newest. Only then the pods are asked.
fn is_doubtful(set: &SetIdentity, planned: &Planned) -> bool {
    let Planned { live, topology, replicas, .. } = planned;
    let ready = live.pods.iter().filter(|pod| is_ready(pod)).count();
    let labelled = live.pods.iter().find(|pod| pods::labelled_role(set, pod) == Some(Role::Master));
    let is_other = labelled.is_some_and(|pod| pods::ordinal(set, pod) != topology.master());
    !live.objects.contains_key(&objects::topology(set))
        || topology.master().is_none()
        || is_other
        || u32::try_from(ready).is_ok_and(|ready| ready < *replicas)
}

/// Looks whether the pods that run know a newer topology than the plan is based on.
///
/// # Errors
/// When they contradict each other.
pub(crate) async fn find(
    work: Work<'_>,
    planned: &Planned,
    capabilities: &Capabilities,
) -> anyhow::Result<Option<Box<Newer>>> {
    let known = capabilities.has_topology && !planned.live.pods.is_empty();
    if !known || !is_doubtful(work.set, planned) {
        return Ok(None);
    }
    let there = planned.live.objects.get(&objects::topology(work.set)).cloned();
    let heard = ask(work, planned.live.pods.clone()).await;
    match Newer::of(work, heard, there, planned.replicas)? {
        Found::Newer(newer) => Ok(Some(newer)),
        // Once it is applied: see `watch`.
        Found::Recorded(..) | Found::Nothing => Ok(None),
    }
}

/// Waits until the pods that are starting know a newer topology than the plan is based on. Ends only then. Meanwhile it
/// tells those that follow no master what the topology says.
///
/// # Errors
/// When they contradict each other, or the master can't be promoted.
pub(crate) async fn watch(
    work: Work<'_>,
    planned: &Planned,
    capabilities: &Capabilities,
) -> anyhow::Result<Box<Newer>> {
    // The pods of a new set know nothing, and those that were ready follow the topology.
    let is_new = planned.plan.step(&objects::topology(work.set)).is_some();
    if is_new || !capabilities.has_topology || !is_doubtful(work.set, planned) {
        return std::future::pending().await;
    }
    let (mut pause, mut was_lost) = (EVERY, false);
    loop {
        sleep(pause).await;
        pause = EVERY;
        // What can't be read now is read at the next look. Who waits for the pods reports it.
        let Ok(all) = pods::running(work.cluster, work.set).await else { continue };
        let lost = all.iter().any(|pod| pods::runs(pod) && !is_ready(pod));
        if !std::mem::replace(&mut was_lost, lost) || !lost {
            continue;
        }
        let Ok(there) = work.cluster.get(&objects::topology(work.set)).await else { continue };
        let heard = ask(work, all).await;
        match Newer::of(work, heard, there, planned.replicas)? {
            Found::Newer(newer) => return Ok(newer),
            Found::Recorded(known, heard) => heard.tell(work, &known).await?,
            Found::Nothing => {}
        }
        pause = AGAIN;
    }
}

/// Records what the pods know, after they were found to know a newer topology.
///
/// # Errors
/// When they contradict each other, or it can't be recorded.
pub(crate) async fn record_now(work: Work<'_>, planned: &Planned) -> anyhow::Result<()> {
    let there = work.cluster.get(&objects::topology(work.set)).await?;
    let heard = ask(work, pods::running(work.cluster, work.set).await?).await;
    if let Found::Newer(newer) = Newer::of(work, heard, there, planned.replicas)? {
        return newer.record(work).await;
    }
    let message = format!(
        "{} is not the newest, and the pods do not tell their epoch",
        objects::topology(work.set)
    );
    let again = &work.context.again;
    Err(Failure::new(Exit::Failed, message).hint(format!("{again}  # asks them again")).into())
}

async fn ask(work: Work<'_>, pods: Vec<Pod>) -> Heard {
    let answers = pods.into_iter().map(async |pod| {
        let answer = ask_one(work, &pod).await;
        (pod, answer)
    });
    Heard { pods: join_all(answers).await }
}

async fn ask_one(work: Work<'_>, pod: &Pod) -> Answer {
    let container = match () {
        () if pods::runs(pod) => sql::CONTAINER,
        () if bootstraps(pod) => BOOTSTRAP,
        () if is_outdated(pod) => return Answer::Outdated,
        () => return Answer::Nothing,
    };
    let exec = Exec {
        namespace: work.namespace(),
        pod: pods::name(pod),
        container,
        argv: follows::argv(),
        stdin: String::new(),
        timeout: ASK_WITHIN.min(work.cluster.deadline.remaining()),
    };
    let output = sql::exec(work.cluster, exec).await.map_err(|error| error.to_string());
    match output.and_then(|output| Follows::parse(&output)) {
        Ok(follows) => Answer::Told(follows),
        Err(why) => {
            work.context.detail(format!("{} does not tell its epoch: {why}", pods::name(pod)));
            Answer::Nothing
        }
    }
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|it| [&it.init_container_statuses, &it.container_statuses]).flatten().flatten()
}

/// Whether its bootstrap script runs: a replica without data waits there for the master.
fn bootstraps(pod: &Pod) -> bool {
    let running = |it: &ContainerStatus| it.state.as_ref().is_some_and(|it| it.running.is_some());
    statuses(pod).any(|status| status.name == BOOTSTRAP && running(status))
}

/// Whether a container of this pod ended because another pod knows a later epoch.
fn is_outdated(pod: &Pod) -> bool {
    let of_script = |it: &&ContainerStatus| [sql::CONTAINER, BOOTSTRAP].contains(&it.name.as_str());
    let states = statuses(pod).filter(of_script).flat_map(|it| [&it.state, &it.last_state]);
    let mut ended = states.flatten().filter_map(|state| state.terminated.as_ref());
    let knows = |it: &str| it.contains("knows epoch");
    ended.any(|it| it.exit_code == IS_OUTDATED && it.message.as_deref().is_some_and(knows))
}

impl Heard {
    fn known(&self) -> Vec<Known> {
        let told = self.pods.iter().filter_map(|(pod, answer)| match answer {
            Answer::Told(Follows { knows: Some(knows), .. }) => {
                Some((pods::name(pod).to_owned(), knows.clone()))
            }
            _ => None,
        });
        told.collect()
    }

    /// Whether every pod of a set with so many pods has answered.
    fn is_complete(&self, replicas: u32) -> bool {
        let heard = self.pods.iter().filter(|(_, answer)| *answer != Answer::Nothing).count();
        u32::try_from(heard).is_ok_and(|heard| heard >= replicas)
    }

    /// Whether the master of an epoch runs as that master, or as a standby that only this would make writable again.
    fn master(&self, known: &Knowledge) -> Master {
        let told = self.pods.iter().find_map(|(pod, answer)| match answer {
            Answer::Told(follows) if pods::name(pod) == known.master => Some(follows),
            _ => None,
        });
        match told {
            None => Master::Away,
            // Its volume is an earlier one.
            Some(follows) if follows.knows.as_ref() != Some(known) => Master::Away,
            Some(follows) if follows.is_standby => Master::Waits,
            Some(_) => Master::Serves,
        }
    }

    /// Whether a pod has to be told what the topology says.
    fn needs_words(&self, known: &Knowledge) -> bool {
        let is_lost = |answer: &Answer| match answer {
            Answer::Told(follows) => follows.is_lost(),
            Answer::Outdated => true,
            Answer::Nothing => false,
        };
        self.master(known) == Master::Waits || self.pods.iter().any(|(_, it)| is_lost(it))
    }

    /// Tells the pods that follow another master, or none. A server that does not start is started again by a new pod.
    async fn tell(&self, work: Work<'_>, known: &Knowledge) -> anyhow::Result<()> {
        if self.master(known) == Master::Waits {
            promote(work, known).await?;
        }
        let others = self.pods.iter().filter(|(pod, _)| pods::name(pod) != known.master);
        let told = others.map(async |(pod, answer)| {
            let name = pods::name(pod);
            match answer {
                // It reads the topology when it starts.
                Answer::Outdated => pods::delete(work, name).await,
                Answer::Told(follows) if !follows.is_with(known) && !pods::runs(pod) => {
                    pods::delete(work, name).await
                }
                Answer::Told(follows) if !follows.is_with(known) && follows.master.is_some() => {
                    let call = format!("follow {} {}", known.epoch, known.master);
                    let called = sql::call(work, name, &call, script::FILES_WITHIN).await;
                    let called = called.map_err(|error| error.to_string());
                    if let Err(why) = called.and_then(|output| script::done(&output)) {
                        work.context
                            .warn(format!("{name} does not follow {}: {why}", known.master));
                    }
                    Ok(())
                }
                Answer::Told(_) | Answer::Nothing => Ok(()),
            }
        });
        join_all(told).await.into_iter().collect::<anyhow::Result<Vec<()>>>()?;
        Ok(())
    }
}

/// The master of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Master {
    /// It runs as the master.
    Serves,
    /// It has started as a standby, because it did not follow the topology.
    Waits,
    /// It does not run, or does not know that it was the master.
    Away,
}

impl Newer {
    fn of(
        work: Work<'_>,
        heard: Heard,
        there: Option<Value>,
        replicas: u32,
    ) -> anyhow::Result<Found> {
        if let Some(there) = &there {
            live::check_ours(there, &objects::topology(work.set), work.set)?;
        }
        let recorded = Topology::recorded(work.set, there.as_ref())?;
        let all = heard.known();
        let newer = newest::newer(work.set, &recorded, &all).map_err(|refused| {
            let pods = work.context.sibling("status");
            refused.hint(format!("{pods}  # shows the pods; mount the right volumes"))
        })?;
        // A pod that has not answered may know a later epoch. That is no danger as long as nothing is promoted.
        let may_tell =
            |known: &Knowledge| heard.master(known) != Master::Waits || heard.is_complete(replicas);
        let Some(known) = newer.cloned() else {
            let recorded = recorded.knowledge(work.set);
            let recorded = recorded.filter(|known| heard.needs_words(known) && may_tell(known));
            return Ok(recorded.map_or(Found::Nothing, |known| Found::Recorded(known, heard)));
        };
        if !may_tell(&known.1) {
            return Ok(Found::Nothing);
        }
        let difference = newest::difference(work.set, &recorded, there.is_none(), &known);
        Ok(Found::Newer(Box::new(Self { known, difference, heard, there, recorded })))
    }

    /// What is wrong.
    pub(crate) fn difference(&self) -> &str {
        &self.difference
    }

    /// Records it, unless another client has changed the ConfigMap since it was read, and tells the pods. Afterwards a new
    /// plan is needed: see [`lease::plan_again`].
    ///
    /// # Errors
    /// When it can't be written, or the master can't be promoted.
    pub(crate) async fn record(&self, work: Work<'_>) -> anyhow::Result<()> {
        let (set, id, known) = (work.set, objects::topology(work.set), &self.known.1);
        lease::still_ours(work).await?;
        work.context.note(format!("{}: recording that", self.difference));
        let data = self.recorded.remembered(known);
        let (outcome, written) = match &self.there {
            None => {
                let object = objects::config_map(set, id.clone(), &data, "the topology");
                (Outcome::Created, work.cluster.create(&object, false).await)
            }
            Some(there) => {
                let metadata = &there["metadata"];
                let patch = json!({
                    "metadata": { "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"] },
                    "data": data,
                });
                (Outcome::Configured, work.cluster.merge(&id, &patch, false).await)
            }
        };
        match written {
            // Another client has changed it meanwhile.
            Err(error) if error.is_conflict() || error.is_not_found() => return Ok(()),
            written => written.context("recording the topology")?,
        };
        let detail = Some(format!("epoch {}, master {}", known.epoch, known.master));
        let audience = Audience::Everybody;
        work.context.reporter.emit(Event::Object { object: id, outcome, detail, audience });
        self.heard.tell(work, known).await
    }
}

/// Makes the master of an epoch writable again. The label comes first: a connection through the Service of the replicas
/// must not become writable.
async fn promote(work: Work<'_>, known: &Knowledge) -> anyhow::Result<()> {
    let (pod, label) = (&known.master, work.set.label(Role::Master));
    lease::still_ours(work).await?;
    let patch = json!({ "metadata": { "labels": { "name": label } } });
    work.cluster.merge(&objects::pod(work.set, pod), &patch, false).await?;
    let call = format!("promote {}", known.epoch);
    let output = sql::call(work, pod, &call, script::PROMOTE_WITHIN).await?;
    match script::promoted(&output) {
        Ok(timeline) => {
            work.context.note(format!("{pod} is the master again: timeline {timeline}"));
            Ok(())
        }
        Err(why) => Err(Failure::new(Exit::Failed, format!("{pod} was not promoted: {why}"))
            .hint(format!("{}  # tries again", work.context.again))
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, status: &Value) -> Pod {
        let value = json!({ "metadata": { "name": name }, "status": status });
        serde_json::from_value(value).unwrap()
    }

    fn told(knows: &str, master: &str, is_standby: bool) -> Answer {
        let (knows, master) = (Knowledge::parse(knows), Some(master.to_owned()));
        Answer::Told(Follows { knows, master, epoch: Some(2), is_standby })
    }

    fn heard(answers: Vec<Answer>) -> Heard {
        let name = |ordinal| pod(&format!("pgset-{ordinal}"), &json!({}));
        Heard { pods: (0..).map(name).zip(answers).collect() }
    }

    #[test]
    fn a_master_waits_if_it_knows_that_it_is_one_and_is_a_standby() {
        let known = Knowledge::parse("7 2 pgset-1").unwrap();
        let replica = || told("7 2 pgset-1", "pgset-1", true);
        for (answer, master, needs_words) in [
            (told("7 2 pgset-1", "pgset-1", false), Master::Serves, false),
            (told("7 2 pgset-1", "unknown", true), Master::Waits, true),
            // It has started once more since the topology was recorded.
            (told("7 2 pgset-1", "pgset-1", true), Master::Waits, true),
            // An earlier copy of its volume: a promotion would discard what the others have.
            (told("7 1 pgset-0", "pgset-0", true), Master::Away, false),
            (Answer::Nothing, Master::Away, false),
        ] {
            let complete = answer != Answer::Nothing;
            let heard = heard(vec![replica(), answer]);
            assert_eq!(heard.master(&known), master);
            assert_eq!(heard.needs_words(&known), needs_words);
            assert_eq!(heard.is_complete(2), complete);
            assert!(!heard.is_complete(3));
        }
        let lost = heard(vec![told("7 2 pgset-1", "unknown", true)]);
        assert!(lost.needs_words(&known));
    }

    #[test]
    fn a_pod_that_is_outdated_knows_no_later_epoch_itself() {
        let ended = |code: i32, message: &str| {
            json!({"containerStatuses": [{
                "name": "postgres", "image": "", "imageID": "", "ready": false, "restartCount": 1,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": code, "message": message}},
            }]})
        };
        let outdated = |code, message| is_outdated(&pod("pgset-0", &ended(code, message)));
        let message = "bootstrap: error: the pod at 10.0.0.1:5432 knows epoch 2, and ConfigMap pgset-topology has 1";
        assert!(outdated(26, message));
        assert!(!outdated(23, message));
        // The API server refuses to show the topology: the pod may know any epoch.
        assert!(!outdated(26, "bootstrap: error: to read the topology: HTTP/1.1 403 Forbidden"));
    }
}
