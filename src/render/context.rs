//! What templates see.

use serde_json::{Value, json};

use super::Inputs;
use crate::image::{Crunchy, Profile};
use crate::manifest::object::MANAGER;
use crate::settings::{Settings, Storage};

/// How many static volumes there are: as many as the article makes.
const STATIC_VOLUMES: u32 = 3;

/// The context of a rendering. Holds passwords: never printed.
pub(super) fn context(inputs: &Inputs<'_>) -> Value {
    let settings = inputs.settings;
    let set = &settings.set;
    let mut context = json!({
        "set": {
            "name": set.name.as_str(),
            "namespace": set.namespace.as_str(),
            "master": set.master(),
            "replica": set.replica(),
            "claim": set.claim(),
            "secret": set.secret(),
            "service_account": set.service_account(),
            "static_storage_class": set.static_storage_class(),
        },
        "labels": { "managed_by": MANAGER },
        "image": settings.image.to_string(),
        "replicas": inputs.replicas.map(crate::settings::Replicas::get),
        "storage": storage(settings),
        "credentials": {
            "primary_user": settings.credentials.primary_user.as_str(),
            "user": settings.credentials.user.as_str(),
            "database": settings.credentials.database.as_str(),
        },
        "passwords": {
            "superuser": inputs.passwords.superuser.expose(),
            "primary": inputs.passwords.primary.expose(),
            "user": inputs.passwords.user.expose(),
        },
    });
    if let Profile::Crunchy(facts) = &settings.profile {
        context["crunchy"] = crunchy(facts);
    }
    context
}

fn storage(settings: &Settings) -> Value {
    let mut storage = match &settings.storage {
        Storage::Nfs { server, path } => json!({ "kind": "nfs", "server": server, "path": path }),
        Storage::HostPath { path } => json!({ "kind": "hostpath", "path": path }),
        Storage::Class { name } => json!({ "kind": "class", "class": name }),
        Storage::Claim { name } => json!({ "kind": "claim", "claim": name }),
    };
    if settings.storage.is_static() {
        storage["claim"] = json!(settings.set.claim());
        storage["volumes"] = (1..=STATIC_VOLUMES)
            .map(|number| json!(format!("{}{number}", settings.volume_prefix)))
            .collect();
    }
    storage["static"] = json!(settings.storage.is_static());
    storage["size"] = json!(settings.size.as_str());
    storage["access_mode"] = json!(settings.access_mode.name());
    storage
}

/// What the tag decides.
fn crunchy(facts: &Crunchy) -> Value {
    json!({
        "prefix": facts.primary_prefix(),
        "replica_host": facts.needs_replica_host(),
        "namespace_variable": facts.needs_namespace_variable(),
        "user_id": facts.user_id(),
    })
}
