//! Formats text for terminals, shells and URIs.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// Wraps the text at `width` columns. A longer word (a path, a URL) is not broken, so that users can copy it.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<Cow<'_, str>> {
    let options = Options::new(width)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::wrap(text, options)
}

/// Wraps the text for a line on which `indent` columns are already used, and indents the following lines by
/// `indent`.
pub(crate) fn wrap_hanging(text: &str, indent: usize, width: usize) -> String {
    wrap(text, width.saturating_sub(indent)).join(&format!("\n{}", " ".repeat(indent)))
}

/// A number of bytes for people: `512 B`, `3 GiB`, `22.8 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(size, _)| bytes >= *size) {
        // One decimal, with integer arithmetic: an `f64` can't represent every `u64`.
        Some((size, unit)) => match bytes % size * 10 / size {
            0 => format!("{} {unit}", bytes / size),
            tenths => format!("{}.{tenths} {unit}", bytes / size),
        },
        None => format!("{bytes} B"),
    }
}

/// Lines of a label and a text, the texts aligned: `read only       postgresql://...`.
pub(crate) fn labelled(rows: &[(&'static str, String)]) -> Vec<String> {
    let widest = rows.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
    rows.iter().map(|(label, text)| format!("{label:widest$}  {text}")).collect()
}

/// Quotes a word for a shell. Words without special characters are not quoted, so that hints stay readable:
/// `--requests cpu=500m,memory=1Gi`.
pub(crate) fn shell_word(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Cow::Borrowed(word);
    }
    // shlex fails only for NUL, and NUL is allowed here: there is no error to handle.
    shlex::Quoter::new().allow_nul(true).quote(word).unwrap_or_default()
}

/// The characters that a URI component contains unencoded: letters, digits and these (RFC 3986).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Percent-encodes the text for a URI component: every byte that is not unreserved becomes `%XX`.
pub(crate) fn percent_encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, UNRESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_only_and_no_word_is_cut() {
        assert_eq!(wrap("one two-three /four/five/six", 8), ["one", "two-three", "/four/five/six"]);
        assert_eq!(wrap("", 8), [""]);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(wrap("日本 語 é", 6), ["日本", "語 é"]);
    }

    #[test]
    fn further_lines_hang_below_the_first() {
        let text = wrap_hanging("one two three four five six seven", 2, 22);
        assert_eq!(text, "one two three four\n  five six seven");
        assert_eq!(wrap_hanging("one\ntwo", 2, usize::MAX), "one\n  two");
    }

    #[test]
    fn only_special_characters_are_quoted() {
        for (word, quoted) in [
            ("--requests=cpu=500m,memory=1Gi", "--requests=cpu=500m,memory=1Gi"),
            ("/data/a:b@c%d+e", "/data/a:b@c%d+e"),
            ("my dir", "'my dir'"),
            ("$HOME", "'$HOME'"),
            ("größe", "'größe'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(word), quoted);
        }
    }

    #[test]
    fn uris_keep_unreserved_characters_only() {
        assert_eq!(percent_encode("a/b=c,d").to_string(), "a%2Fb%3Dc%2Cd");
        assert_eq!(percent_encode("A-z_0.9~ é").to_string(), "A-z_0.9~%20%C3%A9");
    }

    proptest::proptest! {
        #[test]
        fn a_quoted_word_is_one_word(word in "(?s).*") {
            proptest::prop_assert_eq!(shlex::split(&shell_word(&word)), Some(vec![word]));
        }
    }
}
