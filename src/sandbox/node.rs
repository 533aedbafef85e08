//! The node: it makes processes of the pods that it is given, and tells what became of them.
//!
//! There are no containers here: a container is a group of processes with its own environment, a
//! directory in which its mounts are symbolic links, an address of 127.0.0.0/8 and a host name that
//! libnss-wrapper gives it. Paths of a mount in its command and its environment are turned into those
//! of the directory. That is enough for PostgreSQL, and nothing more.

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
use super::place::{Place, PlaceError};
use super::registry::Registry;
use super::store::Key;

/// What a node is made of.
pub struct Parts {
    /// The API, which a real node talks to over HTTP.
    pub registry: Arc<Registry>,
    /// Who makes the tokens of pods.
    pub tokens: Arc<Tokens>,
    /// What goes wrong on purpose.
    pub faults: Arc<Faults>,
    /// The programs of this machine.
    pub tools: Tools,
    /// Where the files are.
    pub place: Place,
    /// The API server's address, for the pods.
    pub server: SocketAddrV4,
    /// Its certificate.
    pub authority: String,
}

/// The node.
pub struct Node {
    parts: Parts,
    images: images::Images,
    pods: Mutex<HashMap<String, Running>>,
    /// The tokens of pods, by their directories.
    issued: Mutex<HashMap<PathBuf, String>>,
    /// True when everything is to end.
    stopping: watch::Sender<bool>,
}

/// A pod that has a worker.
struct Running {
    worker: JoinHandle<()>,
    /// How to run a command in each of its containers that runs.
    containers: Containers,
}

/// Containers that run, by name.
type Containers = Arc<Mutex<HashMap<String, Setting>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// A node without pods.
    ///
    /// # Errors
    /// When the images' files can't be written.
    pub fn new(parts: Parts) -> Result<Self, PlaceError> {
        files::forget(&parts.place, &parts.registry);
        let images =
            images::Images::unpack(&parts.place).map_err(|e| parts.place.unwritable(&e))?;
        let (pods, issued) = (Mutex::default(), Mutex::default());
        Ok(Self { parts, images, pods, issued, stopping: watch::Sender::new(false) })
    }

    /// Looks for pods of its own, until it is aborted.
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
            proxy.sync(&self.parts.registry).await;
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
        let containers = Containers::default();
        let worker = pod::Worker::new(Arc::clone(self), pod, Arc::clone(&containers));
        let worker = tokio::spawn(worker.run());
        pods.insert(uid, Running { worker, containers });
    }

    /// Ends all containers, and leaves their pods to the next start.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        let workers: Vec<JoinHandle<()>> =
            lock(&self.pods).drain().map(|(_, running)| running.worker).collect();
        for worker in workers {
            // One that panicked has nothing left to end.
            let _ = worker.await;
        }
    }

    /// How to run a command in a container; none when it does not run.
    pub(super) fn setting(&self, uid: &str, container: &str) -> Option<Setting> {
        let pods = lock(&self.pods);
        let running = pods.get(uid)?;
        lock(&running.containers).get(container).cloned()
    }

    /// Where a container's log is; that of its run before, if that is asked for.
    pub(super) fn log(&self, uid: &str, container: &str, run: u64) -> PathBuf {
        Root::of(&self.parts.place, uid).log(container, run)
    }

    fn pod(&self, key: &Key, uid: &str) -> Option<Arc<Value>> {
        let pod = self.parts.registry.store.get(key)?;
        (pod["metadata"]["uid"] == uid).then_some(pod)
    }
}
