//! Request bodies in Protocol Buffers. kubectl sends objects that it generates itself in this
//! format and has no fallback. Tables of message fields convert them to JSON.

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::super::refusal::{Answer, Refusal};

/// The first bytes of such a body.
const MAGIC: &[u8] = b"k8s\0";
/// The deepest allowed nesting of messages.
const DEPTH: usize = 8;

/// The fields of a message: number, name, type.
type Message = &'static [(u64, &'static str, Type)];

#[derive(Clone, Copy)]
enum Type {
    Text,
    Texts,
    Bytes,
    Flag,
    Number,
    TextMap,
    BytesMap,
    Object(Message),
}

static META: Message = &[
    (1, "name", Type::Text),
    (2, "generateName", Type::Text),
    (3, "namespace", Type::Text),
    (5, "uid", Type::Text),
    (6, "resourceVersion", Type::Text),
    (7, "generation", Type::Number),
    // The server sets these times, so the client's value is ignored.
    (8, "creationTimestamp", Type::Object(&[])),
    (11, "labels", Type::TextMap),
    (12, "annotations", Type::TextMap),
    (14, "finalizers", Type::Texts),
];

static NAMESPACE: Message = &[
    (1, "metadata", Type::Object(META)),
    (2, "spec", Type::Object(&[(1, "finalizers", Type::Texts)])),
    (3, "status", Type::Object(&[(1, "phase", Type::Text)])),
];

static CONFIG_MAP: Message = &[
    (1, "metadata", Type::Object(META)),
    (2, "data", Type::TextMap),
    (3, "binaryData", Type::BytesMap),
    (4, "immutable", Type::Flag),
];

static SECRET: Message = &[
    (1, "metadata", Type::Object(META)),
    (2, "data", Type::BytesMap),
    (3, "type", Type::Text),
    (4, "stringData", Type::TextMap),
    (5, "immutable", Type::Flag),
];

static SERVICE_ACCOUNT: Message = &[(1, "metadata", Type::Object(META))];

static ACCESS_REVIEW: Message = &[
    (1, "metadata", Type::Object(META)),
    (
        2,
        "spec",
        Type::Object(&[
            (
                1,
                "resourceAttributes",
                Type::Object(&[
                    (1, "namespace", Type::Text),
                    (2, "verb", Type::Text),
                    (3, "group", Type::Text),
                    (4, "version", Type::Text),
                    (5, "resource", Type::Text),
                    (6, "subresource", Type::Text),
                    (7, "name", Type::Text),
                ]),
            ),
            (
                2,
                "nonResourceAttributes",
                Type::Object(&[(1, "path", Type::Text), (2, "verb", Type::Text)]),
            ),
        ]),
    ),
    (
        3,
        "status",
        Type::Object(&[
            (1, "allowed", Type::Flag),
            (2, "reason", Type::Text),
            (3, "evaluationError", Type::Text),
            (4, "denied", Type::Flag),
        ]),
    ),
];

static TOKEN_REQUEST: Message = &[
    (1, "metadata", Type::Object(META)),
    (
        2,
        "spec",
        Type::Object(&[(1, "audiences", Type::Texts), (4, "expirationSeconds", Type::Number)]),
    ),
    (
        3,
        "status",
        Type::Object(&[(1, "token", Type::Text), (2, "expirationTimestamp", Type::Object(&[]))]),
    ),
];

/// Every body is wrapped in this message: `runtime.Unknown`.
static ENVELOPE: Message = &[
    (1, "type", Type::Object(&[(1, "apiVersion", Type::Text), (2, "kind", Type::Text)])),
    (2, "raw", Type::Bytes),
    (3, "contentEncoding", Type::Text),
    (4, "contentType", Type::Text),
];

/// Converts a body to JSON.
pub(super) fn parse(body: &[u8]) -> Answer<Value> {
    let broken = |why: &str| Refusal::bad_request(format!("the body can't be read: {why}"));
    let body = body.strip_prefix(MAGIC).ok_or_else(|| broken("not a Kubernetes object"))?;
    let envelope = read(ENVELOPE, body, DEPTH).map_err(|why| broken(&why))?;
    let kind = envelope["type"]["kind"].as_str().unwrap_or_default();
    let message = match kind {
        "Namespace" => NAMESPACE,
        "ConfigMap" => CONFIG_MAP,
        "Secret" => SECRET,
        "ServiceAccount" => SERVICE_ACCOUNT,
        "SelfSubjectAccessReview" => ACCESS_REVIEW,
        "TokenRequest" => TOKEN_REQUEST,
        _ => return Err(Refusal::left_out(&format!("{kind} in Protocol Buffers"))),
    };
    let raw = envelope["raw"].as_str().unwrap_or_default();
    let raw = base64::engine::general_purpose::STANDARD.decode(raw);
    let raw = raw.map_err(|e| broken(&e.to_string()))?;
    let mut object = read(message, &raw, DEPTH).map_err(|why| broken(&why))?;
    object["apiVersion"] = envelope["type"]["apiVersion"].clone();
    object["kind"] = json!(kind);
    Ok(object)
}

