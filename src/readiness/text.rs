//! Cleans text from other sources for printing; parses quantities and formats durations.

use std::time::Duration;

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

/// Parses a Kubernetes quantity of bytes; `None` if it is invalid. Use it only for comparisons: values
/// above 2^53 are not exact.
pub(super) fn bytes(quantity: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 14] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("E", 1e18),
        ("m", 1e-3),
        ("", 1.0),
    ];
    SUFFIXES
        .into_iter()
        .find_map(|(suffix, factor)| {
            let number = quantity.trim().strip_suffix(suffix)?;
            number.parse::<f64>().ok().map(|number| number * factor)
        })
        .filter(|bytes| bytes.is_finite())
}

/// `45 s`, `10 min`, `10 min 5 s`.
pub(super) fn duration(duration: Duration) -> String {
    match (duration.as_secs() / 60, duration.as_secs() % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

/// `1 pod`, `2 pods`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
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

    #[test]
    fn quantities() {
        let same = |a, b| assert_eq!(bytes(a), bytes(b), "{a} {b}");
        same("1Ki", "1024");
        same("1k", "1e3");
        same("1.5G", "1500M");
        same("100000m", "100");
        assert!(bytes("100M") < bytes("100Mi"));
        for wrong in ["", "M", "ten", "1KiB", "inf", "nan"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations() {
        for (seconds, text) in [(0, "0 s"), (59, "59 s"), (600, "10 min"), (605, "10 min 5 s")] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
    }
}
