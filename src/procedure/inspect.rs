//! Reads a set's objects and the answers of its PostgreSQL servers once, for `status` and `test`.

mod recorded;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::cluster::objects::Freshness;
use crate::cluster::observe::{Observer, Scope};
use crate::error::{Exit, Failure};
use crate::manifest::Kind;
use crate::manifest::ServerVersion;
use crate::postgres::Observation;
use crate::postgres::measurements::Measurements;
use crate::postgres::status::{
    Endpoint, Facts, MasterStatus, PodFacts, ServiceFacts, ServiceRole, TlsStatus, VolumeFacts,
};
use crate::postgres::tls::{self, ServerTls};
use crate::procedure::existing::{self, Existing};
use crate::procedure::expectation::{expectation, scope};
use crate::procedure::{pods, run_state, sql, topology};
use crate::readiness::{self, Snapshot, assess, is_ready};
use crate::set::{RunState, SetIdentity, Topology, objects, rights};

/// What a server reports and what was measured in it, or why it did not answer.
type Answer = Result<(Observation, Measurements), String>;

/// How many servers are queried at the same time.
const QUESTIONS: usize = 8;

/// The set to inspect.
pub(crate) struct Subject {
    pub(crate) cluster: Cluster,
    pub(crate) set: SetIdentity,
    pub(crate) version: ServerVersion,
    pub(crate) statefulset: Value,
    pub(crate) topology: Topology,
}

impl Subject {
    /// Finds the set. `None` if it does not exist.
    ///
    /// # Errors
    /// When the cluster can't be reached, a right is missing, or the StatefulSet does not belong to the set.
    pub(crate) async fn find(cluster: Cluster, set: SetIdentity) -> anyhow::Result<Option<Self>> {
        let version = cluster.version().await?;
        let found = existing::find(&cluster, &set, rights::waiting(&set, &version)).await?;
        Ok(found.map(|Existing { statefulset, topology }| Self {
            cluster,
            set,
            version,
            statefulset,
            topology,
        }))
    }

    /// The objects to watch.
    pub(crate) fn scope(&self) -> Scope {
        scope(&self.set, &self.statefulset, self.version.clone())
    }

