//! Generic operations on objects: get, list, create, apply, delete.

use crate::manifest::ServerVersion;
use http::{Method, Request};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Cluster, ClusterError};
use crate::manifest::object::MANAGER;
use crate::manifest::{Kind, Object, ObjectId};
use crate::text::percent_encode;

/// Options of an apply.
#[derive(Clone, Copy, Debug, Default)]
pub struct Apply {
    /// The server validates the object, but stores nothing.
    pub dry_run: bool,
    /// Takes over fields that other managers own.
    pub force: bool,
}

/// The required freshness of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// The result includes all writes before the request. Servers from 1.31 on wait until their watch
    /// cache has caught up with etcd, about 30 ms; older ones read everything from etcd.
    #[default]
    Latest,
    /// The current content of the server's watch cache. It may be slightly stale, with several API servers
    /// by some seconds. (Kubernetes API concepts, "resourceVersion=0": any.)
    Cached,
}

/// How often an apply may collide with another client that creates the same object at the same moment. One
/// retry is enough, unless the object is deleted and recreated in between.
const CREATION_RACES: u32 = 5;

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    items: Vec<Value>,
}

impl Cluster {
    /// `GET /version`. Queried at most once.
    pub async fn version(&self) -> Result<ServerVersion, ClusterError> {
        if let Some(version) = self.known_version() {
            return Ok(version.clone());
        }
        let answer: Value = self.call("reading the server's version", get("/version")).await?;
        let text = answer["gitVersion"].as_str().unwrap_or_default().to_owned();
        let minor = answer["minor"].as_str().unwrap_or_default();
        let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
        let minor = digits.parse().unwrap_or(0);
        let version = ServerVersion { text, minor };
        self.remember_version(version.clone());
        Ok(version)
    }

    /// The live object; `None` if it does not exist.
    pub async fn get(&self, id: &ObjectId) -> Result<Option<Value>, ClusterError> {
        let action = format!("getting {id}");
        match self.call::<Value>(&action, get(&self.path_of(id).await?)).await {
            Ok(value) if value["metadata"]["name"] == id.name.as_str() => Ok(Some(value)),
            // Reject a response that is not the requested object: otherwise unrelated JSON would look like
            // a Secret without keys.
            Ok(_) => Err(self.garbled(&action, "it is not the requested object")),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The objects of a kind that match a label selector. Cluster-scoped kinds ignore `namespace`.
    pub async fn list(
        &self,
        kind: Kind,
        namespace: &str,
        selector: &str,
        freshness: Freshness,
    ) -> Result<Vec<Value>, ClusterError> {
        let minor = self.minor_for(kind).await?;
        let mut query = Vec::new();
        if !selector.is_empty() {
            query.push(format!("labelSelector={}", percent_encode(selector)));
        }
        if freshness == Freshness::Cached {
            query.push("resourceVersion=0".to_owned());
        }
        let mut uri = collection(kind, Some(namespace), minor);
        if !query.is_empty() {
            uri = format!("{uri}?{}", query.join("&"));
        }
        let list: List = self.call(&format!("listing {}", kind.plural()), get(&uri)).await?;
        // Items of a list response lack apiVersion and kind, but the callers need them.
        Ok(list
            .items
            .into_iter()
            .map(|mut item| {
                item["apiVersion"] = json!(kind.api_version_on(minor));
                item["kind"] = json!(kind.name());
                item
            })
            .collect())
    }

    /// Server-side apply with strict field validation. It is idempotent, so retries are safe.
    pub async fn apply(&self, object: &Object, how: Apply) -> Result<Value, ClusterError> {
        let query = format!(
            "fieldManager={MANAGER}&fieldValidation=Strict&force={}{}",
            how.force,
            dry_run(how.dry_run)
        );
        let request = with_body(
            Method::PATCH,
            &format!("{}?{query}", self.path_of(&object.id).await?),
            "application/apply-patch+yaml",
            &object.value,
        );
        let action = format!("applying {}", object.id);
        let mut attempt = 1;
        loop {
            match self.call(&action, request.clone()).await {
                // Two applies have found no object: the server creates it for one and refuses the other.
                // It exists now, so the retry is an update.
                Err(e) if e.is_already_there() && attempt < CREATION_RACES => attempt += 1,
                other => return other,
            }
        }
    }

    /// Creates an object that must not exist yet. A conflict means that another client created it, or that
    /// the first attempt of a retried request succeeded. The caller must read the object and compare.
    pub async fn create(&self, object: &Object, dry: bool) -> Result<Value, ClusterError> {
        let minor = self.minor_for(object.id.kind).await?;
        let path = collection(object.id.kind, object.id.namespace.as_deref(), minor);
        let uri = format!("{path}?fieldManager={MANAGER}&fieldValidation=Strict{}", dry_run(dry));
        let request = with_body(Method::POST, &uri, "application/json", &object.value);
        self.call(&format!("creating {}", object.id), request).await
    }

    async fn path_of(&self, id: &ObjectId) -> Result<String, ClusterError> {
        Ok(path_of(id, self.minor_for(id.kind).await?))
    }

    /// The server's minor version, if the kind's API version depends on it. Queried at most once.
    async fn minor_for(&self, kind: Kind) -> Result<u32, ClusterError> {
        match self.known_version() {
            Some(version) => Ok(version.minor),
            // Boxed, because it rarely runs here and would enlarge the future of every call.
            None if kind.varies() => Ok(Box::pin(self.version()).await?.minor),
            None => Ok(0),
        }
    }

    /// Changes single fields of an object that another client or controller created, with a merge patch.
    pub async fn merge(
        &self,
        id: &ObjectId,
        patch: &Value,
        dry: bool,
    ) -> Result<Value, ClusterError> {
        let query = format!("fieldManager={MANAGER}&fieldValidation=Strict{}", dry_run(dry));
        let uri = format!("{}?{query}", self.path_of(id).await?);
        let request = with_body(Method::PATCH, &uri, "application/merge-patch+json", patch);
        self.call(&format!("changing {id}"), request).await
    }

    /// Deletes the object with this UID. False if it is already gone or the name belongs to another object.
    pub async fn delete(&self, id: &ObjectId, uid: &str) -> Result<bool, ClusterError> {
        self.delete_with(id, &json!({ "uid": uid }), "Background", false).await
    }

    /// Deletes the object of a pod with this UID, without waiting for its node: its containers may run on.
    pub async fn delete_by_force(&self, id: &ObjectId, uid: &str) -> Result<bool, ClusterError> {
        let mut options = delete_options(&json!({ "uid": uid }), "Background");
        options["gracePeriodSeconds"] = json!(0);
        self.delete_by(id, &options, "").await
    }

    /// Lets the server check the deletion of the object with this UID. Nothing is deleted.
    pub async fn rehearse_delete(&self, id: &ObjectId, uid: &str) -> Result<bool, ClusterError> {
        self.delete_with(id, &json!({ "uid": uid }), "Background", true).await
    }

    /// Deletes the object with this UID, if it still has this version. False if it does not.
    pub async fn delete_version(
        &self,
        id: &ObjectId,
        uid: &str,
        version: &str,
    ) -> Result<bool, ClusterError> {
        let preconditions = json!({ "uid": uid, "resourceVersion": version });
        self.delete_with(id, &preconditions, "Background", false).await
    }

    /// Deletes only the object with this UID. The objects that it owns remain, without an owner.
    pub async fn orphan(&self, id: &ObjectId, uid: &str) -> Result<bool, ClusterError> {
        self.delete_with(id, &json!({ "uid": uid }), "Orphan", false).await
    }

    async fn delete_with(
        &self,
        id: &ObjectId,
        preconditions: &Value,
        propagation: &str,
        dry: bool,
    ) -> Result<bool, ClusterError> {
        let mut options = delete_options(preconditions, propagation);
        if dry {
            options["dryRun"] = json!(["All"]);
        }
        self.delete_by(id, &options, if dry { "?dryRun=All" } else { "" }).await
    }

    async fn delete_by(
        &self,
        id: &ObjectId,
        options: &Value,
        query: &str,
    ) -> Result<bool, ClusterError> {
        let uri = format!("{}{query}", self.path_of(id).await?);
        let request = with_body(Method::DELETE, &uri, "application/json", options);
        match self.call::<Value>(&format!("deleting {id}"), request).await {
            Ok(_) => Ok(true),
            // 409: a precondition failed, so the object is gone, or another version.
            Err(e) if e.is_not_found() || e.is_conflict() => Ok(false),
            Err(e) => Err(e),
        }
    }
}

fn delete_options(preconditions: &Value, propagation: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": preconditions,
        "propagationPolicy": propagation,
    })
}

