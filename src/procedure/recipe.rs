//! The recipe of a set in the cluster: read before the settings are resolved, written with the other objects.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::early::{self, Early};
use super::{Work, configure, lease, live, run_state};
use crate::cluster::objects::Apply;
use crate::cluster::{Cluster, ClusterError};
use crate::error::{Exit, Failure};
use crate::event::{Audience, Event, Outcome};
use crate::image::Capabilities;
use crate::manifest::{Kind, Object, ObjectId};
use crate::set::{SetIdentity, StopRecord, objects};
use crate::settings::tls::CertificateSource;
use crate::settings::{
    Computed, Parameters, Recipe, Tls, TlsSetting, computed, max_lag, readback, recipe, synchronous,
};

/// What was read before the settings were known, so that it is not read again.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The recipe. For a running set it contains what the set itself says where the set is right.
    pub(crate) recipe: Recipe,
    /// The objects that were read; none for one that does not exist.
    pub(crate) objects: BTreeMap<ObjectId, Option<Value>>,
    /// The set's claims. `None` if they were not listed.
    pub(crate) claims: Option<Vec<Value>>,
}

impl Known {
    /// An object that was read and exists.
    pub(crate) fn object(&self, id: &ObjectId) -> Option<&Value> {
        self.objects.get(id).and_then(Option::as_ref)
    }
}

/// Reads the recipe of a set. Without one, the settings are read back from the set's objects.
///
/// # Errors
/// When the cluster can't be reached, or a newer pgset has written the recipe.
pub(crate) async fn read(cluster: &Cluster, set: &SetIdentity) -> anyhow::Result<Known> {
    // The first request opens the connection that the others reuse.
    cluster.version().await?;
    let ids = vec![objects::settings(set), objects::statefulset(set), objects::config(set)];
    let found = early::named(cluster, ids).await?.found;
    of(cluster, set, found, None).await
}

/// Reads the recipe of a set, and at the same time what a plan needs and what does not depend on the recipe.
/// `capabilities` and `scripts` (the name of a ConfigMap) are those that the set probably has, if they are known.
///
/// # Errors
/// When the cluster can't be reached, or a newer pgset has written the recipe.
pub(crate) async fn read_and_more(
    cluster: &Cluster,
    set: &SetIdentity,
    capabilities: Option<&Capabilities>,
    scripts: Option<String>,
) -> anyhow::Result<(Known, Early)> {
    let (early::NamedObjects { found, unread }, rest) =
        early::read(cluster, set, capabilities, scripts).await?;
    let claims = rest.claims.as_ref().ok().cloned();
    let known = of(cluster, set, found, claims).await?;
    Ok((known, Early { unread, rest: Some(rest) }))
}

/// The recipe that these objects tell. Whoever may not read them is told so when the rights are checked.
async fn of(
    cluster: &Cluster,
    set: &SetIdentity,
    objects: BTreeMap<ObjectId, Option<Value>>,
    claims: Option<Vec<Value>>,
) -> anyhow::Result<Known> {
    let ours = |id: ObjectId| {
        let live = objects.get(&id).and_then(Option::as_ref)?;
        live::check_ours(live, &id, set).is_ok().then_some(live)
    };
    let recorded = ours(objects::settings(set));
    recorded.map_or(Ok(()), |live| check_version(live, set))?;
    let recorded = recorded.map(recorded_in).unwrap_or_default();
    let Some(statefulset) = ours(objects::statefulset(set)) else {
        return Ok(Known { recipe: recorded, objects, claims });
    };
    let version = cluster.version().await?;
    let state = run_state::of(statefulset, ours(objects::settings(set)), &version);
    let config = objects.get(&objects::config(set)).and_then(Option::as_ref);
    let mut recipe = if recorded.is_empty() {
        let mut recipe = read_back(cluster, set, statefulset).await?;
        let limit = config.and_then(max_lag::of_config);
        recipe.record("max-lag", limit.map(|limit| limit.to_string()));
        recipe
    } else {
        recorded.without_live()
    };
    if state.is_at_rest() {
        // A set without pods does not tell how many it had.
        recipe.record("replicas", Some(state.to_start().to_string()));
    }
    record_config(&mut recipe, config);
    Ok(Known { recipe, objects, claims })
}

/// Records the settings of PostgreSQL that the ConfigMap of a set tells.
fn record_config(recipe: &mut Recipe, config: Option<&Value>) {
    let Some(conf) = config.and_then(configure::postgresql_conf) else { return };
    recipe.record("set", Some(Parameters::of_set(conf).text()));
    recipe.record("synchronous", Some(synchronous::of_set(conf).to_string()));
    // A template of the user's may not contain them. Then the recipe is right.
    if let Some(rule) = Computed::of_set(conf) {
        recipe.record(computed::NAME, Some(rule.to_owned()));
    }
}

/// The settings of a set without a recipe.
async fn read_back(
    cluster: &Cluster,
    set: &SetIdentity,
    statefulset: &Value,
) -> Result<Recipe, ClusterError> {
    let namespace = set.namespace.as_str();
    let claim = ObjectId::new(Kind::PersistentVolumeClaim, namespace, &set.claim());
    let policy = ObjectId::new(Kind::NetworkPolicy, namespace, set.name.as_str());
    let (claim, policy) =
        futures::try_join!(live::readable(cluster, &claim), live::readable(cluster, &policy))?;
    let volume = volume_of(cluster, claim.as_ref()).await?;
    let objects = readback::Objects {
        statefulset,
        claim: claim.as_ref(),
        volume: volume.as_ref(),
        network_policy: policy.is_some(),
    };
    Ok(readback::recipe(set, objects))
}

