//! Fields that another field manager owns: whether they keep their live value.
//!
//! The user may tune a field with another client, such as `kubectl set image`. pgset keeps the value, unless this run
//! was asked for another one. A field without which the set does not work is never kept.

use std::fmt;

use serde_json::Value;

use super::difference::{changed, scalar};
use super::path::{Path, Segment};
use super::{Refusal, fields, lists};
use crate::manifest::object::MANAGER;
use crate::manifest::{Kind, Object, ObjectId};

/// What to do about fields that another field manager owns with another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign<'a> {
    /// Take them over (`--force-conflicts`).
    Take,
    /// Keep those that the user may tune; refuse to change the others. `asked` are the variables of the settings
    /// that this run was given.
    Keep {
        /// The names of the variables: `PGSET_IMAGE`.
        asked: &'a [&'static str],
    },
    /// The same without a refusal: show how the others would change.
    Show {
        /// The names of the variables.
        asked: &'a [&'static str],
    },
}

/// A field that keeps the value of another field manager.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The object.
    pub object: ObjectId,
    /// The field.
    pub path: Path,
    /// The field manager that owns it.
    pub owner: String,
    /// The value that it keeps.
    live: Value,
    /// The value that pgset would write.
    wanted: Value,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, path, owner, live, wanted } = self;
        match (short(live), short(wanted)) {
            (Some(live), Some(wanted)) => write!(
                f,
                "{object} keeps {path} {live}, set by {owner}; --force-conflicts sets it to {wanted}"
            ),
            _ => write!(
                f,
                "{object} keeps {path} as {owner} set it; --force-conflicts sets it to pgset's value"
            ),
        }
    }
}

/// Longer values are not quoted.
const MAX_QUOTED: usize = 60;

fn short(value: &Value) -> Option<String> {
    let text = scalar(value).unwrap_or_else(|| value.to_string());
    (!text.contains('\n') && text.chars().count() <= MAX_QUOTED).then_some(text)
}

/// Replaces the desired values of the fields that keep their live value, and returns these fields.
///
/// # Errors
/// [`Refusal::FieldConflict`] when a field has to change that another field manager owns.
pub(super) fn keep(
    object: &mut Object,
    live: &Value,
    foreign: Foreign<'_>,
) -> Result<Vec<Kept>, Refusal> {
    let (asked, refuses) = match foreign {
        Foreign::Take => return Ok(Vec::new()),
        Foreign::Keep { asked } => (asked, true),
        Foreign::Show { asked } => (asked, false),
    };
    // Passwords and certificates have their own checks, and are taken over.
    if object.id.kind == Kind::Secret {
        return Ok(Vec::new());
    }
    let mut kept: Vec<Kept> = Vec::new();
    let mut conflicts = Vec::new();
    // What to do about the number of pods is decided elsewhere.
    let replicas = Path::of(&["spec", "replicas"]);
    let is_decided = |path: &Path| object.id.kind == Kind::StatefulSet && *path == replicas;
    for path in changed(&object.value, live).into_iter().filter(|path| !is_decided(path)) {
        let Some((path, owner)) = owned_by_other(live, &path) else { continue };
        if kept.iter().any(|kept| kept.path == path) {
            continue;
        }
        let (Some(there), Some(wanted)) = (at(live, &path), at(&object.value, &path)) else {
            continue;
        };
        match settings(object.id.kind, &path) {
            Some(settings) if !settings.iter().any(|name| asked.contains(name)) => {
                let (id, live, wanted) = (object.id.clone(), there.clone(), wanted.clone());
                kept.push(Kept { object: id, path, owner, live, wanted });
            }
            _ => conflicts.push(format!("{owner} owns {path}")),
        }
    }
    conflicts.dedup();
    if refuses && !conflicts.is_empty() {
        let object = object.id.clone();
        return Err(Refusal::FieldConflict { object, fields: conflicts.join(", ") });
    }
    for field in &kept {
        if let Some(value) = at_mut(&mut object.value, field.path.segments()) {
            value.clone_from(&field.live);
        }
    }
    Ok(kept)
}

/// The object without the fields that stay with other field managers: pgset must not become an owner of them.
pub(super) fn without(object: &Object, fields: &[Path]) -> Object {
    let mut object = object.clone();
    for field in fields {
        let Some((Segment::Field(name), above)) = field.segments().split_last() else {
            continue;
        };
        if let Some(Value::Object(map)) = at_mut(&mut object.value, above) {
            map.remove(name);
        }
    }
    object
}

