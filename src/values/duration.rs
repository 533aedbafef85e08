//! Durations as people type them: `90s`, `10m`, `1h30m`, plain seconds.

use std::time::Duration;

use crate::values::Invalid;

/// A longer duration is probably a typing mistake. The limit also keeps deadlines far from overflowing.
const MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Parses a duration between one millisecond and one week.
pub fn parse(text: &str) -> Result<Duration, Invalid> {
    let invalid = || {
        Invalid::new(
            "must be a duration from 1ms to 168h, such as 90s, 10m or 1h30m (a plain number is seconds)",
        )
    };
    let duration = if let Ok(seconds) = text.parse::<u64>() {
        (!text.starts_with('+')).then(|| Duration::from_secs(seconds))
    } else {
        sum(text)
    };
    duration.filter(|found| !found.is_zero() && *found <= MAX).ok_or_else(invalid)
}

/// Adds up numbers with units. Larger units must come first.
fn sum(mut text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut units = [("h", 3_600_000_u64), ("m", 60_000), ("s", 1_000), ("ms", 1)].iter();
    while !text.is_empty() {
        let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = text[..unit_at].parse().ok()?;
        let rest = &text[unit_at..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (_, milliseconds) = units.find(|(unit, _)| *unit == &rest[..unit_end])?;
        total = total.checked_add(Duration::from_millis(number.checked_mul(*milliseconds)?))?;
        text = &rest[unit_end..];
    }
    Some(total)
}

/// Formats a duration so that [`parse`] can read it: `1h30m`. `90s` becomes `1m30s`.
#[must_use]
pub fn display(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let parts = [
        (milliseconds / 3_600_000, "h"),
        (milliseconds / 60_000 % 60, "m"),
        (milliseconds / 1_000 % 60, "s"),
        (milliseconds % 1_000, "ms"),
    ];
    let text: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect();
    if text.is_empty() { "0s".to_owned() } else { text.concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, milliseconds, written) in [
            ("90s", 90_000, "1m30s"),
            ("10m", 600_000, "10m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("45", 45_000, "45s"),
            ("500ms", 500, "500ms"),
            ("1s1ms", 1_001, "1s1ms"),
            ("168h", 604_800_000, "168h"),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(display(duration), written);
        }
    }

    #[test]
    fn refuses() {
        for text in [
            "",
            "0",
            "0s",
            "-1",
            "+5",
            "10 m",
            "m",
            "1m1h",
            "1m1m",
            "1.5h",
            "1d",
            "169h",
            "1h30",
            "99999999999999999999h",
            "18446744073709551615",
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.reason.starts_with("must be a duration from 1ms to 168h"), "{text}");
        }
    }
}
