//! Finds what a plan changes in PostgreSQL's configuration.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::manifest::ObjectId;
use crate::plan::{Action, Plan};
use crate::set::{SetIdentity, objects};
use crate::settings::parameters::conf;
use crate::settings::{Parameters, max_lag, synchronous};

/// The key of the ConfigMap that holds PostgreSQL's settings.
pub(super) const POSTGRESQL_CONF: &str = "postgresql.conf";

/// The `postgresql.conf` of a live ConfigMap.
pub(crate) fn postgresql_conf(config: &Value) -> Option<&str> {
    config["data"][POSTGRESQL_CONF].as_str()
}

/// Describes the changes of the user's settings and of the computed ones in the plan.
pub(crate) fn describe(plan: &mut Plan, live: &BTreeMap<ObjectId, Value>, set: &SetIdentity) {
    let id = objects::config(set);
    let Some(config) = live.get(&id) else { return };
    let Some(before) = postgresql_conf(config) else { return };
    for step in plan.steps.iter_mut().filter(|step| step.object.id == id) {
        let Some(after) = postgresql_conf(&step.object.value) else { continue };
        let mut changes = Parameters::shown(after).changes_since(&Parameters::shown(before));
        let (was, is) = (synchronous::of_set(before), synchronous::of_set(after));
        if was != is {
            changes.push(format!("synchronous replicas {was} -> {is}"));
        }
        let limits = max_lag::of_config(config).zip(max_lag::of_config(&step.object.value));
        if let Some((was, is)) = limits.filter(|(was, is)| was.bytes() != is.bytes()) {
            changes.push(format!("max lag {was} -> {is}"));
        }
        if !changes.is_empty() {
            step.detail = Some(changes.join("; "));
        }
    }
}

/// A change of the configuration that is not written yet.
pub(super) struct Change {
    pub(super) after: String,
    /// The names of the changed settings, in lower case.
    pub(super) names: Vec<String>,
}

impl Change {
    pub(super) fn of(
        plan: &Plan,
        live: &BTreeMap<ObjectId, Value>,
        set: &SetIdentity,
    ) -> Option<Self> {
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
        Some(Self { after: after.to_owned(), names })
    }
}

/// The settings in a file. If a setting occurs twice, the last line applies.
pub(super) fn read(text: &str) -> BTreeMap<String, String> {
    let entries = conf::parse(text).unwrap_or_default();
    entries.into_iter().map(|entry| (entry.name, entry.value)).collect()
}

/// Whether a plan changes the configuration of the set's servers.
pub(crate) fn changes(plan: &Plan, live: &BTreeMap<ObjectId, Value>, set: &SetIdentity) -> bool {
    Change::of(plan, live, set).is_some()
}
