//! Namespaces: creates the service account `default` in each, and deletes the content of
//! terminating ones.

use serde_json::json;

use super::super::kinds::{NAMESPACES, RESOURCES, SERVICE_ACCOUNTS};
use super::super::refusal::Answer;
use super::super::registry::{Delete, Registry};
use super::super::store::Key;
use super::{MANAGER, WRITER, deleted, text};

pub(super) fn sync(registry: &Registry) -> Answer<()> {
    for namespace in registry.store.all(&NAMESPACES) {
        let name = text(&namespace, "/metadata/name");
        if deleted(&namespace) {
            empty(registry, name)?;
            continue;
        }
        let account = Key::new(&SERVICE_ACCOUNTS, name, "default");
        if registry.store.get(&account).is_none() {
            registry.create(&account, json!({}), MANAGER, false)?;
        }
    }
    Ok(())
}

fn empty(registry: &Registry, name: &str) -> Answer<()> {
    let mut left = 0;
    for resource in RESOURCES.iter().filter(|resource| resource.namespaced) {
        for object in registry.store.list(resource, Some(name)).0 {
            let key = Key::of(resource, &object);
            if !deleted(&object) {
                registry.delete(&key, &Delete::default())?;
            }
            left += usize::from(registry.store.get(&key).is_some());
        }
    }
    if left == 0 {
        registry.update(&Key::new(&NAMESPACES, "", name), WRITER, false, |namespace| {
            namespace["spec"]["finalizers"] = json!([]);
            Ok(())
        })?;
    }
    Ok(())
}
