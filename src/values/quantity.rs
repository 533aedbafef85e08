//! Kubernetes quantities: the only reader of them, and quantities of bytes as settings hold them.

use std::fmt;
use std::str::FromStr;

use crate::values::Invalid;

const DECIMAL: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// The value of a quantity, in billionths: Kubernetes keeps nothing smaller. `1024Mi` equals `1Gi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i128);

impl Amount {
    /// Reads any form that Kubernetes takes: `1.5Gi`, `500m`, `1e3`. None when the text is not a
    /// quantity, or its value is too large for 128 bits.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        // Smaller parts are rounded up, as the server does.
        in_units(text, -9).map(|(billionths, _)| Self(billionths))
    }

    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One.
    pub const ONE: Self = Self(1_000_000_000);

    /// The sum. The largest or smallest amount, if it is too large for 128 bits.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// So many times the amount.
    #[must_use]
    pub fn times(self, number: u32) -> Self {
        Self(self.0.saturating_mul(i128::from(number)))
    }
}

impl fmt::Display for Amount {
    /// Writes the shortest form without rounding: `1536Mi`, `6`, `1500m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0 % 1_000_000_000 == 0;
        match u64::try_from(self.0 / 1_000_000_000) {
            Ok(0) if whole => f.write_str("0"),
            Ok(number) if whole => f.write_str(&canonical(number, number >= 1024)),
            _ if self.0 % 1_000_000 == 0 => write!(f, "{}m", self.0 / 1_000_000),
            _ => write!(f, "{}n", self.0),
        }
    }
}

/// Whether two quantities have the same value. A text that is not a quantity equals only itself.
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    a == b || matches!((Amount::read(a), Amount::read(b)), (Some(a), Some(b)) if a == b)
}

/// Whether a quantity is less than another; false when one of them is not a quantity.
#[must_use]
pub fn less(a: &str, b: &str) -> bool {
    matches!((Amount::read(a), Amount::read(b)), (Some(a), Some(b)) if a < b)
}

/// A quantity in units of ten to the power of `unit`, if it is a whole number of them. Stricter than
/// [`Amount::read`]: a number has no sign, and digits on both sides of a point.
pub(crate) fn whole_units(text: &str, unit: i32) -> Option<i128> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (number, _) = split(text);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    in_units(text, unit).filter(|(_, exact)| *exact).map(|(units, _)| units)
}

/// A quantity in units of ten to the power of `unit`, rounded up, and whether it is exactly that.
fn in_units(text: &str, unit: i32) -> Option<(i128, bool)> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (number, suffix) = split(text);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let (factor, exponent) = scale(suffix)?;
    let power = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?.checked_sub(unit)?;
    let scaled = digits.checked_mul(factor)?;
    let ten = 10_i128.checked_pow(power.unsigned_abs())?;
    let (units, exact) = if power >= 0 {
        (scaled.checked_mul(ten)?, true)
    } else {
        let exact = scaled % ten == 0;
        (scaled / ten + i128::from(!exact), exact)
    };
    Some((if negative { -units } else { units }, exact))
}

/// The number and the suffix.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()))
}

/// A suffix as a factor and a power of ten.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    let known = |suffixes: [&str; 7]| {
        (0..).zip(suffixes).find_map(|(power, known)| (known == suffix).then_some(power))
    };
    if let Some(power) = known(DECIMAL) {
        return Some((1, 3 * power));
    }
    if let Some(power) = known(BINARY) {
        return Some((1 << (10 * power), 0));
    }
    Some(match suffix {
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        exponent => (1, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

/// A Kubernetes quantity of bytes in the form that the API server gives back: `1024Mi` is `1Gi`, so
/// that what is sent and what is read compare equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    text: String,
    bytes: u64,
}

impl Quantity {
    /// The quantity in Kubernetes' format.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// The number of bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Quantity {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match bytes(text) {
            Some((0, _)) => Err(Invalid::new("must be more than 0 bytes")),
            Some((number, binary)) => {
                // Kubernetes stores quantities of bytes in 63 bits.
                let bytes = i64::try_from(number)
                    .ok()
                    .and_then(|bytes| u64::try_from(bytes).ok())
                    .ok_or_else(|| Invalid::new("must be less than 8Ei"))?;
                Ok(Self { text: canonical(bytes, binary), bytes })
            }
            None => {
                let error = Invalid::new(
                    "must be a whole number of bytes, optionally with the unit k, M, G, T, P, E or Ki, Mi, Gi, Ti, Pi, Ei: 10Gi",
                );
                Err(error.suggest::<Self>(text, &mended(text)))
            }
        }
    }
}

/// The number of bytes, and whether the suffix is one of the powers of 1024.
fn bytes(text: &str) -> Option<(i128, bool)> {
    let (number, suffix) = split(text);
    let binary = !suffix.is_empty() && BINARY.contains(&suffix);
    let is_small = number.find('.').unwrap_or(number.len()) <= 19;
    if !is_small || !(binary || DECIMAL.contains(&suffix)) {
        return None;
    }
    Some((whole_units(text, 0)?, binary))
}

