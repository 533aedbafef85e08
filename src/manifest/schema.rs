//! Checks documents against the typed structs of the Kubernetes API: unknown fields and wrong types.
//!
//! The structs ignore unknown fields, but they tell the deserializer which fields they know. This
//! deserializer compares the fields of the document with them, so that the error names the field, its path,
//! and the field that was probably meant. An error never quotes a value.

use std::cell::Cell;
use std::fmt;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolume, PersistentVolumeClaim, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Expected, IntoDeserializer as _, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::Kind;

/// An error in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The path of the field: `spec.ports[0].prot`.
    pub(super) path: String,
    /// The error: `is not a field: did you mean ...`.
    pub(super) message: String,
}

/// Checks a document. The kind must be one that pgset applies.
pub(super) fn check(kind: Kind, document: &Value) -> Result<(), Wrong> {
    match kind {
        Kind::ServiceAccount => against::<ServiceAccount>(document),
        Kind::Role => against::<Role>(document),
        Kind::RoleBinding => against::<RoleBinding>(document),
        Kind::Secret => against::<Secret>(document),
        Kind::ConfigMap => against::<ConfigMap>(document),
        Kind::PersistentVolume => against::<PersistentVolume>(document),
        Kind::PersistentVolumeClaim => against::<PersistentVolumeClaim>(document),
        Kind::Service => against::<Service>(document),
        Kind::NetworkPolicy => against::<NetworkPolicy>(document),
        Kind::PodDisruptionBudget => against::<PodDisruptionBudget>(document),
        Kind::StatefulSet => against::<StatefulSet>(document),
        // pgset does not apply these kinds.
        Kind::Namespace | Kind::Pod | Kind::StorageClass => Ok(()),
    }
}

fn against<'de, T: Deserialize<'de>>(document: &Value) -> Result<(), Wrong> {
    let blamed = Cell::new(None);
    let checked = Checked { value: document, at: &Path::Root, blamed: &blamed };
    T::deserialize(checked)
        .map(drop)
        .map_err(|Message(message)| Wrong { path: blamed.take().unwrap_or_default(), message })
}

/// The path of a value.
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            // `metadata.labels[app.kubernetes.io/name]`
            Self::Field(parent, name) if name.contains('.') => write!(f, "{parent}[{name}]"),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A value to deserialize, and its path.
#[derive(Clone, Copy)]
struct Checked<'a> {
    value: &'a Value,
    at: &'a Path<'a>,
    /// The path of the innermost value with an error.
    blamed: &'a Cell<Option<String>>,
}

impl Checked<'_> {
    /// Records the path of the value with the error, unless an inner value already did.
    fn blame<T>(self, result: Result<T, Message>) -> Result<T, Message> {
        if result.is_err() {
            let path = self.blamed.take().unwrap_or_else(|| self.at.to_string());
            self.blamed.set(Some(path));
        }
        result
    }

    fn entries<'de, V: Visitor<'de>>(
        self,
        map: &Map<String, Value>,
        visitor: V,
    ) -> Result<V::Value, Message> {
        visitor.visit_map(Entries { rest: map.iter(), next: None, of: self })
    }

    /// Returns an error for the first field that the struct does not know.
    fn known(self, map: &Map<String, Value>, fields: &[&str]) -> Result<(), Message> {
        let Some(unknown) = map.keys().find(|key| !fields.contains(&key.as_str())) else {
            return Ok(());
        };
        self.blamed.set(Some(Path::Field(self.at, unknown).to_string()));
        Err(Message(match closest(unknown, fields) {
            Some(meant) => format!("is not a field: did you mean {meant}?"),
            None => "is not a field".to_owned(),
        }))
    }
}

impl<'de> Deserializer<'de> for Checked<'_> {
    type Error = Message;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Message> {
        let result = match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(value) => visitor.visit_str(value),
            Value::Array(items) => {
                visitor.visit_seq(Items { rest: items.iter(), index: 0, of: self })
            }
            Value::Object(map) => self.entries(map, visitor),
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(value), _, _) => visitor.visit_i64(value),
                (_, Some(value), _) => visitor.visit_u64(value),
                (_, _, value) => visitor.visit_f64(value.unwrap_or_default()),
            },
        };
        self.blame(result)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Message> {
        let result = match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        };
        self.blame(result)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Message> {
        self.blame(visitor.visit_newtype_struct(self))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Message> {
        if let Value::Object(map) = self.value {
            self.known(map, fields)?;
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Message> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map enum identifier
    }
}

struct Entries<'a> {
    rest: serde_json::map::Iter<'a>,
    next: Option<(&'a str, &'a Value)>,
    of: Checked<'a>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Message;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Message> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.next = Some((key, value));
        let key: StrDeserializer<'_, Message> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Message> {
        let Some((key, value)) = self.next.take() else {
            return Err(Message("has a value without a key".to_owned()));
        };
        let at = Path::Field(self.of.at, key);
        let entry = Checked { value, at: &at, blamed: self.of.blamed };
        entry.blame(seed.deserialize(entry))
    }
}

struct Items<'a> {
    rest: std::slice::Iter<'a, Value>,
    index: usize,
    of: Checked<'a>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Message;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Message> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        let at = Path::Item(self.of.at, self.index);
        self.index += 1;
        let item = Checked { value, at: &at, blamed: self.of.blamed };
        item.blame(seed.deserialize(item)).map(Some)
    }
}

