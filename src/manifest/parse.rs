//! Parses text into documents. This is the only module that uses `serde_yaml`.
//!
//! It builds JSON directly from the events of the YAML parser and charges each value to a budget. Aliases
//! are expanded here, so that an alias bomb exceeds the budget. Duplicate keys, merge keys, tags, and keys
//! that are not strings are refused.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::ManifestError;
pub use super::check::objects;
pub use super::emit::to_yaml;

/// The maximum size of the text of one template, in bytes.
const MAX_TEXT: usize = 2 << 20;
/// The maximum number of values in the documents of one text, after aliases are expanded.
const MAX_VALUES: usize = 100_000;
/// The maximum size of all strings, in bytes, after aliases are expanded.
const MAX_BYTES: usize = 4 << 20;
/// The maximum number of open brackets. The parser needs quadratic time for them before it reaches its own
/// limit of 128 levels. This limit only keeps that time short, so it may count brackets in strings, too.
const MAX_OPEN_BRACKETS: usize = 1000;

/// Parses the documents of a text. Empty documents are left out.
///
/// # Errors
/// [`ManifestError::Yaml`], with the template and the line.
pub fn documents(template: &str, text: &str) -> Result<Vec<Value>, ManifestError> {
    let wrong = |message: String| ManifestError::Yaml { template: template.to_owned(), message };
    if text.len() > MAX_TEXT {
        return Err(wrong(format!("is larger than {} KiB", MAX_TEXT / 1024)));
    }
    if text.starts_with('\u{feff}') {
        return Err(wrong("begins with a byte order mark".to_owned()));
    }
    if opens_too_many_brackets(text) {
        return Err(wrong(format!("nests deeper than {MAX_OPEN_BRACKETS} levels")));
    }
    let budget = Budget { values: Cell::new(MAX_VALUES), bytes: Cell::new(MAX_BYTES) };
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        match Seed(&budget).deserialize(document) {
            Ok(Value::Null) => {}
            Ok(value) => documents.push(value),
            // A text with only comments has no documents. This is not an error.
            Err(error) if error.to_string() == "EOF while parsing a value" => {}
            Err(error) => return Err(wrong(error.to_string())),
        }
    }
    Ok(documents)
}

fn opens_too_many_brackets(text: &str) -> bool {
    let mut open = 0_usize;
    text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > MAX_OPEN_BRACKETS
    })
}

/// The remaining budget.
struct Budget {
    values: Cell<usize>,
    bytes: Cell<usize>,
}

impl Budget {
    fn spend<E: serde::de::Error>(&self, bytes: usize) -> Result<(), E> {
        let values = self.values.get().checked_sub(1);
        let bytes = self.bytes.get().checked_sub(bytes);
        let (Some(values), Some(bytes)) = (values, bytes) else {
            return Err(E::custom("contains too many values: an alias counts as all its values"));
        };
        self.values.set(values);
        self.bytes.set(bytes);
        Ok(())
    }
}

/// Builds a JSON value and charges it to the budget.
#[derive(Clone, Copy)]
struct Seed<'a>(&'a Budget);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a tag")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.0.spend(0)?;
        Ok(Value::Null)
    }

    // An empty document.
    fn visit_none<E: serde::de::Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.0.spend(0)?;
        Ok(value.into())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.0.spend(0)?;
        Ok(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.0.spend(0)?;
        Ok(value.into())
    }

    fn visit_i128<E: serde::de::Error>(self, _: i128) -> Result<Value, E> {
        Err(E::custom("a number is too large"))
    }

    fn visit_u128<E: serde::de::Error>(self, _: u128) -> Result<Value, E> {
        Err(E::custom("a number is too large"))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.0.spend(0)?;
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number is infinite or NaN"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.0.spend(value.len())?;
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.0.spend(0)?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.0.spend(0)?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key_seed(Key { seen: &map, budget: self.0 })? {
            let value = entries.next_value_seed(self)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    fn visit_enum<A: serde::de::EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(A::Error::custom("tags (!) are not supported"))
    }
}

