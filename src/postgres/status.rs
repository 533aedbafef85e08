//! The model of `pgset status`: derives problems and health from facts.
//!
//! Down: there is no ready, writable master, or the master's Service does not reach it.
//! Degraded: something else is wrong (a pod is not ready, a replica does not stream or is behind, a label or an
//! endpoint contradicts PostgreSQL, a volume is not bound or full, a limit of [`servers`] or [`slots`] is exceeded).
//! Healthy: nothing is wrong. Stopped: `pgset stop` stopped it.

pub mod human;
pub mod lag;
pub mod master;
mod problems;
pub mod servers;
pub mod slots;
pub mod tablespaces;
pub mod tls;
mod warnings;

use std::time::Duration;

use serde::Serialize;

use crate::set::{Role, RunState};
use crate::text::counted;

use super::connections;
use super::measurements::{Measurements, Space};
use super::replication::{Observation, SlotRow};

pub use human::{View, human};
pub use lag::{ReplicaLag, ReplicaStatus, lags};
pub use master::MasterStatus;
pub use problems::disagreements;
use problems::{pod_problems, replication_problems, volume_problems, why_down};
pub use tablespaces::Tablespace;
pub use tls::{TlsMode, TlsStatus};

/// The version of the JSON and YAML document. Within one version, fields may be added but not changed.
pub const STATUS_VERSION: u32 = 1;

/// What a Service is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceRole {
    /// Reaches the master.
    Master,
    /// Reaches the replicas.
    Replica,
    /// Gives the pods their DNS names.
    Headless,
}

/// A pod of the set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// Its ordinal.
    pub ordinal: u32,
    /// Its role by its label; `None` if the label names no role.
    pub role_label: Option<Role>,
    /// `pg_is_in_recovery()`; `None` if PostgreSQL did not answer.
    pub in_recovery: Option<bool>,
    /// Why PostgreSQL did not answer, if an answer was expected.
    pub no_answer: Option<String>,
    /// The condition Ready.
    pub ready: bool,
    /// Its state as kubectl shows it: `Running`, `CrashLoopBackOff`, `Terminating`.
    pub state: String,
    /// Restarts of its containers.
    pub restarts: u32,
    /// Its node; `None` before it is scheduled.
    pub node: Option<String>,
    /// The image of the database container.
    pub image: String,
    /// Time since its creation.
    #[serde(serialize_with = "seconds", rename = "age_seconds")]
    pub age: Duration,
    /// Its address; empty if it has none yet.
    pub ip: String,
    /// What was measured in its server; `None` if PostgreSQL did not answer.
    pub measurements: Option<Measurements>,
}

fn seconds<S: serde::Serializer>(age: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(age.as_secs())
}

impl PodFacts {
    /// Whether PostgreSQL reported that it accepts writes.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.in_recovery == Some(false)
    }
}

/// An endpoint of a Service. Only ready ones are listed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Endpoint {
    /// Its pod; `None` if the address belongs to no pod.
    pub pod: Option<String>,
    /// The address.
    pub address: String,
}

/// A Service of the set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceFacts {
    /// Its name.
    pub name: String,
    /// Its purpose.
    pub role: ServiceRole,
    /// Its cluster IP; the string `None` for a headless Service.
    pub cluster_ip: String,
    /// Its port.
    pub port: u16,
    /// Its ready endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// A PersistentVolumeClaim of the set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VolumeFacts {
    /// The name of the claim.
    pub claim: String,
    /// The volume that it is bound to.
    pub volume: Option<String>,
    /// Its storage class.
    pub class: Option<String>,
    /// Its actual capacity; the requested one if it is not bound.
    pub capacity: String,
    /// `Bound`, `Pending`, `Lost`.
    pub phase: String,
    /// The pods that mount it.
    pub pods: Vec<String>,
    /// Its space, as a pod that mounts it reports it.
    pub space: Option<Space>,
}

