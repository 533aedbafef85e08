//! How far a replica may be behind the master and still serve reads (`--max-lag`).

use super::sources::{Sources, parse};
use super::{SettingsError, Source, Sourced};
use crate::cli::SettingsArgs;
use crate::environment as variables;
use crate::values::{Invalid, Quantity};

/// The key in the ConfigMap of the configuration, and the name of the file in the pods: the limit in bytes.
pub const KEY: &str = "max-lag";

const FIELD: &str = "maximum lag";

/// The default, and the limit where nothing sets another one.
pub const DEFAULT: &str = "1Gi";
/// The default in bytes.
pub const DEFAULT_BYTES: u64 = 1 << 30;
/// The smallest limit: a segment of the log. A switch to the next segment skips the rest of the current one, and a
/// smaller limit would take every replica out of its Service each time.
const SMALLEST: &str = "16Mi";
const SMALLEST_BYTES: u64 = 16 << 20;

/// The limit in the ConfigMap of the configuration, as a quantity.
#[must_use]
pub fn of_config(config: &serde_json::Value) -> Option<Quantity> {
    let bytes = config["data"][KEY].as_str()?.trim();
    // A number of bytes that is a multiple of 1024 was probably given in such units.
    let binary = bytes.parse::<u64>().ok().filter(|bytes| bytes % 1024 == 0);
    binary.map_or_else(|| bytes.to_owned(), |bytes| format!("{}Ki", bytes / 1024)).parse().ok()
}

/// The limit that was set, or the default.
///
/// # Errors
/// When it is not a number of bytes, or too small.
pub(super) fn max_lag(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
    refusal: Option<&'static str>,
) -> Result<Quantity, SettingsError> {
    let variable = &variables::PGSET_MAX_LAG;
    let given = sources.given_or_recorded("--max-lag", args.max_lag.as_deref(), &[variable])?;
    let refused = |given: &Sourced<&str>, invalid| {
        SettingsError::of(FIELD, given.value, given.source.clone(), invalid)
    };
    if let Some((given, reason)) =
        given.as_ref().filter(|given| given.source.is_given()).zip(refusal)
    {
        let invalid = Invalid::new(reason).hint("use the official image: --image postgres:17");
        return Err(refused(given, invalid));
    }
    let given = given.unwrap_or(Sourced { value: DEFAULT, source: Source::Default });
    let limit: Sourced<Quantity> = parse(FIELD, &given)?;
    if limit.value.bytes() < SMALLEST_BYTES {
        let reason = format!("must be at least {SMALLEST}, the size of a segment of the log");
        return Err(refused(&given, Invalid::new(reason)));
    }
    if refusal.is_none() {
        sources.settle(variable, &limit.value, &limit.source);
    }
    Ok(limit.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_are_the_same_as_their_texts() {
        for (text, bytes) in [(DEFAULT, DEFAULT_BYTES), (SMALLEST, SMALLEST_BYTES)] {
            assert_eq!(text.parse::<Quantity>().unwrap().bytes(), bytes);
        }
    }

    #[test]
    fn the_limit_is_read_back_from_the_configuration() {
        let read = |text: &str| {
            let config = serde_json::json!({"data": {KEY: text}});
            of_config(&config).map(|limit| limit.to_string())
        };
        assert_eq!(read("1073741824\n").as_deref(), Some("1Gi"));
        assert_eq!(read("5000000000\n").as_deref(), Some("5G"));
        assert_eq!(read("much"), None);
        assert_eq!(of_config(&serde_json::json!({})), None);
    }
}
