//! The names of a set's servers.

use crate::set::SetIdentity;

/// The domain of nearly every cluster. Nothing of the API says another one; the names that end in
/// `.svc` are good in every cluster.
const DOMAIN: &str = "cluster.local";

/// Every name of the set's Services and pods, in all the forms that the cluster's DNS knows, and the
/// one that a forwarded port has.
///
/// The short form of a pod's name (`pgset-0.pgset`) is missing: `*.pgset` is a name that some
/// clients refuse altogether.
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

/// The names that pgset itself uses: what replicas connect to, what `test` asks for, what URIs say.
#[must_use]
pub fn needed(set: &SetIdentity) -> Vec<String> {
    let of = |service: String| [format!("{service}.{}.svc", set.namespace), service];
    [set.master(), set.replica()].into_iter().flat_map(of).collect()
}
