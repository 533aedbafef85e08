//! psql in a pod: running what `postgres` wrote, and handing what came back to it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::cluster::exec::Exec;
use crate::cluster::{Cluster, ClusterError};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::postgres::psql::Trouble;
use crate::postgres::{Connection, ExecOutput, Observation, Script, psql, replication};
use crate::procedure::live;
use crate::readiness::{Snapshot, Streaming, StreamingReplica, is_ready};
use crate::set::SetIdentity;
use crate::set::objects;
use crate::set::passwords;

/// The container that PostgreSQL runs in, in every profile.
pub(crate) const CONTAINER: &str = "postgres";

/// How long after its endpoints are ready a Service may take to lead to a server: each node learns of
/// it by itself, and the first server of an image may be one that only makes the users.
const SERVICE_LEADS_WITHIN: Duration = Duration::from_secs(10);
/// The pause between two tries.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Runs a script.
///
/// # Errors
/// When psql could not be run, or did not end in time; what it says itself is in the output.
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
    let output = cluster.exec(exec).await?;
    Ok(ExecOutput { stdout: output.stdout, stderr: output.stderr, exit_code: Some(output.code) })
}

/// What the server in a pod says; in words when it says nothing.
pub(crate) async fn observe(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
) -> Result<Observation, String> {
    let output =
        run(cluster, namespace, &replication::observe(pod)).await.map_err(|e| e.to_string())?;
    Observation::parse(&output).map_err(|e| e.to_string())
}

/// Who streams from the master, and how far the clones are. `pods`: name and address of each.
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

/// The roles and passwords of a set, by its Secret.
pub(crate) struct Credentials {
    pub(crate) superuser_password: crate::values::Secret,
    pub(crate) user: String,
    pub(crate) user_password: crate::values::Secret,
    pub(crate) database: String,
    /// Whether the application's password is being replaced.
    pub(crate) rotating: bool,
}

/// Reads the set's Secret.
///
/// # Errors
/// When it is not there, may not be read, or is somebody else's.
pub(crate) async fn secret(cluster: &Cluster, set: &SetIdentity) -> anyhow::Result<Value> {
    let name = set.secret();
    let id = objects::passwords(set);
    let Some(secret) = cluster.get(&id).await? else {
        return Err(Failure::new(Exit::Failed, format!("there is no Secret {name}"))
            .hint(format!("{}  # makes the set, and its passwords", set.command("up")))
            .into());
    };
    live::check_ours(&secret, &id, set)?;
    Ok(secret)
}

/// Reads the roles and passwords of the set's Secret.
///
/// # Errors
/// As [`secret`]'s, and when it lacks a key.
pub(crate) async fn credentials(
    cluster: &Cluster,
    set: &SetIdentity,
) -> anyhow::Result<Credentials> {
    let (secret, name) = (secret(cluster, set).await?, set.secret());
    let lacks = |key| Failure::new(Exit::Failed, format!("Secret {name} has no key {key}"));
    let password = |key| passwords::password(&secret, key).ok_or_else(|| lacks(key));
    let text = |key| passwords::text(&secret, key).ok_or_else(|| lacks(key));
    Ok(Credentials {
        superuser_password: password(passwords::SUPERUSER_PASSWORD)?,
        user_password: password(passwords::USER_PASSWORD)?,
        user: text("user")?,
        database: text("database")?,
        rotating: passwords::password(&secret, &passwords::pending(passwords::USER_PASSWORD))
            .is_some(),
    })
}

/// Finds out whether the application's password opens the data: a volume that was initialised with
/// another does not take a new one, and the first client would be the one to notice.
///
/// # Errors
/// When the login fails, with PostgreSQL's words.
pub(crate) async fn verify_login(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    snapshot: &Snapshot,
    verified: bool,
) -> anyhow::Result<()> {
    let credentials = match credentials(cluster, set).await {
        Ok(credentials) => credentials,
        Err(error) => {
            context.warn(format!("whether the passwords fit was not tested: {error}"));
            return Ok(());
        }
    };
    let Some(pod) = any_ready(&snapshot.pods) else { return Ok(()) };
    let login = Login {
        user: &credentials.user,
        password: &credentials.user_password,
        database: &credentials.database,
        verified,
    };
    let Some(trouble) = log_in(cluster, set, &pod, login).await? else { return Ok(()) };
    let failure = Failure::new(
        Exit::Failed,
        format!("the set runs, but {} can't log in: {}", credentials.user, trouble.message),
    );
    let hint = if trouble.is_unreachable() {
        format!("does Service {} lead to the master? pgset status", set.master())
    } else if credentials.rotating {
        format!("{}  # goes on where it was interrupted", context.sibling("password rotate user"))
    } else {
        format!(
            "the volume was initialised with other passwords than those in Secret {}: put those back, or start anew with pgset down --delete-data",
            set.secret()
        )
    };
    Err(failure.hint(hint).into())
}

/// Who logs in.
#[derive(Clone, Copy)]
pub(crate) struct Login<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a crate::values::Secret,
    pub(crate) database: &'a str,
    pub(crate) verified: bool,
}

/// Logs in through the master's Service, from a pod; what PostgreSQL says when it does not let in.
///
/// # Errors
/// When psql can't be run.
pub(crate) async fn log_in(
    cluster: &Cluster,
    set: &SetIdentity,
    pod: &str,
    login: Login<'_>,
) -> anyhow::Result<Option<Trouble>> {
    let started = tokio::time::Instant::now();
    let master = set.master();
    let connection = Connection {
        host: &master,
        user: login.user,
        password: login.password,
        database: login.database,
        verified: login.verified,
        address: None,
    };
    let script = Script::new(pod, &format!("{}select 1;\n", connection.connect()?));
    loop {
        let trouble = match run(cluster, set.namespace.as_str(), &script).await {
            Ok(output) => output.trouble(),
            // The container may just have been restarted.
            Err(error) if started.elapsed() >= SERVICE_LEADS_WITHIN => return Err(error.into()),
            Err(_) => {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
        };
        let Some(trouble) = trouble else { return Ok(None) };
        // A Service leads somewhere a moment after its endpoints are ready.
        let over =
            started.elapsed() >= SERVICE_LEADS_WITHIN || cluster.deadline.remaining().is_zero();
        if over || !trouble.is_unreachable() {
            return Ok(Some(trouble));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A ready pod to run psql in: the one of the lowest ordinal.
pub(crate) fn any_ready(pods: &[Pod]) -> Option<String> {
    pods.iter().filter(|pod| is_ready(pod)).find_map(|pod| pod.metadata.name.clone())
}
