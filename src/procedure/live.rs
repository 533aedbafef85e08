//! Reads the state of the cluster before anything is changed: once and concurrently.

use crate::context::Context;
use std::collections::BTreeMap;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::early::{self, Early, READS};
use super::namespace::Namespace;
use super::permission::{self, Needs};
use crate::cluster::objects::Freshness;
use crate::cluster::{Cluster, ClusterError};
use crate::error::{Exit, Failure};
use crate::manifest::ServerVersion;
use crate::manifest::object::{LABEL_MANAGED_BY, LABEL_NAMESPACE, MANAGER};
use crate::manifest::{Kind, ObjectId};
use crate::plan;
use crate::set::rights::Right;
use crate::set::{SetIdentity, account, objects};
use crate::settings::{Settings, Storage};

/// What `up` and `diff` need to know about the cluster.
#[derive(Clone, Default)]
pub(crate) struct Live {
    /// The server's version.
    pub(crate) version: ServerVersion,
    /// Whether the namespace of the set exists.
    pub(crate) namespace: Namespace,
    /// The requested objects that exist; every claim of the set, including claims of deleted pods; and the
    /// volumes of all sets, if they may be read.
    pub(crate) objects: BTreeMap<ObjectId, Value>,
    /// Why the storage is not available, if that is already known.
    pub(crate) storage: Option<Failure>,
    /// The pods of the set. Empty if this account may not list them.
    pub(crate) pods: Vec<Pod>,
    /// The number of pods that a new StatefulSet needs in order to adopt all pods of the set that have no
    /// owner. 0 if there are none.
    pub(crate) orphans: u32,
    /// The rights that the user does not have, of all that `up` may need.
    pub(crate) missing: Vec<Right>,
}

/// Reads everything that a command needs to know before it writes: the server's version, the rights of the
/// account, the namespace, and the live objects. What is missing for the writes is judged when they are known.
/// `claims` are the set's claims, if they were read before.
///
/// # Errors
/// When the cluster can't be reached, a right to read is missing, or the namespace is being deleted.
pub(crate) async fn read(
    cluster: &Cluster,
    settings: &Settings,
    ids: Vec<ObjectId>,
    freshness: Freshness,
    needs: Needs<'_>,
    early: Option<Early>,
) -> anyhow::Result<Live> {
    let version = cluster.version().await?;
    let set = &settings.set;
    let Early { unread: before, rest } = early.unwrap_or_default();
    let (more, ids): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| before.contains_key(id));
    let rest = async {
        match rest {
            Some(rest) => rest,
            None => early::rest(cluster, set, freshness).await,
        }
    };
    let rest_and_rights = async {
        let rest = rest.await;
        let scope = Some(set.namespace.to_string());
        let missing = match rest.may_everything {
            Ok(may) => cluster.missing_beyond(needs.possible(&version), &[(scope, may)]).await,
            Err(error) => Err(error),
        };
        (rest.namespace, rest.claims, rest.pods, missing)
    };
    // The storage of a set that exists is there.
    let is_new = !needs.exists(&objects::statefulset(set));
    let storage =
        async { if is_new { check_storage(cluster, settings, freshness).await } else { Ok(None) } };
    let volumes = volumes(cluster, settings, freshness);
    let named = early::named(cluster, ids);
    let ((namespace, claims, pods, missing), storage, volumes, named) =
        futures::join!(rest_and_rights, storage, volumes, named);
    // Checked in this order, so that the user sees the missing right and not the failed read.
    let missing = missing?;
    let early::NamedObjects { found, mut unread } = named?;
    unread.extend(before.into_iter().filter(|(id, _)| more.contains(id)));
    let mut all: BTreeMap<ObjectId, Value> =
        found.into_iter().filter_map(|(id, value)| Some((id, value?))).collect();
    needs.check_reads(&version, &missing, &all, |id| unread.contains_key(id))?;
    if let Some((_, forbidden)) = unread.pop_first() {
        return Err(forbidden.into());
    }
    let namespace = namespace?;
    for (kind, found) in
        [(Kind::PersistentVolumeClaim, claims?), (Kind::PersistentVolume, volumes?)]
    {
        all.extend(found.into_iter().map(|value| (id_of(kind, &value), value)));
    }
    let pods = match pods {
        Err(e) if e.is_forbidden() => Vec::new(),
        Err(e) => return Err(e.into()),
        Ok(pods) => pods.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?,
    };
    let orphans = orphans(set, &pods);
    Ok(Live { version, namespace, objects: all, storage: storage?, pods, orphans, missing })
}

