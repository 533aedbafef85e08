//! Checks permissions before the first write, so that a command does not fail half-way for lack of a right.

use crate::set::rights::Right;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::Method;
use serde_json::{Value, json};

use super::objects::with_body;
use super::{Cluster, ClusterError};

/// The number of concurrent access reviews.
const CONCURRENCY: usize = 16;

impl Cluster {
    /// The rights in `rights` that the user does not have, in the same order.
    ///
    /// A user with all rights in a scope needs one access review for it; other users need one for each right.
    pub async fn missing(&self, rights: Vec<Right>) -> Result<Vec<Right>, ClusterError> {
        let mut scopes: Vec<Option<String>> = rights.iter().map(|r| r.namespace.clone()).collect();
        scopes.sort();
        scopes.dedup();
        let everything = stream::iter(scopes)
            .map(|namespace| async move {
                let [verb, group, resource] = ["*"; 3].map(str::to_owned);
                let all = Right { verb, group, resource, namespace };
                Ok::<_, ClusterError>((all.namespace.clone(), self.may(&all).await?))
            })
            .buffered(CONCURRENCY)
            .try_collect::<Vec<_>>()
            .await?;
        let open = rights.into_iter().filter(|right| {
            !everything.iter().any(|(scope, may)| *may && *scope == right.namespace)
        });
        stream::iter(open)
            .map(|right| async move {
                let may = self.may(&right).await?;
                Ok::<_, ClusterError>((right, may))
            })
            .buffered(CONCURRENCY)
            .try_filter_map(|(right, may)| async move { Ok((!may).then_some(right)) })
            .try_collect()
            .await
    }

    async fn may(&self, right: &Right) -> Result<bool, ClusterError> {
        let (resource, subresource) = match right.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource)),
            None => (right.resource.as_str(), None),
        };
        let mut attributes =
            json!({ "verb": right.verb, "group": right.group, "resource": resource });
        if let Some(subresource) = subresource {
            attributes["subresource"] = json!(subresource);
        }
        if let Some(namespace) = &right.namespace {
            attributes["namespace"] = json!(namespace);
        }
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": attributes },
        });
        let uri = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer: Value = self
            .call(
                &format!("checking the right to {right}"),
                with_body(Method::POST, uri, "application/json", &review),
            )
            .await?;
        Ok(answer["status"]["allowed"].as_bool().unwrap_or(false))
    }
}
