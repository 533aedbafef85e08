//! Compares quantities by value: the server returns `1024Mi` as `1Gi`.

/// Whether two quantities have the same value. A text that is not a quantity equals only the same text.
pub(super) fn same(a: &str, b: &str) -> bool {
    a == b || matches!((parse(a), parse(b)), (Some(a), Some(b)) if a == b)
}

/// Whether quantity `a` is less than `b`; false if one of them can't be parsed.
pub(super) fn less(a: &str, b: &str) -> bool {
    matches!((parse(a), parse(b)), (Some(a), Some(b)) if a < b)
}

/// Parses a quantity into billionths. `None` if it is invalid or does not fit into 128 bits.
fn parse(text: &str) -> Option<i128> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let (base, exponent) = scale(suffix)?;
    // digits * base * 10^(exponent - number of decimal places + 9)
    let power = exponent - i32::try_from(fraction.len()).ok()? + 9;
    let scaled = digits.checked_mul(base)?;
    let ten = 10_i128.checked_pow(power.unsigned_abs())?;
    let value = if power >= 0 {
        scaled.checked_mul(ten)?
    } else {
        // Round up, as the server does.
        scaled / ten + i128::from(scaled % ten != 0)
    };
    Some(if negative { -value } else { value })
}

/// The factor and the power of ten of a suffix.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    Some(match suffix {
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "" => (1, 0),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        exponent => (1, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_value() {
        for (a, b) in [
            ("1024Mi", "1Gi"),
            ("0.1", "100m"),
            ("1.5Gi", "1536Mi"),
            ("100M", "100000k"),
            ("1e3", "1k"),
            ("1E3", "1000"),
            ("+.5", "500m"),
            ("1.", "1"),
            ("-1k", "-1000"),
            ("8Ei", "8192Pi"),
        ] {
            assert!(same(a, b), "{a} {b}");
            assert!(!less(a, b) && !less(b, a), "{a} {b}");
        }
        for (a, b) in [("100M", "100Mi"), ("1", "1.5"), ("x", "y"), ("", "0"), ("1.2.3", "1.2")] {
            assert!(!same(a, b), "{a} {b}");
        }
        assert!(less("100M", "100Mi") && !less("1Gi", "100M") && !less("x", "1"));
        assert!(same("1e999999999", "1e999999999") && !same("1e999999999", "1e999999998"));
    }
}
