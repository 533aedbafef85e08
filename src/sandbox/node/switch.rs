//! Stops, starts, freezes and thaws a node.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::super::kinds::{NODES, PODS};
use super::super::nodes::{self, NodeAction, NodeState};
use super::super::ownership::Writer;
use super::super::refusal::{Answer, Refusal};
use super::super::store::Key;
use super::files::{self, Root};
use super::{Issued, Node, Running, host, lock, processes};

const WRITER: Writer<'_> = Writer { manager: "sandbox", subresource: "status" };

impl Node {
    /// Changes the state of a node, and returns its object. A stopped node has no processes then; a
    /// started one is ready, and its containers are being started.
    ///
    /// # Errors
    /// If there is no such node, or if its state does not allow it.
    pub async fn switch(&self, name: &str, action: NodeAction) -> Answer<Arc<Value>> {
        let _turn = self.switching.lock().await;
        let registry = &self.parts.registry;
        let key = Key::new(&NODES, "", name);
        let before = NodeState::of(&*registry.get(&key)?);
        let after = action.after(before).ok_or_else(|| {
            Refusal::conflict(&NODES, name, &format!("the node is {}", before.word()))
        })?;
        if action == NodeAction::Start {
            // Before the node is on: then its pods use their files.
            self.boot(name);
        }
        let node = registry.update(&key, WRITER, false, |node| {
            nodes::set_state(node, after);
            Ok(())
        })?;
        tracing::info!(node = name, state = after.word(), "a node has changed");
        if action == NodeAction::Stop {
            self.cut_power(name).await;
        }
        Ok(node)
    }

    /// Kills all processes of a node. Their workers end first, so that none starts another process
    /// or reports the end of one.
    async fn cut_power(&self, name: &str) {
        let cut: HashMap<String, Running> =
            lock(&self.pods).extract_if(|_, running| running.host == name).collect();
        for running in cut.values() {
            running.worker.abort();
        }
        let mut roots: Vec<PathBuf> = Vec::new();
        for running in cut.into_values() {
            // The error says that it was aborted.
            let _ = running.worker.await;
            roots.push(running.root.directory().to_owned());
        }
        // The only possible error is a panic, which has already been printed.
        let _ = tokio::task::spawn_blocking(move || processes::kill_pods(&roots)).await;
    }

    /// What a boot does to the files of a node: memory is empty. The directories of pods that were
    /// deleted by force meanwhile are deleted.
    fn boot(&self, name: &str) {
        let running: Vec<Root> =
            lock(&self.pods).values().map(|running| running.root.clone()).collect();
        files::forget(&self.parts.place, &self.parts.registry, &running);
        for pod in self.parts.registry.store.all(&PODS) {
            if host(&pod) != name {
                continue;
            }
            let root =
                Root::of(&self.parts.place, pod["metadata"]["uid"].as_str().unwrap_or_default());
            for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
                if volume["emptyDir"]["medium"] != "Memory" {
                    continue;
                }
                let directory = root.volume(volume["name"].as_str().unwrap_or_default());
                if let Err(error) = std::fs::remove_dir_all(directory)
                    && error.kind() != std::io::ErrorKind::NotFound
                {
                    tracing::warn!(%error, "a volume in memory can't be emptied");
                }
            }
        }
    }

    /// Waits until a node is connected, or until the sandbox stops.
    pub(in crate::sandbox) async fn connected(&self, name: &str) {
        let mut latest = self.parts.registry.store.subscribe();
        let mut stopping = self.stopping.subscribe();
        loop {
            latest.borrow_and_update();
            if *stopping.borrow_and_update() || !nodes::is_cut_off(&self.parts.registry, name) {
                return;
            }
            tokio::select! {
                changed = latest.changed() => if changed.is_err() { return },
                _ = stopping.changed() => {}
            }
        }
    }

    /// The directories of the pods that run without a connection, sorted. Some may be deleted.
    pub(super) fn cut_off(&self) -> Vec<PathBuf> {
        let pods = lock(&self.pods);
        let cut_off =
            pods.values().filter(|pod| nodes::is_cut_off(&self.parts.registry, &pod.host));
        let mut roots: Vec<PathBuf> = cut_off.map(|pod| pod.root.directory().to_owned()).collect();
        roots.sort();
        roots
    }

    /// The node of the pod with this token; none if it is no pod's token.
    pub(in crate::sandbox) fn host_of(&self, token: &str) -> Option<String> {
        let issued = lock(&self.issued);
        issued.values().find(|issued| issued.token == token).map(|issued| issued.host.clone())
    }

    /// Revokes the token of a pod that has ended.
    pub(super) fn revoke(&self, root: &Root) {
        if let Some(Issued { token, .. }) = lock(&self.issued).remove(root.directory()) {
            self.parts.tokens.revoke(&token);
        }
    }
}