    /// The current state of the set's objects.
    pub(crate) async fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let mut observer = Observer::new(&self.cluster, &self.scope());
        while !observer.complete() {
            tokio::select! {
                change = observer.next() => change.context("reading the set")?,
                () = tokio::time::sleep_until(self.cluster.deadline.at()) => {
                    let said = observer.trouble().unwrap_or("no reason given");
                    return Err(Failure::new(
                        Exit::NoCluster,
                        format!("the API server does not return the set's objects: {said}"),
                    )
                    .hint("kubectl cluster-info  # checks whether the API server answers")
                    .into());
                }
            }
        }
        Ok(observer.snapshot())
    }

    /// Collects the facts about a snapshot. Queries every running server.
    pub(crate) async fn facts(&self, snapshot: &Snapshot) -> anyhow::Result<Facts> {
        let namespace = self.set.namespace.as_str();
        let selector = self.set.selector();
        let (services, answers, tls, recorded) = futures::join!(
            self.cluster.list(Kind::Service, namespace, &selector, Freshness::Latest),
            self.answers(snapshot),
            self.tls(snapshot),
            topology::look(&self.cluster, &self.set)
        );
        let pods: Vec<PodFacts> =
            snapshot.pods.iter().filter_map(|pod| pod_facts(&self.set, pod, &answers)).collect();
        let replicas = snapshot
            .statefulset
            .as_ref()
            .and_then(|s| s.spec.as_ref()?.replicas)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or_default();
        let state = self.state(snapshot).await?;
        if state.is_at_rest() {
            return Ok(self.facts_at_rest(snapshot, state, pods, &services?));
        }
        let mut expectation =
            expectation(&self.set, &self.topology, &self.statefulset, replicas, &self.version);
        // Missing streaming is reported separately here.
        expectation.want_streaming = false;
        // Whatever is there is what is inspected.
        expectation.applied = None;
        let causes = readiness::problems(&assess(snapshot, &expectation).troubles, snapshot);
        let mut hint = causes.iter().find_map(|cause| cause.hint.clone());
        let explained = causes.iter().flat_map(|cause| cause.pods.clone()).collect();
        let mut problems: Vec<String> = causes.into_iter().map(|cause| cause.text).collect();
        let (tls, wrong) = tls.unzip();
        problems.extend(wrong.into_iter().flatten());
        if let Some(it) = &self.topology.transition {
            problems.insert(0, it.incomplete(&self.set));
            hint = it.hints(&self.set, &self.set.command(it.kind.word())).into_iter().next();
        }
        let has_topology = objects::capabilities(&self.statefulset).has_topology;
        let lost = readiness::lost_master(&self.set, &self.topology, snapshot);
        if let Some(lost) = lost.filter(|_| has_topology) {
            problems.insert(0, lost.text);
            hint = Some(lost.hint);
        }
        let recorded = Some(recorded?).filter(|_| has_topology);
        let (outdated, warning) =
            recorded.as_ref().map_or((None, None), |it| recorded::judge(&self.set, it, &pods));
        if let Some((problem, next)) = outdated {
            problems.insert(0, problem);
            hint = next;
        }
        problems.dedup();
        let master = pods.iter().find(|pod| pod.is_writable());
        let answer = master.and_then(|pod| answers.get(&pod.name)?.as_ref().ok());
        let observation = answer.map(|(observation, _)| observation.clone());
        Ok(Facts {
            set: self.set.name.to_string(),
            namespace: self.set.namespace.to_string(),
            state,
            desired_replicas: replicas,
            pods,
            observation,
            services: self.services(&services?, snapshot),
            volumes: volumes(&snapshot.claims, &snapshot.pods),
            tls,
            problems,
            explained,
            previous_template: readiness::previous(snapshot, &self.set)
                .into_iter()
                .map(|pod| pods::name(pod).to_owned())
                .collect(),
            master: recorded.map(|it| MasterStatus::of(&self.set, &it.topology())),
            warnings: warning.into_iter().collect(),
            hint,
        })
    }

    /// Whether the set has pods, and if not, why.
    async fn state(&self, snapshot: &Snapshot) -> anyhow::Result<RunState> {
        let statefulset = snapshot.statefulset.as_ref().and_then(|s| serde_json::to_value(s).ok());
        Ok(run_state::read(&self.cluster, &self.set, &statefulset.unwrap_or_default()).await?)
    }

    /// The facts about a set that should have no pods: no server has to answer, and no Service reaches one.
    fn facts_at_rest(
        &self,
        snapshot: &Snapshot,
        state: RunState,
        pods: Vec<PodFacts>,
        services: &[Value],
    ) -> Facts {
        Facts {
            set: self.set.name.to_string(),
            namespace: self.set.namespace.to_string(),
            hint: None,
            state,
            desired_replicas: 0,
            pods,
            observation: None,
            services: self.services(services, snapshot),
            volumes: volumes(&snapshot.claims, &snapshot.pods),
            tls: None,
            previous_template: Vec::new(),
            master: None,
            warnings: Vec::new(),
            problems: Vec::new(),
            explained: Vec::new(),
        }
    }

    fn services(&self, services: &[Value], snapshot: &Snapshot) -> Vec<ServiceFacts> {
        services.iter().filter_map(|service| self.service_facts(service, snapshot)).collect()
    }

    /// The answer of each server, by pod. Pods whose PostgreSQL container does not run are not queried.
    async fn answers(&self, snapshot: &Snapshot) -> BTreeMap<String, Answer> {
        stream::iter(running(snapshot))
            .map(|pod| async move {
                let answer = sql::measure(&self.cluster, self.set.namespace.as_str(), &pod).await;
                (pod, answer)
            })
            .buffer_unordered(QUESTIONS)
            .collect()
            .await
    }

    /// The TLS status of the servers, with any problems. `None` if no server answers.
    async fn tls(&self, snapshot: &Snapshot) -> Option<(TlsStatus, Vec<String>)> {
        if !objects::capabilities(&self.statefulset).tls.is_there() {
            return Some((TlsStatus::impossible(), Vec::new()));
        }
        let mut servers: Vec<(String, ServerTls)> = stream::iter(running(snapshot))
            .map(|pod| async move {
                let namespace = self.set.namespace.as_str();
                let output = sql::run(&self.cluster, namespace, &tls::ask(&pod)).await.ok()?;
                Some((pod, ServerTls::parse(&output)?))
            })
            .buffer_unordered(QUESTIONS)
            .filter_map(async |server| server)
            .collect()
            .await;
        servers.sort_by_key(|(pod, _)| self.set.ordinal(pod));
        TlsStatus::of(&servers, jiff::Timestamp::now())
    }

    fn service_facts(&self, service: &Value, snapshot: &Snapshot) -> Option<ServiceFacts> {
        let name = service["metadata"]["name"].as_str()?;
        let role = if name == self.set.master() {
            ServiceRole::Master
        } else if name == self.set.replica() {
            ServiceRole::Replica
        } else if name == self.set.name.as_str() {
            ServiceRole::Headless
        } else {
            return None;
        };
        let endpoints = snapshot.endpoints.get(name).into_iter().flatten();
        Some(ServiceFacts {
            name: name.to_owned(),
            role,
            cluster_ip: service["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned(),
            port: service["spec"]["ports"][0]["port"]
                .as_u64()
                .and_then(|port| u16::try_from(port).ok())
                .unwrap_or_default(),
            endpoints: endpoints
                .filter(|endpoint| endpoint.ready)
                .map(|e| Endpoint { pod: e.pod.clone(), address: e.address.clone() })
                .collect(),
        })
    }
}

