//! A set as it is, kept up to date: one snapshot fed by a watch of each kind.

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
    /// Whether its volumes are static: PersistentVolumes that pgset made.
    pub volumes: bool,
    /// The server.
    pub version: ServerVersion,
}

/// Watches a set.
pub struct Observer {
    updates: SelectAll<BoxStream<'static, Update>>,
    /// Of the credentials that the streams began with.
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
    /// Kinds whose first list has not come yet.
    missing: Vec<&'static str>,
    /// What the server last said when it did not answer as it should.
    trouble: Option<String>,
}

impl Observer {
    /// Begins to watch. Nothing is sent before [`Observer::next`].
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

    /// Begins a stream for each kind, over the client whose credentials are in force.
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

    /// Waits for the next change. Safe to cancel.
    ///
    /// # Errors
    /// When StatefulSets or pods may not be read; what else may not be read is left out. When the
    /// credentials are not accepted, even after they were read anew.
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
                tracing::debug!(kind, words, "credentials read anew");
                self.begin();
            }
            Err(Denied::Unauthorized(words)) => {
                return Err(refused(kind, &words, "Unauthorized", 401));
            }
            Err(Denied::Forbidden(words)) if essential => {
                return Err(refused(kind, &words, "Forbidden", 403));
            }
            Err(Denied::Forbidden(words)) => {
                tracing::debug!(kind, words, "left out");
                self.missing.retain(|m| *m != kind);
            }
        }
        Ok(())
    }

    /// Whether every kind was listed once: before that nothing can be said.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// What the server last said instead of an answer.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The set as it is now. What PostgreSQL says, and the StorageClasses, are the caller's to add.
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
            // Unset means unknown, which is to be read as ready (discovery/v1).
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
