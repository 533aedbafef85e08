//! Labels and annotations.

use super::Pair;
use crate::values::Invalid;
use crate::values::names::is_dns_name;

/// A label: `key=value`.
#[derive(Clone, Copy, Debug)]
pub struct Label;

/// An annotation: `key=value`. The value can be any text.
#[derive(Clone, Copy, Debug)]
pub struct Annotation;

/// The maximum length of a key's name, and of a label's value.
const MAX: usize = 63;
/// Labels that pgset and Kubernetes use to find the objects of a set and to tell its pods apart.
const OWN_LABELS: [&str; 6] = [
    "app",
    "name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
    "controller-revision-hash",
];
/// Prefixes of keys that pgset and Kubernetes write.
const OWN_PREFIXES: [&str; 4] =
    ["pgset/", "statefulset.kubernetes.io/", "kubectl.kubernetes.io/", "apps.kubernetes.io/"];

impl Pair for Label {
    fn pair(text: &str, own: bool) -> Result<(String, String), Invalid> {
        let (key, value) = split(text)?;
        check_key(key, own)?;
        if value.is_empty() || is_name(value) {
            return Ok((key.to_owned(), value.to_owned()));
        }
        Err(Invalid::new(format!(
            "must have a value of at most {MAX} letters, digits, dashes, underscores and dots, that \
             begins and ends with a letter or digit"
        )))
    }
}

impl Pair for Annotation {
    fn pair(text: &str, own: bool) -> Result<(String, String), Invalid> {
        let (key, value) = split(text)?;
        check_key(key, own)?;
        Ok((key.to_owned(), value.to_owned()))
    }
}

fn split(text: &str) -> Result<(&str, &str), Invalid> {
    text.split_once('=').ok_or_else(|| Invalid::new("must be key=value"))
}

fn check_key(key: &str, own: bool) -> Result<(), Invalid> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if !prefix.is_none_or(is_dns_name) || !is_name(name) {
        return Err(Invalid::new(format!(
            "must have a key of at most {MAX} letters, digits, dashes, underscores and dots, \
             optionally with a DNS name and a slash before it: example.com/team=payments"
        )));
    }
    let taken = OWN_LABELS.contains(&key) || OWN_PREFIXES.iter().any(|own| key.starts_with(own));
    if own && taken {
        let reason = format!("must have another key: {key} is reserved for pgset and Kubernetes");
        return Err(Invalid::new(reason));
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.len() <= MAX
        && text.starts_with(edge)
        && text.ends_with(edge)
        && text.chars().all(|c| edge(c) || "-_.".contains(c))
}
