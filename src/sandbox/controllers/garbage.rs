//! Garbage: what belongs to an object that is gone goes, too; and what was told long ago.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::super::kinds::{EVENTS, RESOURCES};
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
    let uids: BTreeSet<&str> =
        all.iter().map(|(_, object)| text(object, "/metadata/uid")).collect();
    for (key, object) in &all {
        if deleted(object) && has_finalizer(object, "orphan") {
            orphan(registry, &all, text(object, "/metadata/uid"))?;
            release(registry, key, "orphan")?;
        }
        let owners = object["metadata"]["ownerReferences"].as_array();
        let mut owners = owners.into_iter().flatten().map(|owner| text(owner, "/uid")).peekable();
        if owners.peek().is_some() && !owners.any(|uid| uids.contains(uid)) && !deleted(object) {
            registry.delete(key, &Delete::default())?;
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

/// What an owner leaves behind is nobody's.
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
