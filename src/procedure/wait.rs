//! Waiting until a set is as it should be, or until it is known why it won't be.

use crate::manifest::ServerVersion;
use crate::manifest::object::MANAGER;
use crate::procedure::live;
use crate::set::SetIdentity;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use futures::future::{BoxFuture, OptionFuture};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::storage::v1::StorageClass;
use tokio::time::{Instant, sleep_until};

use crate::cluster::Cluster;
use crate::cluster::objects::Freshness;
use crate::cluster::observe::{Observer, Scope};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::event::Event;
use crate::interrupt::interrupted;
use crate::manifest::{Kind, ObjectId};
use crate::procedure::sql;
use crate::readiness::Phase;
use crate::readiness::{
    Assessment, Cause, Expectation, Graces, Logs, Snapshot, Streaming, Trouble, WedgedPod, assess,
    explain, is_ready, timed_out,
};

/// The pause between two questions to PostgreSQL.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Without a change for this long, a plain log says what is still waited for.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// How long the storage classes may take to be read.
const CLASSES_WITHIN: Duration = Duration::from_secs(5);
/// How many lines of a log explain a failure.
const LOG_LINES: u32 = 20;

/// What to watch of a set.
pub(crate) fn scope(set: &SetIdentity, statefulset: &Value, version: ServerVersion) -> Scope {
    let volumes = &statefulset["spec"]["template"]["spec"]["volumes"];
    let shared = volumes.as_array().is_some_and(|v| {
        v.iter().any(|v| v["persistentVolumeClaim"]["claimName"] == set.claim().as_str())
    });
    Scope { set: set.clone(), volumes: shared, version }
}

/// When a set is ready: this StatefulSet, with so many pods, each replica streaming.
pub(crate) fn expectation(
    set: &SetIdentity,
    statefulset: &Value,
    replicas: u32,
    version: &ServerVersion,
) -> Expectation {
    let uid = live::uid_of(statefulset);
    Expectation {
        set: set.clone(),
        replicas,
        statefulset_uid: (!uid.is_empty()).then(|| uid.to_owned()),
        statefulset_generation: statefulset["metadata"]["generation"].as_i64(),
        not_before: applied_at(statefulset),
        want_streaming: replicas > 1,
        server_minor: version.minor,
    }
}

/// When pgset last applied an object, by the server's clock: events older than that are not about
/// what it is now. Our own clock may be wrong.
fn applied_at(live: &Value) -> Option<jiff::Timestamp> {
    let managers = live["metadata"]["managedFields"].as_array()?;
    managers
        .iter()
        .filter(|entry| entry["manager"] == MANAGER)
        .filter_map(|entry| entry["time"].as_str()?.parse().ok())
        .max()
}

/// `2 pods ready, 1 replica streaming`.
pub(crate) fn pods(replicas: u32) -> String {
    match replicas {
        0 => "no pods".to_owned(),
        1 => "1 pod ready, no replica".to_owned(),
        2 => "2 pods ready, 1 replica streaming".to_owned(),
        n => format!("{n} pods ready, {} replicas streaming", n - 1),
    }
}

/// What to wait for, and what to say when it is interrupted.
#[derive(Clone)]
pub struct Wait<'a> {
    /// The set, its volumes and the server.
    pub scope: Scope,
    /// When it is ready.
    pub expectation: Expectation,
    /// What the command has done so far, should it be interrupted now.
    pub done: &'a str,
    /// The command that goes on after an interruption.
    pub next: &'a str,
}

/// Waits until the set is ready. Returns its last snapshot.
///
/// # Errors
/// With the cause as soon as its grace has passed; at the deadline with what is still waited for.
pub async fn until_ready(
    context: &Context,
    cluster: &Cluster,
    wait: Wait<'_>,
) -> anyhow::Result<Snapshot> {
    let mut waiter = Waiter::new(context, cluster, wait);
    loop {
        if let Some(snapshot) = waiter.step().await? {
            return Ok(snapshot);
        }
    }
}

struct Waiter<'a> {
    context: &'a Context,
    cluster: &'a Cluster,
    wait: Wait<'a>,
    observer: Observer,
    graces: Graces,
    started: Instant,
    /// What PostgreSQL said last, and the question under way.
    streaming: Option<Streaming>,
    asking: Option<BoxFuture<'static, Streaming>>,
    ask_at: Instant,
    /// Whether there is a master to ask.
    askable: bool,
    classes: Option<Vec<StorageClass>>,
    /// Once: whoever may not read them would be refused at every change.
    classes_asked: bool,
    /// The UIDs of the wedged pods that were deleted: a watch shows them a little longer.
    unwedged: Vec<String>,
    shown: BTreeMap<ObjectId, (Phase, String)>,
    beat_at: Instant,
    last: Option<Assessment>,
}

