//! Computes what an apply would change in a live object.
//!
//! It compares the fields of the desired object and the fields that pgset applied before. All other fields
//! belong to the server or to other managers. In case of doubt it reports a difference: an unnecessary
//! apply costs one request, a missing apply loses the change.

use serde_json::{Map, Value};
use similar::{DiffOp, TextDiff};

use super::path::{Path, Segment};
use super::{fields, lists};
use crate::manifest::object::MANAGER;
use crate::values::quantity;

/// The fields that an apply would change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Difference {
    /// Fields that are missing in the live object or have another value there.
    pub changed: Vec<Path>,
    /// Fields that pgset applied before and that are no longer desired.
    pub removed: Vec<Path>,
}

impl Difference {
    /// Whether an apply would change nothing.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }

    /// All paths, changed ones first.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.changed.iter().chain(&self.removed)
    }
}

/// Compares a desired object with the live one.
#[must_use]
pub fn difference(desired: &Value, live: &Value) -> Difference {
    let mut found = Difference::default();
    let Some(own) = fields::applied(live, MANAGER) else {
        // pgset owns no field. Even if all values are equal now, other managers could change them.
        found.changed.push(Path::of(&["metadata", "managedFields"]));
        return found;
    };
    let mut walk = Walk::of(desired, live, Some(own));
    walk.no_longer_wanted(desired.as_object(), live, own, &Path::default());
    walk.found
}

/// The desired fields that have another value in the live object, whoever owns them.
pub(super) fn changed(desired: &Value, live: &Value) -> Vec<Path> {
    Walk::of(desired, live, fields::applied(live, MANAGER)).found.changed
}

/// Longer values are not quoted.
const MAX_QUOTED: usize = 60;

/// Says in one line how a scalar changes: `1Gi -> 2Gi`. Of a long text, such as a script, it says how many
/// lines differ, never the text: `12 lines changed`. `None` if a value is not a scalar.
#[must_use]
pub(super) fn change(from: &Value, to: &Value) -> Option<String> {
    let (from, to) = (scalar(from)?, scalar(to)?);
    if [&from, &to].iter().all(|text| !text.contains('\n') && text.chars().count() <= MAX_QUOTED) {
        return Some(format!("{from} -> {to}"));
    }
    let lines = |op: &DiffOp| match *op {
        DiffOp::Equal { .. } => 0,
        DiffOp::Delete { old_len, .. } => old_len,
        DiffOp::Insert { new_len, .. } => new_len,
        DiffOp::Replace { old_len, new_len, .. } => old_len.max(new_len),
    };
    let lines: usize = TextDiff::from_lines(&from, &to).ops().iter().map(lines).sum();
    Some(if lines == 1 { "1 line changed".to_owned() } else { format!("{lines} lines changed") })
}

pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The field managers of one part of the object.
struct Owners<'a> {
    /// The tree of pgset here, if pgset applied anything here.
    own: Option<&'a Map<String, Value>>,
    /// The trees of all managers here.
    all: Vec<&'a Map<String, Value>>,
}

impl Owners<'_> {
    fn step(&self, segment: &Segment) -> Self {
        Self {
            own: self.own.and_then(|fields| fields::step(fields, segment)),
            all: self.all.iter().filter_map(|fields| fields::step(fields, segment)).collect(),
        }
    }

    /// Whether a manager owns this value as a whole. Only meaningful for non-empty lists and mappings.
    fn as_a_whole(&self) -> bool {
        self.all.iter().any(|fields| fields.is_empty())
    }

    /// Whether a manager owns a part of this value.
    fn in_parts(&self) -> bool {
        self.all.iter().any(|fields| fields.keys().any(|key| key != "."))
    }

    const NOBODY: Owners<'static> = Owners { own: None, all: Vec::new() };
}

struct Walk<'a> {
    kind: &'a str,
    found: Difference,
}

