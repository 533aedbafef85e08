//! Follows the objects of one kind.

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

/// The polling interval for kinds that may not be watched.
const POLL: Duration = Duration::from_secs(2);
/// The time limit of such a list request: the library itself would wait forever.
const LIST_WITHIN: Duration = Duration::from_secs(30);

/// A change of one kind's objects.
pub(super) enum Change<K> {
    /// All current objects.
    All(Vec<K>),
    /// An object was added or changed.
    Applied(Box<K>),
    /// An object was deleted.
    Deleted(String),
    /// The kind may not be read. With the server's message.
    Forbidden(String),
    /// The server does not accept the credentials, or no longer. With the server's message.
    Unauthorized(String),
    /// The server does not answer, and a retry follows. With the last error.
    Trouble(String),
}

/// Lists and then watches, without end. It relists on 410, reconnects with back-off and detects silent
/// streams (all in the library's watcher). If only watching is denied, it lists every two seconds.
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
    // If watching is denied, switch to listing for good: the stream of `poll` never ends.
    changes
        .flat_map(move |change| match change {
            Change::Forbidden(_) => poll(polled.clone()),
            change => futures::stream::iter([change]).boxed(),
        })
        .boxed()
}

/// The result of the last list request.
#[derive(Clone, Copy)]
enum Last {
    None,
    Answered,
    Denied,
}

fn poll<K>((api, parameters): (Api<K>, ListParams)) -> BoxStream<'static, Change<K>>
where
    K: Clone + DeserializeOwned + Debug + Send + 'static,
{
    futures::stream::unfold((api, parameters, Last::None), |(api, parameters, last)| async move {
        match last {
            Last::None => {}
            Last::Answered => tokio::time::sleep(POLL).await,
            // The denial was reported once. Now wait forever, so that the stream does not busy-loop.
            Last::Denied => std::future::pending().await,
        }
        let answer = tokio::time::timeout(LIST_WITHIN, api.list(&parameters)).await;
        let (change, last) = match answer {
            Ok(Ok(list)) => (Change::All(list.items), Last::Answered),
            Ok(Err(e)) => {
                let change = failed(&e);
                let denied = matches!(change, Change::Forbidden(_));
                (change, if denied { Last::Denied } else { Last::Answered })
            }
            Err(_) => (Change::Trouble("no answer".to_owned()), Last::Answered),
        };
        Some((change, (api, parameters, last)))
    })
    .boxed()
}

fn trouble<K>(error: &watcher::Error) -> Change<K> {
    use watcher::Error;
    match error {
        Error::InitialListFailed(e) | Error::WatchStartFailed(e) | Error::WatchFailed(e) => {
            failed(e)
        }
        Error::WatchError(status) => Change::Trouble(status.message.clone()),
        Error::NoResourceVersion => Change::Trouble(error.to_string()),
    }
}

/// Converts a failed request into a change.
fn failed<K>(error: &kube::Error) -> Change<K> {
    match error {
        kube::Error::Api(status) if status.code == 403 => Change::Forbidden(status.message.clone()),
        kube::Error::Api(status) if status.code == 401 => {
            Change::Unauthorized(status.message.clone())
        }
        kube::Error::Api(status) => Change::Trouble(status.message.clone()),
        other => Change::Trouble(
            std::error::Error::source(other)
                .map_or_else(|| "the connection broke".to_owned(), ToString::to_string),
        ),
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
    /// Applies a change; returns the server's message if it is an error.
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
            Change::Unauthorized(words) => return Err(Denied::Unauthorized(words)),
            Change::Trouble(words) => return Err(Denied::Trouble(words)),
        }
        Ok(())
    }

    pub(super) fn values(&self) -> Vec<K> {
        self.0.values().cloned().collect()
    }
}

/// Why a kind can't be read at the moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Denied {
    Forbidden(String),
    Unauthorized(String),
    Trouble(String),
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use http::{Request, Response};
    use k8s_openapi::api::core::v1::Pod;
    use kube::client::{Body, Client};
    use serde_json::json;

    use super::*;

    /// A server that denies watching, and optionally listing.
    fn server(denies_list: bool) -> Api<Pod> {
        let service = tower::service_fn(move |request: Request<Body>| async move {
            let watches = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let (code, answer) = if watches || denies_list {
                (
                    403,
                    json!({"kind": "Status", "status": "Failure", "message": "you may not",
                    "reason": "Forbidden", "code": 403}),
                )
            } else {
                (
                    200,
                    json!({"kind": "PodList", "apiVersion": "v1",
                    "metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"name": "a"}}]}),
                )
            };
            let answer = Body::from(answer.to_string().into_bytes());
            Ok::<_, tower::BoxError>(Response::builder().status(code).body(answer)?)
        });
        Api::namespaced(Client::new(service, "pg"), "pg")
    }

    #[tokio::test(start_paused = true)]
    async fn where_watching_is_denied_it_lists_again_and_again() {
        let mut changes = follow(server(false), "");
        for _ in 0..4 {
            let Some(Change::All(pods)) = changes.next().await else { panic!("no list") };
            assert_eq!(pods[0].name_any(), "a");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_listing_is_denied_that_is_said_once() {
        let mut changes = follow(server(true), "");
        assert!(matches!(changes.next().await, Some(Change::Forbidden(_))));
        assert!(changes.next().now_or_never().is_none());
        let an_hour = tokio::time::timeout(Duration::from_secs(3600), changes.next()).await;
        assert!(an_hour.is_err());
    }
}
