//! Parses the syntax of `postgresql.conf` as PostgreSQL's own scanner does (`guc-file.l`).

use std::fmt::Write as _;

/// A line that sets a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line, counted from 1.
    pub line: usize,
    /// The name in lower case, because PostgreSQL ignores the case of names.
    pub name: String,
    /// The value, without quotes and escapes.
    pub value: String,
}

/// A line with a syntax error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line, counted from 1.
    pub line: usize,
    /// `must be ...`.
    pub reason: String,
}

/// Parses a file. An `include` line is returned like any other entry, because `include` is an ordinary name
/// to PostgreSQL's scanner, too.
///
/// # Errors
/// With the first line that has a syntax error.
pub fn parse(text: &str) -> Result<Vec<Entry>, SyntaxError> {
    let mut entries = Vec::new();
    // Some editors write a byte order mark at the beginning. PostgreSQL skips it, too.
    for (index, line) in text.trim_start_matches('\u{feff}').split('\n').enumerate() {
        let line_number = index + 1;
        let line = line.strip_suffix('\r').unwrap_or(line);
        match entry(line) {
            Ok(Some((name, value))) => entries.push(Entry { line: line_number, name, value }),
            Ok(None) => {}
            Err(reason) => return Err(SyntaxError { line: line_number, reason }),
        }
    }
    Ok(entries)
}

/// Parses one line. Returns `None` for an empty line or a comment.
fn entry(line: &str) -> Result<Option<(String, String)>, String> {
    let rest = skip_blank(line);
    if is_end(rest) {
        return Ok(None);
    }
    let end = rest.find(|c: char| !is_name_character(c)).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    check_name(name).map_err(|reason| format!("has a name that {reason}: {name:?}"))?;
    let rest = skip_blank(rest);
    let rest = skip_blank(rest.strip_prefix('=').unwrap_or(rest));
    if is_end(rest) {
        return Err(format!("has no value for {name}; for an empty value, write ''"));
    }
    let (value, rest) = if rest.starts_with('\'') { quoted(rest)? } else { bare(rest, name)? };
    let rest = skip_blank(rest);
    if !is_end(rest) {
        return Err(format!("has text after the value of {name}: {rest:?}"));
    }
    Ok(Some((name.to_ascii_lowercase(), value)))
}

fn skip_blank(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\r'])
}

fn is_end(text: &str) -> bool {
    text.is_empty() || text.starts_with('#')
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '.'
}

/// Checks the name of a parameter: an identifier, or the identifier of an extension, a dot and an
/// identifier. PostgreSQL would accept letters beyond ASCII, too, but no parameter has them.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    let identifier = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let parts: Vec<&str> = name.split('.').collect();
    if name.len() > 63 + 1 + 63 || parts.len() > 2 || !parts.into_iter().all(identifier) {
        return Err(
            "must be letters, digits and underscores, such as work_mem or extension.setting",
        );
    }
    Ok(())
}

/// Parses a value without quotes: a number, with or without a unit, or a word.
fn bare<'a>(text: &'a str, name: &str) -> Result<(String, &'a str), String> {
    let end = text.find([' ', '\t', '\r', '#']).unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    if is_word(value) || is_number(value) {
        return Ok((value.to_owned(), rest));
    }
    Err(format!("has a value for {name} that needs single quotes: {value:?}"))
}

fn is_word(value: &str) -> bool {
    let mut characters = value.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii())
        && characters.all(|c| c.is_ascii_alphanumeric() || !c.is_ascii() || "_-.:/".contains(c))
}

