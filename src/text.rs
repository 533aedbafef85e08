//! Text in the forms that a terminal, a shell and a URI take.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// The text in lines of at most `width` columns. A word that is longer (a path, a URL) stays whole:
/// it is there to be copied.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<Cow<'_, str>> {
    let options = Options::new(width)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::wrap(text, options)
}

/// The same as one text, for which `indent` columns are taken already: further lines begin below them.
pub(crate) fn wrap_hanging(text: &str, indent: usize, width: usize) -> String {
    wrap(text, width.saturating_sub(indent)).join(&format!("\n{}", " ".repeat(indent)))
}

/// A word as a shell takes it. Words without special characters are not quoted, so that a hint stays
/// readable: `--requests cpu=500m,memory=1Gi`.
pub(crate) fn shell_word(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return Cow::Borrowed(word);
    }
    // shlex refuses nothing but NUL, and that is allowed: there is no error to handle.
    shlex::Quoter::new().allow_nul(true).quote(word).unwrap_or_default()
}

/// What a part of a URI holds as it is: letters, digits and these (RFC 3986).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as a part of a URI; every other byte becomes `%XX`.
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
