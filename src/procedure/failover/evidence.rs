//! What is known of the lost master and of the replicas.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{ContainerState, Pod};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::super::{LOOK_EVERY, Work, configure, pods, sql};
use crate::cluster::ClusterError;
use crate::cluster::exec::Exec;
use crate::manifest::{Kind, ObjectId};
use crate::postgres::standing::{self, Standing};
use crate::readiness;
use crate::set::objects;
use crate::settings::synchronous;

/// How long a node may take to start a program in a pod. A node that is frozen does not refuse it.
const REACHED_WITHIN: Duration = Duration::from_secs(3);

/// The taint with which a person tells Kubernetes that a node is switched off.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// What is known before a failover.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    pub(crate) lost: Lost,
    /// The other pods, by their ordinals.
    pub(crate) replicas: Vec<Replica>,
    /// How many replicas have to confirm each commit, as the set's settings say now.
    pub(crate) synchronous: u32,
}

/// The pod of the lost master.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub(crate) ordinal: u32,
    /// `None` if there is no such pod.
    pub(crate) pod: Option<LostPod>,
    pub(crate) answer: Answer,
}

/// What its object tells.
#[derive(Clone, Debug, Default)]
pub(crate) struct LostPod {
    pub(crate) uid: String,
    pub(crate) node: Option<String>,
    pub(crate) container: Container,
    /// Whether it is being deleted.
    pub(crate) terminating: bool,
    /// Whether it runs a previous template, whose script may not know the topology.
    pub(crate) previous: bool,
    /// Whether its node has the taint that says it is switched off. `None` if that can't be read.
    pub(crate) out_of_service: Option<bool>,
}

/// The container of the server, as the pod's status tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Container {
    /// It runs, or ran when the node was last heard of.
    #[default]
    Running,
    /// It has ended, and may start again.
    Ended,
    /// It has not started in this pod.
    NeverStarted,
}

/// What comes of talking to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It reads and writes.
    Works,
    /// Its container can be reached, and its server does not work.
    Broken(String),
    /// Its node says that its container does not run.
    NotRunning,
    /// It can't be reached.
    Away(String),
}

/// Another pod.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) ordinal: u32,
    pub(crate) node: Option<String>,
    /// Whether a program can be run in it.
    pub(crate) reached: bool,
    /// What its server reports, or why it does not.
    pub(crate) standing: Result<Standing, String>,
}

/// Asks the cluster, the lost master and the replicas, at the same time.
///
/// # Errors
/// When the pods can't be listed.
pub(crate) async fn gather(
    work: Work<'_>,
    statefulset: &Value,
    lost: u32,
) -> anyhow::Result<Evidence> {
    let set = work.set;
    let mut snapshot = pods::snapshot(work.cluster, set, statefulset).await?;
    // A pod of a dead node may have been deleted, and is there until its node says that it has ended.
    snapshot.pods = pods::list(work.cluster, set).await?;
    let previous = readiness::previous(&snapshot, set);
    let previous: Vec<&str> = previous.iter().map(|pod| pods::name(pod)).collect();
    let name = set.pod(lost);
    let pod = snapshot.pods.iter().find(|pod| pods::name(pod) == name);
    let others = snapshot.pods.iter().filter(|pod| pods::name(pod) != name);
    let asked = others.filter_map(|pod| Some((pods::ordinal(set, pod)?, pod)));
    let replicas = join_all(asked.map(async |(ordinal, pod)| {
        let (name, node) = (pods::name(pod), node_of(pod));
        let standing = async { Ok(stand(work, name).await) };
        // A pod that can't be reached does not answer either.
        let (reached, standing) = match futures::try_join!(reach(work, name), standing) {
            Ok(((), standing)) => (true, standing),
            Err(Unreached::NotRunning) => (false, Err("its container does not run".to_owned())),
            Err(Unreached::Gone) => (false, Err(NO_POD.to_owned())),
            Err(Unreached::Away(why)) => (false, Err(why)),
        };
        Replica { ordinal, node, reached, standing }
    }));
    let node = pod.and_then(node_of);
    let config = objects::config(set);
    let (answer, out_of_service, mut replicas, config) = futures::join!(
        talk(work, pod),
        tainted(work, node.as_deref()),
        replicas,
        work.cluster.get(&config)
    );
    let config = config?.unwrap_or_default();
    let synchronous = configure::postgresql_conf(&config).map_or(0, synchronous::of_set);
    replicas.sort_by_key(|replica| replica.ordinal);
    let pod = pod.map(|pod| LostPod {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        node,
        container: container(pod),
        terminating: pod.metadata.deletion_timestamp.is_some(),
        previous: previous.contains(&pods::name(pod)),
        out_of_service,
    });
    Ok(Evidence { lost: Lost { ordinal: lost, pod, answer }, replicas, synchronous })
}

fn node_of(pod: &Pod) -> Option<String> {
    pod.spec.as_ref()?.node_name.clone()
}

async fn stand(work: Work<'_>, pod: &str) -> Result<Standing, String> {
    let output = sql::run(work.cluster, work.namespace(), &standing::ask(pod)).await;
    Standing::parse(&output.map_err(|error| error.to_string())?)
}

/// Why the node of a pod does not answer. `None` if it does, also if the container does not run, and if there is no pod: it
/// is created again.
pub(crate) async fn away(work: Work<'_>, pod: &str) -> Option<String> {
    match reach(work, pod).await {
        Ok(()) | Err(Unreached::NotRunning | Unreached::Gone) => None,
        Err(Unreached::Away(why)) => Some(why),
    }
}