/// Formats the number with the largest suffix that leaves a whole number, like `Quantity.CanonicalizeBytes`
/// of Kubernetes.
fn canonical(bytes: u64, binary: bool) -> String {
    // A quantity without a suffix is read as a decimal one the next time: 2.9296875Ki becomes 3k.
    let (base, suffixes) =
        if binary && bytes.is_multiple_of(1024) { (1024, BINARY) } else { (1000, DECIMAL) };
    let mut number = bytes;
    let mut power = 0;
    while number.is_multiple_of(base) && power + 1 < suffixes.len() {
        number /= base;
        power += 1;
    }
    format!("{number}{}", suffixes[power])
}

/// Corrects common mistakes: `10GB?` and `10g` become `10G`, `10KB` becomes `10k`, `10gib` becomes `10Gi`.
fn mended(text: &str) -> String {
    let clean: String =
        text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect::<String>();
    let (number, suffix) = split(&clean);
    let suffix = suffix.to_ascii_lowercase();
    let suffix = suffix.strip_suffix('b').unwrap_or(&suffix);
    let known = DECIMAL.iter().chain(&BINARY).find(|known| known.eq_ignore_ascii_case(suffix));
    format!("{number}{}", known.unwrap_or(&"?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_quantities_and_writes_them_as_kubernetes_does() {
        for (text, bytes, canonical) in [
            ("1", 1, "1"),
            ("1000", 1_000, "1k"),
            ("1024", 1_024, "1024"),
            ("100M", 100_000_000, "100M"),
            ("1Gi", 1 << 30, "1Gi"),
            ("1024Mi", 1 << 30, "1Gi"),
            ("0.5Gi", 1 << 29, "512Mi"),
            ("1.5G", 1_500_000_000, "1500M"),
            ("1.50k", 1_500, "1500"),
            ("0.5Ki", 512, "512"),
            ("1.5Ki", 1_536, "1536"),
            ("2.9296875Ki", 3_000, "3k"),
            ("010Gi", 10 << 30, "10Gi"),
            ("7Ei", 7 << 60, "7Ei"),
        ] {
            let quantity: Quantity = text.parse().unwrap();
            assert_eq!((quantity.bytes(), quantity.as_str()), (bytes, canonical), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_none() {
        for (text, hint) in [
            ("", None),
            ("10GB?", Some("did you mean 10G?")),
            ("10GB", Some("did you mean 10G?")),
            ("10g", Some("did you mean 10G?")),
            ("10K", Some("did you mean 10k?")),
            ("10gib", Some("did you mean 10Gi?")),
            ("10 Gi", Some("did you mean 10Gi?")),
            ("-1Gi", Some("did you mean 1Gi?")),
            ("500m", Some("did you mean 500M?")),
            ("0.1", None),
            ("0.3Ki", None),
            ("0.9999999999", None),
            ("1.", None),
            (".5Gi", None),
            ("1.2.3G", None),
            ("1e3", None),
            ("Gi", None),
            ("ten", None),
            ("12345678901234567890", None),
        ] {
            let error = text.parse::<Quantity>().expect_err(text);
            assert!(error.reason.starts_with("must be a whole number of bytes"), "{text}");
            assert_eq!(error.hint.as_deref(), hint, "{text:?}");
        }
        for text in ["0", "0Gi", "0.0"] {
            assert_eq!(text.parse::<Quantity>().unwrap_err().reason, "must be more than 0 bytes");
        }
        for text in ["8Ei", "16E"] {
            assert_eq!(text.parse::<Quantity>().unwrap_err().reason, "must be less than 8Ei");
        }
    }

    #[test]
    fn amounts_are_added_and_written() {
        let read = |text: &str| Amount::read(text).unwrap();
        for (amount, text) in [
            (read("500m").times(3), "1500m"),
            (read("0.5").plus(read("1500m")), "2"),
            (read("512Mi").times(3), "1536Mi"),
            (read("1Gi").minus(read("1Gi")), "0"),
            (read("1").minus(read("1500m")), "-500m"),
            (read("100M").plus(Amount::ZERO), "100M"),
            (Amount::ONE.times(12), "12"),
            (read("1n"), "1n"),
        ] {
            assert_eq!(amount.to_string(), text);
        }
    }

    #[test]
    fn compared_by_value() {
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
            ("100000m", "100"),
            ("1.00000000000000000000000000000000000000000", "1"),
            ("0.0000000001", "1n"),
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
        assert!(!same("1e2147483647", "1"));
        for wrong in ["", "M", "ten", "1KiB", "inf", "nan"] {
            assert_eq!(Amount::read(wrong), None, "{wrong}");
        }
    }
    proptest::proptest! {
        #[test]
        fn what_it_writes_it_reads_again(bytes in 1..=i64::MAX as u64, binary: bool) {
            let text = canonical(bytes, binary);
            let again: Quantity = text.parse().unwrap();
            proptest::prop_assert_eq!(again.bytes(), bytes);
            proptest::prop_assert_eq!(again.as_str(), text);
        }

        #[test]
        fn nothing_makes_it_panic(text in ".*") {
            let _ = text.parse::<Quantity>();
            let _ = Amount::read(&text);
        }
    }
}
