//! The reads that do not depend on the settings of a set. They run at the same time as the read of its recipe, so that
//! a plan needs no further round of requests.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use serde_json::Value;

use super::namespace::{self, Namespace};
use crate::cluster::objects::Freshness;
use crate::cluster::{Cluster, ClusterError};
use crate::image::Capabilities;
use crate::manifest::{Kind, ObjectId};
use crate::set::{SetIdentity, objects};

/// How many reads run at the same time. This is enough for all objects of a set; they share one HTTP/2
/// connection.
pub(crate) const READS: usize = 24;

/// Objects by name: those that exist, those that do not, and the errors of those that this account may not read.
#[derive(Debug, Default)]
pub(crate) struct NamedObjects {
    /// The objects; none for one that does not exist.
    pub(crate) found: BTreeMap<ObjectId, Option<Value>>,
    /// The errors.
    pub(crate) unread: BTreeMap<ObjectId, ClusterError>,
}

/// What is read of every set besides its objects. Errors are kept: they are reported in the order of the checks.
#[derive(Debug)]
pub(crate) struct Rest {
    /// Whether the namespace exists.
    pub(crate) namespace: anyhow::Result<Namespace>,
    /// The claims of the set.
    pub(crate) claims: Result<Vec<Value>, ClusterError>,
    /// The pods of the set.
    pub(crate) pods: Result<Vec<Value>, ClusterError>,
    /// Whether this account may do everything in the namespace.
    pub(crate) may_everything: Result<bool, ClusterError>,
}

/// What was read before the settings were known.
#[derive(Debug, Default)]
pub(crate) struct Early {
    /// The errors of the objects that this account may not read.
    pub(crate) unread: BTreeMap<ObjectId, ClusterError>,
    /// What does not depend on the settings.
    pub(crate) rest: Option<Rest>,
}

/// Reads what every set has. The reads by name that turn out not to be needed cost no round of their own.
///
/// # Errors
/// When an object can't be read for another reason than a missing right.
pub(crate) async fn read(
    cluster: &Cluster,
    set: &SetIdentity,
    capabilities: Option<&Capabilities>,
    scripts: Option<String>,
) -> Result<(NamedObjects, Rest), ClusterError> {
    // The first request opens the connection that the others reuse. The API paths of some kinds also depend
    // on the version.
    cluster.version().await?;
    let mut ids = ids(set, capabilities);
    let scripts = scripts.map(|name| ObjectId::new(Kind::ConfigMap, set.namespace.as_str(), &name));
    ids.extend(scripts);
    let named = named(cluster, ids);
    let (named, rest) = futures::join!(named, rest(cluster, set, Freshness::Cached));
    Ok((named?, rest))
}

/// The objects that a set usually has. Without capabilities, those of any set.
fn ids(set: &SetIdentity, capabilities: Option<&Capabilities>) -> Vec<ObjectId> {
    let named = |kind, name: &str| ObjectId::new(kind, set.namespace.as_str(), name);
    let account = set.service_account();
    let mut ids = vec![
        objects::statefulset(set),
        objects::settings(set),
        objects::passwords(set),
        named(Kind::ServiceAccount, &account),
        objects::role(set),
        named(Kind::RoleBinding, &account),
    ];
    let services = [set.name.to_string(), set.master(), set.replica()];
    ids.extend(services.iter().map(|name| named(Kind::Service, name)));
    let has = |fact: fn(&Capabilities) -> bool| capabilities.is_none_or(fact);
    if has(|set| set.configuration.is_there()) {
        ids.push(objects::config(set));
        ids.push(named(Kind::PodDisruptionBudget, set.name.as_str()));
    }
    if has(|set| set.has_topology) {
        ids.push(objects::topology(set));
    }
    if has(|set| set.tls.is_there()) {
        ids.push(objects::certificates(set));
    }
    ids
}

/// Reads what does not depend on the settings, except for objects by name.
pub(crate) async fn rest(cluster: &Cluster, set: &SetIdentity, freshness: Freshness) -> Rest {
    let (place, selector) = (set.namespace.as_str(), set.selector());
    let (namespace, claims, pods, may_everything) = futures::join!(
        namespace::read(cluster, set),
        cluster.list(Kind::PersistentVolumeClaim, place, &selector, freshness),
        cluster.list(Kind::Pod, place, &selector, freshness),
        cluster.may_everything(Some(place))
    );
    Rest { namespace, claims, pods, may_everything }
}

/// Reads objects by name.
///
/// # Errors
/// When one can't be read for another reason than a missing right.
pub(crate) async fn named(
    cluster: &Cluster,
    ids: Vec<ObjectId>,
) -> Result<NamedObjects, ClusterError> {
    let mut reads = stream::iter(ids)
        .map(|id| async move {
            let found = cluster.get(&id).await;
            (id, found)
        })
        .buffer_unordered(READS);
    let mut named = NamedObjects::default();
    while let Some((id, found)) = reads.next().await {
        match found {
            Ok(value) => drop(named.found.insert(id, value)),
            Err(e) if e.is_forbidden() => drop(named.unread.insert(id, e)),
            Err(e) => return Err(e),
        }
    }
    Ok(named)
}
