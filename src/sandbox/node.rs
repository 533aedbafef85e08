//! The nodes: run the containers of their pods as processes, and report their state. All nodes are
//! this machine. A node differs from another one only in its pods, its power and its connection.
//!
//! There are no real containers. A container is a group of processes with its own environment, a
//! directory in which mounts are symbolic links, an address in 127.0.0.0/8, and a host name from
//! libnss-wrapper. Mount paths in its command and environment are translated to paths in that
//! directory. This is enough for PostgreSQL.

mod container;
mod environment;
mod files;
mod images;
pub(super) mod log;
mod names;
mod payload;
mod pod;
mod probes;
pub mod processes;
mod proxy;
mod sockets;
mod status;
mod switch;
pub(crate) mod terminal;
mod tools;
mod volumes;

use std::collections::HashMap;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) use self::environment::Setting;
use self::files::Root;
pub use self::processes::kill_group;
pub use self::tools::{MissingTool, Tools};
use super::access::Tokens;
use super::faults::Faults;
use super::kinds::PODS;
use super::nodes;
use super::place::{Place, PlaceError};
use super::registry::Registry;
use super::store::Key;

/// What the nodes work with.
pub struct Parts {
    /// The objects. A real node accesses them over HTTP.
    pub registry: Arc<Registry>,
    /// Issues the tokens of pods.
    pub tokens: Arc<Tokens>,
    /// The faults that tests inject.
    pub faults: Arc<Faults>,
    /// The programs of this machine.
    pub tools: Tools,
    /// The sandbox's directory.
    pub place: Place,
    /// The API server's address, for pods.
    pub server: SocketAddrV4,
    /// The API server's certificate.
    pub authority: String,
}

/// The nodes.
pub struct Node {
    parts: Parts,
    images: images::Images,
    pods: Mutex<HashMap<String, Running>>,
    /// The tokens of pods, by pod directory.
    issued: Mutex<HashMap<PathBuf, Issued>>,
    /// Held while a node is stopped, started, frozen or thawed.
    switching: tokio::sync::Mutex<()>,
    /// True when the sandbox stops.
    stopping: watch::Sender<bool>,
}

/// A pod with a worker.
struct Running {
    /// The name of its node.
    host: String,
    root: Root,
    worker: JoinHandle<()>,
    /// How to run a command in each running container.
    containers: Containers,
}

/// The token of a pod.
struct Issued {
    token: String,
    /// The name of the pod's node.
    host: String,
}

/// The running containers by name.
type Containers = Arc<Mutex<HashMap<String, Setting>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a pod's node.
fn host(pod: &Value) -> &str {
    pod["spec"]["nodeName"].as_str().unwrap_or_default()
}

impl Node {
    /// Nodes without running pods.
    ///
    /// # Errors
    /// If the files of the images can't be written.
    pub fn new(parts: Parts) -> Result<Self, PlaceError> {
        files::forget(&parts.place, &parts.registry, &[]);
        let images =
            images::Images::unpack(&parts.place).map_err(|e| parts.place.unwritable(&e))?;
        let (pods, issued) = (Mutex::default(), Mutex::default());
        let (switching, stopping) = (tokio::sync::Mutex::default(), watch::Sender::new(false));
        Ok(Self { parts, images, pods, issued, switching, stopping })
    }

    /// Starts a worker for each pod of a node that is connected, until the task is aborted.
    pub async fn run(self: Arc<Self>) {
        let mut latest = self.parts.registry.store.subscribe();
        let mut mended = self.parts.faults.changes();
        let mut proxy = proxy::Proxy::default();
        loop {
            latest.borrow_and_update();
            mended.borrow_and_update();
            let ends = *self.stopping.borrow() || self.parts.faults.broken("node").is_some();
            for pod in self.parts.registry.store.all(&PODS) {
                if pod["spec"]["nodeName"].is_string() && !ends {
                    self.begin(&pod);
                }
            }
            lock(&self.pods).retain(|_, running| !running.worker.is_finished());
            names::write(&self.parts.registry, &self.parts.place);
            proxy.sync(&self.parts.registry, self.cut_off()).await;
            tokio::select! {
                changed = latest.changed() => if changed.is_err() { return },
                _ = mended.changed() => {}
            }
        }
    }

    fn begin(self: &Arc<Self>, pod: &Arc<Value>) {
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let mut pods = lock(&self.pods);
        let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        if pods.contains_key(&uid) || (ended && pod["metadata"]["deletionTimestamp"].is_null()) {
            return;
        }
        // With the lock: a node that is stopped at this moment ends the workers that it finds here.
        if nodes::is_cut_off(&self.parts.registry, host(pod)) {
            return;
        }
        let containers = Containers::default();
        let worker = pod::Worker::new(Arc::clone(self), pod, Arc::clone(&containers));
        let worker = tokio::spawn(worker.run());
        let (host, root) = (host(pod).to_owned(), Root::of(&self.parts.place, &uid));
        pods.insert(uid, Running { host, root, worker, containers });
    }

    /// Ends all containers. Their pods stay, and the next start runs them again.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        let workers: Vec<JoinHandle<()>> =
            lock(&self.pods).drain().map(|(_, running)| running.worker).collect();
        for worker in workers {
            // A worker that panicked has nothing left to end.
            let _ = worker.await;
        }
    }

    /// How to run a command in a container; none if the container does not run.
    pub(super) fn setting(&self, uid: &str, container: &str) -> Option<Setting> {
        let pods = lock(&self.pods);
        let running = pods.get(uid)?;
        lock(&running.containers).get(container).cloned()
    }

    /// The path of the log of one run of a container.
    pub(super) fn log(&self, uid: &str, container: &str, run: u64) -> PathBuf {
        Root::of(&self.parts.place, uid).log(container, run)
    }

    fn pod(&self, key: &Key, uid: &str) -> Option<Arc<Value>> {
        let pod = self.parts.registry.store.get(key)?;
        (pod["metadata"]["uid"] == uid).then_some(pod)
    }
}
