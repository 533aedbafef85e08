//! Revisions: every pod template that a StatefulSet has had. A label of each pod names its
//! revision.

use serde_json::{Value, json};

use super::super::kinds::REVISIONS;
use super::super::refusal::Answer;
use super::super::registry::{Delete, Registry};
use super::super::store::Key;
use super::{MANAGER, is_owned_by, owned_by, text};

/// The label with the name of a pod's revision.
pub(super) const LABEL: &str = "controller-revision-hash";

/// The name of the revision of the set's current template. Creates the revision if it is new.
pub(super) fn update(registry: &Registry, set: &Value) -> Answer<String> {
    let template = &set["spec"]["template"];
    let hash = hash(&template.to_string());
    let name = format!("{}-{hash}", text(set, "/metadata/name"));
    let key = Key::new(&REVISIONS, text(set, "/metadata/namespace"), &name);
    if registry.store.get(&key).is_none() {
        let latest = of(registry, set).iter().filter_map(|r| r["revision"].as_u64()).max();
        let mut labels = set["spec"]["selector"]["matchLabels"].clone();
        labels["controller.kubernetes.io/hash"] = json!(hash);
        let object = json!({
            "metadata": {"labels": labels, "ownerReferences": [owned_by(set)]},
            "revision": latest.unwrap_or(0) + 1,
            "data": {"spec": {"template": template}},
        });
        registry.create(&key, object, MANAGER, false)?;
    }
    Ok(name)
}

pub(super) fn exists(registry: &Registry, set: &Value, name: &str) -> bool {
    let key = Key::new(&REVISIONS, text(set, "/metadata/namespace"), name);
    registry.store.get(&key).is_some()
}

/// The template of a revision; the set's current template if the revision is gone.
pub(super) fn template(registry: &Registry, set: &Value, name: &str) -> Value {
    let key = Key::new(&REVISIONS, text(set, "/metadata/namespace"), name);
    let own = || set["spec"]["template"].clone();
    registry.store.get(&key).map_or_else(own, |r| r["data"]["spec"]["template"].clone())
}

/// Deletes the oldest unused revisions beyond the history limit.
pub(super) fn trim(registry: &Registry, set: &Value, used: &[&str]) -> Answer<()> {
    let limit = set["spec"]["revisionHistoryLimit"].as_u64().unwrap_or(10);
    let mut unused = of(registry, set);
    unused.retain(|revision| !used.contains(&text(revision, "/metadata/name")));
    unused.sort_by_key(|revision| revision["revision"].as_u64());
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    for revision in unused.iter().take(unused.len().saturating_sub(most)) {
        registry.delete(&Key::of(&REVISIONS, revision), &Delete::default())?;
    }
    Ok(())
}

fn of(registry: &Registry, set: &Value) -> Vec<std::sync::Arc<Value>> {
    let all = registry.store.list(&REVISIONS, Some(text(set, "/metadata/namespace"))).0;
    all.into_iter().filter(|revision| is_owned_by(revision, set)).collect()
}

/// FNV-1a, encoded with letters that form no words. It has to stay the same in every version of
/// pgset: a pod's revision is compared with it.
fn hash(text: &str) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut letters = String::new();
    for _ in 0..10 {
        let index = usize::try_from(hash % LETTERS.len() as u64).unwrap_or(0);
        letters.push(char::from(LETTERS[index]));
        hash /= LETTERS.len() as u64;
    }
    letters
}
