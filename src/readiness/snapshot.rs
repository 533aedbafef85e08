//! The objects in the cluster, and the expected ones.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Event, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;

use crate::set::{SetIdentity, Topology};

/// The objects of one set in the cluster at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The set's StatefulSet.
    pub statefulset: Option<StatefulSet>,
    /// Pods of the namespace; those of other sets are ignored.
    pub pods: Vec<Pod>,
    /// PersistentVolumeClaims of the namespace; those that the set does not use are ignored.
    pub claims: Vec<PersistentVolumeClaim>,
    /// PersistentVolumes of the cluster; also empty if pgset may not read them.
    pub volumes: Vec<PersistentVolume>,
    /// The cluster's StorageClasses; `None` if pgset may not read them.
    pub storage_classes: Option<Vec<StorageClass>>,
    /// Events of the namespace, in any order.
    pub events: Vec<Event>,
    /// The endpoints of each Service, from all of its EndpointSlices. A Service without an entry has no
    /// endpoints.
    pub endpoints: BTreeMap<String, Vec<Endpoint>>,
    /// PostgreSQL's replication state; `None` until it has been queried.
    pub streaming: Option<Streaming>,
}

/// One endpoint of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The pod, if the endpoint refers to one.
    pub pod: Option<String>,
    /// Its address.
    pub address: String,
    /// Whether it receives connections.
    pub ready: bool,
}

/// PostgreSQL's replication state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Streaming {
    /// The master's `pg_stat_replication`, a row per connection.
    pub replicas: Vec<StreamingReplica>,
    /// The progress of each running clone in percent, by pod.
    pub clone_percent: BTreeMap<String, f64>,
    /// Why the query failed.
    pub error: Option<String>,
}

/// One row of `pg_stat_replication`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamingReplica {
    /// The connected pod.
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
    /// Who is to be the master.
    pub topology: Topology,
    /// The number of pods.
    pub replicas: u32,
    /// The UID of the StatefulSet that was applied.
    pub statefulset_uid: Option<String>,
    /// `metadata.generation` in the response to the apply. A watch may still show an older one; until it
    /// has caught up, old pods must not be mistaken for new ones.
    pub statefulset_generation: Option<i64>,
    /// The StatefulSet as the server returned it after the apply: what another client changes in it ends the wait.
    pub applied: Option<Box<StatefulSet>>,
    /// When the command began, by the server's clock, to the second. A refusal that is older may not be repeated:
    /// the controller retries later and later.
    pub began: Option<Timestamp>,
    /// When the apply began, by the server's clock, to the second. Events last seen before this are ignored.
    pub not_before: Option<Timestamp>,
    /// When the configuration that the containers read at their start was last changed, by the server's clock, to the
    /// second. A run that began before that tells nothing about the current configuration. `None` if it is not known.
    pub configured: Option<Timestamp>,
    /// Whether each replica must stream.
    pub want_streaming: bool,
    /// Only this pod and its claim matter: another pod may be broken meanwhile.
    pub only: Option<String>,
    /// The minor version of the API server: 20 for 1.20.
    pub server_minor: u32,
}
