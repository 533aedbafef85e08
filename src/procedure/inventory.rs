//! The objects of a set as text: what `down` deletes and keeps, and where the data is.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::Value;

use crate::manifest::{Kind, ObjectId};
use crate::set::topology::SYSTEM_IDENTIFIER;
use crate::set::{SetIdentity, objects};
use crate::text;
use crate::values::Quantity;

/// Objects of a set, by name.
pub(crate) type Objects = BTreeMap<ObjectId, Value>;

/// `data on 2 volumes (2 GiB), passwords in Secret pgset-auth`.
pub(crate) fn data(staying: &Objects) -> String {
    let mut words: Vec<String> =
        place_of_data(staying).map(|place| format!("data on {place}")).into_iter().collect();
    let secrets = staying.keys().filter(|id| id.kind == Kind::Secret && id.name.ends_with("-auth"));
    words.extend(secrets.map(|id| format!("passwords in {id}")));
    if words.is_empty() {
        words.extend(staying.keys().map(ToString::to_string));
    }
    words.join(", ")
}

/// Where the data is: `2 volumes (2 GiB)`, `claim shared`. `None` if that is not known.
pub(crate) fn place_of_data(staying: &Objects) -> Option<String> {
    let claims = || staying.iter().filter(|(id, _)| id.kind == Kind::PersistentVolumeClaim);
    let capacity = |(_, claim): (&ObjectId, &Value)| {
        let capacity = claim["status"]["capacity"]["storage"].as_str()?;
        Some(capacity.parse::<Quantity>().ok()?.bytes())
    };
    let size: Option<u64> = claims().map(capacity).sum();
    let size = size.map(|size| format!(" ({})", text::size(size))).unwrap_or_default();
    match claims().count() {
        // A claim of the user's is not among the set's objects, but its recipe names it.
        0 => {
            let mut storage = staying.values().filter_map(|it| it["data"]["storage"].as_str());
            let claim = storage.find_map(|storage| storage.strip_prefix("claim:"))?;
            Some(format!("claim {claim}"))
        }
        count => Some(format!("{}{size}", text::counted(count, "volume"))),
    }
}

/// The same for a stopped set, which keeps all its objects. `recipe` is the ConfigMap with the recipe.
pub(crate) fn kept_by_stop(
    set: &SetIdentity,
    claims: &[PersistentVolumeClaim],
    recipe: Option<&Value>,
) -> String {
    let claims = claims.iter().filter_map(|claim| {
        let name = claim.metadata.name.as_deref()?;
        let id = ObjectId::new(Kind::PersistentVolumeClaim, set.namespace.as_str(), name);
        Some((id, serde_json::to_value(claim).ok()?))
    });
    let recipe = recipe.map(|recipe| (objects::settings(set), recipe.clone()));
    let objects: Objects = claims.chain(recipe).collect();
    match place_of_data(&objects) {
        Some(place) => format!("the set's objects, data on {place}"),
        None => "the set's objects and data".to_owned(),
    }
}

/// The objects by kind: `StatefulSet pgset; Services pgset, pgset-master`. An object that holds data is named
/// with the place of the data.
pub(crate) fn listed(objects: &Objects) -> String {
    let mut kinds: Vec<(Kind, Vec<String>)> = Vec::new();
    for (id, value) in objects {
        let place = whereabouts(id, value).map(|place| format!(" ({place})")).unwrap_or_default();
        let name = format!("{}{place}", id.name);
        match kinds.iter_mut().find(|(kind, _)| *kind == id.kind) {
            Some((_, names)) => names.push(name),
            None => kinds.push((id.kind, vec![name])),
        }
    }
    let words = kinds.iter().map(|(kind, names)| {
        let plural = if names.len() == 1 { "" } else { "s" };
        format!("{}{plural} {}", kind.name(), names.join(", "))
    });
    words.collect::<Vec<_>>().join("; ")
}

/// Where an object's data is stored.
pub(crate) fn whereabouts(id: &ObjectId, value: &Value) -> Option<String> {
    let spec = &value["spec"];
    match id.kind {
        Kind::PersistentVolume => {
            if let Some(server) = spec["nfs"]["server"].as_str() {
                return Some(format!("nfs://{server}{}", spec["nfs"]["path"].as_str()?));
            }
            let path = spec["hostPath"]["path"].as_str().or(spec["local"]["path"].as_str())?;
            Some(format!("{path} on the node"))
        }
        Kind::PersistentVolumeClaim => {
            spec["volumeName"].as_str().map(|volume| format!("volume {volume}"))
        }
        Kind::Secret if value["type"] == "kubernetes.io/tls" => {
            Some("the CA that clients trust".to_owned())
        }
        Kind::Secret => Some("the passwords of the data".to_owned()),
        Kind::ConfigMap if id.name.ends_with("-settings") => {
            Some("the settings of the set".to_owned())
        }
        Kind::ConfigMap if value["data"][SYSTEM_IDENTIFIER].is_string() => {
            Some("identifies the data".to_owned())
        }
        _ => None,
    }
}
