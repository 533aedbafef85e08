//! The model of `pgset status`: facts in, problems and health out.
//!
//! Down: there is no ready, writable master, or the master's Service does not reach it.
//! Degraded: anything else is wrong (a pod is not ready, a replica does not stream, a label or an
//! endpoint is not what PostgreSQL says, a volume is not bound). Healthy: nothing is.

pub mod human;
mod problems;
pub mod tls;

use std::time::Duration;

use serde::Serialize;

use crate::set::Role;

use super::replication::{Observation, ReplicaRow, SlotRow};

pub use human::human;
pub use problems::disagreements;
use problems::{pod_problems, replication_problems, volume_problems, why_down};
pub use tls::{TlsMode, TlsStatus};

/// The version of the JSON and YAML document. Fields may be added under one version, never changed.
pub const STATUS_VERSION: u32 = 1;

/// What a Service is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceRole {
    /// Reaches the master.
    Master,
    /// Reaches the replicas.
    Replica,
    /// Gives the pods their names.
    Headless,
}

/// A pod of the set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// Its ordinal.
    pub ordinal: u32,
    /// Its role by its label; none when the label is neither's.
    pub role_label: Option<Role>,
    /// `pg_is_in_recovery()`; none when PostgreSQL could not be asked.
    pub in_recovery: Option<bool>,
    /// Why PostgreSQL could not be asked, where it should have answered.
    pub no_answer: Option<String>,
    /// Condition Ready.
    pub ready: bool,
    /// In words: `Running`, `CrashLoopBackOff`, `Terminating`.
    pub state: String,
    /// Restarts of its containers.
    pub restarts: u32,
    /// The node; none before it is scheduled.
    pub node: Option<String>,
    /// The image of the database container.
    pub image: String,
    /// Since it was made.
    #[serde(serialize_with = "seconds", rename = "age_seconds")]
    pub age: Duration,
    /// Its address; empty before it has one.
    pub ip: String,
}

fn seconds<S: serde::Serializer>(age: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(age.as_secs())
}

impl PodFacts {
    /// Whether PostgreSQL said that it takes writes.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.in_recovery == Some(false)
    }
}

/// An address behind a Service: the ready ones only.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Endpoint {
    /// Its pod; none for an address that is no pod's.
    pub pod: Option<String>,
    /// The address.
    pub address: String,
}

/// A Service of the set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceFacts {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: ServiceRole,
    /// Its address, `None` for a headless one.
    pub cluster_ip: String,
    /// Its port.
    pub port: u16,
    /// Where it leads: ready addresses.
    pub endpoints: Vec<Endpoint>,
}

/// A claim of the set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VolumeFacts {
    /// The claim.
    pub claim: String,
    /// The volume that it is bound to.
    pub volume: Option<String>,
    /// Its storage class.
    pub class: Option<String>,
    /// What it got, or else what it asks for.
    pub capacity: String,
    /// `Bound`, `Pending`, `Lost`.
    pub phase: String,
    /// The pods that use it.
    pub pods: Vec<String>,
}

/// How the set is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Nothing is wrong.
    Healthy,
    /// It takes writes, and something is wrong.
    Degraded,
    /// It takes no writes.
    Down,
}

impl Health {
    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

/// A replica, as the master sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplicaStatus {
    /// The pod; none for a client that is no pod of the set.
    pub pod: Option<String>,
    /// The row of `pg_stat_replication`; none when there is none.
    pub row: Option<ReplicaRow>,
    /// Percent of a base backup that runs.
    pub clone_percent: Option<f64>,
}

/// What `status` is made of.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The set's name.
    pub set: String,
    /// Its namespace.
    pub namespace: String,
    /// The pods asked for.
    pub desired_replicas: u32,
    /// Its pods.
    pub pods: Vec<PodFacts>,
    /// What the master said; none when it could not be asked.
    pub observation: Option<Observation>,
    /// Its Services.
    pub services: Vec<ServiceFacts>,
    /// Its claims.
    pub volumes: Vec<VolumeFacts>,
    /// What the servers say about TLS; none when none of them answered.
    pub tls: Option<TlsStatus>,
    /// What readiness found wrong, in words.
    pub problems: Vec<String>,
}

