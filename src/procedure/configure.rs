//! PostgreSQL's configuration: checked by a running server before it is written, followed by every
//! server after that, with a restart where PostgreSQL says that it needs one.

mod restart;

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::cluster::exec::Exec;
use crate::cluster::objects::Apply;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::manifest::{Kind, Object, ObjectId};
use crate::plan::{Action, Plan};
use crate::postgres::ExecOutput;
use crate::postgres::configuration::{self, Mixed, Order, Setting, State};
use crate::procedure::live;
use crate::procedure::sql;
use crate::procedure::sql::LOOK_EVERY;
use crate::procedure::wait;
use crate::procedure::wait::Wait;
use crate::readiness;
use crate::set::SetIdentity;
use crate::set::objects;
use crate::settings::parameters::conf;
use crate::settings::{Parameters, synchronous};

/// The key of the ConfigMap that holds PostgreSQL's settings.
pub(crate) const POSTGRESQL_CONF: &str = "postgresql.conf";
/// The key that holds who is let in.
const PG_HBA_CONF: &str = "pg_hba.conf";
/// A kubelet that was told of a change by an annotation is told again after this long.
pub(crate) const NUDGE_EVERY: std::time::Duration = std::time::Duration::from_secs(10);
/// How many servers are brought up to date at once: none of them stops serving for it.
pub(crate) const AT_ONCE: usize = 8;
/// The annotation that tells the kubelet; its value is the version of the ConfigMap.
const ANNOTATION: &str = "pgset/config";

/// The `postgresql.conf` of a live ConfigMap.
pub(crate) fn postgresql_conf(config: &Value) -> Option<&str> {
    config["data"][POSTGRESQL_CONF].as_str()
}

/// Says in the plan what becomes of the user's settings.
pub(crate) fn describe(plan: &mut Plan, live: &BTreeMap<ObjectId, Value>, set: &SetIdentity) {
    let id = objects::config(set);
    let Some(before) = live.get(&id).and_then(postgresql_conf).map(str::to_owned) else { return };
    for step in plan.steps.iter_mut().filter(|step| step.object.id == id) {
        let Some(after) = postgresql_conf(&step.object.value) else { continue };
        let mut changes = Parameters::of_set(after).changes_since(&Parameters::of_set(&before));
        let (was, is) = (synchronous::of_set(&before), synchronous::of_set(after));
        if was != is {
            changes.push(format!("synchronous replicas {was} -> {is}"));
        }
        if !changes.is_empty() {
            step.detail = Some(changes.join("; "));
        }
    }
}

/// A change of the configuration, before it is written.
struct Change {
    after: String,
    /// Settings whose lines differ, in lower case.
    names: Vec<String>,
    /// Whether the StatefulSet changes, too: then its controller restarts every pod.
    rolls: bool,
}

impl Change {
    fn of(plan: &Plan, live: &BTreeMap<ObjectId, Value>, set: &SetIdentity) -> Option<Self> {
        let id = objects::config(set);
        let updated = |id: &ObjectId| {
            plan.steps
                .iter()
                .find(|step| step.object.id == *id && matches!(step.action, Action::Update(_)))
        };
        let before = postgresql_conf(live.get(&id)?)?;
        let after = postgresql_conf(&updated(&id)?.object.value)?;
        if before == after {
            return None;
        }
        let (was, is) = (read(before), read(after));
        let names = was.keys().chain(is.keys()).filter(|name| was.get(*name) != is.get(*name));
        let mut names: Vec<String> = names.cloned().collect();
        names.sort();
        names.dedup();
        let statefulset = objects::statefulset(set);
        let template = crate::plan::Path::of(&["spec", "template"]).to_string();
        let rolls = updated(&statefulset).is_some_and(|step| match &step.action {
            Action::Update(difference) => {
                difference.paths().any(|path| path.to_string().starts_with(&template))
            }
            _ => false,
        });
        Some(Self { after: after.to_owned(), names, rolls })
    }
}

/// What a file sets: of a name that is set twice the last line holds.
fn read(text: &str) -> BTreeMap<String, String> {
    let entries = conf::parse(text).unwrap_or_default();
    entries.into_iter().map(|entry| (entry.name, entry.value)).collect()
}

/// Whether a plan changes what the servers of a set read.
pub(crate) fn changes(plan: &Plan, live: &live::Live, set: &SetIdentity) -> bool {
    Change::of(plan, &live.objects, set).is_some()
}