/// Whether a program can be run in the pod.
async fn reach(work: Work<'_>, pod: &str) -> Result<(), Unreached> {
    let exec = Exec {
        namespace: work.namespace(),
        pod,
        container: sql::CONTAINER,
        argv: vec!["true".to_owned()],
        stdin: String::new(),
        timeout: 2 * REACHED_WITHIN,
    };
    let reached = tokio::time::timeout(REACHED_WITHIN, sql::exec(work.cluster, exec)).await;
    let late = || format!("its node does not answer within {} s", REACHED_WITHIN.as_secs());
    match reached {
        Ok(reached) => reached.map(drop).map_err(|error| match error {
            ClusterError::Exec { reason, .. } => Unreached::Away(reason),
            ClusterError::NotRunning { .. } => Unreached::NotRunning,
            error if error.is_not_found() => Unreached::Gone,
            ClusterError::Refused { status, .. } => Unreached::Away(unanswered(&status.message)),
            other => Unreached::Away(other.to_string()),
        }),
        Err(_) => Err(Unreached::Away(late())),
    }
}

/// What the API server says when it can't connect to a node, in short.
fn unanswered(message: &str) -> String {
    if !message.contains("error dialing backend") {
        return message.to_owned();
    }
    let why = message.rsplit(": ").next().unwrap_or(message);
    format!("its node does not answer ({why})")
}

/// Why no program can be run in a pod.
enum Unreached {
    /// Its node says that the container does not run.
    NotRunning,
    /// There is no such pod. That says nothing about what its node runs.
    Gone,
    Away(String),
}

/// What is said of a pod that does not exist.
const NO_POD: &str = "there is no such pod";

async fn talk(work: Work<'_>, pod: Option<&Pod>) -> Answer {
    let Some(pod) = pod else { return Answer::Away(NO_POD.to_owned()) };
    let (name, mut container_is) = (pods::name(pod), container(pod));
    let until = Instant::now() + REACHED_WITHIN;
    let answered = loop {
        let asked =
            async { Ok(sql::run(work.cluster, work.namespace(), &standing::works(name)).await) };
        match futures::try_join!(reach(work, name), asked) {
            Ok(((), answered)) => break answered,
            // What the API server last heard of a node that is away is no proof.
            Err(Unreached::NotRunning) if container_is != Container::Running => {
                return Answer::NotRunning;
            }
            // It may have ended just now, and the node has not reported it yet.
            Err(Unreached::NotRunning) if Instant::now() < until => {
                sleep(LOOK_EVERY).await;
                let id = objects::pod(work.set, name);
                let Ok(there) = work.cluster.get(&id).await else { continue };
                let there = there.and_then(|it| serde_json::from_value::<Pod>(it).ok());
                let Some(there) = there.filter(|it| it.metadata.uid == pod.metadata.uid) else {
                    return Answer::Away("its pod was deleted meanwhile".to_owned());
                };
                container_is = container(&there);
            }
            Err(Unreached::NotRunning) => {
                return Answer::Away("its node does not answer".to_owned());
            }
            Err(Unreached::Gone) => return Answer::Away(NO_POD.to_owned()),
            Err(Unreached::Away(why)) => return Answer::Away(why),
        }
    };
    match answered {
        Ok(output) => output.trouble().map_or(Answer::Works, |it| Answer::Broken(it.to_string())),
        Err(error) => Answer::Broken(error.to_string()),
    }
}

/// Whether a person has told Kubernetes that the node is switched off. Most users may not read nodes.
async fn tainted(work: Work<'_>, node: Option<&str>) -> Option<bool> {
    let id = ObjectId::new(Kind::Node, "", node?);
    let node = work.cluster.get(&id).await.ok()??;
    let taints = node["spec"]["taints"].as_array().map(Vec::as_slice).unwrap_or_default();
    Some(taints.iter().any(|taint| taint["key"] == OUT_OF_SERVICE))
}

/// The container of the server in a pod.
fn container(pod: &Pod) -> Container {
    let mut statuses = pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten());
    let Some(status) = statuses.find(|status| status.name == sql::CONTAINER) else {
        return Container::NeverStarted;
    };
    let is = |state: Option<&ContainerState>, running: bool| {
        state.is_some_and(|it| if running { it.running.is_some() } else { it.terminated.is_some() })
    };
    if is(status.state.as_ref(), true) {
        Container::Running
    } else if is(status.state.as_ref(), false)
        || is(status.last_state.as_ref(), false)
        || status.restart_count > 0
    {
        Container::Ended
    } else {
        Container::NeverStarted
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_that_refuses_a_connection_does_not_answer() {
        let short = unanswered("error dialing backend: dial tcp 10.0.0.2:10250: i/o timeout");
        assert_eq!(short, "its node does not answer (i/o timeout)");
        let other = "pods \"pgset-0\" not found";
        assert_eq!(unanswered(other), other);
    }

    #[test]
    fn the_status_tells_whether_the_server_s_container_has_run() {
        let pod = |status: Value| -> Pod {
            let statuses = json!({ "containerStatuses": [status] });
            serde_json::from_value(json!({ "status": statuses })).unwrap()
        };
        let status = |more: Value| {
            let mut status = json!({"name": "postgres", "image": "", "imageID": "", "ready": false, "restartCount": 0});
            status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            pod(status)
        };
        let running = json!({"state": {"running": {"startedAt": null}}});
        assert_eq!(container(&status(running)), Container::Running);
        let waiting = json!({"state": {"waiting": {"reason": "PodInitializing"}}});
        assert_eq!(container(&status(waiting)), Container::NeverStarted);
        let crashing = json!({
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 3,
            "lastState": {"terminated": {"exitCode": 1}},
        });
        assert_eq!(container(&status(crashing)), Container::Ended);
        assert_eq!(container(&Pod::default()), Container::NeverStarted);
    }
}
