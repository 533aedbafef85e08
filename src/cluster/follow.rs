//! One kind's objects, as they change.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _};
use kube::api::ListParams;
use kube::core::Resource;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt as _};
use serde::de::DeserializeOwned;

/// How often a kind is listed that may not be watched.
const POLL: Duration = Duration::from_secs(2);

/// A change of one kind.
pub(super) enum Change<K> {
    /// All objects there are now.
    All(Vec<K>),
    /// One is new or different.
    Applied(Box<K>),
    /// One is gone.
    Deleted(String),
    /// It may not be read. The server's words.
    Forbidden(String),
    /// The server does not answer; it is tried again. Its last words.
    Trouble(String),
}

/// Lists, then watches, for ever: relists on 410, reconnects with back-off, notices streams that went
/// silent (the library's watcher does), and lists every two seconds where only watching is denied.
pub(super) fn follow<K>(api: Api<K>, selector: &str) -> BoxStream<'static, Change<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default().labels(selector);
    let polled = (api.clone(), ListParams::default().labels(selector));
    let mut listed: Option<Vec<K>> = None;
    let changes = watcher::watcher(api, config).default_backoff().filter_map(move |event| {
        let change = match event {
            Ok(Event::Init) => {
                listed = Some(Vec::new());
                None
            }
            Ok(Event::InitApply(object)) => {
                listed.get_or_insert_default().push(object);
                None
            }
            Ok(Event::InitDone) => Some(Change::All(listed.take().unwrap_or_default())),
            Ok(Event::Apply(object)) => Some(Change::Applied(Box::new(object))),
            Ok(Event::Delete(object)) => Some(Change::Deleted(object.name_any())),
            Err(e) => Some(trouble(&e)),
        };
        std::future::ready(change)
    });
    // A denied watch ends the stream; a denied list is final.
    let mut denied = false;
    changes
        .scan((), move |(), change| {
            let stop = denied;
            denied = matches!(change, Change::Forbidden(_));
            std::future::ready((!stop).then_some(change))
        })
        .flat_map(move |change| match change {
            Change::Forbidden(_) => poll(polled.clone()),
            change => futures::stream::iter([change]).boxed(),
        })
        .boxed()
}

fn poll<K>((api, parameters): (Api<K>, ListParams)) -> BoxStream<'static, Change<K>>
where
    K: Clone + DeserializeOwned + Debug + Send + 'static,
{
    futures::stream::unfold((api, parameters, false), |(api, parameters, again)| async move {
        if again {
            tokio::time::sleep(POLL).await;
        }
        let change = match api.list(&parameters).await {
            Ok(list) => Change::All(list.items),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                // Said once; then the stream only waits, so that nobody spins.
                if again {
                    std::future::pending::<()>().await;
                }
                Change::Forbidden(status.message)
            }
            Err(e) => Change::Trouble(words(&e)),
        };
        Some((change, (api, parameters, true)))
    })
    .boxed()
}

fn trouble<K>(error: &watcher::Error) -> Change<K> {
    use watcher::Error;
    match error {
        Error::InitialListFailed(e) | Error::WatchStartFailed(e) | Error::WatchFailed(e) => match e
        {
            kube::Error::Api(status) if status.code == 403 => {
                Change::Forbidden(status.message.clone())
            }
            other => Change::Trouble(words(other)),
        },
        Error::WatchError(status) => Change::Trouble(status.message.clone()),
        Error::NoResourceVersion => Change::Trouble(error.to_string()),
    }
}

fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => std::error::Error::source(other)
            .map_or_else(|| "the connection broke".to_owned(), ToString::to_string),
    }
}

/// The objects of one kind, by name.
#[derive(Debug)]
pub(super) struct Store<K>(BTreeMap<String, K>);

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Resource + Clone> Store<K> {
    /// Takes a change in; the server's words when there is nothing to take.
    pub(super) fn take(&mut self, change: Change<K>) -> Result<(), Denied> {
        match change {
            Change::All(objects) => {
                self.0 = objects.into_iter().map(|o| (o.name_any(), o)).collect();
            }
            Change::Applied(object) => {
                self.0.insert(object.name_any(), *object);
            }
            Change::Deleted(name) => {
                self.0.remove(&name);
            }
            Change::Forbidden(words) => return Err(Denied::Forbidden(words)),
            Change::Trouble(words) => return Err(Denied::Trouble(words)),
        }
        Ok(())
    }

    pub(super) fn values(&self) -> Vec<K> {
        self.0.values().cloned().collect()
    }
}

/// Why a kind could not be read just now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Denied {
    Forbidden(String),
    Trouble(String),
}