/// Has a running server check the configuration that is about to be written, and asks before a restart.
/// Whether a restart was agreed to.
///
/// # Errors
/// With the server's words, when it would not take it; when the restart is not wanted.
pub(crate) async fn check(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    plan: &Plan,
    live: &live::Live,
    ask: bool,
) -> anyhow::Result<bool> {
    let Some(change) = Change::of(plan, &live.objects, set) else { return Ok(false) };
    let Some(pod) = running_pod(cluster, set).await? else {
        // Nobody to ask: a server that does not take it says so in its log when it starts.
        return Ok(false);
    };
    let after = dry_start(cluster, set, &pod, &change.after).await?;
    let names: Vec<&str> = change.names.iter().map(String::as_str).collect();
    let libraries = configuration::libraries(&read(&change.after));
    let script = configuration::settings(&pod, &names, &libraries);
    let output = sql::run(cluster, set.namespace.as_str(), &script).await?;
    if let Some(trouble) = output.trouble() {
        return Err(Failure::new(
            Exit::Failed,
            format!("PostgreSQL in pod {pod} does not say what it runs with: {trouble}"),
        )
        .into());
    }
    if let Some(library) = configuration::missing_library(&output) {
        return Err(Failure::new(
            Exit::Usage,
            format!("the image has no library {library}, which is to be loaded: no server would start; nothing was changed"),
        )
        .into());
    }
    let running = Setting::parse(&output);
    let order =
        configuration::order(&numbers(&running), &after).map_err(|mixed| two_steps(&mixed))?;
    if change.rolls && order == Order::MasterFirst {
        return Err(Failure::new(
            Exit::Refused,
            "a setting that every replica must have as much of as the master shrinks, and the pods change, too: their controller would restart the replicas first, which could not start",
        )
        .hint("in two steps: first the settings alone, then the rest")
        .into());
    }
    let at_start: Vec<&str> = running
        .iter()
        .filter(|setting| setting.at_start && change.names.contains(&setting.name))
        .map(|setting| setting.name.as_str())
        .collect();
    if at_start.is_empty() || change.rolls || !ask {
        return Ok(false);
    }
    restart::agree(context, &at_start.join(", "), order).await?;
    Ok(true)
}

/// Has PostgreSQL read the file as at a start.
async fn dry_start(
    cluster: &Cluster,
    set: &SetIdentity,
    pod: &str,
    text: &str,
) -> anyhow::Result<BTreeMap<String, i64>> {
    let output = cluster
        .exec(Exec {
            namespace: set.namespace.as_str(),
            pod,
            container: sql::CONTAINER,
            argv: configuration::check_argv(text.len()),
            stdin: text.to_owned(),
            timeout: configuration::CHECK_TIMEOUT,
        })
        .await?;
    let output =
        ExecOutput { stdout: output.stdout, stderr: output.stderr, exit_code: Some(output.code) };
    configuration::checked(&output).map_err(|words| {
        Failure::new(Exit::Usage, "PostgreSQL does not take these settings; nothing was changed")
            .details(words)
            .into()
    })
}

fn two_steps(mixed: &Mixed) -> Failure {
    Failure::new(
        Exit::Refused,
        format!(
            "{} would grow and {} shrink: no replica may have less of them than its master, which no order of restarts keeps for both",
            mixed.grow.join(", "),
            mixed.shrink.join(", ")
        ),
    )
    .hint("in two steps: first let grow what grows, then let shrink what shrinks")
}

/// The values of those that replicas must follow, as numbers.
fn numbers(settings: &[Setting]) -> BTreeMap<String, i64> {
    let numbers = settings.iter().filter_map(|s| Some((s.name.clone(), s.value.parse().ok()?)));
    numbers.filter(|(name, _)| configuration::FOLLOWED.contains(&name.as_str())).collect()
}

/// A pod whose server answers: the master's, if it does.
async fn running_pod(cluster: &Cluster, set: &SetIdentity) -> anyhow::Result<Option<String>> {
    let pods = live::pods(cluster, set).await?;
    let ready: Vec<&Pod> = pods.iter().filter(|pod| readiness::is_ready(pod)).collect();
    let master = set.master();
    let found = ready.iter().find(|pod| wait::role(pod) == Some(&master)).or(ready.first());
    Ok(found.and_then(|pod| pod.metadata.name.clone()))
}

