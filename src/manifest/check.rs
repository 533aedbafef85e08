//! Converts documents to objects. Checks that they belong to the set, that pgset applies their kind, and
//! that all fields are known.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::labels::{self, Ownership};
use super::schema::{self, Wrong};
use super::{Kind, ManifestError, Object, ObjectId, Rendered, parse};

/// Fields that only the server sets. With them, an apply would fail or have another effect.
const OF_THE_SERVER: [(&str, &str); 5] = [
    ("", "status"),
    ("metadata", "managedFields"),
    ("metadata", "resourceVersion"),
    ("metadata", "uid"),
    ("metadata", "generateName"),
];

/// Parses all rendered text into objects, ready to be applied and in the order of application.
///
/// Adds the namespace and the ownership labels, converts `stringData` to `data`, and removes fields that
/// are null.
///
/// # Errors
/// For the first document that is not an object of the set, or that has a kind that pgset does not apply.
pub fn objects(rendered: &[Rendered], owner: Ownership<'_>) -> Result<Vec<Object>, ManifestError> {
    let mut objects = Vec::new();
    let mut seen = BTreeSet::new();
    for Rendered { template, text } in rendered {
        for (index, document) in parse::documents(template, text)?.into_iter().enumerate() {
            let wrong = |Wrong { path, message, hint }| ManifestError::Document {
                template: template.clone(),
                document: index + 1,
                path,
                message,
                hint,
            };
            let (id, value) = object(document, owner).map_err(wrong)?;
            if !seen.insert(id.clone()) {
                return Err(wrong(at("", &format!("{id} is defined twice"))));
            }
            objects.push(Object { id, value, template: template.clone() });
        }
    }
    objects.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(objects)
}

fn at(path: &str, message: &str) -> Wrong {
    Wrong { path: path.to_owned(), message: message.to_owned(), hint: None }
}

fn object(mut document: Value, owner: Ownership<'_>) -> Result<(ObjectId, Value), Wrong> {
    let kind = kind(&document)?;
    check_schema(kind, &document)?;
    for (parent, field) in OF_THE_SERVER {
        let fields = if parent.is_empty() { Some(&document) } else { document.get(parent) };
        if fields.and_then(|fields| fields.get(field)).is_some_and(|value| !value.is_null()) {
            let path =
                if parent.is_empty() { field.to_owned() } else { format!("{parent}.{field}") };
            return Err(at(&path, "is set by the server: leave it out"));
        }
    }
    without_nulls(&mut document);
    if kind == Kind::Secret {
        encode_string_data(&mut document);
    }
    let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Err(at("metadata.name", "is missing"));
    };
    let name = match metadata.get("name").and_then(Value::as_str) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => return Err(at("metadata.name", "is missing")),
    };
    namespace(kind, metadata, owner)?;
    labels::add(kind, metadata, owner).map_err(|label| {
        at(
            &format!("metadata.labels[{label}]"),
            "identifies the owner of the object: pgset sets it, leave it out",
        )
    })?;
    Ok((ObjectId::new(kind, owner.namespace, &name), document))
}

/// Checks a document against the structs of its kind. The structs know only the newest version of a kind;
/// an older version has the same fields.
fn check_schema(kind: Kind, document: &Value) -> Result<(), Wrong> {
    let newest = kind.api_version();
    if document["apiVersion"] == newest {
        return schema::check(kind, document);
    }
    let mut renamed = document.clone();
    renamed["apiVersion"] = newest.into();
    schema::check(kind, &renamed)
}

fn kind(document: &Value) -> Result<Kind, Wrong> {
    if !document.is_object() {
        return Err(at("", "is not a mapping"));
    }
    let text = |field: &str| {
        document[field].as_str().ok_or_else(|| at(field, "is missing, or not a string"))
    };
    let (api_version, kind) = (text("apiVersion")?, text("kind")?);
    Kind::of(api_version, kind).filter(|kind| kind.applicable()).ok_or_else(|| {
        let message = match super::kind::KINDS.iter().find(|known| known.name() == kind) {
            Some(known) if known.applicable() => {
                format!("of {kind} must be {}", known.api_version())
            }
            _ => {
                return at(
                    "",
                    &format!("pgset does not apply objects of kind {kind} ({api_version})"),
                );
            }
        };
        at("apiVersion", &message)
    })
}

fn namespace(
    kind: Kind,
    metadata: &mut Map<String, Value>,
    owner: Ownership<'_>,
) -> Result<(), Wrong> {
    let own = owner.namespace;
    match metadata.get("namespace").and_then(Value::as_str) {
        Some(_) if !kind.namespaced() => {
            Err(at("metadata.namespace", &format!("must be left out: a {kind} has no namespace")))
        }
        Some(other) if other != own => Err(at(
            "metadata.namespace",
            &format!("must be {own}, the set's namespace: leave it out"),
        )),
        Some(_) => Ok(()),
        None => {
            if kind.namespaced() {
                metadata.insert("namespace".to_owned(), own.into());
            }
            Ok(())
        }
    }
}

