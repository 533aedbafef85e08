//! Field ownership: server-side apply, and the `managedFields` of all other writes.

use serde_json::{Value, json};

use super::fields::{self, FieldPath, FieldSet};

/// The field manager that writes, and what it writes.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The field manager's name.
    pub manager: &'a str,
    /// The subresource; empty for the object itself.
    pub subresource: &'a str,
}

/// A change of a field that another manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The owner.
    pub manager: String,
    /// The field in the format of messages: `.spec.replicas`.
    pub field: String,
}

struct Entry {
    manager: String,
    operation: String,
    subresource: String,
    time: String,
    fields: FieldSet,
}

impl Entry {
    fn is(&self, writer: Writer<'_>, operation: &str) -> bool {
        self.manager == writer.manager
            && self.operation == operation
            && self.subresource == writer.subresource
    }
}

fn entries(object: &Value) -> Vec<Entry> {
    let list = object["metadata"]["managedFields"].as_array();
    let entry = |value: &Value| {
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        Entry {
            manager: text("manager"),
            operation: text("operation"),
            subresource: text("subresource"),
            time: text("time"),
            fields: FieldSet::parse(&value["fieldsV1"]),
        }
    };
    list.into_iter().flatten().map(entry).collect()
}

fn record(object: &mut Value, entries: &[Entry]) {
    let api_version = object["apiVersion"].clone();
    let list = entries.iter().filter(|entry| !entry.fields.0.is_empty()).map(|entry| {
        let mut value = json!({
            "manager": entry.manager, "operation": entry.operation, "apiVersion": api_version,
            "time": entry.time, "fieldsType": "FieldsV1", "fieldsV1": entry.fields.tree(),
        });
        if !entry.subresource.is_empty() {
            value["subresource"] = json!(entry.subresource);
        }
        value
    });
    object["metadata"]["managedFields"] = list.collect();
}

/// Server-side apply: afterwards the manager owns exactly the fields of its configuration. A field
/// that it owned before and that nobody else owns is removed.
///
/// # Errors
/// The changed fields that other managers own, unless the apply is forced.
pub fn apply(
    kind: &str,
    live: &Value,
    configuration: &Value,
    writer: Writer<'_>,
    force: bool,
) -> Result<Value, Vec<Conflict>> {
    let wanted = FieldSet::of(kind, configuration);
    let mut entries = entries(live);
    let differs = |path: &FieldPath| {
        let (was, is) = (fields::at(live, path), fields::at(configuration, path));
        !path.last().is_some_and(|s| s.starts_with("k:")) && was != is
    };
    let changed: Vec<&FieldPath> = wanted.0.iter().filter(|path| differs(path)).collect();
    let is_unchanged = changed.is_empty();
    let mut conflicts = Vec::new();
    let api_version = live["apiVersion"].as_str().unwrap_or_default();
    for entry in entries.iter_mut().filter(|entry| !entry.is(writer, "Apply")) {
        for path in changed.iter().filter(|path| entry.fields.0.contains(**path)) {
            conflicts.push(Conflict { manager: described(entry, api_version), field: words(path) });
        }
        entry.fields.0.retain(|path| !changed.contains(&path));
    }
    if !conflicts.is_empty() && !force {
        return Err(conflicts);
    }
    let mut object = live.clone();
    fields::merge(kind, &mut object, configuration);
    let own = entries.iter().position(|entry| entry.is(writer, "Apply"));
    let before = own.map(|own| entries.remove(own));
    if let Some(before) = &before {
        // A list item is removed before its fields: its key fields identify it.
        for path in before.fields.0.difference(&wanted.0) {
            let needed = wanted.covers(path) || entries.iter().any(|e| e.fields.covers(path));
            if !needed {
                fields::remove(&mut object, path);
            }
        }
    }
    // A changed value counts, too, although the manager owned its field before.
    let time = match before {
        Some(before) if is_unchanged && before.fields == wanted => before.time,
        _ => super::now(),
    };
    entries.insert(
        own.unwrap_or(entries.len()),
        Entry {
            manager: writer.manager.to_owned(),
            operation: "Apply".to_owned(),
            subresource: writer.subresource.to_owned(),
            time,
            fields: wanted,
        },
    );
    record(&mut object, &entries);
    Ok(object)
}

/// Any other write: the manager becomes the owner of the fields that it changed.
pub fn update(kind: &str, before: &Value, after: &mut Value, writer: Writer<'_>) {
    let (was, is) = (FieldSet::of(kind, before), FieldSet::of(kind, after));
    let item = |path: &FieldPath| path.last().is_some_and(|s| s.starts_with("k:"));
    let mut changed: Vec<FieldPath> = (is.0.iter())
        .filter(|path| {
            !was.0.contains(*path)
                || (!item(path) && fields::at(before, path) != fields::at(after, path))
        })
        .cloned()
        .collect();
    let mut entries = entries(before);
    for entry in &mut entries {
        entry.fields.0.retain(|path| {
            (is.covers(path) || fields::at(after, path).is_some()) && !changed.contains(path)
        });
    }
    // The subresource `scale` omits a 0, so the server records no owner of it (seen on Kubernetes 1.37).
    let is_omitted = |path: &FieldPath| {
        writer.subresource == "scale" && fields::at(after, path) == Some(&json!(0))
    };
    changed.retain(|path| !is_omitted(path));
    if !changed.is_empty() {
        let own = entries.iter().position(|entry| entry.is(writer, "Update"));
        let mut entry = match own {
            Some(own) => entries.remove(own),
            None => Entry {
                manager: writer.manager.to_owned(),
                operation: "Update".to_owned(),
                subresource: writer.subresource.to_owned(),
                time: String::new(),
                fields: FieldSet::default(),
            },
        };
        entry.time = super::now();
        entry.fields.0.extend(changed);
        entries.insert(own.unwrap_or(entries.len()), entry);
    }
    record(after, &entries);
}

