//! Finds the set that a command works on.

use serde_json::Value;

use super::{live, topology};
use crate::cluster::Cluster;
use crate::set::rights::Right;
use crate::set::{SetIdentity, Topology, objects};

/// A set that exists.
pub(crate) struct Existing {
    pub(crate) statefulset: Value,
    pub(crate) topology: Topology,
}

/// Finds a set, and checks the rights that the command needs. `None` if the set does not exist.
///
/// # Errors
/// When a right is missing, or the StatefulSet does not belong to the set.
pub(crate) async fn find(
    cluster: &Cluster,
    set: &SetIdentity,
    rights: Vec<Right>,
) -> anyhow::Result<Option<Existing>> {
    let id = objects::statefulset(set);
    let (missing, live, topology) = futures::join!(
        live::check_rights(cluster, rights),
        cluster.get(&id),
        topology::read(cluster, set)
    );
    missing?;
    let Some(statefulset) = live? else { return Ok(None) };
    live::check_ours(&statefulset, &id, set)?;
    Ok(Some(Existing { statefulset, topology: topology? }))
}