/// Removes fields that are null, because null means the same as a missing field.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(without_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

/// `stringData` is write-only. Only `data` can be compared with the live object.
fn encode_string_data(document: &mut Value) {
    let Some(Value::Object(strings)) =
        document.as_object_mut().and_then(|fields| fields.remove("stringData"))
    else {
        return;
    };
    for (key, value) in strings {
        document["data"][key] = BASE64.encode(value.as_str().unwrap_or_default()).into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Diagnose as _, Exit};

    fn parsed(text: &str) -> Result<Vec<Object>, ManifestError> {
        objects(
            &[Rendered { template: "a.yaml.j2".to_owned(), text: text.to_owned() }],
            Ownership { instance: "pgset", namespace: "pg" },
        )
    }

    #[test]
    fn namespace_and_labels_are_filled_in() {
        let objects = parsed(
            "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: pv1, labels: {app: x}}\n\
             ---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: b, c: d}\ndata: {c: eA==}\ntype: null\n",
        )
        .unwrap();
        assert_eq!(objects[0].id, ObjectId::new(Kind::Secret, "pg", "s"));
        assert_eq!(
            objects[0].value,
            serde_json::json!({
                "apiVersion": "v1", "kind": "Secret", "data": {"a": "Yg==", "c": "ZA=="},
                "metadata": {"name": "s", "namespace": "pg", "labels": {
                    "app.kubernetes.io/managed-by": "pgset", "app.kubernetes.io/instance": "pgset",
                    "app.kubernetes.io/name": "postgresql",
                }},
            })
        );
        assert_eq!(
            objects[1].value["metadata"],
            serde_json::json!({"name": "pv1", "labels": {
                "app": "x", "pgset/namespace": "pg",
                "app.kubernetes.io/managed-by": "pgset", "app.kubernetes.io/instance": "pgset",
                "app.kubernetes.io/name": "postgresql",
            }})
        );
    }

    #[test]
    fn what_is_not_of_the_set_is_refused() {
        let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";
        for (text, words) in [
            ("[1]", "is not a mapping"),
            ("a: b", "apiVersion is missing"),
            ("apiVersion: v1\nkind: 1", "kind is missing"),
            (
                "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding",
                "kind ClusterRoleBinding",
            ),
            ("apiVersion: v1\nkind: Pod", "kind Pod"),
            ("apiVersion: v1\nkind: Namespace", "kind Namespace"),
            ("apiVersion: apps/v1beta1\nkind: StatefulSet", "must be apps/v1"),
            ("apiVersion: v1\nkind: Secret", "metadata.name is missing"),
            ("apiVersion: v1\nkind: Secret\nmetadata: {name: ''}", "metadata.name is missing"),
            (
                "apiVersion: v1\nkind: Secret\nmetadata: {generateName: x}",
                "metadata.generateName is set by",
            ),
            (
                "apiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: kube-system}",
                "must be pg",
            ),
            (
                "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: x, namespace: pg}",
                "has no namespace",
            ),
            ("apiVersion: v1\nkind: Secret\nmetadata: {name: x, uid: y}", "metadata.uid is set by"),
            (
                "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: x}\nstatus: {replicas: 1}",
                "status is set by",
            ),
            (
                "apiVersion: v1\nkind: Secret\nmetadata: {name: x, labels: {app.kubernetes.io/instance: y}}",
                "metadata.labels[app.kubernetes.io/instance]",
            ),
            (&format!("{secret}---\n---\n{secret}"), "document 2: Secret s is defined twice"),
            (
                "apiVersion: v1\nkind: Secret\nmetadata: {nmae: x}",
                "document 1: metadata.nmae is not a field: did you mean name?",
            ),
        ] {
            let message = parsed(text).unwrap_err().to_string();
            assert!(message.contains(words), "{text}: {message}");
            assert!(message.starts_with("a.yaml.j2, document "), "{message}");
        }
    }

    #[test]
    fn a_mode_in_octal_is_an_error_with_its_decimal_number() {
        let error = parsed(
            "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: x}\nspec:\n  template:\n    spec:\n      \
             containers: []\n      volumes: [{name: a, secret: {secretName: s, defaultMode: 0400}}]\n",
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "a.yaml.j2, document 1: spec.template.spec.volumes[0].secret.defaultMode must be a whole \
             number, not a string"
        );
        assert_eq!(error.hints(), ["write 256: 0400 is octal, and modes are written in decimal"]);
        assert_eq!(error.exit(), Exit::Usage);
    }
}