/// The value of an object with pgset's own values for the fields that are kept.
pub(super) fn with_own_values<'a>(object: &Object, kept: impl Iterator<Item = &'a Kept>) -> Value {
    let mut value = object.value.clone();
    for field in kept {
        if let Some(there) = at_mut(&mut value, field.path.segments()) {
            there.clone_from(&field.wanted);
        }
    }
    value
}

/// The variables of the settings that decide a field, if a user may tune it with another client. `None` for a field
/// that the set needs as it is.
fn settings(kind: Kind, path: &Path) -> Option<&'static [&'static str]> {
    let names: Vec<&str> = path
        .segments()
        .iter()
        .filter_map(|segment| match segment {
            Segment::Field(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let (of_pods, names) = match (kind, names.as_slice()) {
        (Kind::StatefulSet, ["spec", "template", names @ ..]) => (true, names),
        (_, names) => (false, names),
    };
    match (names, kind) {
        (["metadata", "labels", key], _) => is_users(key).then_some(&["PGSET_LABEL"]),
        (["metadata", "annotations", key], _) => is_users(key).then_some(&["PGSET_ANNOTATION"]),
        (["spec", "containers" | "initContainers", field, rest @ ..], _) if of_pods => {
            match (*field, rest) {
                ("image", []) => Some(&["PGSET_IMAGE", "PGSET_POSTGRES_VERSION"]),
                ("imagePullPolicy", []) => Some(&[]),
                ("resources", ["requests", ..]) => Some(&["PGSET_REQUESTS"]),
                ("resources", ["limits", ..]) => Some(&["PGSET_LIMITS"]),
                _ => None,
            }
        }
        (["spec", "nodeSelector", ..], _) if of_pods => Some(&["PGSET_NODE_SELECTOR"]),
        (["spec", "tolerations"], _) if of_pods => Some(&["PGSET_TOLERATION"]),
        (["spec", "imagePullSecrets", ..], _) if of_pods => Some(&["PGSET_IMAGE_PULL_SECRET"]),
        (["spec", "terminationGracePeriodSeconds"], _) if of_pods => {
            Some(&["PGSET_TERMINATION_GRACE_PERIOD"])
        }
        // No setting decides these.
        (["spec", "affinity", ..], _) if of_pods => Some(&[]),
        (["data", "postgresql.conf"], Kind::ConfigMap) => {
            Some(&["PGSET_SET", "PGSET_CONFIG", "PGSET_SYNCHRONOUS"])
        }
        (["spec", "maxUnavailable"], Kind::PodDisruptionBudget)
        | (["spec", "ingress", ..], Kind::NetworkPolicy) => Some(&[]),
        _ => None,
    }
}

/// Whether a label or an annotation is not one that pgset needs.
fn is_users(key: &str) -> bool {
    !matches!(key, "app" | "name")
        && !["app.kubernetes.io/", "pgset/", "pgset."].iter().any(|own| key.starts_with(own))
}

/// The part of the path that another field manager owns as a whole, and this manager. `None` if none does: then
/// pgset's value conflicts with nothing.
fn owned_by_other(live: &Value, path: &Path) -> Option<(Path, String)> {
    fields::entries(live).find_map(|entry| {
        let manager = fields::text(entry, "manager");
        if manager == MANAGER {
            return None;
        }
        let mut below = entry.get("fieldsV1")?.as_object()?;
        for (depth, segment) in path.segments().iter().enumerate() {
            below = fields::step(below, segment)?;
            if below.is_empty() {
                return Some((path.up_to(depth + 1), manager.to_owned()));
            }
        }
        None
    })
}

fn at<'a>(value: &'a Value, path: &Path) -> Option<&'a Value> {
    path.segments().iter().try_fold(value, |value, segment| match segment {
        Segment::Field(name) => value.get(name),
        Segment::Key(key) => value.as_array()?.iter().find(|item| lists::matches(item, key)),
        Segment::Index(_) | Segment::Value(_) => None,
    })
}

fn at_mut<'a>(value: &'a mut Value, path: &[Segment]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, segment| match segment {
        Segment::Field(name) => value.get_mut(name),
        Segment::Key(key) => {
            value.as_array_mut()?.iter_mut().find(|item| lists::matches(item, key))
        }
        Segment::Index(_) | Segment::Value(_) => None,
    })
}

#[cfg(test)]
mod tests;