/// The volumes of all sets of pgset, because two sets must not share a directory.
async fn volumes(
    cluster: &Cluster,
    settings: &Settings,
    freshness: Freshness,
) -> Result<Vec<Value>, ClusterError> {
    if !settings.storage.is_static() {
        return Ok(Vec::new());
    }
    let selector = format!("{LABEL_MANAGED_BY}={MANAGER}");
    match cluster.list(Kind::PersistentVolume, "", &selector, freshness).await {
        Err(e) if e.is_forbidden() => Ok(Vec::new()),
        other => other,
    }
}

/// The highest ordinal of the set's pods that have no owner, plus one. Such pods remain when a StatefulSet is
/// deleted without its pods (`grow`, or `kubectl delete --cascade=orphan`).
fn orphans(set: &SetIdentity, pods: &[Pod]) -> u32 {
    let orphans = pods.iter().map(|pod| &pod.metadata).filter(|metadata| {
        metadata.owner_references.as_ref().is_none_or(Vec::is_empty)
            && metadata.deletion_timestamp.is_none()
    });
    let ordinals = orphans.filter_map(|metadata| set.ordinal(metadata.name.as_deref()?));
    ordinals.max().map_or(0, |ordinal| ordinal + 1)
}

/// The objects of a kind that were found, or the error if listing is forbidden.
type Found = (Vec<(ObjectId, Value)>, Option<(Kind, ClusterError)>);

/// All objects with the labels of the set: those in the namespace, and the volumes.
///
/// PersistentVolumes are skipped if this account may not list them: in that case it has not created any. An existing
/// ServiceAccount is not the set's, and neither are the Role and the RoleBinding with its name.
pub(crate) async fn of_set(
    cluster: &Cluster,
    set: &SetIdentity,
) -> Result<BTreeMap<ObjectId, Value>, ClusterError> {
    let kinds = crate::manifest::kind::KINDS.into_iter().filter(|k| k.applicable());
    let found: Vec<Found> = stream::iter(kinds)
        .map(|kind| async move {
            let mut selector = set.selector();
            if !kind.namespaced() {
                selector = format!("{selector},{LABEL_NAMESPACE}={}", set.namespace);
            }
            match cluster.list(kind, set.namespace.as_str(), &selector, Freshness::Latest).await {
                Ok(items) => Ok((items.into_iter().map(|v| (id_of(kind, &v), v)).collect(), None)),
                // The server does not have this kind, so there are no such objects.
                Err(e) if e.is_not_found() => Ok((Vec::new(), None)),
                Err(e) if e.is_forbidden() && (!kind.namespaced() || !essential(kind)) => {
                    Ok((Vec::new(), Some((kind, e))))
                }
                Err(e) => Err(e),
            }
        })
        .buffer_unordered(READS)
        .try_collect()
        .await?;
    let mut all = BTreeMap::new();
    let mut unseen = Vec::new();
    for (items, refused) in found {
        all.extend(items);
        unseen.extend(refused);
    }
    let configured = all
        .get(&objects::statefulset(set))
        .is_some_and(|statefulset| objects::capabilities(statefulset).configuration.is_there());
    let (statefulset, recipe) =
        (all.get(&objects::statefulset(set)), all.get(&objects::settings(set)));
    let accounts = account::existing(set, statefulset, recipe);
    let must_be_seen = |kind: Kind| match kind {
        _ if is_of_configured(kind) => configured,
        _ => account::is_of_rights(kind) && accounts.is_empty(),
    };
    if let Some((_, error)) = unseen.into_iter().find(|(kind, _)| must_be_seen(*kind)) {
        return Err(error);
    }
    all.retain(|id, _| !accounts.iter().any(|account| account::is_of(id, account)));
    Ok(all)
}

