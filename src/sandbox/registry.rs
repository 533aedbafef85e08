//! Writes: every write, of a client or a controller, is validated, completed and stored here, one
//! after the other.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::admission;
use super::defaults;
use super::kinds::{NAMESPACES, PODS, Resource};
use super::network::Network;
use super::ownership::{self, Writer};
use super::refusal::{Answer, Refusal};
use super::store::{Key, Store};

/// The store with its write rules.
pub struct Registry {
    /// All objects.
    pub store: Store,
    /// Assigns the addresses of pods and Services.
    pub network: Network,
    /// The directory for provisioned volumes.
    pub volumes: PathBuf,
    /// Serializes the writes: what was validated still holds when it is stored.
    writing: Mutex<()>,
}

/// The options of a deletion.
#[derive(Clone, Debug, Default)]
pub struct Delete {
    /// Delete only the object with this UID.
    pub uid: Option<String>,
    /// Delete only this version of the object.
    pub version: Option<String>,
    /// The grace period of a pod in seconds; unset means the pod's own.
    pub grace: Option<u64>,
    /// Whether dependents stay.
    pub orphan: bool,
    /// Validate only; write nothing.
    pub dry: bool,
}

impl Registry {
    /// A registry of this store.
    pub fn new(store: Store, network: Network, volumes: PathBuf) -> Self {
        Self { store, network, volumes, writing: Mutex::new(()) }
    }