impl<'a> Walk<'a> {
    /// Compares all fields of the desired object.
    fn of(desired: &'a Value, live: &Value, own: Option<&Map<String, Value>>) -> Self {
        let kind = desired["kind"].as_str().unwrap_or_default();
        let mut walk = Self { kind, found: Difference::default() };
        let owners = Owners { own, all: fields::all(live) };
        // Skip apiVersion and kind: the live object was found by them.
        for (name, value) in desired.as_object().into_iter().flatten() {
            if !matches!(name.as_str(), "apiVersion" | "kind") {
                let (path, segment) = (Path::of(&[name]), Segment::Field(name.clone()));
                walk.value(value, live.get(name), &owners.step(&segment), &path);
            }
        }
        walk
    }

    fn value(&mut self, desired: &Value, live: Option<&Value>, owners: &Owners<'_>, path: &Path) {
        match (desired, live) {
            (Value::Null, _) => {}
            // The server omits empty values. pgset's ownership proves that it applied this one.
            (desired, None) if is_empty(desired) && owners.own.is_some() => {}
            (Value::Object(desired), Some(Value::Object(live))) => {
                self.mapping(desired, live, owners, path);
            }
            (Value::Array(desired), Some(Value::Array(live))) => {
                self.list(desired, live, owners, path);
            }
            (desired, Some(live)) if same(desired, live, path) => {}
            _ => self.found.changed.push(path.clone()),
        }
    }

    fn mapping(
        &mut self,
        desired: &Map<String, Value>,
        live: &Map<String, Value>,
        owners: &Owners<'_>,
        path: &Path,
    ) {
        // The live content is not owned in parts, so an apply of the empty mapping would remove it.
        if desired.is_empty() && !live.is_empty() && !owners.in_parts() {
            self.found.changed.push(path.clone());
        }
        for (name, value) in desired {
            let owners = owners.step(&Segment::Field(name.clone()));
            self.value(value, live.get(name), &owners, &path.field(name));
        }
        if !desired.is_empty() && owners.as_a_whole() {
            self.nothing_else(desired, live, path);
        } else if let Some(own) = owners.own {
            for name in own.keys().filter_map(|key| key.strip_prefix("f:")) {
                if !desired.contains_key(name) && live.contains_key(name) {
                    self.found.removed.push(path.field(name));
                }
            }
        }
    }

    /// Reports live fields that are missing in the desired value. In a value that is owned as a whole, an
    /// apply removes them, unless the server fills them in again. No manager owns parts of such a value.
    fn nothing_else(
        &mut self,
        desired: &Map<String, Value>,
        live: &Map<String, Value>,
        path: &Path,
    ) {
        for (name, value) in live {
            match (desired.get(name), value) {
                (None, value) if !is_filled_in(name, value) => {
                    self.found.changed.push(path.field(name));
                }
                (Some(Value::Object(desired)), Value::Object(live)) => {
                    self.nothing_else(desired, live, &path.field(name));
                }
                _ => {}
            }
        }
    }

    fn list(&mut self, desired: &[Value], live: &[Value], owners: &Owners<'_>, path: &Path) {
        let by_key = path
            .name_from_end(0)
            .and_then(|field| lists::keys(self.kind, field))
            .and_then(|keys| lists::keys_of(desired, keys));
        if let Some(keys) = by_key {
            self.items_by_key(desired, &keys, live, owners, path);
        } else if path.name_from_end(0) == Some("finalizers") {
            self.values_of_set(desired, live, owners, path);
        } else if desired.len() == live.len() {
            for (index, (desired, live)) in desired.iter().zip(live).enumerate() {
                let path = path.with(Segment::Index(index));
                self.value(desired, Some(live), &Owners::NOBODY, &path);
                if let (Value::Object(desired), Value::Object(live)) = (desired, live) {
                    self.nothing_else(desired, live, &path);
                }
            }
        } else {
            self.found.changed.push(path.clone());
        }
    }