/// Brings every server of a set that is up to its configuration: has each kubelet bring the files, has
/// each server read them, and restarts what needs it. Does nothing where nothing is left to do.
///
/// # Errors
/// When a file does not come in time, a server can't read it, or does not come back.
pub(crate) async fn settle(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    wait: &Wait<'_>,
    agreed: bool,
) -> anyhow::Result<()> {
    let Some(config) = cluster.get(&objects::config(set)).await? else { return Ok(()) };
    let wanted = Wanted::of(&config);
    let master = set.master();
    let mut pods = live::pods(cluster, set).await?;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    // Replicas first, the master last.
    pods.sort_by_key(|pod| wait::role(pod) == Some(&master));
    let states: Vec<State> = stream::iter(&pods)
        .map(|pod| follow(cluster, set, pod, &wanted, wait.next))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut pending = restart::Pending::default();
    for (pod, state) in pods.iter().zip(states) {
        pending.add(pod, wait::role(pod) == Some(&master), state.pending);
    }
    if !pending.is_empty() {
        restart::all(context, cluster, set, wait, pending, agreed).await?;
    }
    Ok(())
}

/// The files as the ConfigMap has them.
struct Wanted<'a> {
    version: &'a str,
    config: &'a str,
    hba: &'a str,
}

impl<'a> Wanted<'a> {
    fn of(config: &'a Value) -> Self {
        let text = |key: &str| config["data"][key].as_str().unwrap_or_default();
        Self {
            version: config["metadata"]["resourceVersion"].as_str().unwrap_or_default(),
            config: text(POSTGRESQL_CONF),
            hba: text(PG_HBA_CONF),
        }
    }

    fn is(&self, state: &State) -> bool {
        state.config == self.config && state.hba == self.hba
    }
}

/// Waits until a pod's files are the wanted ones and its server has read them; how it stands then.
async fn follow(
    cluster: &Cluster,
    set: &SetIdentity,
    pod: &Pod,
    wanted: &Wanted<'_>,
    next: &str,
) -> anyhow::Result<State> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let namespace = set.namespace.as_str();
    let mut nudged: Option<Instant> = None;
    // When the server had read its files before it was told to do so again.
    let mut before: Option<String> = None;
    loop {
        let output = sql::run(cluster, namespace, &configuration::state(name)).await;
        let state = match output {
            Ok(output) => State::parse(&output),
            Err(error) => Err(error.to_string()),
        };
        let why = match state {
            Ok(state) if !wanted.is(&state) => {
                if nudged.is_none_or(|at| at.elapsed() >= NUDGE_EVERY) {
                    nudge(cluster, set, pod, wanted.version).await?;
                    nudged = Some(Instant::now());
                }
                "its kubelet has not brought the new files".to_owned()
            }
            Ok(state) if before.is_none() && state.stale => {
                sql::run(cluster, namespace, &configuration::reload(name)).await?;
                before = Some(state.loaded);
                continue;
            }
            Ok(state) if before.as_ref() == Some(&state.loaded) => {
                "PostgreSQL has not read the new files".to_owned()
            }
            Ok(state) if !state.errors.is_empty() => {
                return Err(unreadable(name, &state, next).into());
            }
            Ok(state) => return Ok(state),
            Err(words) => words,
        };
        if cluster.deadline.remaining() < LOOK_EVERY {
            return Err(Failure::new(Exit::TimedOut, format!("pod {name}: {why}"))
                .hint(format!("{next}  # goes on"))
                .into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn unreadable(pod: &str, state: &State, next: &str) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("PostgreSQL in pod {pod} can't read its configuration and goes on with the old one; it would not start again"),
    )
    .details(state.errors.iter().cloned())
    .hint(format!("{next}  # with settings that it takes"))
}

/// Has the kubelet look at a pod now, and not within the next minute or so: any change of the pod does.
pub(crate) async fn nudge(
    cluster: &Cluster,
    set: &SetIdentity,
    pod: &Pod,
    version: &str,
) -> anyhow::Result<()> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let id = ObjectId::new(Kind::Pod, set.namespace.as_str(), name);
    let value = json!({
        "apiVersion": id.kind.api_version(),
        "kind": id.kind.name(),
        // The UID is a precondition: a pod that is gone is not made again.
        "metadata": {
            "name": name,
            "namespace": set.namespace.as_str(),
            "uid": pod.metadata.uid,
            "annotations": { ANNOTATION: version },
        },
    });
    let object = Object { id, value, template: "the live object".to_owned() };
    match cluster.apply(&object, Apply { dry_run: false, force: true }).await {
        Ok(_) => Ok(()),
        // Gone or replaced meanwhile: the new pod has the new files.
        Err(error) if error.is_conflict() || error.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}