fn is_number(value: &str) -> bool {
    let value = value.strip_prefix(['+', '-']).unwrap_or(value);
    if let Some(hex) = value.strip_prefix("0x") {
        return hex.starts_with(|c: char| c.is_ascii_hexdigit())
            && hex.chars().all(|c| c.is_ascii_alphanumeric());
    }
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if let Some((whole, fraction)) = value.split_once('.') {
        let (fraction, exponent) = match fraction.split_once(['e', 'E']) {
            Some((fraction, exponent)) => {
                (fraction, exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
            }
            None => (fraction, "0"),
        };
        return digits(whole)
            && digits(fraction)
            && digits(exponent)
            && !exponent.is_empty()
            && !(whole.is_empty() && fraction.is_empty());
    }
    let unit = value.trim_start_matches(|c: char| c.is_ascii_digit());
    unit.len() < value.len() && unit.chars().all(|c| c.is_ascii_alphabetic())
}

/// Parses a value in quotes. Returns the value and the text after it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let unescaped = || "has an escape sequence that is not a valid character".to_owned();
    let mut bytes = Vec::new();
    let mut rest = &text[1..];
    loop {
        let Some(at) = rest.find(['\'', '\\']) else {
            return Err("has a quote that is not closed".to_owned());
        };
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest[at..].starts_with('\\');
        rest = &rest[at + 1..];
        if !escape {
            match rest.strip_prefix('\'') {
                Some(after) => {
                    bytes.push(b'\'');
                    rest = after;
                }
                None => break,
            }
            continue;
        }
        let octal = rest.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
        if octal > 0 {
            let byte = u8::from_str_radix(&rest[..octal], 8).map_err(|_| unescaped())?;
            bytes.push(byte);
            rest = &rest[octal..];
            continue;
        }
        let Some(character) = rest.chars().next() else {
            return Err("has a quote that is not closed".to_owned());
        };
        rest = &rest[character.len_utf8()..];
        let character = match character {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'b' => '\u{8}',
            'f' => '\u{c}',
            other => other,
        };
        bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    if bytes.contains(&0) {
        return Err(unescaped());
    }
    Ok((String::from_utf8(bytes).map_err(|_| unescaped())?, rest))
}

/// Formats a value for the file. It is always quoted, so that its text can't be read as anything else.
#[must_use]
pub fn quote(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('\'');
    for c in value.chars() {
        match c {
            '\'' => quoted.push_str("''"),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_ascii_control() => {
                // Writing to a string does not fail.
                let _ = write!(quoted, "\\{:03o}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> (String, String) {
        let mut entries = parse(line).unwrap_or_else(|e| panic!("{line}: {e:?}"));
        assert_eq!(entries.len(), 1, "{line}");
        let entry = entries.remove(0);
        (entry.name, entry.value)
    }

    #[test]
    fn what_postgresql_reads() {
        for (line, name, value) in [
            ("work_mem = 64MB", "work_mem", "64MB"),
            ("work_mem 64MB # comment", "work_mem", "64MB"),
            ("  Work_Mem='64MB'", "work_mem", "64MB"),
            ("a = on#c", "a", "on"),
            ("a = -1", "a", "-1"),
            ("a = 0x1F", "a", "0x1F"),
            ("a = .5", "a", ".5"),
            ("a = 1.5e-3", "a", "1.5e-3"),
            ("a = 'it''s'", "a", "it's"),
            (r"a = 'it\'s \\ \n \101'", "a", "it's \\ \n A"),
            ("a = ''", "a", ""),
            ("a = 'x # y' # z", "a", "x # y"),
            ("auto_explain.log_min_duration = 10s", "auto_explain.log_min_duration", "10s"),
            ("include 'other.conf'", "include", "other.conf"),
            ("datestyle = 'iso, mdy'\r", "datestyle", "iso, mdy"),
            ("log_timezone = Europe/Berlin", "log_timezone", "Europe/Berlin"),
            ("\u{feff}a = 'größe'", "a", "größe"),
        ] {
            assert_eq!(one(line), (name.to_owned(), value.to_owned()), "{line}");
        }
        let entries = parse("# a\n\nb = 1\n   \nc = 2\n").unwrap();
        assert_eq!(entries.iter().map(|e| e.line).collect::<Vec<_>>(), [3, 5]);
    }

    #[test]
    fn what_it_does_not_read_is_refused_with_the_line() {
        for (line, reason) in [
            ("work_mem", "has no value for work_mem; for an empty value, write ''"),
            ("work_mem =", "has no value for work_mem; for an empty value, write ''"),
            ("a = 1.5GB", "has a value for a that needs single quotes: \"1.5GB\""),
            ("a = 10%", "has a value for a that needs single quotes: \"10%\""),
            ("a = iso, mdy", "has a value for a that needs single quotes: \"iso,\""),
            ("a = 'x", "has a quote that is not closed"),
            (r"a = 'x\", "has a quote that is not closed"),
            (r"a = '\000'", "has an escape sequence that is not a valid character"),
            (r"a = '\777'", "has an escape sequence that is not a valid character"),
            ("a = 1 2", "has text after the value of a: \"2\""),
            ("a = 'b' 'c'", "has text after the value of a: \"'c'\""),
        ] {
            let error = parse(&format!("# one\n{line}")).expect_err(line);
            assert_eq!((error.line, error.reason.as_str()), (2, reason), "{line}");
        }
        for line in ["1a = 2", "a.b.c = 1", "= 1", "[section]", "é = 1", ".a = 1"] {
            let error = parse(line).expect_err(line);
            assert!(error.reason.starts_with("has a name that must be letters"), "{error:?}");
        }
    }

    proptest::proptest! {
        /// PostgreSQL reads any quoted value back as the same value, and as nothing more.
        #[test]
        fn any_value_survives_quoting(value in "[^\0]*") {
            let line = format!("a = {}", quote(&value));
            proptest::prop_assert!(!line.contains('\n'));
            proptest::prop_assert_eq!(one(&line), ("a".to_owned(), value));
        }

        #[test]
        fn any_text_is_read_or_refused(text in r"(?s)[a-z '=\\.#0-9\n]{0,40}") {
            let _ = parse(&text);
        }
    }
}