fn dry_run(dry: bool) -> &'static str {
    if dry { "&dryRun=All" } else { "" }
}

fn get(uri: &str) -> Request<Vec<u8>> {
    with(Method::GET, uri, Vec::new())
}

pub(super) fn with_body(
    method: Method,
    uri: &str,
    content_type: &'static str,
    body: &Value,
) -> Request<Vec<u8>> {
    let mut request = with(method, uri, body.to_string().into_bytes());
    request
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    request
}

fn with(method: Method, uri: &str, body: Vec<u8>) -> Request<Vec<u8>> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() =
        uri.parse().expect("kinds and namespaces are DNS labels, all else is encoded");
    request
}

/// `/apis/apps/v1/namespaces/pg/statefulsets`.
fn collection(kind: Kind, namespace: Option<&str>, minor: u32) -> String {
    let root = if kind.group().is_empty() { "/api" } else { "/apis" };
    let (version, plural) = (kind.api_version_on(minor), kind.plural());
    match namespace {
        Some(namespace) if kind.namespaced() => {
            format!("{root}/{version}/namespaces/{namespace}/{plural}")
        }
        _ => format!("{root}/{version}/{plural}"),
    }
}

fn path_of(id: &ObjectId, minor: u32) -> String {
    format!("{}/{}", collection(id.kind, id.namespace.as_deref(), minor), percent_encode(&id.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (kind, expected) in [
            (Kind::Pod, "/api/v1/namespaces/pg/pods/x"),
            (Kind::StatefulSet, "/apis/apps/v1/namespaces/pg/statefulsets/x"),
            (Kind::PersistentVolume, "/api/v1/persistentvolumes/x"),
            (Kind::Namespace, "/api/v1/namespaces/x"),
            (Kind::Role, "/apis/rbac.authorization.k8s.io/v1/namespaces/pg/roles/x"),
        ] {
            assert_eq!(path_of(&ObjectId::new(kind, "pg", "x"), 20), expected);
        }
        let budget = ObjectId::new(Kind::PodDisruptionBudget, "pg", "x");
        for (minor, version) in [(20, "v1beta1"), (21, "v1"), (37, "v1"), (0, "v1")] {
            let expected = format!("/apis/policy/{version}/namespaces/pg/poddisruptionbudgets/x");
            assert_eq!(path_of(&budget, minor), expected);
        }
    }
}
