//! (temporary) desired + live -> steps.
#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "temporary")]
pub mod fields;
use std::collections::BTreeMap;
use serde_json::Value;
use crate::error::{Exit, Failure};
use crate::manifest::object::{LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_NAMESPACE, MANAGER};
use crate::manifest::{Kind, Object, ObjectId};
use crate::settings::{Replicas, SetIdentity};
#[derive(Debug, Default)] pub struct Difference { pub changed: Vec<String> }
#[derive(Debug)] pub enum Action { Create, Update(Difference), Unchanged }
#[derive(Debug)] pub struct Step { pub object: Object, pub action: Action, pub detail: Option<String> }
#[derive(Debug)] pub struct Plan { pub phases: Vec<Vec<Step>>, pub replicas: Option<Replicas> }
impl Plan { pub fn is_unchanged(&self) -> bool { self.phases.iter().flatten().all(|s| matches!(s.action, Action::Unchanged)) } }
pub struct Decision { pub apply: Option<Replicas>, pub detail: Option<String> }
pub fn replicas(asked: Option<Replicas>, live: Option<&Value>, force: bool) -> Result<Decision, Failure> {
    let Some(live) = live else { return Ok(Decision { apply: Some(asked.unwrap_or(Replicas::DEFAULT)), detail: None }) };
    let n = live["spec"]["replicas"].as_u64().unwrap_or(1);
    let other = fields::owners(live, &["spec", "replicas"]).into_iter().find(|m| m.name != MANAGER);
    match (asked, other) {
        (Some(a), Some(o)) if u64::from(a.get()) != n && !force => Err(Failure::new(Exit::Refused, format!("{} owns spec.replicas ({n})", o.name)).hint(format!("pgset scale --replicas {a}"))),
        (Some(a), _) => Ok(Decision { apply: Some(a), detail: None }),
        (None, Some(o)) => Ok(Decision { apply: None, detail: Some(format!("keeps {n} replicas: {} owns spec.replicas", o.name)) }),
        (None, None) => { let r = n.to_string().parse().unwrap_or(Replicas::DEFAULT); Ok(Decision { apply: Some(r), detail: None }) }
    }
}
pub fn foreign(live: &Value, set: &SetIdentity) -> Option<String> {
    let l = &live["metadata"]["labels"];
    if l[LABEL_MANAGED_BY] != MANAGER { return Some("somebody else (not made by pgset)".into()); }
    if l[LABEL_INSTANCE] != set.name.as_str() { return Some(format!("set {}", l[LABEL_INSTANCE])); }
    if let Some(n) = l[LABEL_NAMESPACE].as_str() && n != set.namespace.as_str() { return Some(format!("set {} in namespace {n}", l[LABEL_INSTANCE])); }
    None
}
fn differs(d: &Value, l: &Value, path: &str, out: &mut Vec<String>) {
    match (d, l) {
        (Value::Object(a), Value::Object(b)) => for (k, v) in a { match b.get(k) { Some(w) => differs(v, w, &format!("{path}.{k}"), out), None => out.push(format!("{path}.{k}")) } },
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => for (i, (v, w)) in a.iter().zip(b).enumerate() { differs(v, w, &format!("{path}[{i}]"), out) },
        _ if d == l => {}
        _ => out.push(path.to_owned()),
    }
}
pub fn plan(objects: Vec<Object>, live: &BTreeMap<ObjectId, Value>, set: &SetIdentity, d: Decision) -> Result<Plan, Failure> {
    let mut phases: BTreeMap<usize, Vec<Step>> = BTreeMap::new();
    for object in objects {
        let action = match live.get(&object.id) {
            None => Action::Create,
            Some(l) => {
                if let Some(o) = foreign(l, set) { return Err(Failure::new(Exit::Refused, format!("{} belongs to {o}", object.id))); }
                let mut out = Vec::new(); differs(&object.value, l, "", &mut out);
                if out.is_empty() { Action::Unchanged } else { tracing::debug!(?out, "{}", object.id); Action::Update(Difference { changed: out }) }
            }
        };
        let detail = if object.id.kind == Kind::StatefulSet { d.detail.clone() } else { None };
        phases.entry(object.id.kind.phase()).or_default().push(Step { object, action, detail });
    }
    Ok(Plan { phases: phases.into_values().collect(), replicas: d.apply })
}