/// The volume that a claim is bound to.
pub(super) async fn volume_of(
    cluster: &Cluster,
    claim: Option<&Value>,
) -> Result<Option<Value>, ClusterError> {
    let Some(name) = claim.and_then(|claim| claim["spec"]["volumeName"].as_str()) else {
        return Ok(None);
    };
    live::readable(cluster, &ObjectId::new(Kind::PersistentVolume, "", name)).await
}

/// The recipe to write. A running set has its own number of pods; that it was scaled is no reason to write:
/// [`remember`] records the number when it matters. `given`: the user has asked for this number.
pub(crate) fn to_record(mut recipe: Recipe, live: Option<&Value>, given: bool) -> Recipe {
    if let Some(live) = live.filter(|_| !given) {
        let mut before = recorded_in(live);
        let replicas = before.take("replicas");
        let mut rest = recipe.clone();
        rest.take("replicas");
        if rest == before && replicas.is_some() {
            recipe.record("replicas", replicas);
        }
    }
    recipe
}

/// The number of pods to record.
#[derive(Clone, Copy)]
pub(crate) struct Pods<'a> {
    /// The number that a later `up` or `start` creates.
    pub(crate) pods: u32,
    /// Who stops the set, if it is stopped on purpose.
    pub(crate) stop: Option<&'a StopRecord>,
}

/// Records the number of pods: a later `up` or `start` creates as many. `live` is the ConfigMap with the recipe,
/// if there is one.
///
/// # Errors
/// When the recipe can't be written.
pub(crate) async fn remember(
    work: Work<'_>,
    statefulset: &Value,
    live: Option<&Value>,
    what: Pods<'_>,
) -> anyhow::Result<()> {
    let (cluster, set) = (work.cluster, work.set);
    live.map_or(Ok(()), |live| check_version(live, set))?;
    let before = live.map(recorded_in).unwrap_or_default();
    let mut recipe = before.clone();
    if recipe.is_empty() {
        recipe = read_back(cluster, set, statefulset).await?;
        let config = live::readable(cluster, &objects::config(set)).await?;
        record_config(&mut recipe, config.as_ref());
    }
    recipe.record("replicas", Some(what.pods.to_string()));
    if recipe == before && live.and_then(StopRecord::of).as_ref() == what.stop {
        return Ok(());
    }
    let mut object = object(set, &recipe);
    for (key, value) in what.stop.into_iter().flat_map(StopRecord::data) {
        object.value["data"][key] = json!(value);
    }
    lease::hold(work).await?;
    cluster.apply(&object, Apply { dry_run: false, force: true }).await?;
    let (object, outcome) = (object.id, Outcome::Configured);
    // Bookkeeping.
    let (detail, audience) = (None, Audience::Verbose);
    work.context.reporter.emit(Event::Object { object, outcome, detail, audience });
    Ok(())
}

/// Records the number of pods after it was changed. An account that may scale a set and not write its recipe
/// still scales it: the number matters only when another client sets it to 0.
///
/// # Errors
/// When the recipe can't be read or written for another reason.
pub(crate) async fn remember_scaled(
    work: Work<'_>,
    statefulset: &Value,
    pods: u32,
) -> anyhow::Result<()> {
    let id = objects::settings(work.set);
    let Some(live) = live::readable(work.cluster, &id).await? else { return Ok(()) };
    live::check_ours(&live, &id, work.set)?;
    match remember(work, statefulset, Some(&live), Pods { pods, stop: None }).await {
        Err(error) if error.downcast_ref().is_some_and(ClusterError::is_forbidden) => {
            work.context.detail(format!("the number of pods is not recorded: {error:#}"));
            Ok(())
        }
        remembered => remembered,
    }
}

/// Refuses the recipe of a newer pgset: this one would drop what it does not know.
fn check_version(live: &Value, set: &SetIdentity) -> Result<(), Failure> {
    let version = live["data"]["version"].as_str().and_then(|version| version.parse::<u32>().ok());
    if version.is_none_or(|version| version <= recipe::VERSION) {
        return Ok(());
    }
    let message = format!("{} was written by a newer pgset", objects::settings(set));
    Err(Failure::new(Exit::Refused, message).hint("use the newer pgset for this set"))
}

fn recorded_in(live: &Value) -> Recipe {
    let data = live["data"].as_object().into_iter().flatten();
    Recipe::of_data(data.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))))
}

/// The setting that gives a set this TLS.
pub(crate) fn tls(tls: Option<&Tls>) -> TlsSetting {
    match tls {
        None => TlsSetting::Off,
        Some(tls) if tls.origin == CertificateSource::Pgset => TlsSetting::On,
        Some(tls) => TlsSetting::Secret(tls.secret.clone()),
    }
}

/// The ConfigMap that holds a recipe.
pub(crate) fn object(set: &SetIdentity, recipe: &Recipe) -> Object {
    let version = recipe::VERSION.to_string();
    let mut data: BTreeMap<&str, &str> = recipe.data().collect();
    data.insert("version", &version);
    objects::config_map(set, objects::settings(set), &json!(data), "the recipe")
}
