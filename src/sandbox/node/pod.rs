//! The worker of a pod: runs it from its assignment to a node until it is deleted. Without a
//! connection to the API server the pod runs on as it was, and its worker neither reads nor writes
//! objects.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{join, join_all};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::super::admission;
use super::super::events::{self, Event};
use super::super::kinds::PODS;
use super::super::nodes;
use super::super::ownership::Writer;
use super::super::registry::Delete;
use super::super::store::Key;
use super::files::Root;
use super::status::{State, describe, first_state};
use super::{Containers, Node, lock, names, processes, volumes};

const WRITER: Writer<'_> = Writer { manager: "kubelet", subresource: "status" };
/// How long containers have to end when the sandbox stops.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// A deleted pod stays for at least this time. A kubelet learns only once a second that containers
/// have ended, and clients rely on it: `kubectl delete pod` waits forever if the StatefulSet
/// creates the new pod before kubectl's second request.
const RELIST: Duration = Duration::from_secs(1);

/// Why a pod ends, and within which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    /// The time that its containers have to end.
    pub(super) grace: Duration,
    /// Whether the pod is deleted; otherwise the sandbox stops.
    pub(super) deleted: bool,
}

/// The worker of one pod.
pub(super) struct Worker {
    pub(super) node: Arc<Node>,
    pub(super) key: Key,
    pub(super) uid: String,
    /// The name of the pod's node.
    host: String,
    pub(super) root: Root,
    pub(super) running: Containers,
    pub(super) ending: watch::Sender<Option<Ending>>,
    states: Mutex<Vec<State>>,
    /// The pod when the node was last connected; none if it was deleted.
    seen: Mutex<Option<Arc<Value>>>,
    /// Whether a change was not reported, because the node was not connected.
    unreported: AtomicBool,
    restart: String,
}

impl Worker {
    pub(super) fn new(node: Arc<Node>, pod: &Arc<Value>, running: Containers) -> Self {
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let root = Root::of(&node.parts.place, &uid);
        let mut states = Vec::new();
        for (list, statuses, init) in [
            ("initContainers", "initContainerStatuses", true),
            ("containers", "containerStatuses", false),
        ] {
            for spec in pod["spec"][list].as_array().into_iter().flatten() {
                let before = pod["status"][statuses].as_array();
                let before = before.into_iter().flatten().find(|s| s["name"] == spec["name"]);
                states.push(first_state(spec, init, before));
            }
        }
        let restart = pod["spec"]["restartPolicy"].as_str().unwrap_or("Always").to_owned();
        Self {
            key: Key::of(&PODS, pod),
            node,
            uid,
            host: super::host(pod).to_owned(),
            root,
            running,
            ending: watch::Sender::new(None),
            states: Mutex::new(states),
            seen: Mutex::new(Some(Arc::clone(pod))),
            unreported: AtomicBool::new(false),
            restart,
        }
    }