impl<'a> Waiter<'a> {
    fn new(context: &'a Context, cluster: &'a Cluster, wait: Wait<'a>) -> Self {
        let observer = Observer::new(cluster, &wait.scope);
        let now = Instant::now();
        Self {
            context,
            cluster,
            wait,
            observer,
            graces: Graces::default(),
            started: now,
            streaming: None,
            asking: None,
            ask_at: now,
            askable: false,
            classes: None,
            classes_asked: false,
            unwedged: Vec::new(),
            shown: BTreeMap::new(),
            beat_at: now + HEARTBEAT,
            last: None,
        }
    }

    /// Waits for one thing to happen and looks at the set again; the snapshot when it is ready.
    async fn step(&mut self) -> anyhow::Result<Option<Snapshot>> {
        let now = self.started.elapsed();
        let grace = self.graces.next_deadline(now).map(|left| Instant::now() + left);
        let ask = (self.askable && self.asking.is_none()).then_some(self.ask_at);
        let wake = [grace, Some(self.beat_at), ask];
        let wake = wake.into_iter().flatten().min().unwrap_or(self.beat_at);
        tokio::select! {
            biased;
            exit = self.context.interrupt.wait() => {
                return Err(interrupted(exit, &self.done(), self.wait.next).into());
            }
            // Before the changes: a busy namespace must not put the deadline off.
            () = sleep_until(self.cluster.deadline.at()) => return Err(self.too_late().into()),
            change = self.observer.next() => change.context("waiting")?,
            Some(streaming) = OptionFuture::from(self.asking.as_mut()) => {
                self.streaming = Some(streaming);
                self.asking = None;
                self.ask_at = Instant::now() + ASK_EVERY;
            }
            () = sleep_until(wake) => {}
        }
        // What else has already arrived is taken in before the set is looked at.
        while let Some(change) = self.observer.next().now_or_never() {
            change.context("waiting")?;
        }
        if !self.observer.complete() {
            self.beat(false, || vec!["the first answer of the API server".to_owned()]);
            return Ok(None);
        }
        self.look().await
    }

    async fn look(&mut self) -> anyhow::Result<Option<Snapshot>> {
        let snapshot = self.snapshot().await;
        self.ask(&snapshot);
        let assessment = assess(&snapshot, &self.wait.expectation);
        self.show(&assessment);
        if assessment.ready {
            return Ok(Some(snapshot));
        }
        // Whoever stops the pods does not mind what ails them.
        if self.wait.expectation.replicas > 0 {
            for trouble in self.graces.observe(&assessment.troubles, self.started.elapsed()) {
                let wedged = assessment.wedged.iter().find(|pod| {
                    trouble.cause == Cause::Wedged && Some(&pod.uid) == trouble.uid.as_ref()
                });
                match wedged {
                    Some(pod) => self.unwedge(pod).await?,
                    None => return Err(self.failure(&trouble, &snapshot).await.into()),
                }
            }
        }
        self.last = Some(assessment);
        Ok(None)
    }

