//! Kubernetes quantities of bytes.

use std::fmt;
use std::str::FromStr;

use crate::values::Invalid;

/// A Kubernetes quantity of bytes in the form that the API server returns: `1024Mi` becomes `1Gi`. So the
/// value that pgset sends and the value that it reads back compare equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    text: String,
    bytes: u64,
}

const DECIMAL: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

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
                    "must be a whole number of bytes, with k, M, G, T, P, E or Ki, Mi, Gi, Ti, Pi, Ei behind it: 10Gi",
                );
                Err(error.suggest::<Self>(text, &mended(text)))
            }
        }
    }
}

/// Returns the number of bytes, and whether the suffix is a power of 1024.
fn bytes(text: &str) -> Option<(u128, bool)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let power_in = |suffixes: [&str; 7]| suffixes.iter().position(|known| *known == suffix);
    let (base, power, binary) = match power_in(DECIMAL) {
        Some(power) => (1000_u128, power, false),
        None => (1024_u128, power_in(BINARY)?, true),
    };
    let factor = base.pow(u32::try_from(power).ok()?);
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (number, ""),
    };
    // More than 18 decimal places are not supported. Zeros at the end have no effect.
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() || whole.len() > 19 || fraction.len() > 18 {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = digits.checked_mul(factor)?;
    scaled.is_multiple_of(scale).then(|| (scaled / scale, binary))
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
    let end = clean.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(clean.len());
    let (number, suffix) = clean.split_at(end);
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
        }
    }
}
