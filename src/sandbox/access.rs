//! Authentication and authorization: bearer tokens, Roles and `RoleBindings`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::kinds::{ROLE_BINDINGS, ROLES};
use super::registry::Registry;
use super::store::Key;

/// An authenticated user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// The user of the kubeconfig, who may do everything.
    Admin,
    /// A pod, by its service account. It may do what Roles grant.
    ServiceAccount {
        /// The namespace.
        namespace: String,
        /// The account's name.
        name: String,
    },
}

impl User {
    /// The user of a name, as access reviews give it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let account = name.strip_prefix("system:serviceaccount:")?;
        let (namespace, name) = account.split_once(':')?;
        Some(Self::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// The groups that the user is in.
    #[must_use]
    pub fn groups(&self) -> Vec<String> {
        let everybody = "system:authenticated".to_owned();
        match self {
            Self::Admin => vec!["system:masters".to_owned(), everybody],
            Self::ServiceAccount { namespace, .. } => vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                everybody,
            ],
        }
    }
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Admin => f.write_str("sandbox-admin"),
            Self::ServiceAccount { namespace, name } => {
                write!(f, "system:serviceaccount:{namespace}:{name}")
            }
        }
    }
}

/// A verb on a resource, as Roles grant it.
#[derive(Clone, Copy, Debug)]
pub struct Right<'a> {
    /// `get`.
    pub verb: &'a str,
    /// `apps`.
    pub group: &'a str,
    /// `pods/log`.
    pub resource: &'a str,
    /// The namespace; none means all namespaces.
    pub namespace: Option<&'a str>,
    /// The object's name; none means any object.
    pub name: Option<&'a str>,
}

/// The valid tokens.
pub struct Tokens {
    admin: String,
    accounts: Mutex<HashMap<String, Issued>>,
}

/// A token of a service account.
struct Issued {
    user: User,
    /// When the token expires; none for a pod's token, which is valid as long as the pod exists.
    until: Option<Instant>,
}

impl Tokens {
    /// A set of tokens that contains only the administrator's.
    #[must_use]
    pub fn new(admin: String) -> Self {
        Self { admin, accounts: Mutex::default() }
    }

    /// Issues a token for a service account.
    pub fn issue(&self, namespace: &str, account: &str, good_for: Option<Duration>) -> String {
        let token = super::random(32);
        let user = User::ServiceAccount { namespace: namespace.into(), name: account.into() };
        let until = good_for.and_then(|time| Instant::now().checked_add(time));
        self.accounts().insert(token.clone(), Issued { user, until });
        token
    }

    /// Revokes a token.
    pub fn revoke(&self, token: &str) {
        self.accounts().remove(token);
    }

    /// The user of a token.
    pub fn user(&self, token: &str) -> Option<User> {
        if token == self.admin {
            return Some(User::Admin);
        }
        let accounts = self.accounts();
        let issued = accounts.get(token)?;
        issued.until.is_none_or(|until| Instant::now() < until).then(|| issued.user.clone())
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<String, Issued>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a user in these groups has a right.
pub fn may(registry: &Registry, user: &User, groups: &[String], right: Right<'_>) -> bool {
    if *user == User::Admin {
        return true;
    }
    let Some(place) = right.namespace else { return false };
    let bound = |binding: &Value| {
        let subjects = binding["subjects"].as_array();
        subjects.into_iter().flatten().any(|subject| is(user, groups, subject))
    };
    let bindings = registry.store.list(&ROLE_BINDINGS, Some(place)).0;
    bindings.iter().filter(|binding| bound(binding)).any(|binding| {
        let role = binding["roleRef"]["name"].as_str().unwrap_or_default();
        let role = registry.store.get(&Key::new(&ROLES, place, role));
        role.is_some_and(|role| {
            role["rules"].as_array().into_iter().flatten().any(|rule| grants(rule, right))
        })
    })
}

/// Whether the subject of a binding is the user, or one of the groups.
fn is(user: &User, groups: &[String], subject: &Value) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match (subject["kind"].as_str(), user) {
        (Some("ServiceAccount"), User::ServiceAccount { namespace, name: account }) => {
            name == account && subject["namespace"] == namespace.as_str()
        }
        (Some("User"), user) => name == user.to_string(),
        (Some("Group"), _) => groups.iter().any(|group| group == name),
        _ => false,
    }
}

fn grants(rule: &Value, right: Right<'_>) -> bool {
    let has = |field: &str, wanted: &str| {
        let list = rule[field].as_array();
        list.into_iter().flatten().any(|value| value == wanted || value == "*")
    };
    let names = rule["resourceNames"].as_array().filter(|names| !names.is_empty());
    has("verbs", right.verb)
        && has("apiGroups", right.group)
        && has("resources", right.resource)
        && names.is_none_or(|names| right.name.is_some_and(|name| names.iter().any(|n| n == name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_binding_names_an_account_a_user_or_a_group() {
        let user = User::named("system:serviceaccount:pg:app").unwrap();
        assert_eq!(User::named(&user.to_string()), Some(user.clone()));
        let groups = user.groups();
        for (subject, expected) in [
            (json!({"kind": "ServiceAccount", "name": "app", "namespace": "pg"}), true),
            (json!({"kind": "ServiceAccount", "name": "app", "namespace": "other"}), false),
            (json!({"kind": "User", "name": "system:serviceaccount:pg:app"}), true),
            (json!({"kind": "Group", "name": "system:serviceaccounts:pg"}), true),
            (json!({"kind": "Group", "name": "system:serviceaccounts:other"}), false),
        ] {
            assert_eq!(is(&user, &groups, &subject), expected, "{subject}");
        }
    }

    #[test]
    fn a_rule_grants_what_it_names() {
        let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "patch"]});
        let named =
            json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "resourceNames": ["a"]});
        let right =
            |verb, resource, name| Right { verb, group: "", resource, namespace: Some("pg"), name };
        assert!(grants(&rule, right("get", "pods", Some("x"))));
        assert!(!grants(&rule, right("delete", "pods", Some("x"))));
        assert!(!grants(&rule, right("get", "pods/log", Some("x"))));
        assert!(grants(&named, right("get", "pods/log", Some("a"))));
        assert!(!grants(&named, right("list", "pods", None)));
    }
}
