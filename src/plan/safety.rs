//! The safety checks of a plan: each compares desired and live objects, and either refuses or accepts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::difference::{self, Difference};
use super::owner::foreign;
use super::path::{Path, Segment};
use super::{Options, Refusal};
use crate::manifest::object::{LABEL_INSTANCE, LABEL_NAMESPACE};
use crate::manifest::{Kind, Object, ObjectId};
use crate::set::SetIdentity;
use crate::values::quantity;

/// The live objects by identity.
pub(super) type Live = BTreeMap<ObjectId, Value>;

/// The immutable fields of a kind.
fn immutable(kind: Kind) -> Vec<Path> {
    let fields: &[&[&str]] = match kind {
        Kind::StatefulSet => &[
            &["spec", "serviceName"],
            &["spec", "selector"],
            &["spec", "volumeClaimTemplates"],
            &["spec", "podManagementPolicy"],
        ],
        Kind::PersistentVolumeClaim => &[
            &["spec", "storageClassName"],
            &["spec", "accessModes"],
            &["spec", "volumeMode"],
            &["spec", "volumeName"],
            &["spec", "selector"],
            &["spec", "dataSource"],
        ],
        Kind::PersistentVolume => {
            &[&["spec", "nfs"], &["spec", "hostPath"], &["spec", "local"], &["spec", "volumeMode"]]
        }
        Kind::RoleBinding => &[&["roleRef"]],
        Kind::Secret => &[&["type"]],
        _ => &[],
    };
    fields.iter().map(|fields| Path::of(fields)).collect()
}

/// Refuses an existing object that does not belong to the set or is being deleted.
pub(super) fn ownership(object: &Object, live: &Value, set: &SetIdentity) -> Result<(), Refusal> {
    if let Some(owner) = foreign(live, set) {
        return Err(Refusal::Foreign { object: object.id.clone(), owner });
    }
    if !live["metadata"]["deletionTimestamp"].is_null() {
        return Err(Refusal::Terminating { object: object.id.clone() });
    }
    Ok(())
}

/// Refuses a change of an immutable field, and a change that would lose data.
pub(super) fn change(
    object: &Object,
    live: &Value,
    difference: &Difference,
) -> Result<(), Refusal> {
    if object.id.kind == Kind::PersistentVolumeClaim {
        size(object, live)?;
    }
    if object.id.kind == Kind::StatefulSet {
        data_volume(object, live)?;
    }
    for fixed in immutable(object.id.kind) {
        if let Some(path) = difference.paths().find(|path| path.is_within(&fixed)) {
            let values = at(live, path).zip(at(&object.value, path));
            let values = values.filter(|_| object.id.kind != Kind::Secret);
            return Err(Refusal::Immutable {
                object: object.id.clone(),
                path: path.clone(),
                change: values.and_then(|(from, to)| difference::change(from, to)),
            });
        }
    }
    Ok(())
}

/// The value at a path of fields and positions.
fn at<'a>(value: &'a Value, path: &Path) -> Option<&'a Value> {
    path.segments().iter().try_fold(value, |value, segment| match segment {
        Segment::Field(name) => value.get(name),
        Segment::Index(index) => value.get(index),
        Segment::Key(_) | Segment::Value(_) => None,
    })
}

fn size(object: &Object, live: &Value) -> Result<(), Refusal> {
    let request = |claim: &Value| {
        claim.pointer("/spec/resources/requests/storage").and_then(Value::as_str).map(str::to_owned)
    };
    let (Some(from), Some(to)) = (request(live), request(&object.value)) else { return Ok(()) };
    let object_id = || object.id.clone();
    if quantity::less(&to, &from) {
        return Err(Refusal::Shrinks { object: object_id(), from, to });
    }
    // pgset itself creates claims only for static volumes; other claims come from claim templates.
    if quantity::less(&from, &to) {
        return Err(Refusal::GrowsStatic { object: object_id(), from, to });
    }
    Ok(())
}