/// The manager in the format of messages: `"kubectl"`, or `"kubectl" using v1` for an update.
fn described(entry: &Entry, api_version: &str) -> String {
    let Entry { manager, subresource, operation, .. } = entry;
    match (subresource.as_str(), operation.as_str()) {
        ("", "Apply") => format!("{manager:?}"),
        ("", _) => format!("{manager:?} using {api_version}"),
        _ => format!("{manager:?} with subresource {subresource:?} using {api_version}"),
    }
}

/// Formats a path for messages: `.spec.ports[port=5432,protocol="TCP"].name`.
fn words(path: &FieldPath) -> String {
    let segment = |segment: &String| match segment.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => {
            let keys: Value = serde_json::from_str(keys).unwrap_or_default();
            let keys = keys.as_object().into_iter().flatten();
            let keys: Vec<_> = keys.map(|(name, value)| format!("{name}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        Some((_, value)) => format!("[={value}]"),
        None => segment.clone(),
    };
    path.iter().map(segment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PGSET: Writer<'_> = Writer { manager: "pgset", subresource: "" };
    const OTHER: Writer<'_> = Writer { manager: "kubectl", subresource: "" };

    fn set(replicas: u32, label: Option<&str>) -> Value {
        let mut document = json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "x"}, "spec": {"replicas": replicas}});
        if let Some(label) = label {
            document["metadata"]["labels"] = json!({"app": label});
        }
        document
    }

    fn applied(live: &Value, wanted: &Value) -> Result<Value, Vec<Conflict>> {
        apply("StatefulSet", live, wanted, PGSET, false)
    }

    #[test]
    fn applying_twice_is_the_same_as_once_and_what_is_left_out_goes() {
        let bare = json!({"apiVersion": "apps/v1", "kind": "StatefulSet"});
        let once = applied(&bare, &set(2, Some("a"))).unwrap();
        assert_eq!(applied(&once, &set(2, Some("a"))).unwrap(), once);
        let without = applied(&once, &set(2, None)).unwrap();
        assert_eq!(without["metadata"].get("labels"), None);
    }

    #[test]
    fn the_time_is_that_of_the_last_change() {
        let bare = json!({"apiVersion": "apps/v1", "kind": "StatefulSet"});
        let mut live = applied(&bare, &set(2, Some("a"))).unwrap();
        live["metadata"]["managedFields"][0]["time"] = json!("2026-01-01T00:00:00Z");
        let time = |object: &Value| object["metadata"]["managedFields"][0]["time"].clone();
        let again = applied(&live, &set(2, Some("a"))).unwrap();
        assert_eq!(time(&again), "2026-01-01T00:00:00Z");
        // The fields are the same, and a value is not.
        let changed = applied(&live, &set(2, Some("b"))).unwrap();
        assert_ne!(time(&changed), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn what_another_changed_is_a_conflict_until_forced() {
        let bare = json!({"apiVersion": "apps/v1", "kind": "StatefulSet"});
        let live = applied(&bare, &set(2, None)).unwrap();
        let mut scaled = live.clone();
        scaled["spec"]["replicas"] = json!(3);
        update("StatefulSet", &live, &mut scaled, OTHER);
        let conflicts = applied(&scaled, &set(2, None)).unwrap_err();
        let expected = Conflict {
            manager: "\"kubectl\" using apps/v1".into(),
            field: ".spec.replicas".into(),
        };
        assert_eq!(conflicts, [expected]);
        // Managers that apply the same value own the field together.
        assert!(applied(&scaled, &set(3, None)).is_ok());
        let forced = apply("StatefulSet", &scaled, &set(2, None), PGSET, true).unwrap();
        assert_eq!(forced["spec"]["replicas"], 2);
        assert_eq!(forced["metadata"]["managedFields"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn who_scales_to_0_is_not_recorded() {
        let bare = json!({"apiVersion": "apps/v1", "kind": "StatefulSet"});
        let live = applied(&bare, &set(2, None)).unwrap();
        for (replicas, writer, owner) in [
            (3, Writer { subresource: "scale", ..OTHER }, json!("kubectl")),
            (0, Writer { subresource: "scale", ..OTHER }, Value::Null),
            (0, OTHER, json!("kubectl")),
        ] {
            let mut scaled = live.clone();
            scaled["spec"]["replicas"] = json!(replicas);
            update("StatefulSet", &live, &mut scaled, writer);
            assert_eq!(scaled["metadata"]["managedFields"][0]["manager"], owner, "{writer:?}");
        }
    }

    #[test]
    fn an_item_that_two_own_stays() {
        let service = |port: u16| {
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"},
                "spec": {"ports": [{"port": port, "protocol": "TCP"}]}})
        };
        let bare = json!({"apiVersion": "v1", "kind": "Service"});
        let live = apply("Service", &bare, &service(1), OTHER, false).unwrap();
        let both = apply("Service", &live, &service(2), PGSET, false).unwrap();
        assert_eq!(both["spec"]["ports"].as_array().unwrap().len(), 2);
        let one = apply("Service", &both, &service(3), PGSET, false).unwrap();
        let ports: Vec<_> = one["spec"]["ports"].as_array().unwrap().iter().collect();
        assert_eq!(ports.iter().map(|p| p["port"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 3]);
    }
}
