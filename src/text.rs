//! Text as a terminal shows it: wrapped, and under a heading.

use std::borrow::Cow;

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
}
