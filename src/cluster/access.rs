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
        self.missing_beyond(rights, &[]).await
    }

    /// The same, if it is already known whether the user may do everything in these scopes.
    pub async fn missing_beyond(
        &self,
        rights: Vec<Right>,
        known: &[(Option<String>, bool)],
    ) -> Result<Vec<Right>, ClusterError> {
        let mut scopes: Vec<Option<String>> = rights.iter().map(|r| r.namespace.clone()).collect();
        scopes.sort();
        scopes.dedup();
        scopes.retain(|scope| !known.iter().any(|(known, _)| known == scope));
        let mut everything = known.to_vec();
        let asked = stream::iter(scopes)
            .map(|namespace| async move {
                let may = self.may_everything(namespace.as_deref()).await?;
                Ok::<_, ClusterError>((namespace, may))
            })
            .buffered(CONCURRENCY)
            .try_collect::<Vec<_>>()
            .await?;
        everything.extend(asked);
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

    /// The rights in `rights` that a ServiceAccount of the namespace does not have, in the same order. `None` if
    /// the user may not ask.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn missing_of(
        &self,
        namespace: &str,
        account: &str,
        rights: &[Right],
    ) -> Result<Option<Vec<Right>>, ClusterError> {
        let uri = format!(
            "/apis/authorization.k8s.io/v1/namespaces/{namespace}/localsubjectaccessreviews"
        );
        let answers: Result<Vec<bool>, ClusterError> = stream::iter(rights)
            .map(|right| {
                let review = review_of(namespace, account, right);
                let what = format!("checking the right of ServiceAccount {account} to {right}");
                let uri = &uri;
                async move { self.allowed(&what, uri, &review).await }
            })
            .buffered(CONCURRENCY)
            .try_collect()
            .await;
        match answers {
            Ok(answers) => {
                let denied = rights.iter().zip(answers).filter(|(_, allowed)| !allowed);
                Ok(Some(denied.map(|(right, _)| right.clone()).collect()))
            }
            Err(e) if e.is_forbidden() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether the user may do everything in a namespace, or in the whole cluster.
    pub async fn may_everything(&self, namespace: Option<&str>) -> Result<bool, ClusterError> {
        let [verb, group, resource] = ["*"; 3].map(str::to_owned);
        let namespace = namespace.map(str::to_owned);
        self.may(&Right { verb, group, resource, namespace, name: None }).await
    }

    async fn may(&self, right: &Right) -> Result<bool, ClusterError> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": attributes(right) },
        });
        let uri = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        self.allowed(&format!("checking the right to {right}"), uri, &review).await
    }

    async fn allowed(&self, what: &str, uri: &str, review: &Value) -> Result<bool, ClusterError> {
        let request = with_body(Method::POST, uri, "application/json", review);
        let answer: Value = self.call(what, request).await?;
        Ok(answer["status"]["allowed"].as_bool().unwrap_or(false))
    }
}

/// The review of a right of a ServiceAccount. A right may be bound to one of its groups.
fn review_of(namespace: &str, account: &str, right: &Right) -> Value {
    let user = format!("system:serviceaccount:{namespace}:{account}");
    let groups = [
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
        "system:authenticated".to_owned(),
    ];
    json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "LocalSubjectAccessReview",
        "metadata": { "namespace": namespace },
        "spec": { "user": user, "groups": groups, "resourceAttributes": attributes(right) },
    })
}

fn attributes(right: &Right) -> Value {
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource)),
        None => (right.resource.as_str(), None),
    };
    let mut attributes = json!({ "verb": right.verb, "group": right.group, "resource": resource });
    for (field, value) in [
        ("subresource", subresource),
        ("namespace", right.namespace.as_deref()),
        ("name", right.name.as_deref()),
    ] {
        if let Some(value) = value {
            attributes[field] = json!(value);
        }
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_names_the_object_and_the_groups_of_the_account() {
        let right = Right {
            verb: "patch".to_owned(),
            group: String::new(),
            resource: "pods/status".to_owned(),
            namespace: Some("pg".to_owned()),
            name: Some("pgset-0".to_owned()),
        };
        let review = review_of("pg", "database", &right);
        assert_eq!(
            review["spec"],
            json!({
                "user": "system:serviceaccount:pg:database",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:pg", "system:authenticated"],
                "resourceAttributes": {"verb": "patch", "group": "", "resource": "pods", "subresource": "status",
                                       "namespace": "pg", "name": "pgset-0"},
            })
        );
    }
}
