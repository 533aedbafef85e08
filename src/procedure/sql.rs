//! Runs scripts of the module `postgres` in pods, and passes the output back to it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{LOOK_EVERY, Work};
use crate::cluster::exec::Exec;
use crate::cluster::{Cluster, ClusterError};
use crate::postgres::measurements::{self, Measurements};
use crate::postgres::{ExecOutput, Observation, Script, psql, replication, script};
use crate::readiness::{Streaming, StreamingReplica};

/// The container that runs PostgreSQL, in every profile.
pub(crate) const CONTAINER: &str = "postgres";

/// The PostgreSQL container in a list of containers.
pub(crate) fn container(containers: &serde_json::Value) -> Option<&serde_json::Value> {
    containers.as_array()?.iter().find(|container| container["name"] == CONTAINER)
}

/// Runs a script.
///
/// # Errors
/// When psql can't be run or does not end in time. Errors of psql itself are in the output.
pub(crate) async fn run(
    cluster: &Cluster,
    namespace: &str,
    script: &Script,
) -> Result<ExecOutput, ClusterError> {
    let exec = Exec {
        namespace,
        pod: &script.pod,
        container: CONTAINER,
        argv: psql::argv(),
        stdin: script.stdin.clone(),
        timeout: script.deadline,
    };
    self::exec(cluster, exec).await
}

/// Runs a command whose output a function of the module `postgres` reads.
///
/// # Errors
/// When it can't be run or does not end in time.
pub(crate) async fn exec(cluster: &Cluster, exec: Exec<'_>) -> Result<ExecOutput, ClusterError> {
    let output = cluster.exec(exec).await?;
    Ok(ExecOutput { stdout: output.stdout, stderr: output.stderr, exit_code: Some(output.code) })
}

/// Calls the script of the pods with a subcommand, in a running pod.
///
/// # Errors
/// When it can't be run or does not end in time. What it refuses is in the output.
pub(crate) async fn call(
    work: Work<'_>,
    pod: &str,
    subcommand: &str,
    timeout: Duration,
) -> Result<ExecOutput, ClusterError> {
    let exec = Exec {
        namespace: work.namespace(),
        pod,
        container: CONTAINER,
        argv: script::call(subcommand),
        stdin: String::new(),
        timeout,
    };
    self::exec(work.cluster, exec).await
}

/// Runs a script, and retries for the time `within` while its connection does not reach a server, or its container
/// is not running. An interrupt does not stop it, because the script may clean up after an interrupt.
///
/// # Errors
/// The errors of [`run`].
pub(crate) async fn run_once_reachable(
    cluster: &Cluster,
    namespace: &str,
    script: &Script,
    within: Duration,
) -> Result<ExecOutput, ClusterError> {
    let until = Instant::now() + within;
    loop {
        let output = run(cluster, namespace, script).await;
        let is_away = match &output {
            Ok(output) => output.trouble().is_some_and(|trouble| trouble.is_unreachable()),
            Err(error) => matches!(error, ClusterError::NotRunning { .. }),
        };
        if !is_away || Instant::now() >= until {
            return output;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Queries the replication status of the server in a pod. The error is a message for the user.
pub(crate) async fn observe(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
) -> Result<Observation, String> {
    let output =
        run(cluster, namespace, &replication::observe(pod)).await.map_err(|e| e.to_string())?;
    Observation::parse(&output).map_err(|e| e.to_string())
}

/// The same, and what is measured in the server.
pub(crate) async fn measure(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
) -> Result<(Observation, Measurements), String> {
    let output =
        run(cluster, namespace, &measurements::ask(pod)).await.map_err(|e| e.to_string())?;
    let observation = Observation::parse(&output).map_err(|e| e.to_string())?;
    Ok((observation, Measurements::parse(&output)?))
}

/// Which replicas stream from the master, and the progress of the clones. `pods` contains name and address of
/// each pod.
pub(crate) async fn streaming(
    cluster: Cluster,
    namespace: String,
    master: String,
    pods: Vec<(String, String)>,
) -> Streaming {
    let observation = match observe(&cluster, &namespace, &master).await {
        Ok(observation) => observation,
        Err(error) => {
            return Streaming {
                replicas: Vec::new(),
                clone_percent: BTreeMap::new(),
                error: Some(error),
            };
        }
    };
    let by_pod = observation.by_pod(&pods);
    let replicas = by_pod
        .rows
        .iter()
        .flat_map(|(pod, rows)| {
            rows.iter()
                .map(|row| StreamingReplica { pod: (*pod).to_owned(), state: row.state.clone() })
        })
        .collect();
    let clone_percent = pods
        .iter()
        .filter_map(|(pod, address)| {
            Some((pod.clone(), observation.clone_of(pod, address)?.percent?))
        })
        .collect();
    Streaming { replicas, clone_percent, error: None }
}