/// The health of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Nothing is wrong.
    Healthy,
    /// It accepts writes, but something is wrong.
    Degraded,
    /// It accepts no writes.
    Down,
    /// `pgset stop` stopped it.
    Stopped,
}

impl Health {
    /// The lower-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Stopped => "stopped",
        }
    }
}

/// The input of [`Status::new`].
#[derive(Clone, Debug)]
pub struct Facts {
    /// The set's name.
    pub set: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether it has pods, and if not, why.
    pub state: RunState,
    /// The desired number of pods.
    pub desired_replicas: u32,
    /// Its pods.
    pub pods: Vec<PodFacts>,
    /// What the master reports; `None` if it did not answer.
    pub observation: Option<Observation>,
    /// Its Services.
    pub services: Vec<ServiceFacts>,
    /// Its PersistentVolumeClaims.
    pub volumes: Vec<VolumeFacts>,
    /// The TLS state of the servers; `None` if no server answered.
    pub tls: Option<TlsStatus>,
    /// What the topology records about the master; `None` for a set without a topology.
    pub master: Option<MasterStatus>,
    /// The problems that the readiness rules found.
    pub problems: Vec<String>,
    /// The pods that these problems affect: that such a pod does not answer is no news.
    pub explained: Vec<String>,
    /// What to do about the first of these problems.
    pub hint: Option<String>,
    /// The pods that run a previous template.
    pub previous_template: Vec<String>,
    /// What is risky in the objects of the set.
    pub warnings: Vec<String>,
}

/// What `status` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// [`STATUS_VERSION`].
    pub version: u32,
    /// The set's name.
    pub set: String,
    /// Its namespace.
    pub namespace: String,
    /// Its health.
    pub health: Health,
    /// Whether it has pods, and if not, why.
    #[serde(flatten)]
    pub state: RunState,
    /// The problems, causes first.
    pub problems: Vec<String>,
    /// What is risky, but not wrong now: it does not change the health.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What to do about the first problem, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The pods that run a previous template. No problem: `pgset restart` updates them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub previous_template: Vec<String>,
    /// The master; `None` for a set without pods, or without a topology.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master: Option<MasterStatus>,
    /// PostgreSQL's version: `9.5.5`, `15.18`; `None` if the master did not answer.
    pub postgres_version: Option<String>,
    /// The number of replicas that must confirm each commit; `None` if the master did not answer.
    pub synchronous: Option<u32>,
    /// The TLS state; `None` if no server answered.
    pub tls: Option<TlsStatus>,
    /// The desired number of pods.
    pub desired_replicas: u32,
    /// Its pods, by ordinal.
    pub pods: Vec<PodFacts>,
    /// Its replicas by ordinal, then clients that are not pods of the set.
    pub replication: Vec<ReplicaStatus>,
    /// The master's slots.
    pub slots: Vec<SlotRow>,
    /// The tablespaces that users have created.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tablespaces: Vec<Tablespace>,
    /// Its Services.
    pub services: Vec<ServiceFacts>,
    /// Its PersistentVolumeClaims.
    pub volumes: Vec<VolumeFacts>,
}

impl Status {
    /// The status of a set that does not exist: down, without objects.
    #[must_use]
    pub fn absent(set: &str, namespace: &str) -> Self {
        let problem = format!("there is no set {set} in namespace {namespace}");
        let mut status = Self::without_pods(set, namespace, RunState::Absent, Vec::new());
        status.problems.push(problem);
        status
    }

    /// The status of a set that `pgset down` has deleted.
    #[must_use]
    pub fn down(
        set: &str,
        namespace: &str,
        data_on: Option<String>,
        volumes: Vec<VolumeFacts>,
    ) -> Self {
        Self::without_pods(set, namespace, RunState::Down { data_on }, volumes)
    }

