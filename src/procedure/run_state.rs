//! Whether a set has pods, and what a command says about a set without pods.

use serde_json::Value;

use super::existing::{self, Existing};
use super::expectation::count;
use super::{Ending, Work, live};
use crate::cluster::{Cluster, ClusterError};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::manifest::ServerVersion;
use crate::plan::{self, Path};
use crate::set::rights::Right;
use crate::set::{RunState, SetIdentity, objects};

/// The state of a StatefulSet. `recipe` is the ConfigMap with the recipe.
pub(crate) fn of(statefulset: &Value, recipe: Option<&Value>, version: &ServerVersion) -> RunState {
    let owners = plan::owners(statefulset, &Path::of(&["spec", "replicas"]));
    let owners: Vec<String> = owners.into_iter().map(|manager| manager.name).collect();
    // Older servers still name pgset after `kubectl scale`.
    let is_recorded =
        statefulset["metadata"]["managedFields"].is_array() && version.records_who_scales();
    RunState::of(statefulset, recipe, is_recorded.then_some(&owners))
}

/// A set that exists, with its recipe.
pub(crate) struct Found {
    pub(crate) existing: Existing,
    /// The ConfigMap with the recipe.
    pub(crate) recipe: Option<Value>,
    pub(crate) state: RunState,
}

/// Finds a set to stop or to start, and checks the rights for it.
///
/// # Errors
/// When the set does not exist, a right is missing, or an object does not belong to the set.
pub(crate) async fn find(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    rights: Vec<Right>,
) -> anyhow::Result<Found> {
    let version = cluster.version().await?;
    let id = objects::settings(set);
    let (found, recipe) = futures::join!(existing::find(cluster, set, rights), cluster.get(&id));
    let Some(existing) = found? else {
        return Err(live::no_set(cluster, set, context).await.into());
    };
    let recipe = recipe?;
    recipe.iter().try_for_each(|recipe| live::check_ours(recipe, &id, set))?;
    let state = of(&existing.statefulset, recipe.as_ref(), &version);
    Ok(Found { existing, recipe, state })
}

/// The state of a StatefulSet. Reads the recipe only if the StatefulSet should have no pods.
///
/// # Errors
/// When the recipe can't be read.
pub(crate) async fn read(
    cluster: &Cluster,
    set: &SetIdentity,
    statefulset: &Value,
) -> Result<RunState, ClusterError> {
    if objects::replicas(statefulset) > 0 {
        return Ok(RunState::Running);
    }
    let id = objects::settings(set);
    let (recipe, version) = futures::try_join!(live::readable(cluster, &id), cluster.version())?;
    let recipe = recipe.filter(|recipe| live::check_ours(recipe, &id, set).is_ok());
    Ok(of(statefulset, recipe.as_ref(), &version))
}

/// The same for `up`. A dry run asks nothing.
///
/// # Errors
/// Those of [`ask`].
pub(crate) async fn agree(
    work: Work<'_>,
    state: &RunState,
    pods: u32,
    ending: Ending,
) -> anyhow::Result<()> {
    let (context, set) = (work.context, work.set);
    if matches!(ending, Ending::DryRun(_)) && state.is_intended() {
        let pods = count(pods);
        context.note(format!("{} is {state}: `pgset up` asks, and then starts {pods}", set.name));
        return Ok(());
    }
    ask(context, set, state, pods).await
}

/// Asks whether to start a set that someone stopped. Tells it without a question where `--yes` answers.
///
/// # Errors
/// When the answer is no, or there is no terminal to ask.
pub(crate) async fn ask(
    context: &Context,
    set: &SetIdentity,
    state: &RunState,
    pods: u32,
) -> anyhow::Result<()> {
    if !state.is_intended() {
        return Ok(());
    }
    if context.global.yes {
        context.note(format!("{} is {state}; starting {}", set.name, count(pods)));
    }
    let question = format!("Set {} is {state}. Start it with {}?", set.name, count(pods));
    if context.confirm(&question).await? { Ok(()) } else { Err(Failure::cancelled().into()) }
}

/// The failure of a command that needs the pods of a set that has none.
pub(crate) fn failure(set: &SetIdentity, state: &RunState) -> Failure {
    let place = format!("set {} in namespace {}", set.name, set.namespace);
    let failure = Failure::new(Exit::Failed, format!("{place} is {state}"));
    match state.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Refuses to work with a set that has no pods.
///
/// # Errors
/// When the set has no pods.
pub(crate) async fn check(
    cluster: &Cluster,
    set: &SetIdentity,
    statefulset: &Value,
) -> anyhow::Result<()> {
    let state = read(cluster, set, statefulset).await?;
    if state.is_at_rest() { Err(failure(set, &state).into()) } else { Ok(()) }
}
