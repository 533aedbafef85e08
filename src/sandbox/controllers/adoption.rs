//! Adoption: a StatefulSet becomes the owner of the pods and revisions that match it and have no
//! controller. `kubectl delete statefulset --cascade=orphan` leaves such objects.

use serde_json::{Value, json};

use super::super::kinds::{PODS, REVISIONS, Resource};
use super::super::refusal::Answer;
use super::super::registry::Registry;
use super::super::selectors::Selector;
use super::super::store::Key;
use super::{WRITER, deleted, owned_by, stateful_pod, text};

pub(super) fn adopt(registry: &Registry, set: &Value) -> Answer<()> {
    let is_member = |pod: &Value| stateful_pod::ordinal(set, pod).is_some();
    adopt_all(registry, set, &PODS, is_member)?;
    adopt_all(registry, set, &REVISIONS, |_| true)
}

fn adopt_all(
    registry: &Registry,
    set: &Value,
    resource: &'static Resource,
    is_member: impl Fn(&Value) -> bool,
) -> Answer<()> {
    let selector = Selector::labels(&set["spec"]["selector"]["matchLabels"]);
    let is_orphan =
        |object: &Value| !has_controller(object) && !deleted(object) && selector.matches(object);
    for object in registry.store.list(resource, Some(text(set, "/metadata/namespace"))).0 {
        if !is_orphan(&object) || !is_member(&object) {
            continue;
        }
        registry.update(&Key::of(resource, &object), WRITER, false, |object| {
            // The object may have changed since it was listed.
            if is_orphan(object) {
                let owners = &mut object["metadata"]["ownerReferences"];
                match owners.as_array_mut() {
                    Some(owners) => owners.push(owned_by(set)),
                    None => *owners = json!([owned_by(set)]),
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn has_controller(object: &Value) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten().any(|owner| owner["controller"] == true)
}