    fn without_pods(
        set: &str,
        namespace: &str,
        state: RunState,
        volumes: Vec<VolumeFacts>,
    ) -> Self {
        let stopped = matches!(state, RunState::Stopped { .. });
        Self {
            version: STATUS_VERSION,
            set: set.to_owned(),
            namespace: namespace.to_owned(),
            health: if stopped { Health::Stopped } else { Health::Down },
            problems: volume_problems(&volumes, &[]),
            warnings: Vec::new(),
            hint: state.hint(),
            state,
            previous_template: Vec::new(),
            master: None,
            postgres_version: None,
            synchronous: None,
            tls: None,
            desired_replicas: 0,
            pods: Vec::new(),
            replication: Vec::new(),
            slots: Vec::new(),
            tablespaces: Vec::new(),
            services: Vec::new(),
            volumes,
        }
    }

    /// The status of a set that should have no pods: that no server answers is no news.
    fn at_rest(facts: Facts) -> Self {
        let Facts { set, namespace, state, pods, services, volumes, .. } = facts;
        let mut status = Self::without_pods(&set, &namespace, state, volumes);
        if !pods.is_empty() {
            let left = format!("{} still to be deleted", counted(pods.len(), "pod"));
            status.problems.insert(0, left);
        }
        Self { pods, services, ..status }
    }

    /// Derives health and problems from the facts.
    #[must_use]
    pub fn new(facts: Facts) -> Self {
        let mut facts = facts;
        facts.pods.sort_by_key(|pod| pod.ordinal);
        for volume in &mut facts.volumes {
            volume.space = servers::space(volume, &facts.pods);
        }
        if facts.state.is_at_rest() {
            return Self::at_rest(facts);
        }
        let down = why_down(&facts.pods, &facts.services);
        let mut problems: Vec<String> = Vec::new();
        // The causes come before their result.
        let all =
            facts.problems.iter().cloned().chain(down.iter().cloned()).chain(pod_problems(&facts));
        let lags = lags(facts.observation.as_ref(), &facts.pods);
        let all = all
            .chain(facts.disagreements())
            .chain(lags.iter().filter_map(ReplicaLag::problem))
            .chain(replication_problems(&facts))
            .chain(slots::problems(&facts, &lags))
            .chain(volume_problems(&facts.volumes, &facts.problems))
            .chain(servers::space_problems(&facts.volumes))
            .chain(servers::problems(&facts.pods));
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
        let tablespaces = tablespaces::tablespaces(&facts.pods, &facts.volumes);
        let mut warnings = warnings::warnings(&facts.pods);
        warnings.extend(tablespaces::warnings(&tablespaces));
        warnings.extend(facts.warnings);
        Self {
            version: STATUS_VERSION,
            set: facts.set,
            namespace: facts.namespace,
            health,
            state: facts.state,
            hint: facts
                .hint
                .or_else(|| problems.iter().find_map(|problem| connections::hint(problem, None))),
            problems,
            warnings,
            previous_template: facts.previous_template,
            master: facts.master.map(|master| master.measured(&facts.pods)),
            postgres_version: facts.observation.as_ref().map(|o| version(o.version_num)),
            synchronous: facts.observation.as_ref().map(|o| o.synchronous),
            tls: facts.tls,
            desired_replicas: facts.desired_replicas,
            replication: facts
                .observation
                .as_ref()
                .map_or_else(Vec::new, |o| lag::replication(o, &facts.pods)),
            slots: facts.observation.map_or_else(Vec::new, |o| o.slots),
            tablespaces,
            pods: facts.pods,
            services: facts.services,
            volumes: facts.volumes,
        }
    }
}

/// Says which pods run a previous template: `2 pods run the previous template`. `None` without such pods.
#[must_use]
pub fn previous_template(pods: &[String]) -> Option<String> {
    match pods {
        [] => None,
        [pod] => Some(format!("{pod} runs the previous template; `pgset restart` updates it")),
        pods => Some(format!(
            "{} run the previous template; `pgset restart` updates them",
            counted(pods.len(), "pod")
        )),
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

#[cfg(test)]
mod tests;
