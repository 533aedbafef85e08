//! The DNS names of a set's servers.

use crate::set::SetIdentity;

/// The DNS domain of almost every cluster. The Kubernetes API does not report a different one. The names
/// that end in `.svc` work in every cluster.
const DOMAIN: &str = "cluster.local";

/// Returns all names of the set's Services and pods, in all forms that the cluster's DNS resolves, and
/// `localhost` for port forwarding.
///
/// The short form of a pod's name (`pgset-0.pgset`) is left out, because some clients refuse the wildcard
/// `*.pgset` completely.
#[must_use]
pub fn all(set: &SetIdentity) -> Vec<String> {
    let below = |name: &str| {
        let namespace = &set.namespace;
        [
            format!("{name}.{namespace}"),
            format!("{name}.{namespace}.svc"),
            format!("{name}.{namespace}.svc.{DOMAIN}"),
        ]
    };
    let mut names = Vec::new();
    for service in [set.name.to_string(), set.master(), set.replica()] {
        names.push(service.clone());
        names.extend(below(&service));
    }
    names.extend(below(&format!("*.{}", set.name)));
    names.push("localhost".to_owned());
    names
}

/// Returns the names that pgset itself uses: in the connections of replicas, in `test` and in connection
/// URIs.
#[must_use]
pub fn needed(set: &SetIdentity) -> Vec<String> {
    let of = |service: String| [format!("{service}.{}.svc", set.namespace), service];
    [set.master(), set.replica()].into_iter().flat_map(of).collect()
}
