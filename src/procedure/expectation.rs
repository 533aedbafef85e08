//! What to watch for a set, and when it is ready.

use serde_json::Value;

use super::live;
use crate::cluster::observe::Scope;
use crate::manifest::ServerVersion;
use crate::manifest::object::MANAGER;
use crate::readiness::Expectation;
use crate::set::{SetIdentity, Topology};
use crate::settings::{Settings, Storage};
use crate::text::counted;

/// The objects to watch for a set.
pub(crate) fn scope(set: &SetIdentity, statefulset: &Value, version: ServerVersion) -> Scope {
    let volumes = &statefulset["spec"]["template"]["spec"]["volumes"];
    let shared = volumes.as_array().is_some_and(|v| {
        v.iter().any(|v| v["persistentVolumeClaim"]["claimName"] == set.claim().as_str())
    });
    Scope { set: set.clone(), volumes: shared, version }
}

/// When a set is ready: this StatefulSet has this number of ready pods, and each replica streams.
pub(crate) fn expectation(
    set: &SetIdentity,
    topology: &Topology,
    statefulset: &Value,
    replicas: u32,
    version: &ServerVersion,
) -> Expectation {
    let uid = live::uid_of(statefulset);
    Expectation {
        set: set.clone(),
        topology: topology.clone(),
        replicas,
        statefulset_uid: (!uid.is_empty()).then(|| uid.to_owned()),
        statefulset_generation: statefulset["metadata"]["generation"].as_i64(),
        applied: serde_json::from_value(statefulset.clone()).ok(),
        began: None,
        not_before: applied_at(statefulset),
        configured: None,
        want_streaming: replicas > 1,
        only: None,
        server_minor: version.minor,
    }
}

/// The same after the StatefulSet was applied once more in the same wait.
pub(crate) fn applied_again(expectation: &mut Expectation, statefulset: &Value) {
    expectation.statefulset_generation = statefulset["metadata"]["generation"].as_i64();
    expectation.applied = serde_json::from_value(statefulset.clone()).ok();
    expectation.not_before = applied_at(statefulset);
}

/// When pgset last applied an object, by the server's clock, because the local clock may be wrong. Events
/// that are older do not describe the object's current state.
pub(crate) fn applied_at(live: &Value) -> Option<jiff::Timestamp> {
    let managers = live["metadata"]["managedFields"].as_array()?;
    managers
        .iter()
        .filter(|entry| entry["manager"] == MANAGER)
        .filter_map(|entry| entry["time"].as_str()?.parse().ok())
        .max()
}

/// What the command works with, for its first line.
pub(crate) fn details(settings: &Settings, replicas: u32) -> Vec<String> {
    let storage = match &settings.storage {
        Storage::Class { name: None } => "default class".to_owned(),
        Storage::Class { name: Some(name) } => format!("class {name}"),
        Storage::Claim { name } => format!("claim {name}"),
        other => other.to_string(),
    };
    vec![settings.image.to_string(), count(replicas), storage]
}

/// `1 pod`, `3 pods`.
pub(crate) fn count(replicas: u32) -> String {
    counted(replicas as usize, "pod")
}

/// `2 pods ready, 1 replica streaming`.
pub(crate) fn pods(replicas: u32) -> String {
    match replicas {
        0 => "no pods".to_owned(),
        1 => "1 pod ready, no replica".to_owned(),
        2 => "2 pods ready, 1 replica streaming".to_owned(),
        n => format!("{n} pods ready, {} replicas streaming", n - 1),
    }
}
