//! What is in the cluster, and what should be.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Event, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;

use crate::set::SetIdentity;

/// What is in the cluster at one moment, as far as it concerns one set.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The set's StatefulSet.
    pub statefulset: Option<StatefulSet>,
    /// Pods of the namespace; those that are not the set's are ignored.
    pub pods: Vec<Pod>,
    /// Claims of the namespace; those that the set does not use are ignored.
    pub claims: Vec<PersistentVolumeClaim>,
    /// Volumes of the cluster; empty also when pgset may not read them.
    pub volumes: Vec<PersistentVolume>,
    /// The cluster's storage classes; none when pgset may not read them.
    pub storage_classes: Option<Vec<StorageClass>>,
    /// Events of the namespace, in any order.
    pub events: Vec<Event>,
    /// The endpoints of each Service, from all of its EndpointSlices. A Service that is missing here
    /// has no endpoints.
    pub endpoints: BTreeMap<String, Vec<Endpoint>>,
    /// What PostgreSQL says; none as long as it has not been asked.
    pub streaming: Option<Streaming>,
}

/// One endpoint of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The pod, when the endpoint names one.
    pub pod: Option<String>,
    /// Its address.
    pub address: String,
    /// Whether it gets connections.
    pub ready: bool,
}

/// What PostgreSQL says about replication.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Streaming {
    /// The master's `pg_stat_replication`, a row per connection.
    pub replicas: Vec<StreamingReplica>,
    /// How far the clone of a pod is, in percent, while it runs.
    pub clone_percent: BTreeMap<String, f64>,
    /// Why PostgreSQL could not be asked.
    pub error: Option<String>,
}

/// One row of `pg_stat_replication`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamingReplica {
    /// The pod that is connected.
    pub pod: String,
    /// PostgreSQL's `state`: `startup`, `catchup`, `streaming`, `backup`, `stopping`.
    pub state: String,
}

/// The end of the log of the container that is in trouble, as the cluster gave it. The caller masks secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logs {
    /// Of the container that runs now.
    pub current: Option<String>,
    /// Of the one before it, which crashed.
    pub previous: Option<String>,
}

/// What should be in the cluster when the wait is over.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The set.
    pub set: SetIdentity,
    /// The number of pods.
    pub replicas: u32,
    /// The UID of the StatefulSet that was applied.
    pub statefulset_uid: Option<String>,
    /// `metadata.generation` as the apply answered it: a watch may still show an older one, and old
    /// pods must not be taken for the new ones until it has caught up.
    pub statefulset_generation: Option<i64>,
    /// Events last seen before this are ignored: when the apply began, by the server's clock, to the second.
    pub not_before: Option<Timestamp>,
    /// Whether each replica must stream.
    pub want_streaming: bool,
    /// The minor version of the API server: 20 of 1.20.
    pub server_minor: u32,
}