    fn write(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object, or 404.
    ///
    /// # Errors
    /// If the object does not exist.
    pub fn get(&self, key: &Key) -> Answer<Arc<Value>> {
        self.store.get(key).ok_or_else(|| Refusal::not_found(key.resource, &key.name))
    }

    /// Stores a new object.
    ///
    /// # Errors
    /// If it already exists or is invalid.
    pub fn create(
        &self,
        key: &Key,
        mut object: Value,
        manager: &str,
        dry: bool,
    ) -> Answer<Arc<Value>> {
        let _turn = self.write();
        if self.store.get(key).is_some() {
            return Err(Refusal::already_exists(key.resource, &key.name));
        }
        let bare = self.birth(key, &mut object)?;
        let writer = Writer { manager, subresource: "" };
        ownership::update(key.resource.kind, &bare, &mut object, writer);
        self.finish(key, None, object, "", dry)
    }

    /// Server-side apply.
    ///
    /// # Errors
    /// On conflicts, or if the result is invalid.
    pub fn apply(
        &self,
        key: &Key,
        configuration: &Value,
        writer: Writer<'_>,
        force: bool,
        dry: bool,
    ) -> Answer<Arc<Value>> {
        let _turn = self.write();
        let resource = key.resource;
        let before = self.store.get(key);
        let mut configuration = configuration.clone();
        if writer.subresource.is_empty() {
            configuration.as_object_mut().map(|c| c.remove("status"));
        }
        // The conversion of `stringData` must not look like a change.
        if resource.kind == "Secret" {
            defaults::secret(&mut configuration);
        }
        let live = match &before {
            Some(before) => Value::clone(before),
            None => self.birth(key, &mut configuration)?,
        };
        if let Some(uid) = configuration["metadata"]["uid"].as_str()
            && live["metadata"]["uid"] != uid
        {
            let why = "uid mismatch: the provided object specified uid";
            return Err(Refusal::conflict(resource, &key.name, why));
        }
        let object = ownership::apply(resource.kind, &live, &configuration, writer, force)
            .map_err(|conflicts| conflicting(&conflicts))?;
        self.finish(key, before.as_deref(), object, writer.subresource, dry)
    }

    /// Changes an existing object.
    ///
    /// # Errors
    /// If it does not exist, if `change` refuses, or if the result is invalid.
    pub fn update(
        &self,
        key: &Key,
        writer: Writer<'_>,
        dry: bool,
        change: impl FnOnce(&mut Value) -> Answer<()>,
    ) -> Answer<Arc<Value>> {
        let _turn = self.write();
        let before = self.get(key)?;
        let mut object = Value::clone(&before);
        change(&mut object)?;
        let (sent, live) =
            (&object["metadata"]["resourceVersion"], &before["metadata"]["resourceVersion"]);
        if sent.as_str().is_some_and(|sent| !sent.is_empty()) && sent != live {
            let why = "the object has been modified; please apply your changes to the latest version and try again";
            return Err(Refusal::conflict(key.resource, &key.name, why));
        }
        keep(&before, &mut object, writer.subresource);
        if *before == object {
            return Ok(before);
        }
        ownership::update(key.resource.kind, &before, &mut object, writer);
        self.finish(key, Some(&before), object, writer.subresource, dry)
    }

    /// Deletes an object. If it has finalizers or a grace period, it is only marked as deleted.
    ///
    /// # Errors
    /// If it does not exist, or if a precondition does not match.
    pub fn delete(&self, key: &Key, how: &Delete) -> Answer<Arc<Value>> {
        let _turn = self.write();
        let resource = key.resource;
        let before = self.get(key)?;
        let metadata = &before["metadata"];
        for (what, wanted, live) in [
            ("UID", &how.uid, metadata["uid"].as_str()),
            ("ResourceVersion", &how.version, metadata["resourceVersion"].as_str()),
        ] {
            if let Some(wanted) = wanted.as_deref().filter(|wanted| Some(*wanted) != live) {
                let live = live.unwrap_or_default();
                let why = format!(
                    "the {what} in the precondition ({wanted}) does not match the {what} in record ({live}). The object might have been deleted and then recreated"
                );
                return Err(Refusal::conflict(resource, &key.name, &why));
            }
        }
        if how.dry {
            return Ok(before);
        }
        if resource == &NAMESPACES && matches!(key.name.as_str(), "default" | "kube-system") {
            return Err(Refusal::forbidden(
                resource,
                &key.name,
                "this namespace may not be deleted",
            ));
        }
        let mut object = Value::clone(&before);
        let grace = grace(resource, &before, how.grace);
        if how.orphan {
            object["metadata"]["finalizers"] = json!(["orphan"]);
        }
        // A second deletion can only shorten the grace period.
        if metadata["deletionTimestamp"].is_null()
            || metadata["deletionGracePeriodSeconds"].as_u64().is_some_and(|old| grace < old)
        {
            object["metadata"]["deletionTimestamp"] = json!(super::after(grace));
            object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        }
        if resource == &NAMESPACES {
            object["status"]["phase"] = json!("Terminating");
        }
        Ok(self.settle(key, object))
    }

    /// The fields that the server sets on a new object. They are also set in `object`.
    fn birth(&self, key: &Key, object: &mut Value) -> Answer<Value> {
        let resource = key.resource;
        admission::name(resource, &key.name)?;
        self.check_namespace(key)?;
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(key.name);
        if resource.namespaced {
            metadata["namespace"] = json!(key.namespace);
        }
        for field in [
            "resourceVersion",
            "managedFields",
            "selfLink",
            "deletionTimestamp",
            "uid",
            "generation",
        ] {
            metadata.as_object_mut().map(|m| m.remove(field));
        }
        let mut bare = json!({
            "apiVersion": resource.api_version(), "kind": resource.kind,
            "metadata": {"name": key.name, "uid": super::uid(), "creationTimestamp": super::now()},
        });
        if resource.namespaced {
            bare["metadata"]["namespace"] = json!(key.namespace);
        }
        if resource.counted {
            bare["metadata"]["generation"] = json!(1);
        }
        for (field, value) in bare["metadata"].as_object().into_iter().flatten() {
            object["metadata"][field] = value.clone();
        }
        object["apiVersion"] = bare["apiVersion"].clone();
        object["kind"] = bare["kind"].clone();
        Ok(bare)
    }

    fn check_namespace(&self, key: &Key) -> Answer<()> {
        if !key.resource.namespaced {
            return Ok(());
        }
        let namespace = self.get(&Key::new(&NAMESPACES, "", &key.namespace))?;
        if namespace["metadata"]["deletionTimestamp"].is_null() || key.resource.kind == "Event" {
            return Ok(());
        }
        let why = format!(
            "unable to create new content in namespace {} because it is being terminated",
            key.namespace
        );
        Err(Refusal::forbidden(key.resource, &key.name, &why))
    }

    fn finish(
        &self,
        key: &Key,
        before: Option<&Value>,
        mut object: Value,
        subresource: &str,
        dry: bool,
    ) -> Answer<Arc<Value>> {
        defaults::fill(key.resource.kind, &mut object);
        if subresource != "status" {
            admission::admit(self, key, before, &mut object)?;
        }
        if let Some(before) = before
            && key.resource.counted
            && before["spec"] != object["spec"]
        {
            let generation = before["metadata"]["generation"].as_u64().unwrap_or(0);
            object["metadata"]["generation"] = json!(generation + 1);
        }
        if dry {
            return Ok(Arc::new(object));
        }
        Ok(self.settle(key, object))
    }

    /// Stores an object. One that is marked as deleted and has no finalizers and no grace period is
    /// removed.
    fn settle(&self, key: &Key, object: Value) -> Arc<Value> {
        let metadata = &object["metadata"];
        let held = metadata["finalizers"].as_array().is_some_and(|f| !f.is_empty())
            || metadata["deletionGracePeriodSeconds"].as_u64().is_some_and(|grace| grace > 0)
            // A terminating namespace stays until its controller has emptied it.
            || object.pointer("/spec/finalizers").is_some_and(|f| f != &json!([]));
        if metadata["deletionTimestamp"].is_null() || held {
            return self.store.put(key, object);
        }
        // Watchers see the final state before the deletion.
        self.store.put(key, object);
        self.store.delete(key).unwrap_or_default()
    }
}

/// The grace period of a pod in seconds. It is 0 if the pod has no node or has ended.
fn grace(resource: &Resource, object: &Value, asked: Option<u64>) -> u64 {
    let phase = object["status"]["phase"].as_str();
    if resource != &PODS
        || object["spec"]["nodeName"].is_null()
        || matches!(phase, Some("Succeeded" | "Failed"))
    {
        return 0;
    }
    let own = object["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
    asked.unwrap_or(own)
}

/// Restores what this write must not change: the object's identity, and the parts that belong to
/// another subresource.
fn keep(before: &Value, object: &mut Value, subresource: &str) {
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "resourceVersion",
    ] {
        let value = &before["metadata"][field];
        match object["metadata"].as_object_mut() {
            Some(metadata) if value.is_null() => drop(metadata.remove(field)),
            Some(metadata) => drop(metadata.insert(field.to_owned(), value.clone())),
            None => {}
        }
    }
    for field in ["apiVersion", "kind"] {
        object[field] = before[field].clone();
    }
    let foreign: &[&str] = match subresource {
        "status" => &["spec"],
        _ => &["status"],
    };
    for field in foreign {
        match before.get(*field) {
            Some(value) => object[*field] = value.clone(),
            None => drop(object.as_object_mut().map(|o| o.remove(*field))),
        }
    }
}

fn conflicting(conflicts: &[ownership::Conflict]) -> Refusal {
    let one = conflicts.len() == 1;
    let mut message =
        format!("Apply failed with {} conflict{}: ", conflicts.len(), if one { "" } else { "s" });
    if one {
        message =
            format!("{message}conflict with {}: {}", conflicts[0].manager, conflicts[0].field);
    } else {
        let mut managers: Vec<&str> = conflicts.iter().map(|c| c.manager.as_str()).collect();
        managers.dedup();
        let of = |manager: &str| {
            let fields = conflicts.iter().filter(|c| c.manager == manager);
            let fields: Vec<String> = fields.map(|c| format!("- {}", c.field)).collect();
            format!("conflicts with {manager}:\n{}", fields.join("\n"))
        };
        let all: Vec<String> = managers.iter().map(|manager| of(manager)).collect();
        message += &all.join("\n");
    }
    let refusal = Refusal::new(409, "Conflict", message);
    conflicts.iter().fold(refusal, |refusal, c| {
        refusal.cause(
            "FieldManagerConflict",
            format!("conflict with {}", c.manager),
            c.field.clone(),
        )
    })
}