    async fn snapshot(&mut self) -> Snapshot {
        let mut snapshot = self.observer.snapshot();
        let pending = snapshot
            .claims
            .iter()
            .any(|claim| claim.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Pending"));
        if pending && !self.classes_asked {
            self.classes_asked = true;
            self.classes = self.read_classes().await;
        }
        snapshot.storage_classes.clone_from(&self.classes);
        snapshot.streaming.clone_from(&self.streaming);
        snapshot
    }

    async fn read_classes(&self) -> Option<Vec<StorageClass>> {
        let read = self.cluster.list(Kind::StorageClass, "", "", Freshness::Latest);
        // They only sharpen what is said: nobody waits long for them.
        let classes = tokio::time::timeout(CLASSES_WITHIN, read).await.ok()?.ok()?;
        classes.into_iter().map(|c| serde_json::from_value(c).ok()).collect()
    }

    fn may_ask(&self) -> bool {
        self.wait.expectation.want_streaming && self.wait.expectation.replicas > 1
    }

    /// Asks the master who streams, when it is time and there is a master to ask.
    fn ask(&mut self, snapshot: &Snapshot) {
        let master = master(snapshot, &self.wait.scope.set.master()).filter(|_| self.may_ask());
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
        let namespace = self.wait.scope.set.namespace.to_string();
        let question = sql::streaming(self.cluster.clone(), namespace, master, pods);
        self.asking = Some(question.boxed());
    }

    fn show(&mut self, assessment: &Assessment) {
        let mut changed = false;
        let mut states = BTreeMap::new();
        for one in &assessment.states {
            let state = (one.phase, one.state.clone());
            if self.shown.get(&one.object) != Some(&state) {
                changed = true;
                self.context.reporter.emit(Event::State {
                    object: one.object.clone(),
                    phase: one.phase,
                    state: one.state.clone(),
                });
            }
            states.insert(one.object.clone(), state);
        }
        for object in self.shown.keys().filter(|object| !states.contains_key(object)) {
            changed = true;
            self.context.reporter.emit(Event::State {
                object: object.clone(),
                phase: Phase::Gone,
                state: "Gone".to_owned(),
            });
        }
        self.shown = states;
        self.beat(changed, || assessment.waiting_for.clone());
    }

    /// Says what is still waited for when nothing has changed for long enough. Moves the next beat
    /// on either way: a beat in the past would wake the loop without end.
    fn beat(&mut self, changed: bool, waiting_for: impl FnOnce() -> Vec<String>) {
        let now = Instant::now();
        if !changed && now < self.beat_at {
            return;
        }
        self.beat_at = now + HEARTBEAT;
        if !changed {
            let mut waiting_for = waiting_for();
            waiting_for.extend(self.observer.trouble().map(|t| format!("the API server: {t}")));
            let elapsed = self.started.elapsed();
            self.context.reporter.emit(Event::Heartbeat { elapsed, waiting_for });
        }
    }

    /// The whole explanation of a trouble whose grace is over.
    async fn failure(&self, trouble: &Trouble, snapshot: &Snapshot) -> Failure {
        let mut logs = Logs::default();
        if let (Kind::Pod, Some(container)) = (trouble.object.kind, &trouble.container) {
            let namespace = self.wait.scope.set.namespace.as_str();
            let read = |previous| {
                self.cluster.logs(namespace, &trouble.object.name, container, previous, LOG_LINES)
            };
            (logs.current, logs.previous) = futures::join!(read(false), read(true));
        }
        let explanation = explain(trouble, snapshot, &logs);
        let mut failure = Failure::new(Exit::Failed, explanation.summary);
        failure.details = explanation.details;
        failure.hints = explanation.hints;
        failure
    }

    /// Deletes a pod that the controller will never replace by itself (kubernetes/kubernetes#67250).
    async fn unwedge(&mut self, pod: &WedgedPod) -> anyhow::Result<()> {
        if self.unwedged.contains(&pod.uid) {
            return Ok(());
        }
        self.unwedged.push(pod.uid.clone());
        let question = format!(
            "Pod {} is not ready and runs an old revision ({}); Kubernetes will not replace it by itself. Delete the pod (its data stays)?",
            pod.name, pod.revision
        );
        let id = ObjectId::new(Kind::Pod, self.wait.scope.set.namespace.as_str(), &pod.name);
        if !self.context.confirm(&question).await? {
            return Err(Failure::new(Exit::Refused, format!("pod {} was left as it is", pod.name))
                .hint(format!(
                    "kubectl -n {} delete pod {}",
                    self.wait.scope.set.namespace, pod.name
                ))
                .into());
        }
        let deleted = self.cluster.delete(&id, &pod.uid).await?;
        if deleted {
            self.context.reporter.emit(Event::Object {
                object: id,
                outcome: crate::event::Outcome::Deleted,
                detail: Some(
                    "it ran an old revision and never got ready; its claim is kept".into(),
                ),
            });
        }
        Ok(())
    }

    fn done(&self) -> String {
        let waiting = self.last.as_ref().map(|a| a.waiting_for.join("; ")).unwrap_or_default();
        if waiting.is_empty() {
            format!("{}, the pods were not waited for", self.wait.done)
        } else {
            format!("{}; still waiting for: {waiting}", self.wait.done)
        }
    }

    fn too_late(&self) -> Failure {
        let elapsed = self.started.elapsed();
        let mut failure = Failure::new(
            Exit::TimedOut,
            format!(
                "{} after {} s",
                if self.wait.expectation.replicas == 0 {
                    "pods are still there"
                } else {
                    "not ready"
                },
                self.cluster.deadline.elapsed().as_secs()
            ),
        );
        if let Some(assessment) = &self.last {
            failure.details = timed_out(assessment, elapsed);
        }
        failure
            .details
            .extend(self.observer.trouble().map(|t| format!("the API server said: {t}")));
        failure
            .hint(format!("{}  # goes on; --timeout 30m waits longer", self.wait.next))
            .hint(format!("{}  # what is there, and what is wrong", self.context.sibling("status")))
    }
}

/// The pod that carries the master's label and is ready.
pub(crate) fn master(snapshot: &Snapshot, label: &str) -> Option<String> {
    snapshot
        .pods
        .iter()
        .find(|pod| role(pod) == Some(label) && is_ready(pod))?
        .metadata
        .name
        .clone()
}

/// The value of the label `name`: the Service that the pod belongs to.
pub(crate) fn role(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get("name").map(String::as_str)
}
