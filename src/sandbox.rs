//! A small Kubernetes in one process, to try pgset and to test it.
//!
//! It has the parts of a real cluster, and they work together in the same way: through objects.
//!
//! | module | in a real cluster |
//! | --- | --- |
//! | [`store`], `journal` | etcd: objects, a version for every change, watches |
//! | [`api`] | the API server's front: HTTP requests become reads and writes |
//! | [`registry`], `admission`, `defaults`, [`ownership`] | the API server's core: validation, default values, field ownership |
//! | [`controllers`] | the controller manager and the scheduler: they read objects and write others |
//! | [`node`] | the kubelet, the container runtime, kube-proxy and DNS: pods become processes |
//!
//! No part calls another one directly. `pgset up` writes a StatefulSet. Its controller sees it and
//! creates a pod. The scheduler assigns the pod to a node. The node sees the pod, starts its
//! processes, and writes their state into the pod's status. The controller sees that the pod is
//! ready, and creates the next one.
//!
//! Anything that neither pgset nor the kubectl commands listed in `docs/sandbox.md` use is left out.

pub mod access;
mod admission;
pub mod api;
pub mod background;
pub mod controllers;
mod defaults;
mod events;
pub mod faults;
mod fields;
pub mod journal;
pub mod kinds;
pub mod network;
pub mod node;
pub mod nodes;
pub mod ownership;
pub mod place;
pub mod refusal;
pub mod registry;
pub mod remote;
mod selectors;
mod serve;
pub mod store;
mod types;

use std::sync::Arc;

use rand::Rng as _;
use tokio::task::JoinHandle;

use self::access::Tokens;
use self::api::Api;
use self::faults::Faults;
use self::journal::Journal;
use self::network::Network;
use self::node::Node;
use self::place::{Place, PlaceError};
use self::registry::Registry;
use self::store::Store;

/// A running sandbox. [`Sandbox::stop`] ends its processes. If it is dropped instead, the processes
/// stay until the next start in the same directory ends them.
pub struct Sandbox {
    /// The faults that tests inject.
    pub faults: Arc<Faults>,
    /// The sandbox's objects.
    pub registry: Arc<Registry>,
    /// The valid tokens.
    pub tokens: Arc<Tokens>,
    place: Place,
    node: Arc<Node>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Sandbox {
    /// Starts a sandbox. The objects of an earlier sandbox in the same directory are loaded again.
    ///
    /// # Errors
    /// If PostgreSQL or a library is missing, if a sandbox already runs there, or if the directory
    /// can't be written.
    pub async fn start(place: Place) -> Result<Self, PlaceError> {
        let tools = node::Tools::find()?;
        Self::start_with(place, tools).await
    }

    /// Starts a sandbox whose containers run the given programs. Tests that are only about
    /// Kubernetes use programs that start instantly and need no PostgreSQL.
    ///
    /// # Errors
    /// If a sandbox already runs there, or if the directory can't be written.
    pub async fn start_with(place: Place, tools: node::Tools) -> Result<Self, PlaceError> {
        place.lock()?;
        node::processes::kill_all(&place);
        let (journal, (objects, version)) =
            Journal::open(&place.journal()).map_err(|e| place.unwritable(&e))?;
        let (listener, address) = serve::listen(&place).await?;
        tracing::info!(%address, postgres = %tools.postgres.display(), "the sandbox is starting");
        let token = random(32);
        let tls = serve::Tls::new(address).map_err(|e| PlaceError::Tls(e.to_string()))?;
        place.write_kubeconfig(address, &tls.pem, &token)?;
        place.write_nodes()?;

        let registry = Arc::new(Registry::new(
            Store::new(journal, objects, version),
            Network::beside(*address.ip()),
            place.volumes(),
        ));
        controllers::furnish(&registry, place.nodes());
        let tokens = Arc::new(Tokens::new(token));
        let faults = Arc::new(Faults::default());
        let node = Arc::new(Node::new(node::Parts {
            registry: Arc::clone(&registry),
            tokens: Arc::clone(&tokens),
            faults: Arc::clone(&faults),
            tools,
            place: place.clone(),
            server: address,
            authority: tls.pem.clone(),
        })?);
        let api = Arc::new(Api {
            registry: Arc::clone(&registry),
            tokens: Arc::clone(&tokens),
            node: Arc::clone(&node),
            faults: Arc::clone(&faults),
        });
        let tasks = vec![
            tokio::spawn(serve::serve(listener, tls, api)),
            tokio::spawn(controllers::run(Arc::clone(&registry), Arc::clone(&faults))),
            tokio::spawn(Arc::clone(&node).run()),
        ];
        Ok(Self { faults, registry, tokens, place, node, tasks })
    }

    /// The sandbox's directory.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Ends all containers; PostgreSQL shuts down cleanly. Objects and data stay.
    pub async fn stop(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.node.stop().await;
        tracing::info!("the sandbox has stopped");
        node::processes::kill_all(&self.place);
    }
}

/// The current time in the format of Kubernetes objects.
fn now() -> String {
    after(0)
}

/// The time this many seconds from now.
fn after(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(0);
    let time = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Random lower-case letters and digits.
fn random(length: usize) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut random = rand::rng();
    (0..length).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect()
}

/// A random UUID, in the format of Kubernetes UIDs.
fn uid() -> String {
    let mut bytes: [u8; 16] = rand::rng().random();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
