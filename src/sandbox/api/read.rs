//! Reads: one object, a list, or a watch.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::faults::Faults;
use super::super::kinds::{Resource, STATEFUL_SETS};
use super::super::refusal::{Answer, Refusal};
use super::super::registry::Registry;
use super::super::selectors::Selector;
use super::super::store::Change;
use super::request::Request;
use super::respond::{self, Reply};
use super::tables::{self, Include};
use super::write;

/// How often an idle watch sends a bookmark with the current version.
const BOOKMARK_EVERY: Duration = Duration::from_secs(10);
/// How long a watch lasts if the request does not say.
const WATCH_FOR: Duration = Duration::from_secs(1800);

/// Answers a GET request.
pub fn get(
    registry: &Arc<Registry>,
    faults: &Arc<Faults>,
    asked: &Request,
    table: bool,
) -> Answer<Reply> {
    let include = Include::asked(&asked.query);
    if let Some(name) = &asked.name {
        let object = registry.get(&asked.key(name))?;
        let object = match asked.subresource.as_deref() {
            Some("scale") => write::scale_of(&object),
            _ => Value::clone(&object),
        };
        let whole = asked.resource != &STATEFUL_SETS || asked.subresource.is_none();
        return Ok(respond::json(
            200,
            &if table && whole {
                tables::of(
                    asked.resource,
                    &[Arc::new(object.clone())],
                    &object["metadata"],
                    include,
                )
            } else {
                object
            },
        ));
    }
    let selector = Selector::parse(
        asked.resource.kind,
        asked.query.get("labelSelector").unwrap_or_default(),
        asked.query.get("fieldSelector").unwrap_or_default(),
    )?;
    if asked.query.is("watch") {
        return watch(registry, faults, asked, selector, table);
    }
    let (objects, version) = registry.store.list(asked.resource, asked.namespace.as_deref());
    let objects: Vec<_> = objects.into_iter().filter(|o| selector.matches(o)).collect();
    let metadata = json!({"resourceVersion": version.to_string()});
    let list = if table {
        tables::of(asked.resource, &objects, &metadata, include)
    } else {
        json!({
            "kind": format!("{}List", asked.resource.kind),
            "apiVersion": asked.resource.api_version(),
            "metadata": metadata,
            "items": objects.iter().map(|object| bare(object)).collect::<Vec<_>>(),
        })
    };
    Ok(respond::json(200, &list))
}

/// List items do not repeat their kind.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("kind");
        map.remove("apiVersion");
    }
    object
}

struct Watch {
    registry: Arc<Registry>,
    faults: Arc<Faults>,
    resource: &'static Resource,
    namespace: Option<String>,
    selector: Selector,
    table: bool,
    include: Include,
    bookmarks: bool,
    version: u64,
    sender: mpsc::Sender<Bytes>,
}

fn watch(
    registry: &Arc<Registry>,
    faults: &Arc<Faults>,
    asked: &Request,
    selector: Selector,
    table: bool,
) -> Answer<Reply> {
    let version = match asked.query.get("resourceVersion") {
        None | Some("0") => None,
        Some(text) => Some(text.parse::<u64>().map_err(|_| {
            Refusal::bad_request(format!("Invalid value: {text:?}: resourceVersion"))
        })?),
    };
    let initial = asked.query.is("sendInitialEvents");
    let (sender, reply) = respond::streaming("application/json");
    let mut watch = Watch {
        registry: Arc::clone(registry),
        faults: Arc::clone(faults),
        resource: asked.resource,
        namespace: asked.namespace.clone(),
        selector,
        table,
        include: Include::asked(&asked.query),
        bookmarks: asked.query.is("allowWatchBookmarks"),
        version: version.unwrap_or(0),
        sender,
    };
    let seconds = asked.query.get("timeoutSeconds").and_then(|s| s.parse().ok());
    let ends = Instant::now() + seconds.map_or(WATCH_FOR, Duration::from_secs);
    let first = initial || version.is_none();
    tokio::spawn(async move {
        let told = async {
            if first {
                watch.tell_all(initial).await?;
            }
            watch.run().await
        };
        // The timeout is no error: the client watches again from the last version it saw.
        let _ = tokio::time::timeout_at(ends, told).await;
    });
    Ok(reply)
}

/// The client has disconnected.
struct Disconnected;

impl Watch {
    /// Sends all existing objects as added.
    async fn tell_all(&mut self, initial: bool) -> Result<(), Disconnected> {
        let (objects, version) = self.registry.store.list(self.resource, self.namespace.as_deref());
        for object in objects.iter().filter(|object| self.selector.matches(object)) {
            self.tell("ADDED", object).await?;
        }
        self.version = version;
        if initial {
            self.bookmark(json!({"k8s.io/initial-events-end": "true"})).await
        } else {
            Ok(())
        }
    }

    async fn run(&mut self) -> Result<(), Disconnected> {
        let mut latest = self.registry.store.subscribe();
        let mut ended = self.faults.watches();
        loop {
            latest.borrow_and_update();
            let Ok((changes, version)) = self.registry.store.since(self.version) else {
                let status = Refusal::expired().status();
                return self.send(&json!({"type": "ERROR", "object": status})).await;
            };
            for change in &changes {
                if let Some((kind, object)) = self.seen(change) {
                    self.tell(kind, object).await?;
                }
            }
            self.version = version;
            tokio::select! {
                more = latest.changed() => more.map_err(|_| Disconnected)?,
                () = self.sender.closed() => return Err(Disconnected),
                _ = ended.changed() => return Err(Disconnected),
                () = tokio::time::sleep(BOOKMARK_EVERY), if self.bookmarks => {
                    self.bookmark(json!({})).await?;
                }
            }
        }
    }

    /// The event that a client with this selector sees for a change. An object that starts to match
    /// is an addition, and one that stops to match is a deletion.
    fn seen<'a>(&self, change: &'a Change) -> Option<(&'static str, &'a Arc<Value>)> {
        if change.key.resource != self.resource
            || self.namespace.as_ref().is_some_and(|n| *n != change.key.namespace)
        {
            return None;
        }
        let before = change.before.as_ref().is_some_and(|object| self.selector.matches(object));
        let after = !change.deleted && self.selector.matches(&change.object);
        match (before, after) {
            (false, true) => Some(("ADDED", &change.object)),
            (true, true) => Some(("MODIFIED", &change.object)),
            (true, false) => Some(("DELETED", &change.object)),
            (false, false) => None,
        }
    }

    async fn tell(&self, kind: &str, object: &Arc<Value>) -> Result<(), Disconnected> {
        let object = if self.table {
            let objects = std::slice::from_ref(object);
            tables::of(self.resource, objects, &object["metadata"], self.include)
        } else {
            Value::clone(object)
        };
        self.send(&json!({"type": kind, "object": object})).await
    }

    async fn bookmark(&self, annotations: Value) -> Result<(), Disconnected> {
        let mut object = json!({
            "kind": self.resource.kind, "apiVersion": self.resource.api_version(),
            "metadata": {"resourceVersion": self.version.to_string()},
        });
        if annotations != json!({}) {
            object["metadata"]["annotations"] = annotations;
        }
        self.send(&json!({"type": "BOOKMARK", "object": object})).await
    }

    async fn send(&self, event: &Value) -> Result<(), Disconnected> {
        self.sender.send(format!("{event}\n").into()).await.map_err(|_| Disconnected)
    }
}
