//! Formats documents as YAML for people and for `kubectl`: in block style and in a stable order.

use serde_json::{Map, Value};

use crate::manifest::escape::{block, scalar};

/// The keys that come first, in this order. All other keys follow in alphabetical order.
const FIRST: [&str; 6] = ["apiVersion", "kind", "metadata", "name", "namespace", "spec"];

/// Formats a document as YAML. Any parser of YAML 1.1 or 1.2 reads the same values back.
#[must_use]
pub fn to_yaml(document: &Value) -> String {
    let mut out = String::new();
    match document {
        Value::Object(map) if !map.is_empty() => mapping(&mut out, map, 0),
        Value::Array(list) if !list.is_empty() => sequence(&mut out, list, 0),
        leaf => {
            out.push_str(&inline(leaf));
            out.push('\n');
        }
    }
    out
}

fn mapping(out: &mut String, map: &Map<String, Value>, indent: usize) {
    let rank = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by(|(a, _), (b, _)| rank(a).cmp(&rank(b)).then_with(|| a.cmp(b)));
    for (position, (key, value)) in entries.into_iter().enumerate() {
        // The first entry may follow a dash on the same line.
        if position > 0 || out.is_empty() || out.ends_with('\n') {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str(&text(key));
        out.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push('\n');
                mapping(out, map, indent + 2);
            }
            Value::Array(list) if !list.is_empty() => {
                out.push('\n');
                sequence(out, list, indent);
            }
            leaf => {
                out.push(' ');
                push_leaf(out, leaf, indent + 2);
            }
        }
    }
}

fn sequence(out: &mut String, list: &[Value], indent: usize) {
    for value in list {
        if out.is_empty() || out.ends_with('\n') {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str("- ");
        match value {
            Value::Object(map) if !map.is_empty() => mapping(out, map, indent + 2),
            Value::Array(list) if !list.is_empty() => sequence(out, list, indent + 2),
            leaf => push_leaf(out, leaf, indent + 2),
        }
    }
}

/// Writes a leaf and ends the line. A text of several lines becomes a block, indented by `indent`.
fn push_leaf(out: &mut String, leaf: &Value, indent: usize) {
    if let Some(block) = leaf.as_str().and_then(|string| block(string, indent)) {
        out.push_str(&block);
    } else {
        out.push_str(&inline(leaf));
        out.push('\n');
    }
}

fn inline(leaf: &Value) -> String {
    match leaf {
        Value::String(string) => text(string),
        Value::Object(_) => "{}".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        leaf => leaf.to_string(),
    }
}

/// Formats a string: without quotes if every parser reads it as a string, else with quotes.
fn text(string: &str) -> String {
    let starts_like_a_word =
        string.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    let plain = starts_like_a_word
        && string.chars().all(|c| c.is_ascii_alphanumeric() || "/_.-".contains(c))
        && !["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
            .contains(&string.to_ascii_lowercase().as_str());
    if plain { string.to_owned() } else { scalar(string) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::manifest::parse::documents;

    #[test]
    fn reads_like_kubectls() {
        let document = json!({
            "kind": "Pod", "apiVersion": "v1", "spec": {"args": ["a", "1", ["x"], {"b": {}, "name": "yes"}], "n": 1},
            "metadata": {"labels": {"a.b/c": "x:y"}, "name": "p"}, "data": [],
            "scripts": {"a": "if x\n  y\n", "b": ["1\n2", {"name": "c", "d": "3\n4\n"}]},
        });
        let yaml = "\
apiVersion: v1
kind: Pod
metadata:
  name: p
  labels:
    a.b/c: \"x:y\"
spec:
  args:
  - a
  - \"1\"
  - - x
  - name: \"yes\"
    b: {}
  \"n\": 1
data: []
scripts:
  a: |
    if x
      y
  b:
  - |-
    1
    2
  - name: c
    d: |
      3
      4
";
        assert_eq!(to_yaml(&document), yaml);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[a-z0-9.~_-]{0,5}".prop_map(Value::from),
            "[a#:\\-.|>\t \n]{0,12}".prop_map(Value::from),
        ];
        let key = prop_oneof!["[a-z0-9]{0,4}", any::<String>()]
            .prop_filter("merge keys are refused", |key| key != "<<");
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key.clone(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn is_read_back_as_it_was(value in any_value()) {
            let yaml = to_yaml(&value);
            let read = documents("a", &yaml).unwrap();
            let expected: Vec<Value> = Some(value).filter(|value| !value.is_null()).into_iter().collect();
            prop_assert_eq!(read, expected, "{}", yaml);
        }
    }
}
