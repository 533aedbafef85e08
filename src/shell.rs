//! Commands as they are typed in a shell. Pure.

use std::ffi::OsString;

/// A word of a shell command, in quotes if it needs them.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The command that these arguments came from, the program's name first: typed again, it goes on
/// with the same set and the same settings.
#[must_use]
pub fn command_line(arguments: &[OsString]) -> String {
    let words = arguments.iter().skip(1).map(|argument| quoted(&argument.to_string_lossy()));
    std::iter::once("pgset".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_they_must_be() {
        for (word, expected) in [
            ("--storage=class:fast", "--storage=class:fast"),
            ("hostpath:/srv/pg data", "'hostpath:/srv/pg data'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn a_command_is_named_as_it_was_typed() {
        let typed = ["/opt/bin/pgset", "up", "-n", "shop", "--storage", "hostpath:/srv/pg data"];
        assert_eq!(
            command_line(&typed.map(OsString::from)),
            "pgset up -n shop --storage 'hostpath:/srv/pg data'"
        );
    }
}
