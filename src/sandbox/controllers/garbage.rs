//! Garbage collection: deletes objects whose owners are gone, and old events.

use std::sync::Arc;

use serde_json::Value;

use super::super::kinds::{EVENTS, RESOURCES, Resource};
use super::super::refusal::Answer;
use super::super::registry::{Delete, Registry};
use super::super::store::Key;
use super::{WRITER, deleted, has_finalizer, release, text};

/// How long events are kept.
const EVENTS_FOR: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

pub(super) fn sync(registry: &Registry) -> Answer<()> {
    let all: Vec<(Key, Arc<Value>)> = RESOURCES
        .iter()
        .flat_map(|resource| {
            let objects = registry.store.all(resource).into_iter();
            objects.map(|object| (Key::of(resource, &object), object))
        })
        .collect();
    for (key, object) in &all {
        if deleted(object) && has_finalizer(object, "orphan") {
            orphan(registry, &all, text(object, "/metadata/uid"))?;
            release(registry, key, "orphan")?;
        }
        let owners = object["metadata"]["ownerReferences"].as_array();
        let mut owners = owners.into_iter().flatten().peekable();
        let exists = |owner: &Value| owner_exists(registry, key, owner);
        if owners.peek().is_some() && !owners.any(exists) && !deleted(object) {
            let uid = Some(text(object, "/metadata/uid").to_owned());
            registry.delete(key, &Delete { uid, ..Delete::default() })?;
        }
    }
    let oldest = (jiff::Timestamp::now() - EVENTS_FOR).to_string();
    for event in registry.store.all(&EVENTS) {
        if text(&event, "/lastTimestamp") < oldest.as_str() {
            registry.delete(&Key::of(&EVENTS, &event), &Delete::default())?;
        }
    }
    Ok(())
}

/// Whether the owner of an object exists. This reads the store again: an owner that was created
/// after the objects were listed is missing in the list.
fn owner_exists(registry: &Registry, key: &Key, owner: &Value) -> bool {
    let (version, kind) = (text(owner, "/apiVersion"), text(owner, "/kind"));
    let Some(resource) = Resource::of_kind(version, kind) else { return false };
    let owner_key = Key::new(resource, &key.namespace, text(owner, "/name"));
    let found = registry.store.get(&owner_key);
    found.is_some_and(|found| found["metadata"]["uid"] == owner["uid"])
}

/// Removes the references to an owner that was deleted with `--cascade=orphan`.
fn orphan(registry: &Registry, all: &[(Key, Arc<Value>)], uid: &str) -> Answer<()> {
    let is = |reference: &Value| text(reference, "/uid") == uid;
    for (key, object) in all {
        let references = object["metadata"]["ownerReferences"].as_array();
        if references.is_some_and(|list| list.iter().any(is)) {
            registry.update(key, WRITER, false, |object| {
                if let Some(list) = object["metadata"]["ownerReferences"].as_array_mut() {
                    list.retain(|reference| !is(reference));
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::kinds::{CONFIG_MAPS, SERVICES};
    use super::super::fixture::Cluster;
    use super::super::owned_by;
    use super::*;

    #[test]
    fn an_object_whose_owner_was_just_created_stays() {
        let cluster = Cluster::new();
        let names: Vec<String> = (0..1000).map(|n| format!("x{n}")).collect();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for name in &names {
                    cluster.create(&CONFIG_MAPS, name, json!({}));
                    let owner = cluster.get(&CONFIG_MAPS, name).unwrap();
                    let metadata = json!({"ownerReferences": [owned_by(&owner)]});
                    let service = json!({"metadata": metadata, "spec": {"ports": [{"port": 80}],
                        "clusterIP": "None"}});
                    cluster.create(&SERVICES, name, service);
                }
            });
            while !writer.is_finished() {
                sync(&cluster.registry).unwrap();
            }
        });
        sync(&cluster.registry).unwrap();
        let lost = names.iter().filter(|name| cluster.get(&SERVICES, name).is_none());
        assert_eq!(lost.collect::<Vec<_>>(), Vec::<&String>::new());
        // When the owner is deleted, its dependent is deleted, too.
        cluster.delete(&CONFIG_MAPS, &names[0]);
        sync(&cluster.registry).unwrap();
        assert!(cluster.get(&SERVICES, &names[0]).is_none());
    }
}
