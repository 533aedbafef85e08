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
        if is_troublesome(c) {
            // Writing to a String does not fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether YAML needs an escape sequence for a character, but JSON does not.
fn is_troublesome(c: char) -> bool {
    matches!(
        c,
        '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
    )
}

/// Formats a string of several lines as a literal block: the indicator, then every line with its newline,
/// indented by `indent`. `None` if the string has one line, or if a parser could read another string back.
#[must_use]
pub(crate) fn block(text: &str, indent: usize) -> Option<String> {
    // Parsers derive the indentation from the first line that is not empty.
    let first = text.trim_start_matches('\n').chars().next()?;
    let is_literal = |c: char| c == '\n' || c == '\t' || !(c.is_control() || is_troublesome(c));
    if !text.contains('\n') || matches!(first, ' ' | '\t') || !text.chars().all(is_literal) {
        return None;
    }
    let final_newlines = text.len() - text.trim_end_matches('\n').len();
    let (indicator, lines) = match final_newlines {
        0 => ("|-", text),
        1 => ("|", &text[..text.len() - 1]),
        _ => ("|+", &text[..text.len() - 1]),
    };
    let mut out = format!("{indicator}\n");
    for line in lines.split('\n') {
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
        out.push('\n');
    }
    Some(out)
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

    #[test]
    fn several_lines_are_a_block() {
        for (text, expected) in [
            ("a\n  b\n\n#c\n", Some("|\n  a\n    b\n\n  #c\n")),
            ("a\nb", Some("|-\n  a\n  b\n")),
            ("\na\n\n\n", Some("|+\n\n  a\n\n\n")),
            ("a: \"é\"\t\n\tb \n", Some("|\n  a: \"é\"\t\n  \tb \n")),
            ("one line", None),
            ("", None),
            ("\n\n", None),
            (" a\nb", None),
            ("\n\ta\n", None),
            ("a\r\nb\r\n", None),
            ("a\n\u{85}\u{feff}", None),
        ] {
            assert_eq!(block(text, 2).as_deref(), expected, "{text:?}");
        }
    }
}