/// What `status` shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// [`STATUS_VERSION`].
    pub version: u32,
    /// The set's name.
    pub set: String,
    /// Its namespace.
    pub namespace: String,
    /// How it is.
    pub health: Health,
    /// What is wrong, worst first.
    pub problems: Vec<String>,
    /// PostgreSQL's version: `9.5.5`, `15.18`; none when the master could not be asked.
    pub postgres_version: Option<String>,
    /// For how many replicas a commit waits; none when the master could not be asked.
    pub synchronous: Option<u32>,
    /// Whether connections are encrypted; none when no server could be asked.
    pub tls: Option<TlsStatus>,
    /// The pods asked for.
    pub desired_replicas: u32,
    /// Its pods, by ordinal.
    pub pods: Vec<PodFacts>,
    /// Its replicas, by ordinal, then strangers.
    pub replication: Vec<ReplicaStatus>,
    /// The master's slots.
    pub slots: Vec<SlotRow>,
    /// Its Services.
    pub services: Vec<ServiceFacts>,
    /// Its claims.
    pub volumes: Vec<VolumeFacts>,
}

impl Status {
    /// Of a set that is not there: down, and nothing of it.
    #[must_use]
    pub fn absent(set: &str, namespace: &str) -> Self {
        Self {
            version: STATUS_VERSION,
            set: set.to_owned(),
            namespace: namespace.to_owned(),
            health: Health::Down,
            problems: vec![format!("there is no set {set} in namespace {namespace}")],
            postgres_version: None,
            synchronous: None,
            tls: None,
            desired_replicas: 0,
            pods: Vec::new(),
            replication: Vec::new(),
            slots: Vec::new(),
            services: Vec::new(),
            volumes: Vec::new(),
        }
    }

    /// Draws the conclusions.
    #[must_use]
    pub fn new(facts: Facts) -> Self {
        let mut facts = facts;
        facts.pods.sort_by_key(|pod| pod.ordinal);
        let down = why_down(&facts.pods, &facts.services);
        let mut problems: Vec<String> = Vec::new();
        let all =
            down.iter().cloned().chain(facts.problems.iter().cloned()).chain(pod_problems(&facts));
        let all = all
            .chain(disagreements(&facts.pods, &facts.services))
            .chain(replication_problems(&facts))
            .chain(volume_problems(&facts.volumes));
        for problem in all {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        let health = match (down.is_some(), problems.is_empty()) {
            (true, _) => Health::Down,
            (false, false) => Health::Degraded,
            (false, true) => Health::Healthy,
        };
        Self {
            version: STATUS_VERSION,
            set: facts.set,
            namespace: facts.namespace,
            health,
            problems,
            postgres_version: facts.observation.as_ref().map(|o| version(o.version_num)),
            synchronous: facts.observation.as_ref().map(|o| o.synchronous),
            tls: facts.tls,
            desired_replicas: facts.desired_replicas,
            replication: facts
                .observation
                .as_ref()
                .map_or_else(Vec::new, |o| replication(o, &facts.pods)),
            slots: facts.observation.map_or_else(Vec::new, |o| o.slots),
            pods: facts.pods,
            services: facts.services,
            volumes: facts.volumes,
        }
    }
}

/// `90505` is 9.5.5, `150018` is 15.18.
#[must_use]
pub fn version(number: u32) -> String {
    let (first, second, third) = (number / 10_000, number / 100 % 100, number % 100);
    if first >= 10 {
        format!("{first}.{}", number % 10_000)
    } else {
        format!("{first}.{second}.{third}")
    }
}

impl Endpoint {
    fn is_of(&self, pod: &PodFacts) -> bool {
        match &self.pod {
            Some(name) => *name == pod.name,
            None => !pod.ip.is_empty() && self.address == pod.ip,
        }
    }
}

fn names(pods: &[PodFacts], pick: impl Fn(&PodFacts) -> bool) -> Vec<(String, String)> {
    pods.iter().filter(|pod| pick(pod)).map(|pod| (pod.name.clone(), pod.ip.clone())).collect()
}

fn replication(observation: &Observation, pods: &[PodFacts]) -> Vec<ReplicaStatus> {
    let replicas = names(pods, |pod| !pod.is_writable());
    let by_pod = observation.by_pod(&replicas);
    let mut all = Vec::new();
    for ((pod, rows), (_, address)) in by_pod.rows.iter().zip(&replicas) {
        let clone_percent = observation.clone_of(pod, address).and_then(|clone| clone.percent);
        let status = |row| ReplicaStatus { pod: Some((*pod).to_owned()), row, clone_percent };
        if rows.is_empty() {
            all.push(status(None));
        }
        all.extend(rows.iter().map(|row| status(Some((*row).clone()))));
    }
    for row in by_pod.strangers {
        all.push(ReplicaStatus { pod: None, row: Some(row.clone()), clone_percent: None });
    }
    all
}

#[cfg(test)]
mod tests;
