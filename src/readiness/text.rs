//! Cleans text from other sources for printing.

/// Cleans one line: removes escape sequences, control characters (tabs become spaces) and characters that
/// change the text direction.
pub(super) fn clean(line: &str) -> String {
    console::strip_ansi_codes(line)
        .chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .filter(|c| !c.is_control() && !turns_direction(*c))
        .collect()
}

fn turns_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Joins several lines into one, cleaned and without a full stop at the end.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<String> = text
        .lines()
        .map(|line| clean(line).split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .collect();
    words.join("; ").trim_end_matches('.').to_owned()
}

/// The last `count` lines, cleaned.
pub(super) fn last_lines(text: &str, count: usize) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| clean(line)).collect()
}

/// Whether `text` contains any of `needles`, which must be lower case. The case of `text` is ignored.
pub(super) fn says(text: &str, needles: &[&str]) -> bool {
    let text = text.to_lowercase();
    needles.iter().any(|needle| text.contains(needle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(clean("\x1b[31mFATAL\x1b[0m:\tno\x07 \u{202e}entry\r"), "FATAL: no entry");
        assert_eq!(clean("  kept «as» it is  "), "  kept «as» it is  ");
        assert_eq!(clean("\x1b]0;title\x07text"), "text");
    }

    #[test]
    fn lines_are_joined() {
        assert_eq!(one_line("a  b\n\n c\r\nd.\n"), "a b; c; d");
        assert_eq!(one_line(""), "");
    }

    #[test]
    fn the_last_lines_are_kept() {
        assert_eq!(last_lines("1\n2\n3\n", 2), ["2", "3"]);
        assert_eq!(last_lines("", 2), Vec::<String>::new());
    }
}
