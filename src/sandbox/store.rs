//! The store: every object under its key, and every change with its version. In a real cluster this
//! is etcd.
//!
//! Each write gets the next version number, which becomes the object's `resourceVersion`. The store
//! keeps the latest changes. A watch from version N receives all changes after N; if N is too old,
//! the client has to list again (410 Gone).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::journal::Journal;
use super::kinds::Resource;

/// The number of changes that are kept. More of them make every start of a process slower, since a fork copies the page
/// tables of all memory.
const HISTORY: usize = 200;

/// The key of an object.
#[derive(Clone, Debug)]
pub struct Key {
    /// The kind.
    pub resource: &'static Resource,
    /// The namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// A key. The namespace is ignored for cluster-scoped kinds.
    #[must_use]
    pub fn new(resource: &'static Resource, namespace: &str, name: &str) -> Self {
        let namespace = if resource.namespaced { namespace } else { "" };
        Self { resource, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The key of a stored object.
    #[must_use]
    pub fn of(resource: &'static Resource, object: &Value) -> Self {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        Self::new(resource, text("namespace"), text("name"))
    }

    fn path(&self) -> Path {
        let resource = self.resource;
        ((resource.group, resource.plural), self.namespace.clone(), self.name.clone())
    }
}

/// The sort key of objects: kind, namespace, name.
type Path = ((&'static str, &'static str), String, String);

/// A change of an object.
#[derive(Clone, Debug)]
pub struct Change {
    /// The version of the change.
    pub version: u64,
    /// The key of the object.
    pub key: Key,
    /// The object before the change; none if it is new.
    pub before: Option<Arc<Value>>,
    /// The object after the change. A deleted object has its last content and the version of the
    /// deletion.
    pub object: Arc<Value>,
    /// Whether it was deleted.
    pub deleted: bool,
}

/// The requested version is older than the kept changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// All objects.
pub struct Store {
    state: Mutex<State>,
    latest: watch::Sender<u64>,
}

struct State {
    objects: BTreeMap<Path, Arc<Value>>,
    history: VecDeque<Change>,
    version: u64,
    /// Changes up to this version are no longer kept.
    forgotten: u64,
    journal: Journal,
}

impl Store {
    /// A store with the content of the journal. Clients that watched an earlier sandbox have to
    /// list again.
    #[must_use]
    pub fn new(journal: Journal, objects: Vec<(Key, Value)>, version: u64) -> Self {
        let objects =
            objects.into_iter().map(|(key, value)| (key.path(), Arc::new(value))).collect();
        let history = VecDeque::new();
        let state = State { objects, history, version, forgotten: version, journal };
        Self { state: Mutex::new(state), latest: watch::Sender::new(version) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object.
    pub fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.lock().objects.get(&key.path()).cloned()
    }

    /// The objects of a kind, in one namespace or in all, and the current version.
    pub fn list(
        &self,
        resource: &'static Resource,
        namespace: Option<&str>,
    ) -> (Vec<Arc<Value>>, u64) {
        let state = self.lock();
        let kind = (resource.group, resource.plural);
        let from = (kind, namespace.unwrap_or_default().to_owned(), String::new());
        let objects = state.objects.range(from..).take_while(|((k, ns, _), _)| {
            *k == kind && (!resource.namespaced || namespace.is_none_or(|n| n == ns))
        });
        (objects.map(|(_, object)| Arc::clone(object)).collect(), state.version)
    }

    /// The objects of a kind.
    pub fn all(&self, resource: &'static Resource) -> Vec<Arc<Value>> {
        self.list(resource, None).0
    }

    /// Stores an object. If it is the same as before, nothing changes.
    pub fn put(&self, key: &Key, object: Value) -> Arc<Value> {
        let state = self.lock();
        match state.objects.get(&key.path()) {
            Some(before) if **before == object => Arc::clone(before),
            _ => self.commit(state, key, object, false),
        }
    }

    /// Deletes an object and returns its last content; none if it does not exist.
    pub fn delete(&self, key: &Key) -> Option<Arc<Value>> {
        let state = self.lock();
        let last = Value::clone(state.objects.get(&key.path())?);
        Some(self.commit(state, key, last, true))
    }

    fn commit(
        &self,
        mut state: MutexGuard<'_, State>,
        key: &Key,
        mut object: Value,
        deleted: bool,
    ) -> Arc<Value> {
        let path = key.path();
        state.version += 1;
        let version = state.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let object = Arc::new(object);
        state.journal.append(key, (!deleted).then_some(&object), version);
        let before = if deleted {
            state.objects.remove(&path)
        } else {
            state.objects.insert(path, Arc::clone(&object))
        };
        let change =
            Change { version, key: key.clone(), before, object: Arc::clone(&object), deleted };
        state.history.push_back(change);
        if state.history.len() > HISTORY
            && let Some(oldest) = state.history.pop_front()
        {
            state.forgotten = oldest.version;
        }
        drop(state);
        self.latest.send_replace(version);
        object
    }

    /// The changes after a version, and the current version.
    ///
    /// # Errors
    /// [`Gone`] if these changes are no longer kept.
    pub fn since(&self, version: u64) -> Result<(Vec<Change>, u64), Gone> {
        let state = self.lock();
        if version < state.forgotten {
            return Err(Gone);
        }
        let from = state.history.partition_point(|change| change.version <= version);
        Ok((state.history.range(from..).cloned().collect(), state.version))
    }

    /// Drops all kept changes: every watch from before ends with 410.
    pub fn forget(&self) {
        let mut state = self.lock();
        state.history.clear();
        // A new version, so that even the latest known version is too old.
        state.version += 1;
        state.forgotten = state.version;
        let version = state.version;
        drop(state);
        self.latest.send_replace(version);
    }

    /// Notifies of each new version.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::super::kinds::{PODS, SECRETS};
    use super::*;

    fn put(store: &Store, name: &str, value: Value) {
        store.put(&Key::new(&PODS, "a", name), value);
    }

    fn store() -> Store {
        Store::new(Journal::none(), Vec::new(), 0)
    }

    #[test]
    fn a_watch_goes_on_where_a_list_ended() {
        let store = store();
        put(&store, "x", json!({"metadata": {}}));
        let (objects, version) = store.list(&PODS, Some("a"));
        assert_eq!((objects.len(), version), (1, 1));
        put(&store, "y", json!({"metadata": {}}));
        let (changes, latest) = store.since(version).unwrap();
        assert_eq!((changes.len(), latest), (1, 2));
        assert_eq!(changes[0].key.name, "y");
        assert_eq!(store.list(&PODS, Some("b")).0.len(), 0);
        assert_eq!(store.list(&SECRETS, None).0.len(), 0);
    }

    #[test]
    fn what_stays_the_same_is_no_change() {
        let store = store();
        put(&store, "x", json!({"metadata": {}}));
        let same = Value::clone(&store.get(&Key::new(&PODS, "a", "x")).unwrap());
        put(&store, "x", same);
        assert_eq!(store.since(0).unwrap().1, 1);
    }

    #[test]
    fn what_is_forgotten_is_gone() {
        let store = store();
        for turn in 0..=HISTORY {
            put(&store, "x", json!({"metadata": {}, "turn": turn}));
        }
        assert_eq!(store.since(0).unwrap_err(), Gone);
        assert!(store.since(1).is_ok());
        store.forget();
        assert_eq!(store.since(HISTORY as u64 + 1).unwrap_err(), Gone);
    }
}
