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
    /// What to write instead, if that is known.
    pub(super) hint: Option<String>,
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
        Kind::Namespace
        | Kind::Pod
        | Kind::StorageClass
        | Kind::Lease
        | Kind::ControllerRevision
        | Kind::ResourceQuota
        | Kind::Node => Ok(()),
    }
}

fn against<'de, T: Deserialize<'de>>(document: &Value) -> Result<(), Wrong> {
    let blamed = Cell::new(None);
    let checked = Checked { value: document, at: &Path::Root, blamed: &blamed };
    T::deserialize(checked).map(drop).map_err(|Message(message)| {
        let Blamed { path, hint } = blamed.take().unwrap_or_default();
        Wrong { path, message, hint }
    })
}

/// The highest mode of a file, in octal as everybody knows it.
const MAX_MODE: i64 = 0o777;

/// The innermost value with an error.
#[derive(Default)]
struct Blamed {
    path: String,
    hint: Option<String>,
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
    /// The innermost value with an error.
    blamed: &'a Cell<Option<Blamed>>,
}

impl Checked<'_> {
    /// Records the path of the value with the error, unless an inner value already did.
    fn blame<T>(self, result: Result<T, Message>) -> Result<T, Message> {
        if result.is_err() {
            let this = || Blamed { path: self.at.to_string(), hint: self.decimal_mode() };
            self.blamed.set(Some(self.blamed.take().unwrap_or_else(this)));
        }
        result
    }

    /// Whether this is the mode of a file.
    fn is_mode(self) -> bool {
        matches!(self.at, Path::Field(_, "mode" | "defaultMode"))
    }

    /// A hint for a mode in octal, such as `0400`. YAML 1.1 reads it as octal and YAML 1.2 in decimal; the
    /// parser avoids the choice and reads a string.
    fn decimal_mode(self) -> Option<String> {
        let written = match self.value {
            _ if !self.is_mode() => return None,
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let is_octal = written.bytes().all(|byte| byte.is_ascii_digit());
        let mode = i64::from_str_radix(&written, 8).ok().filter(|mode| *mode <= MAX_MODE);
        let mode = mode.filter(|_| is_octal)?;
        Some(format!("write {mode}: {written} is octal, and modes are written in decimal"))
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
        let path = Path::Field(self.at, unknown).to_string();
        self.blamed.set(Some(Blamed { path, hint: None }));
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

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Message> {
        let number = self.value.as_i64().filter(|_| self.is_mode());
        if number.is_some_and(|mode| !(0..=MAX_MODE).contains(&mode)) {
            return self.blame(Err(Message(format!("must be from 0 to {MAX_MODE}"))));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Message> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
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
        let Wrong { path, message, .. } = check(kind, document).unwrap_err();
        format!("{path} {message}")
    }

    #[test]
    fn a_mode_in_octal_gets_its_decimal_number() {
        let set = |mode: Value| {
            let secret = json!({"name": "a", "secret": {"secretName": "s", "defaultMode": mode}});
            json!({"spec": {"template": {"spec": {"containers": [], "volumes": [secret]}}}})
        };
        for (mode, message, hint) in [
            (
                json!("0400"),
                "must be a whole number, not a string",
                Some("write 256: 0400 is octal, and modes are written in decimal"),
            ),
            (
                json!(644),
                "must be from 0 to 511",
                Some("write 420: 644 is octal, and modes are written in decimal"),
            ),
            (json!(888), "must be from 0 to 511", None),
            (json!(-1), "must be from 0 to 511", None),
            (json!("0999"), "must be a whole number, not a string", None),
            (json!("secret"), "must be a whole number, not a string", None),
            (json!(true), "must be a whole number, not a boolean", None),
        ] {
            let wrong = check(Kind::StatefulSet, &set(mode)).unwrap_err();
            assert_eq!(wrong.path, "spec.template.spec.volumes[0].secret.defaultMode");
            assert_eq!((wrong.message.as_str(), wrong.hint.as_deref()), (message, hint));
        }
        for mode in [0, 256, 288, 0o777] {
            assert_eq!(check(Kind::StatefulSet, &set(json!(mode))), Ok(()));
        }
        // A label may have the same name.
        let label = json!({"metadata": {"labels": {"mode": "0400"}}, "data": {"mode": "0644"}});
        assert_eq!(check(Kind::ConfigMap, &label), Ok(()));
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
