//! Maintains a current snapshot of a set, with one watch per kind.

use std::collections::BTreeMap;
use std::fmt::Debug;

use futures::stream::{BoxStream, SelectAll, StreamExt as _};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Endpoints, Event, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::Api;
use kube::core::Resource;
use serde::de::DeserializeOwned;

use super::follow::{Change, Denied, Store, follow};
use super::{Cluster, ClusterError};
use crate::manifest::ServerVersion;
use crate::manifest::object::LABEL_NAMESPACE;
use crate::readiness::{Endpoint, Snapshot};
use crate::set::SetIdentity;

enum Update {
    StatefulSets(Change<StatefulSet>),
    Pods(Change<Pod>),
    Claims(Change<PersistentVolumeClaim>),
    Volumes(Change<PersistentVolume>),
    Events(Change<Event>),
    Slices(Change<EndpointSlice>),
    Endpoints(Change<Endpoints>),
}

/// What to watch.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The set.
    pub set: SetIdentity,
    /// Whether the set has static volumes: PersistentVolumes that pgset created.
    pub volumes: bool,
    /// The version of the server.
    pub version: ServerVersion,
}

/// Watches a set.
pub struct Observer {
    updates: SelectAll<BoxStream<'static, Update>>,
    /// The generation of the credentials that the streams use.
    generation: u32,
    cluster: Cluster,
    scope: Scope,
    statefulsets: Store<StatefulSet>,
    pods: Store<Pod>,
    claims: Store<PersistentVolumeClaim>,
    volumes: Store<PersistentVolume>,
    events: Store<Event>,
    slices: Store<EndpointSlice>,
    endpoints: Store<Endpoints>,
    /// Kinds without a completed first list.
    missing: Vec<&'static str>,
    /// The server's last error message.
    trouble: Option<String>,
}

impl Observer {
    /// Creates the watches. Nothing is sent before [`Observer::next`].
    #[must_use]
    pub fn new(cluster: &Cluster, scope: &Scope) -> Self {
        let mut missing =
            vec!["statefulsets", "pods", "persistentvolumeclaims", "events", "endpoints"];
        if scope.volumes {
            missing.push("persistentvolumes");
        }
        let mut observer = Self {
            updates: SelectAll::new(),
            generation: 0,
            cluster: cluster.clone(),
            scope: scope.clone(),
            statefulsets: Store::default(),
            pods: Store::default(),
            claims: Store::default(),
            volumes: Store::default(),
            events: Store::default(),
            slices: Store::default(),
            endpoints: Store::default(),
            missing,
            trouble: None,
        };
        observer.begin();
        observer
    }

    /// Starts a stream for each kind with the current client.
    fn begin(&mut self) {
        let (client, generation) = self.cluster.current();
        let set = &self.scope.set;
        let (namespace, selector) = (set.namespace.as_str(), set.selector());
        let mut updates = SelectAll::new();
        let api = || client.clone();
        updates.push(stream(Api::namespaced(api(), namespace), &selector, Update::StatefulSets));
        updates.push(stream(Api::namespaced(api(), namespace), &selector, Update::Pods));
        updates.push(stream(Api::namespaced(api(), namespace), &selector, Update::Claims));
        updates.push(stream(Api::namespaced(api(), namespace), "", Update::Events));
        if self.scope.version.has_endpoint_slices() {
            let services = format!(
                "kubernetes.io/service-name in ({},{},{})",
                set.name,
                set.master(),
                set.replica()
            );
            updates.push(stream(Api::namespaced(api(), namespace), &services, Update::Slices));
        } else {
            updates.push(stream(Api::namespaced(api(), namespace), &selector, Update::Endpoints));
        }
        if self.scope.volumes {
            let selector = format!("{selector},{LABEL_NAMESPACE}={namespace}");
            updates.push(stream(Api::all(api()), &selector, Update::Volumes));
        }
        self.updates = updates;
        self.generation = generation;
    }

