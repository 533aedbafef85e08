//! Waits until a set is ready, or until it is known why it will not become ready.

mod display;

use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use futures::future::{BoxFuture, OptionFuture};
use k8s_openapi::api::storage::v1::StorageClass;
use tokio::time::{Instant, sleep_until};

use super::labels::Labels;
use super::{Next, Procedure, Work, lease, pods, run, sql, stranger};
use crate::cluster::objects::Freshness;
use crate::cluster::observe::{Observer, Scope};
use crate::error::{Exit, Failure};
use crate::event::{Event, Outcome};
use crate::manifest::Kind;
use crate::readiness;
use crate::readiness::{
    Assessment, Cause, Expectation, Graces, Logs, Snapshot, Streaming, Trouble, WedgedPod, assess,
    explain, unmet,
};
use crate::set::objects;
use display::Display;

/// The pause between two queries to PostgreSQL.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long pgset waits for the list of storage classes.
const CLASSES_WITHIN: Duration = Duration::from_secs(5);
/// How many log lines are shown with a failure.
const LOG_LINES: u32 = 20;

/// What to wait for, and what to report at an interrupt.
#[derive(Clone)]
pub(crate) struct Wait<'a> {
    /// The objects to watch.
    pub(crate) scope: Scope,
    /// When the set is ready.
    pub(crate) expectation: Expectation,
    /// What the command has done so far, for the message at an interrupt.
    pub(crate) done: &'a str,
    /// The UIDs of pods that are replaced if they are not ready and run a previous template: the change may be
    /// what they need.
    pub(crate) replace: &'a [String],
}

/// Waits until the set is ready. Returns its last snapshot.
///
/// # Errors
/// The cause of a problem, as soon as its grace period has passed. At the deadline: what was still missing.
pub(crate) async fn until_ready(work: Work<'_>, wait: Wait<'_>) -> anyhow::Result<Snapshot> {
    Ok(Box::pin(run(work, Waiter::new(work, wait))).await?.snapshot)
}

/// The state of a set.
struct Facts {
    snapshot: Snapshot,
    /// Whether the set is ready.
    ready: bool,
    /// What is still missing, as text.
    waiting_for: Vec<String>,
    /// The problems that have lasted longer than their grace period.
    lasting: Vec<Trouble>,
    /// The pods that their controller will never replace by itself (kubernetes/kubernetes#67250). May include
    /// pods that were already deleted, because the watch shows them a little longer.
    wedged: Vec<WedgedPod>,
    /// The UIDs of the wedged pods that pgset has deleted.
    unwedged: Vec<String>,
    /// A pod that is not ready, runs a previous template, and is to be replaced: its name and its UID.
    outdated: Option<(String, String)>,
}

/// A step while waiting.
#[derive(Debug, PartialEq)]
enum Step {
    /// Delete a pod that is not ready, so that it starts with the newest template.
    Replace(String, String),
    /// Delete a pod that its controller will not replace, if the user confirms.
    DeleteWedgedPod(WedgedPod),
    /// Give up and explain the cause.
    Fail(Trouble),
}

struct Waiter<'a> {
    work: Work<'a>,
    wait: Wait<'a>,
    observer: Observer,
    graces: Graces,
    display: Display<'a>,
    started: Instant,
    /// The last answer of PostgreSQL, and the query that is running.
    streaming: Option<Streaming>,
    asking: Option<BoxFuture<'static, Streaming>>,
    ask_at: Instant,
    /// Whether there is a master to query.
    askable: bool,
    classes: Option<Vec<StorageClass>>,
    /// The list is requested only once: if it is forbidden, every change would cause another refused request.
    classes_asked: bool,
    unwedged: Vec<String>,
    /// The UIDs of the pods that were deleted because they ran a previous template.
    replaced: Vec<String>,
    labels: Labels,
    last: Option<Assessment>,
}

impl<'a> Waiter<'a> {
    fn new(work: Work<'a>, mut wait: Wait<'a>) -> Self {
        wait.expectation.began = work.cluster.contacted_at();
        let observer = Observer::new(work.cluster, &wait.scope);
        let now = Instant::now();
        Self {
            work,
            wait,
            observer,
            graces: Graces::default(),
            display: Display::new(&work.context.reporter, now),
            started: now,
            streaming: None,
            asking: None,
            ask_at: now,
            askable: false,
            classes: None,
            classes_asked: false,
            unwedged: Vec::new(),
            replaced: Vec::new(),
            labels: Labels::default(),
            last: None,
        }
    }

