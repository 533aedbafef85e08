//! Reads the topology of a set from the cluster, and records the system identifier once the set is ready.
//!
//! The pods read the ConfigMap. With the system identifier, a pod refuses the volume of another set. It also
//! refuses an empty volume if the set already had data: otherwise a lost volume would be replaced by a new,
//! empty database.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::live::Live;
use super::{Work, lease, live, pods, sql};
use crate::cluster::Cluster;
use crate::error::{Exit, Failure};
use crate::event::{Audience, Event, Outcome};
use crate::manifest::{Kind, Object};
use crate::postgres::identity;
use crate::readiness::Snapshot;
use crate::set::topology::{FIRST_START, PodNumbers, SYSTEM_IDENTIFIER};
use crate::set::{SetIdentity, Topology, objects};
use crate::settings::Settings;

/// The ConfigMap with the topology.
pub(crate) enum Recorded {
    /// It exists.
    There(Topology),
    /// It does not.
    Absent,
    /// This account may not read it.
    Hidden,
}

impl Recorded {
    /// The topology. The default is safe: wherever the master matters, pgset also checks the labels and asks PostgreSQL.
    pub(crate) fn topology(self) -> Topology {
        match self {
            Self::There(topology) => topology,
            Self::Absent | Self::Hidden => Topology::default(),
        }
    }
}

/// Looks whether a set has a topology, and reads it.
///
/// # Errors
/// When it can't be read for another reason than a missing right, or names a master that is not a pod of the set.
pub(crate) async fn look(cluster: &Cluster, set: &SetIdentity) -> anyhow::Result<Recorded> {
    match cluster.get(&objects::topology(set)).await {
        Err(error) if error.is_forbidden() => {
            tracing::debug!("the topology is not known: {error}");
            Ok(Recorded::Hidden)
        }
        there => match there? {
            Some(there) => Ok(Recorded::There(Topology::recorded(set, Some(&there))?)),
            None => Ok(Recorded::Absent),
        },
    }
}

/// Reads the topology of a set.
///
/// If this account may not read the ConfigMap, it gets the default topology.
///
/// # Errors
/// When the topology can't be read, or names a master that is not a pod of the set.
pub(crate) async fn read(cluster: &Cluster, set: &SetIdentity) -> anyhow::Result<Topology> {
    Ok(look(cluster, set).await?.topology())
}

/// The topology of a set that is being created. `None` if it has one, or if there is a claim, which may have data.
pub(crate) fn first(settings: &Settings, live: &Live, numbers: PodNumbers) -> Option<Object> {
    let set = &settings.set;
    let id = objects::topology(set);
    let is_first = settings.profile.capabilities().has_topology
        && !live.objects.keys().any(|there| {
            *there == id
                || *there == objects::statefulset(set)
                || there.kind == Kind::PersistentVolumeClaim
        })
        && live.orphans == 0;
    is_first.then(|| {
        let mut data = numbers.data();
        data[FIRST_START] = json!("true");
        objects::config_map(set, id, &data, "the topology")
    })
}

/// Records the system identifier, unless it is already recorded. A recorded one is never changed: the pods
/// compare their data with it before they start.
///
/// # Errors
/// When the master does not report it, or the ConfigMap can't be written.
pub(crate) async fn record(
    work: Work<'_>,
    there: Option<&Value>,
    snapshot: &Snapshot,
) -> anyhow::Result<()> {
    let set = work.set;
    let id = objects::topology(set);
    if let Some(there) = there {
        live::check_ours(there, &id, set)?;
    }
    if work.topology.system_identifier.is_some() {
        return Ok(());
    }
    // The master's pod has recorded it meanwhile, unless it runs an older script.
    let now = work.cluster.get(&id).await?;
    if let Some(now) = &now {
        live::check_ours(now, &id, set)?;
        if Topology::recorded(set, Some(now))?.system_identifier.is_some() {
            return Ok(());
        }
    }
    let Some(master) = pods::master(set, work.topology, &snapshot.pods) else { return Ok(()) };
    let script = identity::ask(pods::name(master));
    let output = sql::run(work.cluster, work.namespace(), &script).await?;
    let identifier = identity::parse(&output).context("reading the master's system identifier")?;
    lease::hold(work).await?;
    let written = match &now {
        None => {
            let data = json!({ SYSTEM_IDENTIFIER: identifier });
            let object = objects::config_map(set, id.clone(), &data, "the topology");
            work.cluster.create(&object, false).await
        }
        Some(now) => {
            let patch = json!({
                "metadata": { "uid": now["metadata"]["uid"] },
                "data": { SYSTEM_IDENTIFIER: identifier },
            });
            work.cluster.merge(&id, &patch, false).await
        }
    };
    match written {
        Ok(_) => {}
        // Another run wrote it first, or the response to this run's own request was lost.
        Err(error) if error.is_conflict() => {
            let there = work.cluster.get(&id).await?.unwrap_or_default();
            live::check_ours(&there, &id, set)?;
            let recorded = Topology::recorded(set, Some(&there))?.system_identifier;
            if recorded.as_ref() != Some(&identifier) {
                return Err(Failure::new(
                    Exit::Refused,
                    format!("{id} has another system identifier than the master's, {identifier}"),
                )
                .into());
            }
        }
        Err(error) => return Err(error.into()),
    }
    let detail = Some(format!("system identifier {identifier}"));
    let outcome = if now.is_none() { Outcome::Created } else { Outcome::Configured };
    // Bookkeeping: the user did not ask for it.
    let audience = Audience::Verbose;
    work.context.reporter.emit(Event::Object { object: id, outcome, detail, audience });
    Ok(())
}