/// Refuses a change of the claims that the pods mount: the set would start without its data.
fn data_volume(object: &Object, live: &Value) -> Result<(), Refusal> {
    let volumes = |set: &Value| {
        set.pointer("/spec/template/spec/volumes")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let claim = |volume: &Value| {
        volume
            .pointer("/persistentVolumeClaim/claimName")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let live = volumes(live);
    for wanted in volumes(&object.value) {
        let there = live.iter().find(|volume| volume["name"] == wanted["name"]);
        if let (Some(to), Some(from)) = (claim(&wanted), there.and_then(claim))
            && from != to
        {
            return Err(Refusal::DataMoves { object: object.id.clone(), from, to });
        }
    }
    Ok(())
}

/// Refuses to start if data was kept but its passwords are missing or different. An existing Secret counts as
/// evidence of data: a claim of another owner holds data but does not have pgset's labels.
pub(super) fn passwords(
    desired: &[Object],
    live: &Live,
    options: &Options<'_>,
) -> Result<(), Refusal> {
    let secret = ObjectId::new(Kind::Secret, options.set.namespace.as_str(), &options.set.secret());
    let Some(wanted) = desired.iter().find(|object| object.id == secret) else { return Ok(()) };
    let Some(there) = live.get(&secret) else {
        return match kept_data(live, options.set) {
            Some(kept) if !options.passwords_given => Err(Refusal::SecretGone { kept, secret }),
            _ => Ok(()),
        };
    };
    same_secret(wanted, there, &[])
}

/// Compares the existing Secret with the desired one, except for the keys in `made`: they hold generated
/// values, and the existing ones are used instead.
pub(super) fn same_secret(wanted: &Object, there: &Value, made: &[&str]) -> Result<(), Refusal> {
    let keys: Vec<String> = wanted.value["data"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !made.contains(&key.as_str()))
        .filter(|(key, value)| there["data"].get(key.as_str()).is_some_and(|there| there != *value))
        .map(|(key, _)| key.clone())
        .collect();
    if keys.is_empty() {
        Ok(())
    } else {
        Err(Refusal::FirstStartOnly { secret: wanted.id.clone(), keys })
    }
}

/// Finds kept data: a claim of the set, or a volume of the set that was bound once.
fn kept_data(live: &Live, set: &SetIdentity) -> Option<ObjectId> {
    live.iter()
        .find(|(id, object)| {
            let holds_data = match id.kind {
                Kind::PersistentVolumeClaim => true,
                Kind::PersistentVolume => !object["spec"]["claimRef"].is_null(),
                _ => false,
            };
            holds_data && foreign(object, set).is_none()
        })
        .map(|(id, _)| id.clone())
}

/// Refuses static volumes that the set's claim can't bind. If the claim is bound, there is nothing to check.
pub(super) fn volumes(desired: &[Object], live: &Live, set: &SetIdentity) -> Result<(), Refusal> {
    let claim = ObjectId::new(Kind::PersistentVolumeClaim, set.namespace.as_str(), &set.claim());
    let bound = live.get(&claim).is_some_and(|claim| claim["status"]["phase"] == "Bound");
    for object in desired.iter().filter(|object| object.id.kind == Kind::PersistentVolume) {
        shared_directory(object, live, set)?;
        let Some(volume) = live.get(&object.id).filter(|_| !bound) else { continue };
        let reference = &volume["spec"]["claimRef"];
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        let holder = format!("{}/{}", text("namespace"), text("name"));
        if volume["status"]["phase"] == "Released" {
            return Err(Refusal::Released { volume: object.id.clone(), claim: holder });
        }
        let own = text("namespace") == set.namespace.as_str() && text("name") == claim.name;
        if !reference.is_null() && !own {
            return Err(Refusal::Taken { volume: object.id.clone(), claim: holder });
        }
    }
    Ok(())
}

/// Refuses a directory that is used by a set with the same name in another namespace: pods store their
/// data in directories named after the pods, so both sets would write to the same ones.
fn shared_directory(object: &Object, live: &Live, set: &SetIdentity) -> Result<(), Refusal> {
    let directory = |volume: &Value| {
        let spec = &volume["spec"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match text(&spec["nfs"]["path"]) {
            Some(path) => Some((text(&spec["nfs"]["server"]), path)),
            None => text(&spec["hostPath"]["path"]).map(|path| (None, path)),
        }
    };
    let Some(wanted) = directory(&object.value) else { return Ok(()) };
    for (id, volume) in live.iter().filter(|(id, _)| id.kind == Kind::PersistentVolume) {
        let label = |name: &str| volume["metadata"]["labels"][name].as_str().unwrap_or_default();
        let other = label(LABEL_NAMESPACE);
        if label(LABEL_INSTANCE) == set.name.as_str()
            && !other.is_empty()
            && other != set.namespace.as_str()
            && directory(volume).as_ref() == Some(&wanted)
        {
            let (server, path) = wanted;
            return Err(Refusal::SharedDirectory {
                volume: id.clone(),
                namespace: other.to_owned(),
                path: server.map(|server| format!("{server}:")).unwrap_or_default() + &path,
            });
        }
    }
    Ok(())
}