    fn items_by_key(
        &mut self,
        desired: &[Value],
        keys: &[Map<String, Value>],
        live: &[Value],
        owners: &Owners<'_>,
        path: &Path,
    ) {
        let mut last = None;
        for (item, key) in desired.iter().zip(keys) {
            let segment = Segment::Key(key.clone());
            let path_of_item = path.with(segment.clone());
            let Some(position) = live.iter().position(|live| lists::matches(live, key)) else {
                self.found.changed.push(path_of_item);
                continue;
            };
            // The order matters, for variables that refer to one another and for init containers.
            if last.is_some_and(|last| position < last) {
                self.found.changed.push(path.clone());
            }
            last = Some(position);
            self.value(item, live.get(position), &owners.step(&segment), &path_of_item);
        }
        for (key, _) in owners.own.into_iter().flat_map(fields::items) {
            let wanted = desired.iter().any(|item| lists::matches(item, &key));
            if !wanted && live.iter().any(|item| lists::matches(item, &key)) {
                self.found.removed.push(path.with(Segment::Key(key)));
            }
        }
    }

    fn values_of_set(
        &mut self,
        desired: &[Value],
        live: &[Value],
        owners: &Owners<'_>,
        path: &Path,
    ) {
        for value in desired.iter().filter(|value| !live.contains(value)) {
            self.found.changed.push(path.with(Segment::Value(value.clone())));
        }
        for value in live.iter().filter(|value| !desired.contains(value)) {
            let segment = Segment::Value(value.clone());
            if owners.step(&segment).own.is_some() {
                self.found.removed.push(path.with(segment));
            }
        }
    }

    /// Reports removed fields of the object itself, as `mapping` does for mappings. No manager owns the
    /// object as a whole.
    fn no_longer_wanted(
        &mut self,
        desired: Option<&Map<String, Value>>,
        live: &Value,
        own: &Map<String, Value>,
        path: &Path,
    ) {
        for name in own.keys().filter_map(|key| key.strip_prefix("f:")) {
            let wanted = desired.is_some_and(|desired| desired.contains_key(name));
            if !wanted && live.get(name).is_some() {
                self.found.removed.push(path.field(name));
            }
        }
    }
}

/// Whether the server may omit the value.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
    }
}

/// Whether the server fills in this value inside a value that is owned as a whole.
fn is_filled_in(name: &str, value: &Value) -> bool {
    value.is_null()
        || match name {
            "apiVersion" => value == "v1",
            "kind" => value == "PersistentVolumeClaim",
            "status" => *value == serde_json::json!({"phase": "Pending"}),
            "volumeMode" => value == "Filesystem",
            "protocol" => value == "TCP",
            "apiGroup" => value == "" || value == "rbac.authorization.k8s.io",
            _ => false,
        }
}

fn same(desired: &Value, live: &Value, path: &Path) -> bool {
    if desired == live {
        return true;
    }
    if let (Some(desired), Some(live)) = (desired.as_f64(), live.as_f64()) {
        return desired.to_bits() == live.to_bits();
    }
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    is_quantity(path)
        && matches!((text(desired), text(live)), (Some(a), Some(b)) if quantity::same(&a, &b))
}

fn is_quantity(path: &Path) -> bool {
    matches!(path.name_from_end(1), Some("requests" | "limits" | "capacity"))
        || matches!(path.name_from_end(0), Some("sizeLimit" | "divisor"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_one_short_line() {
        let script = |changed: &str| {
            let line =
                |n: usize| if n.is_multiple_of(3) { changed.to_owned() } else { n.to_string() };
            json!((1..37).map(|n| line(n) + "\n").collect::<String>())
        };
        for (from, to, expected) in [
            (json!("1Gi"), json!("2Gi"), Some("1Gi -> 2Gi")),
            (json!(1), json!(true), Some("1 -> true")),
            (script("old"), script("new"), Some("12 lines changed")),
            (json!("a\nb\n"), json!("a\n"), Some("1 line changed")),
            (json!("a"), json!("x".repeat(61)), Some("1 line changed")),
            (json!({}), json!("a"), None),
        ] {
            assert_eq!(change(&from, &to).as_deref(), expected);
        }
    }
}
