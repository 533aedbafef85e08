//! Corrects the label `name` of a pod, by which the Services select the master and the replicas. A pod sets it when
//! it starts; pgset sets it again when another client has changed or removed it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::time::Instant;

use super::{Work, lease, pods, sql};
use crate::event::{Event, Outcome};
use crate::readiness::is_ready;
use crate::set::{Role, SetIdentity, Topology, objects};

/// The pause between two attempts: PostgreSQL may not answer, or may not have the role yet.
const EVERY: Duration = Duration::from_secs(2);

/// A pod with a wrong label, or without one.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    pod: String,
    uid: String,
    /// The label that it has.
    label: Option<String>,
    /// The role that it has.
    role: Role,
}

/// The ready pods whose label is not that of their role. None while no pod may be the master.
fn wrong(set: &SetIdentity, topology: &Topology, pods: &[Pod]) -> Vec<Wrong> {
    if topology.master().is_none() {
        return Vec::new();
    }
    let of = |pod: &Pod| {
        let role = topology.role_of(set, pods::name(pod))?;
        (pods::label(pod) != Some(set.label(role).as_str())).then(|| Wrong {
            pod: pods::name(pod).to_owned(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            label: pods::label(pod).map(str::to_owned),
            role,
        })
    };
    pods.iter().filter(|pod| is_ready(pod)).filter_map(of).collect()
}

/// Corrects labels during a wait.
#[derive(Default)]
pub(super) struct Labels {
    /// When it is tried again. `None` while all labels are right.
    again_at: Option<Instant>,
    /// Whether it was reported that this account may not do it.
    told: bool,
}

impl Labels {
    /// Corrects the labels of the pods whose PostgreSQL has the role that the topology gives them.
    ///
    /// # Errors
    /// When the Lease can't be held, or a label can't be written.
    pub(super) async fn correct(&mut self, work: Work<'_>, pods: &[Pod]) -> anyhow::Result<()> {
        let wrong = wrong(work.set, work.topology, pods);
        if wrong.is_empty() {
            self.again_at = None;
        }
        if wrong.is_empty() || self.again_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        self.again_at = Some(Instant::now() + EVERY);
        for wrong in wrong {
            // A label that contradicts the server would send writes to a replica.
            let server = sql::observe(work.cluster, work.namespace(), &wrong.pod).await;
            let is_master = server.ok().map(|server| !server.in_recovery);
            if is_master == Some(wrong.role == Role::Master) {
                self.write(work, &wrong).await?;
            }
        }
        Ok(())
    }

    /// When it is tried again, if a label is wrong.
    pub(super) fn again_at(&self) -> Option<Instant> {
        self.again_at
    }

    async fn write(&mut self, work: Work<'_>, wrong: &Wrong) -> anyhow::Result<()> {
        lease::hold(work).await?;
        let (id, label) = (objects::pod(work.set, &wrong.pod), work.set.label(wrong.role));
        let patch = json!({ "metadata": { "uid": wrong.uid, "labels": { "name": label } } });
        match work.cluster.merge(&id, &patch, false).await {
            Ok(_) => {
                let before = wrong.label.as_deref().unwrap_or("(none)");
                let detail = Some(format!("label name: {before} -> {label}"));
                work.context.reporter.emit(Event::object(id, Outcome::Configured, detail));
            }
            // The pod was deleted or replaced: its successor labels itself.
            Err(error) if error.is_conflict() || error.is_not_found() => {}
            Err(error) if error.is_forbidden() => {
                if !std::mem::replace(&mut self.told, true) {
                    work.context.warn(format!(
                        "{id} should have the label name={label}, and this account may not change pods: kubectl -n {} label pod {} name={label} --overwrite",
                        work.namespace(), wrong.pod
                    ));
                }
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, label: Option<&str>, ready: &str) -> Pod {
        let labels = label.map(|label| json!({ "name": label })).unwrap_or_default();
        let value = json!({
            "metadata": { "name": name, "uid": "u", "labels": labels },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] },
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_ready_pod_must_have_the_label_of_its_role_in_the_topology() {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let second = json!({ "data": { "master": "pgset-1" } });
        let second = Topology::recorded(&set, Some(&second)).unwrap();
        let none = json!({ "data": { "master": "none" } });
        let none = Topology::recorded(&set, Some(&none)).unwrap();
        let (master, replica) = (Some("pgset-master"), Some("pgset-replica"));
        for (topology, name, label, ready, expected) in [
            (&Topology::default(), "pgset-0", master, "True", None),
            (&Topology::default(), "pgset-1", replica, "True", None),
            (&Topology::default(), "pgset-0", None, "True", Some(Role::Master)),
            (&Topology::default(), "pgset-0", replica, "True", Some(Role::Master)),
            (&Topology::default(), "pgset-1", master, "True", Some(Role::Replica)),
            (&Topology::default(), "pgset-1", Some("x"), "True", Some(Role::Replica)),
            // It labels itself before it is ready.
            (&Topology::default(), "pgset-0", None, "False", None),
            (&Topology::default(), "other-0", None, "True", None),
            (&second, "pgset-0", master, "True", Some(Role::Replica)),
            (&second, "pgset-1", master, "True", None),
            (&none, "pgset-0", master, "True", None),
        ] {
            let found = wrong(&set, topology, &[pod(name, label, ready)]);
            assert_eq!(found.first().map(|wrong| wrong.role), expected, "{name} {label:?} {ready}");
        }
    }
}
