//! Formats a value as one YAML scalar or flow collection, with all special characters escaped.

use std::fmt::Write as _;

/// Formats a string as a double-quoted YAML scalar. Every YAML parser reads the same string back.
#[must_use]
pub(crate) fn scalar(text: &str) -> String {
    yaml_safe(&serde_json::Value::from(text).to_string())
}

/// Converts JSON to YAML. JSON does not escape some characters that YAML parsers refuse (control
/// characters, the byte order mark) or fold (next line, line and paragraph separator). JSON has these
/// characters only inside strings, so each one can be replaced in place.
#[must_use]
pub(crate) fn yaml_safe(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{a0}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                // Writing to a String does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troublesome_characters_are_escaped_and_others_are_left() {
        assert_eq!(scalar("a\"b\\\n\0"), r#""a\"b\\\n\u0000""#);
        assert_eq!(scalar("\u{85}\u{2028}\u{feff}\u{7f}"), r#""\u0085\u2028\ufeff\u007f""#);
        assert_eq!(scalar("é 🦀 <&>'"), "\"é 🦀 <&>'\"");
    }
}
