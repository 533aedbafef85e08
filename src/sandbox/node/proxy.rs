//! Services: forwards connections to a Service's address to one of its pods. In a real cluster
//! kube-proxy does this.

use std::collections::HashMap;
use std::sync::Arc;

use rand::seq::IndexedRandom as _;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::controllers::SERVICE_NAME;
use super::super::kinds::{SERVICES, SLICES};
use super::super::registry::Registry;

/// The targets of a Service: addresses and ports of pods.
type Targets = Vec<(String, u16)>;

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
    /// refused.
    pub(super) async fn sync(&mut self, registry: &Registry) {
        let wanted = wanted(registry);
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

fn wanted(registry: &Registry) -> HashMap<(String, u16), Targets> {
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
            let targets: Targets = of.iter().flat_map(|slice| targets(slice, port)).collect();
            let number = port["port"].as_u64().and_then(|port| u16::try_from(port).ok());
            if let Some(number) = number.filter(|_| !targets.is_empty()) {
                wanted.insert((address.to_owned(), number), targets);
            }
        }
    }
    wanted
}

fn targets(slice: &Value, port: &Value) -> Targets {
    let name = port["name"].as_str().unwrap_or_default();
    let ports = slice["ports"].as_array();
    let port = ports.into_iter().flatten().find(|own| own["name"] == name);
    let Some(port) = port.and_then(|p| u16::try_from(p["port"].as_u64()?).ok()) else {
        return Targets::new();
    };
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true);
    ready.filter_map(|e| Some((e["addresses"][0].as_str()?.to_owned(), port))).collect()
}

async fn forward(listener: TcpListener, targets: watch::Receiver<Targets>) {
    loop {
        let Ok((mut client, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let Some(way) = targets.borrow().choose(&mut rand::rng()).cloned() else { continue };
        // Connections stay open when the Service stops listening, as with kube-proxy.
        tokio::spawn(async move {
            client.set_nodelay(true).ok();
            match TcpStream::connect((way.0.as_str(), way.1)).await {
                Ok(mut server) => {
                    server.set_nodelay(true).ok();
                    // Client and server both notice a broken connection.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
                Err(error) => tracing::debug!(%error, ?way, "a pod does not answer"),
            }
        });
    }
}
