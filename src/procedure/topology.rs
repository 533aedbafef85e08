//! Whose data the set's is: PostgreSQL's system identifier, written down once the set is up.
//!
//! It stands in a ConfigMap that the pods mount. By it a pod refuses another set's volume, and an empty
//! one where there was data: a lost volume must not begin a second history.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::event::{Event, Outcome};
use crate::image::Profile;
use crate::manifest::{Kind, Object, ObjectId};
use crate::postgres::identity;
use crate::procedure::{live, sql, wait};
use crate::readiness::Snapshot;
use crate::set::SetIdentity;
use crate::set::objects;
use crate::settings::Settings;

/// The key of the ConfigMap, and the name of the file that pods see.
pub(crate) const KEY: &str = "system-identifier";

/// The ConfigMap, where the profile has one.
pub(crate) fn id(settings: &Settings) -> Option<ObjectId> {
    match settings.profile {
        Profile::Postgres(_) => Some(objects::topology(&settings.set)),
        Profile::Crunchy(_) => None,
    }
}

/// Writes the identifier down, if nobody did. What is there is never changed: the pods compare with it
/// themselves, before they start.
///
/// # Errors
/// When the master does not say it, or the ConfigMap can't be made.
pub(crate) async fn record(
    context: &Context,
    cluster: &Cluster,
    settings: &Settings,
    there: Option<&Value>,
    snapshot: &Snapshot,
) -> anyhow::Result<()> {
    let set = &settings.set;
    let Some(id) = id(settings) else { return Ok(()) };
    if let Some(there) = there {
        return Ok(live::check_ours(there, &id, set)?);
    }
    let Some(master) = wait::master(snapshot, &set.master()) else { return Ok(()) };
    let script = identity::ask(&master);
    let output = sql::run(cluster, set.namespace.as_str(), &script).await?;
    let identifier = identity::parse(&output).context("asking the master who it is")?;
    match cluster.create(&object(set, &id, &identifier), false).await {
        Ok(_) => {}
        // Of two runs at once one was first, or the answer to our own request was lost.
        Err(error) if error.is_conflict() => {
            let there = cluster.get(&id).await?.unwrap_or_default();
            live::check_ours(&there, &id, set)?;
            if there["data"][KEY].as_str() != Some(identifier.as_str()) {
                return Err(Failure::new(
                    Exit::Refused,
                    format!("{id} names other data than the master's, {identifier}"),
                )
                .into());
            }
        }
        Err(error) => return Err(error.into()),
    }
    let detail = Some(format!("system identifier {identifier}"));
    context.reporter.emit(Event::Object { object: id, outcome: Outcome::Created, detail });
    Ok(())
}

fn object(set: &SetIdentity, id: &ObjectId, identifier: &str) -> Object {
    let mut value = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": id.name,
            "namespace": set.namespace.as_str(),
            "labels": { "app": set.name.as_str() },
        },
        "data": { KEY: identifier },
    });
    for (label, is) in set.ownership().labels(Kind::ConfigMap) {
        value["metadata"]["labels"][label] = json!(is);
    }
    Object { id: id.clone(), value, template: "the topology".to_owned() }
}