    /// The snapshot of the watches, with the storage classes and PostgreSQL's last answer.
    fn snapshot(&self) -> Snapshot {
        Snapshot {
            storage_classes: self.classes.clone(),
            streaming: self.streaming.clone(),
            ..self.observer.snapshot()
        }
    }

    /// The same. Reads the storage classes before the first one with a pending claim.
    async fn snapshot_with_classes(&mut self) -> Snapshot {
        let snapshot = self.snapshot();
        let mut phases = snapshot
            .claims
            .iter()
            .map(|claim| claim.status.as_ref().and_then(|s| s.phase.as_deref()));
        if self.classes_asked || !phases.any(|phase| phase == Some("Pending")) {
            return snapshot;
        }
        self.classes_asked = true;
        self.classes = self.read_classes().await;
        Snapshot { storage_classes: self.classes.clone(), ..snapshot }
    }

    async fn read_classes(&self) -> Option<Vec<StorageClass>> {
        let read = self.work.cluster.list(Kind::StorageClass, "", "", Freshness::Latest);
        // They only make an explanation more precise, so a long wait is not worth it.
        let classes = tokio::time::timeout(CLASSES_WITHIN, read).await.ok()?.ok()?;
        classes.into_iter().map(|c| serde_json::from_value(c).ok()).collect()
    }

    /// Queries the master for the streaming replicas, if it is time and there is a master.
    fn ask(&mut self, snapshot: &Snapshot) {
        let expected = &self.wait.expectation;
        let may_ask = expected.want_streaming && expected.replicas > 1;
        let master = pods::master(self.work.set, self.work.topology, &snapshot.pods)
            .filter(|_| may_ask)
            .map(|pod| pods::name(pod).to_owned());
        self.askable = master.is_some();
        let Some(master) = master else { return };
        if self.asking.is_some() || Instant::now() < self.ask_at {
            return;
        }
        let pods = snapshot
            .pods
            .iter()
            .filter_map(|pod| {
                let address = pod.status.as_ref().and_then(|s| s.pod_ip.clone());
                Some((pod.metadata.name.clone()?, address.unwrap_or_default()))
            })
            .collect();
        let namespace = self.work.set.namespace.to_string();
        let question = sql::streaming(self.work.cluster.clone(), namespace, master, pods);
        self.asking = Some(question.boxed());
    }

    /// The next pod to replace: it is not ready, and runs a previous template.
    fn outdated(&self, snapshot: &Snapshot) -> Option<(String, String)> {
        let old = readiness::previous(snapshot, self.work.set).into_iter();
        let mut old = old
            .filter(|pod| !readiness::is_ready(pod))
            .filter_map(|pod| Some((pods::name(pod).to_owned(), pod.metadata.uid.clone()?)));
        old.find(|(_, uid)| self.wait.replace.contains(uid) && !self.replaced.contains(uid))
    }

    /// Explains a problem that has lasted too long.
    async fn failure(&self, trouble: &Trouble) -> Failure {
        let mut logs = Logs::default();
        if let (Kind::Pod, Some(container)) = (trouble.object.kind, &trouble.container) {
            let (cluster, namespace) = (self.work.cluster, self.work.namespace());
            let read = |previous| {
                cluster.logs(namespace, &trouble.object.name, container, previous, LOG_LINES)
            };
            (logs.current, logs.previous) = futures::join!(read(false), read(true));
        }
        let all = self.last.as_ref().map(|last| last.troubles.as_slice()).unwrap_or_default();
        let explanation = explain(trouble, all, &self.snapshot(), &logs);
        let exit = if stranger::is_interference(trouble) { Exit::Refused } else { Exit::Failed };
        let mut failure = Failure::new(exit, explanation.summary);
        failure.details = explanation.details;
        failure.hints.extend(explanation.hint);
        self.hint_at_failover(&mut failure);
        failure
    }

    /// Names the command for a master that is away while a replica holds the data.
    fn hint_at_failover(&self, failure: &mut Failure) {
        let Work { set, topology, .. } = self.work;
        let snapshot = self.snapshot();
        let statefulset = serde_json::to_value(&snapshot.statefulset).unwrap_or_default();
        let fails_over =
            self.wait.expectation.replicas > 0 && objects::capabilities(&statefulset).has_topology;
        let lost = readiness::lost_master(set, topology, &snapshot);
        if let Some(lost) = lost.filter(|_| fails_over) {
            failure.details.insert(0, lost.text);
            failure.hints.push(lost.hint);
        }
    }

