//! Lists that the server merges item by item, and the key fields of their items.

use serde_json::{Map, Value};

/// The key fields of the items of a list; `None` for a list that is replaced as a whole.
pub(super) fn keys(kind: &str, field: &str) -> Option<&'static [&'static str]> {
    match (field, kind) {
        (
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "volumes"
            | "env"
            | "imagePullSecrets",
            _,
        )
        | ("secrets", "ServiceAccount") => Some(&["name"]),
        ("volumeMounts", _) => Some(&["mountPath"]),
        ("volumeDevices", _) => Some(&["devicePath"]),
        ("ports", "Service") => Some(&["port", "protocol"]),
        ("ports", "StatefulSet") => Some(&["containerPort", "protocol"]),
        ("hostAliases", _) => Some(&["ip"]),
        ("topologySpreadConstraints", _) => Some(&["topologyKey", "whenUnsatisfiable"]),
        ("ownerReferences", _) => Some(&["uid"]),
        _ => None,
    }
}

/// The values of an item's key fields; `None` if it lacks one.
pub(super) fn key_of(item: &Value, keys: &[&str]) -> Option<Map<String, Value>> {
    keys.iter()
        .map(|key| {
            let value = match item.get(*key) {
                Some(value) => value.clone(),
                None if *key == "protocol" => "TCP".into(),
                None => return None,
            };
            Some(((*key).to_owned(), value))
        })
        .collect()
}

/// Whether an item has this key. The default protocol is TCP.
pub(super) fn matches(item: &Value, key: &Map<String, Value>) -> bool {
    key.iter().all(|(name, value)| match item.get(name) {
        Some(own) => own == value,
        None => name == "protocol" && value == "TCP",
    })
}

/// The keys of all items; `None` if an item lacks a key field or two items have the same key.
pub(super) fn keys_of(items: &[Value], keys: &[&str]) -> Option<Vec<Map<String, Value>>> {
    let mut found: Vec<Map<String, Value>> = Vec::with_capacity(items.len());
    for item in items {
        let key = key_of(item, keys)?;
        if found.contains(&key) {
            return None;
        }
        found.push(key);
    }
    Some(found)
}