    /// Runs the pod until it ends.
    pub(super) async fn run(self) {
        // A pod that was deleted while its node was off is not started again.
        self.ending.send_replace(self.ends());
        let watched = async {
            let ending = self.wait_for_end().await;
            self.ending.send_replace(Some(ending));
            // A second deletion may shorten the grace period.
            loop {
                let ending = self.wait_for_change().await;
                self.ending.send_replace(Some(ending));
            }
        };
        let heard = async {
            let mut ending = self.ending.subscribe();
            let ended = ending.wait_for(Option::is_some).await.map(|ending| *ending);
            let deleted = ended.is_ok_and(|ending| ending.is_some_and(|ending| ending.deleted));
            if deleted && self.pod().is_some() {
                tokio::time::sleep(RELIST).await;
            }
            deleted
        };
        let lived = async { join(self.live(), heard).await.1 };
        let deleted = tokio::select! {
            deleted = lived => deleted,
            () = watched => false,
            () = self.refresh() => false,
        };
        lock(&self.running).clear();
        let root = self.root.clone();
        // The only possible error is a panic, which has already been printed.
        let _ = tokio::task::spawn_blocking(move || {
            processes::kill_pods(&[root.directory().to_owned()]);
        })
        .await;
        self.node.revoke(&self.root);
        if deleted {
            self.node.connected(&self.host).await;
        }
        if deleted && !self.is_cut_off() {
            let how = Delete { uid: Some(self.uid.clone()), grace: Some(0), ..Delete::default() };
            // Another client may have deleted it.
            let _ = self.node.parts.registry.delete(&self.key, &how);
            // Delete the pod first: nothing writes into its directory after that.
            if let Err(error) = tokio::fs::remove_dir_all(self.root.directory()).await
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%error, "a pod's directory can't be deleted");
            }
        }
    }

    /// The pod as the node knows it; none if it is deleted.
    pub(super) fn pod(&self) -> Option<Arc<Value>> {
        let mut seen = lock(&self.seen);
        if !self.is_cut_off() {
            *seen = self.node.pod(&self.key, &self.uid);
        }
        seen.clone()
    }

    fn is_cut_off(&self) -> bool {
        nodes::is_cut_off(&self.node.parts.registry, &self.host)
    }

    /// Updates the files of mounted objects. A kubelet needs up to a minute; here every change is
    /// applied at once.
    async fn refresh(&self) {
        let mut latest = self.node.parts.registry.store.subscribe();
        let mut was_cut_off = false;
        while latest.changed().await.is_ok() {
            if self.is_cut_off() {
                was_cut_off = true;
                continue;
            }
            if was_cut_off | self.unreported.swap(false, Ordering::Relaxed) {
                was_cut_off = false;
                self.publish();
            }
            if let Some(pod) = self.pod() {
                volumes::refresh(&self.node, &pod, &self.root);
            }
        }
    }

    async fn wait_for_end(&self) -> Ending {
        let mut latest = self.node.parts.registry.store.subscribe();
        let mut stopping = self.node.stopping.subscribe();
        let mut mended = self.node.parts.faults.changes();
        loop {
            latest.borrow_and_update();
            mended.borrow_and_update();
            if let Some(ending) = self.ends() {
                return ending;
            }
            tokio::select! {
                _ = latest.changed() => {}
                _ = mended.changed() => {}
                _ = stopping.changed() => {}
            }
        }
    }

    async fn wait_for_change(&self) -> Ending {
        let before = *self.ending.borrow();
        let mut latest = self.node.parts.registry.store.subscribe();
        loop {
            if let Some(ending) = self.ends().filter(|ending| Some(*ending) != before) {
                return ending;
            }
            if latest.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn ends(&self) -> Option<Ending> {
        if *self.node.stopping.borrow() {
            return Some(Ending { grace: STOP_WITHIN, deleted: false });
        }
        // A dead node neither ends containers nor notices that they ended.
        if self.node.parts.faults.broken("node").is_some() || self.is_cut_off() {
            return None;
        }
        let Some(pod) = self.pod() else {
            return Some(Ending { grace: Duration::ZERO, deleted: true });
        };
        if pod["metadata"]["deletionTimestamp"].is_null() {
            return None;
        }
        let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(0);
        Some(Ending { grace: Duration::from_secs(grace), deleted: true })
    }

    async fn live(&self) {
        if !self.settle() || self.is_ending() {
            return;
        }
        let count = lock(&self.states).len();
        let inits: Vec<usize> = (0..count).filter(|index| self.state(*index).init).collect();
        for index in inits {
            if !self.supervise(index).await {
                return;
            }
        }
        let main = (0..count).filter(|index| !self.state(*index).init);
        join_all(main.map(|index| self.supervise(index))).await;
    }

    /// Assigns the pod's address and creates its files.
    fn settle(&self) -> bool {
        let registry = &self.node.parts.registry;
        let Some(pod) = self.pod() else { return false };
        let known = pod["status"]["podIP"].as_str().filter(|a| registry.network.has(a));
        let Some(address) = known.map(str::to_owned).or_else(|| admission::free_address(registry))
        else {
            return false;
        };
        let started =
            pod["status"]["startTime"].as_str().map_or_else(super::super::now, str::to_owned);
        let settled = registry.update(&self.key, WRITER, false, |pod| {
            pod["status"]["podIP"] = json!(address);
            pod["status"]["podIPs"] = json!([{"ip": address}]);
            pod["status"]["hostIP"] = json!("127.0.0.1");
            pod["status"]["startTime"] = json!(started);
            Ok(())
        });
        let made = Root::make(&self.node.parts.place.pods())
            .and_then(|()| Root::make(self.root.directory()))
            .and_then(|()| std::fs::create_dir_all(self.root.directory().join("l")))
            .and_then(|()| names::write_users(&self.root, self.node.parts.tools.user));
        if let Err(error) = &made {
            tracing::warn!(%error, "a pod's directory can't be created");
        }
        names::write(registry, &self.node.parts.place);
        self.publish();
        settled.is_ok() && made.is_ok()
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.borrow().is_some()
    }

    /// Waits until the pod has to end.
    pub(super) async fn begins_to_end(&self) {
        let mut ending = self.ending.subscribe();
        // The sender lives as long as the worker.
        let _ = ending.wait_for(Option::is_some).await.map(drop);
    }

    /// Whether a container is restarted after this exit code.
    pub(super) fn restarts(&self, init: bool, code: i32) -> bool {
        match self.restart.as_str() {
            "Never" => false,
            "OnFailure" => code != 0,
            _ => !init || code != 0,
        }
    }

    pub(super) fn state(&self, index: usize) -> State {
        lock(&self.states)[index].clone()
    }

    /// Changes the state of a container and publishes it.
    pub(super) fn set(&self, index: usize, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.states)[index]);
        self.publish();
    }

    pub(super) fn tell(&self, container: &str, warning: bool, reason: &str, message: &str) {
        let Some(pod) = self.pod().filter(|_| !self.is_cut_off()) else { return };
        let part = if container.is_empty() {
            String::new()
        } else {
            format!("spec.containers{{{container}}}")
        };
        let source = events::KUBELET;
        let event = Event { source, about: &pod, part: &part, warning, reason, message };
        events::tell(&self.node.parts.registry, event);
    }

    /// Writes the pod's status.
    fn publish(&self) {
        let states = lock(&self.states).clone();
        let restart = self.restart.as_str();
        let written = self.node.parts.registry.update(&self.key, WRITER, false, |pod| {
            if self.is_cut_off() {
                self.unreported.store(true, Ordering::Relaxed);
            } else if pod["metadata"]["uid"] == self.uid.as_str() {
                describe(pod, &states, restart);
            }
            Ok(())
        });
        if let Err(refusal) = written {
            tracing::debug!(refusal.message, "a pod's status was not accepted");
        }
    }
}
