//! The objects of a set as text: what `down` deletes and keeps, and where the data is.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::manifest::{Kind, ObjectId};
use crate::set::topology::SYSTEM_IDENTIFIER;
use crate::text;
use crate::values::Quantity;

/// Objects of a set, by name.
pub(crate) type Objects = BTreeMap<ObjectId, Value>;

/// `data on 2 volumes (2 GiB), passwords in Secret pgset-auth`.
pub(crate) fn data(staying: &Objects) -> String {
    let claims = || staying.iter().filter(|(id, _)| id.kind == Kind::PersistentVolumeClaim);
    let capacity = |(_, claim): (&ObjectId, &Value)| {
        let capacity = claim["status"]["capacity"]["storage"].as_str()?;
        Some(capacity.parse::<Quantity>().ok()?.bytes())
    };
    let size: Option<u64> = claims().map(capacity).sum();
    let size = size.map(|size| format!(" ({})", text::size(size))).unwrap_or_default();
    // A claim of the user's is not among the set's objects, but its recipe names it.
    let mut storage = staying.values().filter_map(|value| value["data"]["storage"].as_str());
    let shared = storage.find_map(|storage| storage.strip_prefix("claim:"));
    let mut words = match claims().count() {
        0 => shared.map(|claim| format!("data on claim {claim}")).into_iter().collect(),
        1 => vec![format!("data on 1 volume{size}")],
        count => vec![format!("data on {count} volumes{size}")],
    };
    let secrets = staying.keys().filter(|id| id.kind == Kind::Secret && id.name.ends_with("-auth"));
    words.extend(secrets.map(|id| format!("passwords in {id}")));
    if words.is_empty() {
        words.extend(staying.keys().map(ToString::to_string));
    }
    words.join(", ")
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