/// The pods whose server can be queried.
fn running(snapshot: &Snapshot) -> Vec<String> {
    let running = snapshot.pods.iter().filter(|pod| pods::runs(pod));
    running.filter_map(|pod| pod.metadata.name.clone()).collect()
}

fn pod_facts(set: &SetIdentity, pod: &Pod, answers: &BTreeMap<String, Answer>) -> Option<PodFacts> {
    let name = pod.metadata.name.clone()?;
    let ordinal = set.ordinal(&name)?;
    let role_label = pods::labelled_role(set, pod);
    let status = pod.status.as_ref();
    let containers = status.and_then(|s| s.container_statuses.as_ref());
    let restarts = containers.into_iter().flatten().map(|s| s.restart_count).sum::<i32>();
    let spec = pod.spec.as_ref();
    let server = spec.and_then(|s| s.containers.iter().find(|c| c.name == sql::CONTAINER));
    let image = server.and_then(|container| container.image.clone()).unwrap_or_default();
    let created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let age = created
        .and_then(|time| Duration::try_from(jiff::Timestamp::now().duration_since(time)).ok())
        .unwrap_or_default();
    let answer = answers.get(&name);
    let known = answer.and_then(|answer| answer.as_ref().ok());
    Some(PodFacts {
        ordinal,
        role_label,
        in_recovery: known.map(|(observation, _)| observation.in_recovery),
        measurements: known.map(|(_, measured)| measured.clone()),
        no_answer: answer.and_then(|answer| answer.as_ref().err()).cloned(),
        ready: is_ready(pod),
        state: state(pod),
        restarts: u32::try_from(restarts).unwrap_or_default(),
        node: spec.and_then(|s| s.node_name.clone()),
        image,
        age,
        ip: status.and_then(|s| s.pod_ip.clone()).unwrap_or_default(),
        name,
    })
}

/// The state as in the STATUS column of kubectl: why a container waits or has terminated, otherwise the
/// phase.
fn state(pod: &Pod) -> String {
    if pod.metadata.deletion_timestamp.is_some() {
        return "Terminating".to_owned();
    }
    let Some(status) = &pod.status else { return "Unknown".to_owned() };
    let reason = status.container_statuses.iter().flatten().find_map(|container| {
        let state = container.state.as_ref()?;
        let waiting = state.waiting.as_ref().and_then(|w| w.reason.clone());
        waiting.or_else(|| state.terminated.as_ref().and_then(|t| t.reason.clone()))
    });
    reason.or_else(|| status.phase.clone()).unwrap_or_else(|| "Unknown".to_owned())
}