    /// Deletes a pod that its controller will never replace by itself.
    async fn unwedge(&mut self, pod: &WedgedPod) -> anyhow::Result<()> {
        self.unwedged.push(pod.uid.clone());
        let question = format!(
            "Pod {} is not ready, runs an old revision ({}), and is not replaced by the StatefulSet controller. Delete the pod (its data is kept)?",
            pod.name, pod.revision
        );
        if !self.work.context.confirm(&question).await? {
            let message = format!("cancelled, pod {} was not deleted", pod.name);
            return Err(Failure::new(Exit::Refused, message)
                .hint(format!("kubectl -n {} delete pod {}", self.work.namespace(), pod.name))
                .into());
        }
        lease::still_ours(self.work).await?;
        let id = objects::pod(self.work.set, &pod.name);
        if self.work.cluster.delete(&id, &pod.uid).await? {
            let detail = "it ran an old revision and never became ready; its claim is kept";
            let event = Event::object(id, Outcome::Deleted, Some(detail.into()));
            self.work.context.reporter.emit(event);
        }
        Ok(())
    }
}

/// The first pod whose bootstrap script still runs: its log tells what it waits for.
fn bootstrapping(assessment: &Assessment) -> Option<&str> {
    let state =
        assessment.states.iter().find(|one| one.state.ends_with("init container bootstrap"));
    state.map(|one| one.object.name.as_str())
}