/// Refuses a set of which an object with one of its names has another owner. An object whose labels were rewritten is
/// not found by them, so it is read by name. `found` are the objects that were found by their labels.
///
/// # Errors
/// When an object has another owner, or can't be read for another reason than a missing right.
pub(crate) async fn check_names(
    cluster: &Cluster,
    set: &SetIdentity,
    found: &BTreeMap<ObjectId, Value>,
) -> anyhow::Result<()> {
    let mut ids = objects::named(set);
    ids.retain(|id| !found.contains_key(id));
    let reads = ids.into_iter().map(|id| async move {
        match cluster.get(&id).await {
            Err(error) if error.is_forbidden() => Ok(None),
            found => found.map(|found| found.map(|live| (id, live))),
        }
    });
    for (id, live) in futures::future::try_join_all(reads).await?.into_iter().flatten() {
        check_ours(&live, &id, set)?;
    }
    Ok(())
}

/// Refuses a set whose StatefulSet has another owner. An account that may not read it is not refused.
///
/// # Errors
/// When it has another owner, or can't be read for another reason.
pub(crate) async fn check_statefulset(cluster: &Cluster, set: &SetIdentity) -> anyhow::Result<()> {
    let id = objects::statefulset(set);
    match cluster.get(&id).await {
        Ok(Some(live)) => Ok(check_ours(&live, &id, set)?),
        Ok(None) => Ok(()),
        Err(error) if error.is_forbidden() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether every set has objects of this kind.
fn essential(kind: Kind) -> bool {
    !matches!(kind, Kind::NetworkPolicy) && !is_of_configured(kind) && !account::is_of_rights(kind)
}

/// Whether objects of this kind exist only in sets for which pgset writes PostgreSQL's configuration.
fn is_of_configured(kind: Kind) -> bool {
    matches!(kind, Kind::PodDisruptionBudget | Kind::ConfigMap)
}

/// The objects that `down` keeps, as far as they can be read: claims, Secrets, and the recipe. Empty if there is no
/// set at all.
pub(crate) async fn kept(cluster: &Cluster, set: &SetIdentity) -> BTreeMap<ObjectId, Value> {
    let selector = set.selector();
    let list = |kind| cluster.list(kind, set.namespace.as_str(), &selector, Freshness::Latest);
    let settings = objects::settings(set);
    let (claims, secrets, recipe) = futures::join!(
        list(Kind::PersistentVolumeClaim),
        list(Kind::Secret),
        readable(cluster, &settings)
    );
    // They only make a message more precise.
    let found = |kind, list: Result<Vec<Value>, ClusterError>| {
        let list = list.unwrap_or_default();
        list.into_iter().map(move |value| (id_of(kind, &value), value))
    };
    let mut kept: BTreeMap<ObjectId, Value> =
        found(Kind::PersistentVolumeClaim, claims).chain(found(Kind::Secret, secrets)).collect();
    if !kept.is_empty()
        && let Ok(Some(recipe)) = recipe
    {
        kept.insert(settings, recipe);
    }
    kept
}

/// The failure when there is no StatefulSet: the set is down and its data is kept, or there is no set at all.
pub(crate) async fn no_set(cluster: &Cluster, set: &SetIdentity, context: &Context) -> Failure {
    let kept = kept(cluster, set).await;
    let namespace = &set.namespace;
    if kept.is_empty() {
        let message = format!("there is no set {} in namespace {namespace}", set.name);
        return Failure::new(Exit::Failed, message)
            .hint(format!("{}  # creates it", context.sibling("up")))
            .hint("another set: --name NAME, another namespace: -n NAMESPACE");
    }
    let message = format!(
        "set {} in namespace {namespace} is down; kept: {}",
        set.name,
        super::inventory::data(&kept)
    );
    Failure::new(Exit::Failed, message)
        .hint(format!("{}  # starts it again with its data", context.sibling("up")))
}

/// The object; none if it does not exist, or if this account may not read it: then it did not create it.
pub(crate) async fn readable(
    cluster: &Cluster,
    id: &ObjectId,
) -> Result<Option<Value>, ClusterError> {
    match cluster.get(id).await {
        Err(e) if e.is_forbidden() => Ok(None),
        found => found,
    }
}

/// Refuses an object that does not belong to the set.
pub(crate) fn check_ours(live: &Value, id: &ObjectId, set: &SetIdentity) -> Result<(), Failure> {
    match plan::foreign(live, set) {
        None => Ok(()),
        Some(owner) => Err(Failure::new(Exit::Refused, format!("{id} is owned by {owner}"))
            .hint("another set: --name NAME")),
    }
}

/// The ID of a live object.
#[must_use]
pub(crate) fn id_of(kind: Kind, value: &Value) -> ObjectId {
    let metadata = &value["metadata"];
    ObjectId::new(
        kind,
        metadata["namespace"].as_str().unwrap_or_default(),
        metadata["name"].as_str().unwrap_or_default(),
    )
}

/// The UID of a live object. Empty if there is none.
#[must_use]
pub(crate) fn uid_of(value: &Value) -> &str {
    value["metadata"]["uid"].as_str().unwrap_or_default()
}

/// Refuses to continue if a right is missing.
pub(crate) async fn check_rights(cluster: &Cluster, rights: Vec<Right>) -> anyhow::Result<()> {
    let missing = cluster.missing(rights).await?;
    Ok(permission::refuse(&missing)?)
}

/// Checks the storage early. Otherwise the only symptom would be a claim that stays Pending.
async fn check_storage(
    cluster: &Cluster,
    settings: &Settings,
    freshness: Freshness,
) -> anyhow::Result<Option<Failure>> {
    match &settings.storage {
        Storage::Class { name } => check_class(cluster, name.as_deref(), freshness).await,
        Storage::Claim { name } => {
            let namespace = settings.set.namespace.as_str();
            let id = ObjectId::new(Kind::PersistentVolumeClaim, namespace, name);
            let live = cluster.get(&id).await.context("looking for the claim of --storage")?;
            Ok(live.is_none().then(|| {
                Failure::new(
                    Exit::Failed,
                    format!("there is no PersistentVolumeClaim {name} in namespace {namespace}"),
                )
                .hint(format!("kubectl -n {namespace} get persistentvolumeclaims"))
            }))
        }
        Storage::Nfs { .. } | Storage::HostPath { .. } => Ok(None),
    }
}

async fn check_class(
    cluster: &Cluster,
    name: Option<&str>,
    freshness: Freshness,
) -> anyhow::Result<Option<Failure>> {
    let classes = match cluster.list(Kind::StorageClass, "", "", freshness).await {
        Ok(classes) => classes,
        // StorageClasses are cluster-scoped. If this account may not list them, the claim will show whether
        // the class exists.
        Err(e) if e.is_forbidden() => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let names: Vec<&str> = classes.iter().filter_map(|c| c["metadata"]["name"].as_str()).collect();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let failure = match name {
        Some(name) if !names.contains(&name) => Failure::new(
            Exit::Failed,
            format!("there is no StorageClass {name} (there are: {known})"),
        ),
        None if !classes.iter().any(is_default) => Failure::new(
            Exit::Failed,
            format!("the cluster has no default StorageClass (there are: {known})"),
        ),
        _ => return Ok(None),
    };
    let next = names.first().map_or_else(
        || {
            "storage without a class: --storage nfs://SERVER/PATH or --storage hostpath:/PATH"
                .to_owned()
        },
        |first| format!("pgset up --storage class:{first}"),
    );
    Ok(Some(failure.hint(next)))
}

fn is_default(class: &Value) -> bool {
    let annotations = &class["metadata"]["annotations"];
    [
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ]
    .iter()
    .any(|key| annotations[*key] == "true")
}
