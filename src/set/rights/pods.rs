//! The rights of the pods.

use super::rule::Right;
use crate::image::Capabilities;
use crate::set::identity::SetIdentity;

/// The rights that pods with these names need to label themselves: those of the Role in the templates.
#[must_use]
pub fn of_pods(set: &SetIdentity, capabilities: &Capabilities, names: &[String]) -> Vec<Right> {
    let on = |verb, resource| Right::of(verb, "", resource, set.namespace.as_str());
    if capabilities.names_pods_in_role {
        let of = |name: &String| Right { name: Some(name.clone()), ..on("patch", "pods/status") };
        return names.iter().map(of).collect();
    }
    ["get", "list", "patch", "update"].map(|verb| on(verb, "pods")).to_vec()
}