impl Procedure for Waiter<'_> {
    type Facts = Facts;
    type Step = Step;

    async fn look(&mut self) -> anyhow::Result<Facts> {
        // Process everything that has already arrived before assessing the set.
        while let Some(change) = self.observer.next().now_or_never() {
            change.context("waiting")?;
        }
        if !self.observer.complete() {
            let waiting_for = vec!["the first answer of the API server".to_owned()];
            let elapsed = self.work.cluster.deadline.elapsed();
            self.display.beat(false, || waiting_for.clone(), self.observer.trouble(), elapsed);
            return Ok(Facts {
                snapshot: Snapshot::default(),
                ready: false,
                waiting_for,
                lasting: Vec::new(),
                wedged: Vec::new(),
                unwedged: Vec::new(),
                outdated: None,
            });
        }
        let snapshot = self.snapshot_with_classes().await;
        self.ask(&snapshot);
        let assessment = assess(&snapshot, &self.wait.expectation);
        let elapsed = self.work.cluster.deadline.elapsed();
        let is_answered = snapshot.streaming.is_some();
        self.display.show(&assessment, is_answered, self.observer.trouble(), elapsed);
        let mut facts = Facts {
            outdated: self.outdated(&snapshot),
            snapshot,
            ready: assessment.ready,
            waiting_for: assessment.waiting_for.clone(),
            lasting: Vec::new(),
            wedged: assessment.wedged.clone(),
            unwedged: self.unwedged.clone(),
        };
        let expected = &self.wait.expectation;
        if let Some(failure) = stranger::interference(self.work, expected, &facts.snapshot) {
            return Err(failure.into());
        }
        // When the pods are being stopped, their labels and problems do not matter.
        if expected.replicas > 0 {
            self.labels.correct(self.work, &facts.snapshot.pods).await?;
        }
        if !facts.ready && self.wait.expectation.replicas > 0 {
            facts.lasting = self.graces.observe(&assessment.troubles, self.started.elapsed());
        }
        if !facts.ready {
            self.last = Some(assessment);
        }
        Ok(facts)
    }

    fn next(facts: &Facts) -> Next<Step> {
        if let Some((pod, uid)) = &facts.outdated {
            return Next::Act(Step::Replace(pod.clone(), uid.clone()));
        }
        if facts.ready {
            return Next::Done;
        }
        for trouble in &facts.lasting {
            let wedged = facts.wedged.iter().find(|pod| {
                trouble.cause == Cause::Wedged && Some(&pod.uid) == trouble.uid.as_ref()
            });
            match wedged {
                Some(pod) if facts.unwedged.contains(&pod.uid) => {}
                Some(pod) => return Next::Act(Step::DeleteWedgedPod(pod.clone())),
                None => return Next::Act(Step::Fail(trouble.clone())),
            }
        }
        Next::Wait(facts.waiting_for.join("; "))
    }

    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Replace(pod, uid) => {
                lease::still_ours(self.work).await?;
                self.work.context.note(format!("replacing {pod}, which is not ready"));
                self.work.cluster.delete(&objects::pod(self.work.set, &pod), &uid).await?;
                self.replaced.push(uid);
                Ok(())
            }
            Step::DeleteWedgedPod(pod) => self.unwedge(&pod).await,
            Step::Fail(trouble) => Err(self.failure(&trouble).await.into()),
        }
    }

    fn done(&self) -> String {
        let waiting = self.last.as_ref().map(|a| a.waiting_for.join("; ")).unwrap_or_default();
        if waiting.is_empty() {
            format!("{}, the pods may not be ready yet", self.wait.done)
        } else {
            format!("{}; still waiting for: {waiting}", self.wait.done)
        }
    }

    fn too_late(&self, work: Work<'_>, _: String) -> Failure {
        let seconds = work.cluster.deadline.elapsed().as_secs();
        let message = if self.wait.expectation.replicas == 0 {
            format!("pods still exist after {seconds} s")
        } else {
            format!("not ready after {seconds} s")
        };
        let mut failure = Failure::new(Exit::TimedOut, message);
        if let Some(assessment) = &self.last {
            failure.details = unmet(assessment);
            if let Some(trouble) = assessment.troubles.first() {
                let troubles = &assessment.troubles;
                let explained = explain(trouble, troubles, &self.snapshot(), &Logs::default());
                failure.hints.extend(explained.hint);
            } else if let Some(pod) = bootstrapping(assessment) {
                failure.hints.push(format!(
                    "kubectl -n {} logs {pod} -c bootstrap  # what the pod waits for",
                    work.namespace()
                ));
            }
        }
        failure
            .details
            .extend(self.observer.trouble().map(|t| format!("the API server said: {t}")));
        self.hint_at_failover(&mut failure);
        let context = work.context;
        failure
            .hint(format!("{}; --timeout 30m waits longer", work.resume()))
            .hint(format!("{}  # shows the pods and problems", context.sibling("status")))
    }

    /// Waits for a change, the end of a grace period, an answer of PostgreSQL, or the time of the next query.
    async fn pause(&mut self) -> anyhow::Result<()> {
        let now = self.started.elapsed();
        let grace = self.graces.next_deadline(now).map(|left| Instant::now() + left);
        let ask = (self.askable && self.asking.is_none()).then_some(self.ask_at);
        let beat = self.display.beat_at();
        let wake =
            [grace, ask, self.labels.again_at()].into_iter().flatten().fold(beat, Instant::min);
        tokio::select! {
            biased;
            change = self.observer.next() => change.context("waiting")?,
            Some(streaming) = OptionFuture::from(self.asking.as_mut()) => {
                self.streaming = Some(streaming);
                self.asking = None;
                self.ask_at = Instant::now() + ASK_EVERY;
            }
            () = sleep_until(wake) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::ObjectId;

    fn trouble(cause: Cause) -> Trouble {
        Trouble {
            object: ObjectId::new(Kind::Pod, "pg", "pgset-1"),
            uid: Some("7".to_owned()),
            cause,
            grace: Duration::ZERO,
            message: "it does not start".to_owned(),
            container: None,
            restarts: None,
            exit_code: None,
            out_of_memory: false,
            ran_before_change: false,
        }
    }

    fn facts(lasting: Vec<Trouble>) -> Facts {
        Facts {
            snapshot: Snapshot::default(),
            ready: false,
            waiting_for: vec!["pod/pgset-1".to_owned()],
            lasting,
            wedged: Vec::new(),
            unwedged: Vec::new(),
            outdated: None,
        }
    }

    #[test]
    fn a_wedged_pod_is_deleted_once_and_other_troubles_end_the_wait() {
        let waits = || Next::Wait("pod/pgset-1".to_owned());
        assert_eq!(Waiter::next(&facts(Vec::new())), waits());
        let other = trouble(Cause::Wedged);
        assert_eq!(Waiter::next(&facts(vec![other.clone()])), Next::Act(Step::Fail(other)));
        let pod = WedgedPod {
            name: "pgset-1".to_owned(),
            uid: "7".to_owned(),
            revision: "pgset-5".to_owned(),
        };
        let mut wedged = facts(vec![trouble(Cause::Wedged)]);
        wedged.wedged = vec![pod.clone()];
        assert_eq!(Waiter::next(&wedged), Next::Act(Step::DeleteWedgedPod(pod)));
        wedged.unwedged = vec!["7".to_owned()];
        assert_eq!(Waiter::next(&wedged), waits());
        wedged.ready = true;
        assert_eq!(Waiter::next(&wedged), Next::Done);
        // Before its trouble ends the wait.
        let outdated = ("pgset-1".to_owned(), "7".to_owned());
        let crashes = Facts { outdated: Some(outdated), ..facts(vec![trouble(Cause::Wedged)]) };
        let replace = Step::Replace("pgset-1".to_owned(), "7".to_owned());
        assert_eq!(Waiter::next(&crashes), Next::Act(replace));
    }
}