/// The claims of a set and the pods that mount them.
pub(crate) fn volumes(claims: &[PersistentVolumeClaim], pods: &[Pod]) -> Vec<VolumeFacts> {
    claims.iter().map(|claim| volume_facts(claim, pods)).collect()
}

fn volume_facts(claim: &PersistentVolumeClaim, pods: &[Pod]) -> VolumeFacts {
    let name = claim.metadata.name.clone().unwrap_or_default();
    let (spec, status) = (claim.spec.as_ref(), claim.status.as_ref());
    let got = status.and_then(|s| s.capacity.as_ref()?.get("storage"));
    let asked = spec.and_then(|s| s.resources.as_ref()?.requests.as_ref()?.get("storage"));
    let uses = |pod: &&Pod| {
        let volumes = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
        volumes
            .into_iter()
            .any(|v| v.persistent_volume_claim.as_ref().is_some_and(|c| c.claim_name == name))
    };
    VolumeFacts {
        volume: spec.and_then(|s| s.volume_name.clone()),
        class: spec.and_then(|s| s.storage_class_name.clone()),
        capacity: got.or(asked).map(|q| q.0.clone()).unwrap_or_default(),
        phase: status.and_then(|s| s.phase.clone()).unwrap_or_default(),
        pods: pods.iter().filter(uses).filter_map(|pod| pod.metadata.name.clone()).collect(),
        space: None,
        claim: name,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::set::Role;

    fn pod(value: &Value) -> Pod {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn set() -> SetIdentity {
        SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() }
    }

    #[test]
    fn the_state_is_why_a_container_does_not_run() {
        let crashing = json!({"status": {"phase": "Running", "containerStatuses": [
            {"name": "postgres", "image": "", "imageID": "", "ready": false, "restartCount": 3,
             "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}});
        assert_eq!(state(&pod(&crashing)), "CrashLoopBackOff");
        assert!(!pods::runs(&pod(&crashing)));
        assert_eq!(state(&pod(&json!({"status": {"phase": "Pending"}}))), "Pending");
        assert_eq!(state(&pod(&json!({}))), "Unknown");
        let going = json!({"metadata": {"deletionTimestamp": "2026-11-24T02:00:00Z"},
            "status": {"phase": "Running"}});
        assert_eq!(state(&pod(&going)), "Terminating");
    }

    #[test]
    fn a_pod_is_the_sets_by_its_name_and_has_the_role_of_its_label() {
        let facts = |name: &str, label: &str| {
            let pod = pod(&json!({"metadata": {"name": name, "labels": {"name": label}}}));
            pod_facts(&set(), &pod, &BTreeMap::new())
        };
        let master = facts("pgset-0", "pgset-master").unwrap();
        assert_eq!((master.ordinal, master.role_label), (0, Some(Role::Master)));
        let replica = facts("pgset-12", "pgset-replica").unwrap();
        assert_eq!((replica.ordinal, replica.role_label), (12, Some(Role::Replica)));
        assert_eq!(facts("pgset-1", "else").unwrap().role_label, None);
        assert!(facts("pgset-b-0", "pgset-master").is_none());
        assert!(facts("other-0", "pgset-master").is_none());
    }

    #[test]
    fn a_volume_has_what_it_got_else_what_was_asked() {
        let claim = |capacity: &Value| {
            let claim = json!({"metadata": {"name": "data"},
                "spec": {"resources": {"requests": {"storage": "1Gi"}}}, "status": capacity});
            serde_json::from_value::<PersistentVolumeClaim>(claim).unwrap()
        };
        let mounts = json!({"metadata": {"name": "pgset-0"}, "spec": {"containers": [], "volumes":
            [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}});
        let got = claim(&json!({"phase": "Bound", "capacity": {"storage": "5Gi"}}));
        let facts = volume_facts(&got, &[pod(&mounts), pod(&json!({}))]);
        assert_eq!((facts.capacity.as_str(), facts.phase.as_str()), ("5Gi", "Bound"));
        assert_eq!(facts.pods, ["pgset-0"]);
        assert_eq!(volume_facts(&claim(&json!({})), &[]).capacity, "1Gi");
    }
}