/// The key of a mapping. Duplicates are detected here, because the parser knows the line of the key here.
struct Key<'a> {
    seen: &'a Map<String, Value>,
    budget: &'a Budget,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string as key: quote it")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        self.budget.spend(key.len())?;
        if key == "<<" {
            return Err(E::custom("merge keys (<<) are not supported: write all fields"));
        }
        if self.seen.contains_key(key) {
            return Err(E::custom(format!("duplicate key {key:?}")));
        }
        Ok(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(text: &str) -> String {
        documents("a.yaml.j2", text).unwrap_err().to_string()
    }

    #[test]
    fn empty_documents_are_skipped() {
        for text in ["", "\n", "# nothing\n", "---\n", "---\n---\n", "---\n# a\n---\n...\n", "~\n"]
        {
            assert_eq!(documents("a", text).unwrap(), Vec::<Value>::new(), "{text:?}");
        }
        assert_eq!(
            documents("a", "---\na: 1\n---\n# none\n---\nb: [yes, 1.5, 0400, null, 1e3]\n")
                .unwrap(),
            [json!({"a": 1}), json!({"b": ["yes", 1.5, "0400", null, 1000.0]})]
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (text, words) in [
            ("a: 1\nb: 2\na: 3\n", "duplicate key \"a\""),
            ("x: &x {a: 1}\ny:\n  <<: *x\n", "merge keys"),
            ("1: a\n", "a string as key"),
            ("[a]: b\n", "a string as key"),
            ("true: b\n", "a string as key"),
            ("a: !secret b\n", "tags"),
            ("!x {a: b}\n", "tags"),
            ("a: .inf\n", "infinite"),
            ("a: 123456789012345678901234567890\n", "too large"),
            ("\u{feff}a: 1\n", "byte order mark"),
            ("a: \"\u{1}\"\n", "control characters"),
            ("a: [\n", "did not find"),
            ("a: *nowhere\n", "unknown anchor"),
        ] {
            let message = message(text);
            assert!(message.contains(words), "{text:?}: {message}");
            assert!(message.starts_with("a.yaml.j2: "), "{message}");
        }
        assert!(
            message("a: 1\nb: 2\na: 3\n").contains("line 3"),
            "{}",
            message("a: 1\nb: 2\na: 3\n")
        );
    }

    #[test]
    fn depth_is_bounded() {
        for text in [
            "[".repeat(10_000),
            "[".repeat(500),
            "{a: ".repeat(500),
            "- ".repeat(10_000),
            "? ".repeat(10_000),
            format!("{}1{}", "[".repeat(900), "]".repeat(900)),
            (0..3000).fold(String::new(), |text, depth| text + &" ".repeat(depth / 5) + "a:\n"),
        ] {
            assert!(documents("a", &text).is_err(), "{}", &text[..20]);
        }
        assert!(message(&"[".repeat(200_000)).contains("nests deeper"));
    }

    #[test]
    fn size_is_bounded() {
        assert!(message(&"#".repeat(200 << 20)).contains("larger than"));
        let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (outer, inner) in "bcdefghij".chars().zip("abcdefghi".chars()) {
            let aliases = vec![format!("*{inner}"); 9].join(", ");
            bomb = bomb + &outer.to_string() + ": &" + &outer.to_string() + " [" + &aliases + "]\n";
        }
        let message_of_bomb = message(&bomb);
        assert!(
            message_of_bomb.contains("too many values")
                || message_of_bomb.contains("repetition limit"),
            "{message_of_bomb}"
        );
        // A few aliases of one large value: the parser's own limit counts only the number of aliases.
        let long = "x".repeat(100_000);
        let text = format!("a: &a {long}\nb: [{}]\n", vec!["*a"; 100].join(", "));
        assert!(message(&text).contains("too many values"));
        let text =
            format!("a: &a [{}]\nb: [{}]\n", vec!["x"; 9000].join(","), vec!["*a"; 99].join(","));
        assert!(message(&text).contains("too many values"));
    }
}
