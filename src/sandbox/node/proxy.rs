//! Services: forwards connections to a Service's address to one of its pods. In a real cluster
//! kube-proxy does this.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use rand::seq::IndexedRandom as _;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::controllers::SERVICE_NAME;
use super::super::kinds::{SERVICES, SLICES};
use super::super::nodes;
use super::super::registry::Registry;
use super::sockets;

/// Where the connections to a port of a Service go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Targets {
    pods: Vec<Target>,
    /// The directories of the pods whose nodes have no connection.
    cut_off: Arc<Vec<PathBuf>>,
}

/// A port of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    address: String,
    port: u16,
    /// Whether its node has no connection.
    cut_off: bool,
}

/// All forwarders by address and port.
#[derive(Default)]
pub(super) struct Proxy {
    forwarders: HashMap<(String, u16), Forwarder>,
}

struct Forwarder {
    targets: watch::Sender<Targets>,
    task: JoinHandle<()>,
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Listens for each Service that has a ready pod. Without a ready pod the connection is
    /// refused. A node without a connection neither gets connections nor makes them; `cut_off` are
    /// the directories of its pods.
    pub(super) async fn sync(&mut self, registry: &Registry, cut_off: Vec<PathBuf>) {
        let wanted = wanted(registry, &Arc::new(cut_off));
        self.forwarders.retain(|address, _| wanted.contains_key(address));
        for (address, targets) in wanted {
            if let Some(forwarder) = self.forwarders.get(&address) {
                forwarder.targets.send_if_modified(|old| {
                    let changed = *old != targets;
                    *old = targets;
                    changed
                });
                continue;
            }
            match TcpListener::bind((address.0.as_str(), address.1)).await {
                Ok(listener) => {
                    let (sender, receiver) = watch::channel(targets);
                    let task = tokio::spawn(forward(listener, receiver));
                    self.forwarders.insert(address, Forwarder { targets: sender, task });
                }
                Err(error) => tracing::warn!(%error, ?address, "a Service can't listen"),
            }
        }
    }
}

fn wanted(registry: &Registry, cut_off: &Arc<Vec<PathBuf>>) -> HashMap<(String, u16), Targets> {
    let mut wanted = HashMap::new();
    let slices = registry.store.all(&SLICES);
    for service in registry.store.all(&SERVICES) {
        let address = service["spec"]["clusterIP"].as_str().unwrap_or("None");
        if address == "None" {
            continue;
        }
        let of: Vec<&Arc<Value>> = (slices.iter())
            .filter(|slice| {
                slice["metadata"]["labels"][SERVICE_NAME] == service["metadata"]["name"]
                    && slice["metadata"]["namespace"] == service["metadata"]["namespace"]
            })
            .collect();
        for port in service["spec"]["ports"].as_array().into_iter().flatten() {
            let pods: Vec<Target> =
                of.iter().flat_map(|slice| targets(registry, slice, port)).collect();
            let number = port["port"].as_u64().and_then(|port| u16::try_from(port).ok());
            if let Some(number) = number.filter(|_| !pods.is_empty()) {
                let targets = Targets { pods, cut_off: Arc::clone(cut_off) };
                wanted.insert((address.to_owned(), number), targets);
            }
        }
    }
    wanted
}

fn targets(registry: &Registry, slice: &Value, port: &Value) -> Vec<Target> {
    let name = port["name"].as_str().unwrap_or_default();
    let ports = slice["ports"].as_array();
    let port = ports.into_iter().flatten().find(|own| own["name"] == name);
    let Some(port) = port.and_then(|p| u16::try_from(p["port"].as_u64()?).ok()) else {
        return Vec::new();
    };
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true);
    let target = |endpoint: &Value| {
        let node = endpoint["nodeName"].as_str().unwrap_or_default();
        let cut_off = nodes::is_cut_off(registry, node);
        Some(Target { address: endpoint["addresses"][0].as_str()?.to_owned(), port, cut_off })
    };
    ready.filter_map(target).collect()
}

async fn forward(listener: TcpListener, targets: watch::Receiver<Targets>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let Some(target) = targets.borrow().pods.choose(&mut rand::rng()).cloned() else {
            continue;
        };
        // Connections stay open when the Service stops listening, as with kube-proxy.
        tokio::spawn(connect(client, target, targets.clone()));
    }
}

/// Forwards a connection until one side closes it, or until the client or the pod is cut off.
async fn connect(mut client: TcpStream, target: Target, mut targets: watch::Receiver<Targets>) {
    let (Ok(from), Ok(to)) = (client.peer_addr(), client.local_addr()) else { return };
    let client_is_cut_off = async |targets: &Targets| {
        let pods = Arc::clone(&targets.cut_off);
        if pods.is_empty() {
            return false;
        }
        let owned = tokio::task::spawn_blocking(move || sockets::has_client(&pods, from, to)).await;
        owned.unwrap_or(false)
    };
    let now = targets.borrow_and_update().clone();
    if target.cut_off || client_is_cut_off(&now).await {
        return tracing::debug!(%from, ?target, "a connection is cut off");
    }
    let cut = async {
        let mut known = now.cut_off;
        while targets.changed().await.is_ok() {
            let now = targets.borrow_and_update().clone();
            let is_target = |pod: &Target| pod.address == target.address && pod.cut_off;
            if now.pods.iter().any(is_target) {
                return;
            }
            if now.cut_off != known && client_is_cut_off(&now).await {
                return;
            }
            known = now.cut_off;
        }
        // The Service is deleted, or has no ready pod.
        std::future::pending::<()>().await;
    };
    client.set_nodelay(true).ok();
    let forwarded = async {
        match TcpStream::connect((target.address.as_str(), target.port)).await {
            Ok(mut server) => {
                server.set_nodelay(true).ok();
                // Client and server both notice a broken connection.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
            Err(error) => tracing::debug!(%error, ?target, "a pod does not answer"),
        }
    };
    tokio::select! {
        () = forwarded => {}
        () = cut => tracing::debug!(%from, ?target, "a connection is cut off"),
    }
}