/// An encoded field.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Converts a message to an object. Empty fields are left out: in this encoding an empty field and
/// a missing one look the same.
fn read(message: Message, mut bytes: &[u8], depth: usize) -> Result<Value, String> {
    if depth == 0 {
        return Err("it is nested too deeply".to_owned());
    }
    let mut object = Map::new();
    while !bytes.is_empty() {
        let (number, wire) = field(&mut bytes)?;
        let Some((_, name, how)) = message.iter().find(|(known, ..)| *known == number) else {
            // An empty time or list is the same as none.
            if matches!(wire, Wire::Bytes([]) | Wire::Number(0)) || message.is_empty() {
                continue;
            }
            return Err(format!("the sandbox does not support field {number}"));
        };
        let value = match (how, wire) {
            (Type::Text | Type::Texts, Wire::Bytes(text)) => json!(string(text)?),
            (Type::Bytes, Wire::Bytes(raw)) => json!(encoded(raw)),
            (Type::Flag, Wire::Number(number)) => json!(number != 0),
            (Type::Number, Wire::Number(number)) => json!(number.cast_signed()),
            (Type::TextMap | Type::BytesMap, Wire::Bytes(entry)) => {
                let (key, value) = pair(entry)?;
                let plain = matches!(how, Type::TextMap);
                let value = if plain { string(value)? } else { encoded(value) };
                let map = object.entry(*name).or_insert_with(|| json!({}));
                map[key] = json!(value);
                continue;
            }
            (Type::Object(inner), Wire::Bytes(text)) => read(inner, text, depth - 1)?,
            _ => return Err(format!("{name} has the wrong type")),
        };
        if matches!(how, Type::Texts) {
            let list = object.entry(*name).or_insert_with(|| json!([]));
            list.as_array_mut().into_iter().for_each(|list| list.push(value.clone()));
        } else if value != json!("") && value != json!({}) && value != json!(0) {
            object.insert((*name).to_owned(), value);
        }
    }
    Ok(Value::Object(object))
}

/// The key and value of a map entry.
fn pair(mut entry: &[u8]) -> Result<(String, &[u8]), String> {
    let (mut key, mut value) = (String::new(), &[][..]);
    while !entry.is_empty() {
        match field(&mut entry)? {
            (1, Wire::Bytes(text)) => key = string(text)?,
            (2, Wire::Bytes(text)) => value = text,
            _ => return Err("a mapping with fields other than key and value".to_owned()),
        }
    }
    Ok((key, value))
}

fn field<'a>(bytes: &mut &'a [u8]) -> Result<(u64, Wire<'a>), String> {
    let tag = varint(bytes)?;
    let wire = match tag & 7 {
        0 => Wire::Number(varint(bytes)?),
        2 => {
            let length = usize::try_from(varint(bytes)?).map_err(|e| e.to_string())?;
            let (head, rest) = bytes.split_at_checked(length).ok_or("it ends too early")?;
            *bytes = rest;
            Wire::Bytes(head)
        }
        other => return Err(format!("a field of wire type {other}")),
    };
    Ok((tag >> 3, wire))
}

/// A variable-length integer: seven bits per byte, lowest first; the eighth bit says that another
/// byte follows.
fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().ok_or("it ends too early")?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a number is too long".to_owned())
}

fn string(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|e| e.to_string())
}

fn encoded(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodes a short field of bytes.
    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        assert!(length < 128);
        [&[number << 3 | 2, length][..], content].concat()
    }

    fn body(kind: &str, raw: &[u8]) -> Vec<u8> {
        let about = [bytes(1, b"v1"), bytes(2, kind.as_bytes())].concat();
        let empty = [bytes(3, b""), bytes(4, b"")].concat();
        [MAGIC, &bytes(1, &about), &bytes(2, raw), &empty].concat()
    }

    #[test]
    fn objects_are_read() {
        let label = [bytes(1, b"a"), bytes(2, b"b")].concat();
        let meta = [bytes(1, b"x"), bytes(2, b""), bytes(8, b""), bytes(11, &label)].concat();
        let raw = [bytes(1, &meta), bytes(2, b""), bytes(3, &bytes(1, b""))].concat();
        let expected = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "x", "labels": {"a": "b"}}});
        assert_eq!(parse(&body("Namespace", &raw)).unwrap(), expected);
        let entry = [bytes(1, b"k"), bytes(2, b"\0\xff")].concat();
        let secret = parse(&body("Secret", &bytes(2, &entry))).unwrap();
        assert_eq!(secret["data"]["k"], "AP8=");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert_eq!(parse(&body("Pod", b"")).unwrap_err().code, 501);
        let unknown = parse(&body("ConfigMap", &bytes(9, b"x"))).unwrap_err();
        assert!(unknown.message.contains("field 9"), "{}", unknown.message);
        for broken in [&b"{}"[..], MAGIC, b"k8s\0\x0a\x7f", b"k8s\0\xff\xff"] {
            assert!(parse(broken).is_err(), "{broken:?}");
        }
    }
}
