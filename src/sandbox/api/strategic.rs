//! Strategic merge patches. They differ from JSON merge patches in that lists with a key field are
//! merged item by item. `kubectl patch` and `kubectl apply` without `--server-side` send them.

use serde_json::{Map, Value};

use super::super::fields::{Shape, shape};

/// A directive for the object that contains it: `delete`, `replace`.
const DIRECTIVE: &str = "$patch";
/// The prefix of a directive that orders a list's items.
const ORDER: &str = "$setElementOrder/";
/// The prefix of a directive that deletes values from a list.
const DELETE: &str = "$deleteFromPrimitiveList/";
/// The directive that lists the only fields to keep.
const RETAIN: &str = "$retainKeys";

/// Merges a patch into an object of this kind.
pub(super) fn merge(kind: &str, object: &mut Value, patch: &Value) {
    fields(kind, "", object, patch);
}

/// Merges an object.
fn fields(kind: &str, parent: &str, live: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *live = patch.clone();
        return;
    };
    if !live.is_object() || patch.get(DIRECTIVE).is_some_and(|d| d == "replace") {
        *live = Value::Object(Map::new());
    }
    let Some(map) = live.as_object_mut() else { return };
    if let Some(Value::Array(kept)) = patch.get(RETAIN) {
        map.retain(|name, _| kept.iter().any(|k| k == name));
    }
    for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        if value.is_null() {
            map.remove(name);
            continue;
        }
        let below = map.entry(name.clone()).or_insert(Value::Null);
        match (shape(kind, parent, name), value) {
            (Shape::Keyed(keys), Value::Array(items)) => list(kind, name, keys[0], below, items),
            (Shape::Set, Value::Array(values)) => add(below, values),
            (_, Value::Object(change)) if change.get(DIRECTIVE).is_some_and(|d| d == "delete") => {
                map.remove(name);
            }
            (_, Value::Object(_)) => fields(kind, name, below, value),
            _ => *below = value.clone(),
        }
    }
    for (name, values) in patch {
        let Some(values) = values.as_array() else { continue };
        if let Some(Value::Array(list)) = name.strip_prefix(DELETE).and_then(|n| map.get_mut(n)) {
            list.retain(|value| !values.contains(value));
        }
        if let Some(name) = name.strip_prefix(ORDER)
            && let Some(Value::Array(list)) = map.get_mut(name)
        {
            order(kind, parent, name, list, values);
        }
    }
}

/// Merges a list whose items have a key field.
fn list(kind: &str, name: &str, key: &str, live: &mut Value, items: &[Value]) {
    let replaces = items.iter().any(|i| i[DIRECTIVE] == "replace");
    let mut merged = match live.as_array_mut() {
        Some(list) if !replaces => std::mem::take(list),
        _ => Vec::new(),
    };
    for item in items {
        let at = merged.iter().position(|own| own[key] == item[key]);
        match (item[DIRECTIVE].as_str(), at) {
            (Some("delete"), Some(at)) => drop(merged.remove(at)),
            (Some(_), _) if item[key].is_null() => {}
            (Some("delete"), None) => {}
            (_, Some(at)) => fields(kind, name, &mut merged[at], item),
            (_, None) => {
                let mut new = Value::Null;
                fields(kind, name, &mut new, item);
                merged.push(new);
            }
        }
    }
    *live = Value::Array(merged);
}

/// Adds values to a list that contains each value once.
fn add(live: &mut Value, values: &[Value]) {
    if !live.is_array() {
        *live = Value::Array(Vec::new());
    }
    if let Some(list) = live.as_array_mut() {
        for value in values {
            if !list.contains(value) {
                list.push(value.clone());
            }
        }
    }
}

/// Sorts a list's items. Items that the order does not name come last.
fn order(kind: &str, parent: &str, name: &str, list: &mut [Value], order: &[Value]) {
    let keys = match shape(kind, parent, name) {
        Shape::Keyed(keys) => Some(keys[0]),
        _ => None,
    };
    let of = |value: &Value| keys.map_or_else(|| value.clone(), |key| value[key].clone());
    list.sort_by_key(|item| order.iter().position(|o| of(o) == of(item)).unwrap_or(order.len()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn items_are_found_by_their_keys() {
        let live = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "a", "image": "1", "args": ["x", "y"], "env": [{"name": "K", "value": "1"}]},
            {"name": "b", "image": "2"},
        ], "nodeSelector": {"disk": "fast"}}}}});
        let patched = |containers: Value, selector: Value| {
            let mut object = live.clone();
            let spec = json!({"containers": containers, "nodeSelector": selector,
                "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]});
            merge("StatefulSet", &mut object, &json!({"spec": {"template": {"spec": spec}}}));
            object["spec"]["template"]["spec"].clone()
        };
        let changed = json!([{"name": "a", "args": ["z"], "env": [{"name": "L", "value": "2"}]}]);
        assert_eq!(
            patched(changed, json!({"disk": null, "zone": "a"})),
            json!({"containers": [
                {"name": "b", "image": "2"},
                {"name": "a", "image": "1", "args": ["z"],
                 "env": [{"name": "K", "value": "1"}, {"name": "L", "value": "2"}]},
            ], "nodeSelector": {"zone": "a"}})
        );
        let gone = json!([{"name": "b", "$patch": "delete"}]);
        let left = patched(gone, json!({"$patch": "delete"}));
        assert_eq!(left["containers"].as_array().map(Vec::len), Some(1));
        assert_eq!(left.get("nodeSelector"), None);
        let new = json!([{"$patch": "replace"}, {"name": "c", "image": "3"}]);
        let replaced = patched(new, json!({}));
        assert_eq!(replaced["containers"], json!([{"name": "c", "image": "3"}]));
    }

    #[test]
    fn values_are_added_and_taken_away() {
        let mut object = json!({"metadata": {"finalizers": ["a", "b"]}, "spec": {"x": 1, "y": 2}});
        let patch = json!({
            "metadata": {"finalizers": ["c", "b"], "$deleteFromPrimitiveList/finalizers": ["a"]},
            "spec": {"$retainKeys": ["x"], "x": 3},
        });
        merge("Pod", &mut object, &patch);
        assert_eq!(object, json!({"metadata": {"finalizers": ["b", "c"]}, "spec": {"x": 3}}));
    }
}