/// An error message that does not contain the value.
#[derive(Debug)]
struct Message(String);

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Message {}

impl serde::de::Error for Message {
    /// Ignores the message of the type (base64, a time), because it may quote the value.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self("has a value that is not valid here".to_owned())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("must be {}, not {}", plainly(expected), sort(unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!(
            "must be {}: this {} is not",
            plainly(expected),
            sort(unexpected).trim_start_matches("a ")
        ))
    }

    fn missing_field(field: &'static str) -> Self {
        Self(format!("needs the field {field}"))
    }
}

/// Describes the expected type with words of YAML instead of Rust.
fn plainly(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "i32" | "i64" | "u16" | "u32" | "u64" => "a whole number".to_owned(),
        "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        // The name of a struct, such as `StatefulSetSpec`.
        name if name.starts_with(|c: char| c.is_ascii_uppercase()) && name != "Quantity" => {
            "a mapping".to_owned()
        }
        "Quantity" => "a quantity".to_owned(),
        other => other.to_owned(),
    }
}

fn sort(unexpected: Unexpected<'_>) -> &'static str {
    match unexpected {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a mapping",
        _ => "something else",
    }
}

/// Returns the known field that is most similar to the unknown one, if one is similar enough.
fn closest<'a>(unknown: &str, fields: &[&'a str]) -> Option<&'a str> {
    // Far from every field, and a document may hold a megabyte of it.
    if unknown.len() > 100 {
        return None;
    }
    let lower = unknown.to_lowercase();
    fields
        .iter()
        .map(|field| (strsim::levenshtein(&lower, &field.to_lowercase()), *field))
        .filter(|(distance, field)| *distance <= 1 + field.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, field)| field)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(kind: Kind, document: &Value) -> String {
        let Wrong { path, message } = check(kind, document).unwrap_err();
        format!("{path} {message}")
    }

    #[test]
    fn unknown_fields_are_named_with_what_was_meant() {
        let set =
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {"servicename": "x"}});
        assert_eq!(
            wrong(Kind::StatefulSet, &set),
            "spec.servicename is not a field: did you mean serviceName?"
        );
        let set = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "a"}, {"name": "b", "ports": [{"containerPorts": 5432}]},
        ]}}}});
        assert_eq!(
            wrong(Kind::StatefulSet, &set),
            "spec.template.spec.containers[1].ports[0].containerPorts is not a field: \
             did you mean containerPort?"
        );
        assert_eq!(
            wrong(Kind::Secret, &json!({"passwordsAreHere": {}})),
            "passwordsAreHere is not a field"
        );
    }

    #[test]
    fn wrong_types_are_named_without_the_value() {
        for (kind, document, message) in [
            (
                Kind::StatefulSet,
                json!({"spec": {"replicas": "hunter2"}}),
                "spec.replicas must be a whole number, not a string",
            ),
            (
                Kind::StatefulSet,
                json!({"spec": {"replicas": 2.5}}),
                "spec.replicas must be a whole number, not a number",
            ),
            (
                Kind::StatefulSet,
                json!({"spec": {"replicas": 1_u64 << 40}}),
                "spec.replicas must be a whole number: this number is not",
            ),
            (Kind::StatefulSet, json!({"spec": ["hunter2"]}), "spec must be a mapping, not a list"),
            (
                Kind::Secret,
                json!({"data": {"a.b": "hunter2!"}}),
                "data[a.b] has a value that is not valid here",
            ),
            (
                Kind::Secret,
                json!({"data": {"a": 7}}),
                "data.a must be a base64-encoded string, not a number",
            ),
            (
                Kind::ConfigMap,
                json!({"data": {"a": true}}),
                "data.a must be a string, not a boolean",
            ),
            (
                Kind::Service,
                json!({"spec": {"ports": {"port": 1}}}),
                "spec.ports must be a list, not a mapping",
            ),
            (
                Kind::PersistentVolume,
                json!({"spec": {"capacity": {"storage": []}}}),
                "spec.capacity.storage must be a quantity, not a list",
            ),
        ] {
            assert_eq!(wrong(kind, &document), message);
        }
    }

    #[test]
    fn right_documents_pass() {
        for (kind, document) in [
            (
                Kind::Service,
                json!({"spec": {"ports": [{"port": 1, "targetPort": "x"}, {"port": 2, "targetPort": 3}], "selector": {"any.thing/here": "x"}}}),
            ),
            (Kind::Secret, json!({"data": {"a": "eA=="}, "stringData": {"b": "c"}, "type": null})),
            (Kind::PersistentVolume, json!({"spec": {"capacity": {"storage": 100, "x": "1Gi"}}})),
            (
                Kind::PodDisruptionBudget,
                json!({"spec": {"minAvailable": "50%", "maxUnavailable": 1}}),
            ),
        ] {
            assert_eq!(check(kind, &document), Ok(()));
        }
    }

    #[test]
    fn the_closest_field_is_near() {
        assert_eq!(closest("REPLICA", &["spec", "replicas"]), Some("replicas"));
        assert_eq!(closest("x", &["replicas", "spec"]), None);
        assert_eq!(closest(&"replicas".repeat(1000), &["replicas", "spec"]), None);
    }
}