    /// Waits for the next change. Cancel-safe.
    ///
    /// # Errors
    /// When StatefulSets or pods may not be read; other kinds that may not be read are left out. When the
    /// server does not accept the credentials even after a reload.
    pub async fn next(&mut self) -> Result<(), ClusterError> {
        let Some(update) = self.updates.next().await else {
            return std::future::pending().await;
        };
        let (kind, essential, taken) = match update {
            Update::StatefulSets(c) => ("statefulsets", true, self.statefulsets.take(c)),
            Update::Pods(c) => ("pods", true, self.pods.take(c)),
            Update::Claims(c) => ("persistentvolumeclaims", false, self.claims.take(c)),
            Update::Volumes(c) => ("persistentvolumes", false, self.volumes.take(c)),
            Update::Events(c) => ("events", false, self.events.take(c)),
            Update::Slices(c) => ("endpoints", false, self.slices.take(c)),
            Update::Endpoints(c) => ("endpoints", false, self.endpoints.take(c)),
        };
        match taken {
            Ok(()) => {
                self.trouble = None;
                self.missing.retain(|m| *m != kind);
            }
            Err(Denied::Trouble(words)) => {
                tracing::debug!(kind, words, "watching");
                self.trouble = Some(words);
            }
            Err(Denied::Unauthorized(words)) if self.cluster.renew(self.generation) => {
                tracing::debug!(kind, words, "credentials reloaded");
                self.begin();
            }
            Err(Denied::Unauthorized(words)) => {
                return Err(refused(kind, &words, "Unauthorized", 401));
            }
            Err(Denied::Forbidden(words)) if essential => {
                return Err(refused(kind, &words, "Forbidden", 403));
            }
            Err(Denied::Forbidden(words)) => {
                tracing::debug!(kind, words, "access denied, left out");
                self.missing.retain(|m| *m != kind);
            }
        }
        Ok(())
    }

    /// Whether every kind was listed once. Before that, the snapshot is incomplete.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The server's last error message, if it has not answered since.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The current snapshot. The caller must add PostgreSQL's replication state and the StorageClasses.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let name = self.scope.set.name.as_str();
        let mut endpoints: BTreeMap<String, Vec<Endpoint>> = BTreeMap::new();
        for slice in self.slices.values() {
            let labels = slice.metadata.labels.as_ref();
            if let Some(service) = labels.and_then(|l| l.get("kubernetes.io/service-name")) {
                endpoints.entry(service.clone()).or_default().extend(of_slice(&slice));
            }
        }
        for object in self.endpoints.values() {
            if let Some(service) = &object.metadata.name {
                endpoints.entry(service.clone()).or_default().extend(of_endpoints(&object));
            }
        }
        Snapshot {
            statefulset: self
                .statefulsets
                .values()
                .into_iter()
                .find(|s| s.metadata.name.as_deref() == Some(name)),
            pods: self.pods.values(),
            claims: self.claims.values(),
            volumes: self.volumes.values(),
            storage_classes: None,
            events: self.events.values(),
            endpoints,
            streaming: None,
        }
    }
}

fn stream<K>(
    api: Api<K>,
    selector: &str,
    update: fn(Change<K>) -> Update,
) -> BoxStream<'static, Update>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    follow(api, selector).map(update).boxed()
}

fn refused(kind: &str, words: &str, reason: &str, code: u16) -> ClusterError {
    let mut status = kube::core::Status::failure(words, reason);
    status.code = code;
    ClusterError::Refused { action: format!("watching {kind}"), status: Box::new(status) }
}

fn of_slice(slice: &EndpointSlice) -> Vec<Endpoint> {
    let endpoints = slice.endpoints.iter();
    endpoints
        .map(|endpoint| Endpoint {
            pod: endpoint.target_ref.as_ref().and_then(|t| t.name.clone()),
            address: endpoint.addresses.first().cloned().unwrap_or_default(),
            // Unset means unknown, which clients must treat as ready (discovery/v1).
            ready: endpoint.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true),
        })
        .collect()
}

fn of_endpoints(object: &Endpoints) -> Vec<Endpoint> {
    let one = |ready: bool| {
        move |address: &k8s_openapi::api::core::v1::EndpointAddress| Endpoint {
            pod: address.target_ref.as_ref().and_then(|t| t.name.clone()),
            address: address.ip.clone(),
            ready,
        }
    };
    let subsets = object.subsets.iter().flatten();
    subsets
        .flat_map(|subset| {
            let ready = subset.addresses.iter().flatten().map(one(true));
            let waiting = subset.not_ready_addresses.iter().flatten().map(one(false));
            ready.chain(waiting).collect::<Vec<_>>()
        })
        .collect()
}
