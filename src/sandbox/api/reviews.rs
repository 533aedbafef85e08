//! Access reviews: whether the user, or another user, has a right.

use serde_json::{Value, json};

use super::Api;
use super::respond::{Reply, json as answer};
use crate::sandbox::access::{self, Right, User};
use crate::sandbox::refusal::{Answer, Refusal};

/// The path of the reviews of one's own rights, below that of the group.
const OWN: &str = "selfsubjectaccessreviews";
/// The resource of the reviews of another user's rights in a namespace.
const LOCAL: &str = "localsubjectaccessreviews";

/// Which review a path below that of the group asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    /// A `SelfSubjectAccessReview`.
    Own,
    /// A `LocalSubjectAccessReview` in this namespace.
    Local(&'a str),
}

impl<'a> Asked<'a> {
    pub(super) fn parse(path: &'a str) -> Answer<Self> {
        let local = path.strip_prefix("namespaces/").and_then(|rest| rest.split_once('/'));
        match local {
            _ if path == OWN => Ok(Self::Own),
            Some((namespace, LOCAL)) => Ok(Self::Local(namespace)),
            _ => Err(Refusal::left_out(path)),
        }
    }
}

impl Api {
    pub(super) fn review(&self, user: &User, asked: Asked<'_>, review: &Value) -> Answer<Reply> {
        let spec = &review["spec"];
        let allowed = match asked {
            Asked::Own => self.allows(user, &user.groups(), &spec["resourceAttributes"]),
            Asked::Local(namespace) => {
                self.may_review(user, namespace)?;
                if spec["resourceAttributes"]["namespace"] != namespace {
                    return Err(Refusal::bad_request(
                        "spec.resourceAttributes.namespace: must match metadata.namespace",
                    ));
                }
                let of = spec["user"].as_str().and_then(User::named);
                let groups = spec["groups"].as_array().into_iter().flatten();
                let groups: Vec<String> =
                    groups.filter_map(|group| group.as_str().map(str::to_owned)).collect();
                of.is_some_and(|of| self.allows(&of, &groups, &spec["resourceAttributes"]))
            }
        };
        let mut answered = review.clone();
        answered["status"] = json!({"allowed": allowed});
        Ok(answer(201, &answered))
    }

    fn allows(&self, user: &User, groups: &[String], asked: &Value) -> bool {
        let text = |field: &str| asked[field].as_str().filter(|text| !text.is_empty());
        let resource = text("resource").unwrap_or_default();
        let resource = match text("subresource") {
            Some(sub) => format!("{resource}/{sub}"),
            None => resource.to_owned(),
        };
        let right = Right {
            verb: text("verb").unwrap_or_default(),
            group: text("group").unwrap_or_default(),
            resource: &resource,
            namespace: text("namespace"),
            name: text("name"),
        };
        access::may(&self.registry, user, groups, right) && !self.faults.denies(right.resource)
    }

    /// Whether a user may ask for the rights of others.
    fn may_review(&self, user: &User, namespace: &str) -> Answer<()> {
        let group = "authorization.k8s.io";
        let right = Right {
            verb: "create",
            group,
            resource: LOCAL,
            namespace: Some(namespace),
            name: None,
        };
        if access::may(&self.registry, user, &user.groups(), right) {
            return Ok(());
        }
        Err(Refusal::new(
            403,
            "Forbidden",
            format!(
                "{LOCAL}.{group} is forbidden: User {:?} cannot create resource {LOCAL:?} in API group {group:?} in the namespace {namespace:?}",
                user.to_string()
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_the_review() {
        assert_eq!(Asked::parse(OWN).ok(), Some(Asked::Own));
        let local = Asked::parse("namespaces/pg/localsubjectaccessreviews").ok();
        assert_eq!(local, Some(Asked::Local("pg")));
        assert!(Asked::parse("subjectaccessreviews").is_err());
        assert!(Asked::parse("namespaces/pg/selfsubjectaccessreviews").is_err());
    }
}
