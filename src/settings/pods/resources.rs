//! Requests and limits in the syntax of `kubectl set resources`: `cpu=500m,memory=1Gi`.

use std::fmt;
use std::str::FromStr;

use crate::settings::{SettingsError, Sourced};
use crate::values::Invalid;
use crate::values::Quantity;

/// The requests or the limits of a container. `None` means that the resource is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Processor time.
    pub cpu: Option<Cpu>,
    /// Memory.
    pub memory: Option<Quantity>,
    /// Disk space outside of volumes: logs, and files in `/tmp`.
    pub ephemeral_storage: Option<Quantity>,
}

/// CPU, in thousandths of a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpu(u64);

impl FromStr for Cpu {
    type Err = Invalid;

    /// Parses `2`, `0.5` and `500m`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || {
            Invalid::new("must be a number of processors, or of their thousandths: 2, 0.5 or 500m")
        };
        let whole = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<u64>().ok()).flatten()
        };
        let milli = match (text.strip_suffix('m'), text.split_once('.')) {
            (Some(number), _) => whole(number),
            (None, Some((number, fraction))) if (1..=3).contains(&fraction.len()) => {
                let fraction = whole(&format!("{fraction:0<3}"));
                let number = whole(number).and_then(|number| number.checked_mul(1000));
                number.zip(fraction).and_then(|(number, fraction)| number.checked_add(fraction))
            }
            (None, Some(_)) => None,
            (None, None) => whole(text).and_then(|number| number.checked_mul(1000)),
        };
        // More than a million processors is probably a typing mistake.
        milli.filter(|milli| (1..=1_000_000_000).contains(milli)).map(Self).ok_or_else(invalid)
    }
}

/// Formats the value as Kubernetes does: `1000m` becomes `1`.
impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{}", self.0 / 1000)
        } else {
            write!(f, "{}m", self.0)
        }
    }
}

impl Resources {
    /// Name and value of each resource that is set.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        [
            ("cpu", self.cpu.map(|cpu| cpu.to_string())),
            ("memory", self.memory.as_ref().map(ToString::to_string)),
            ("ephemeral-storage", self.ephemeral_storage.as_ref().map(ToString::to_string)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> =
            self.pairs().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        f.write_str(&pairs.join(","))
    }
}

/// The default requests are small, so that a set fits on a laptop. A set in production needs its own
/// values.
const REQUESTS: [(&str, &str); 3] =
    [("cpu", "100m"), ("memory", "256Mi"), ("ephemeral-storage", "64Mi")];
/// By default every resource has a limit, so that no set harms its neighbours on the node.
const LIMITS: [(&str, &str); 3] = [("cpu", "2"), ("memory", "1Gi"), ("ephemeral-storage", "1Gi")];

/// The default requests and limits.
pub(super) fn defaults() -> (Resources, Resources) {
    settle(&[], &[]).unwrap_or_default()
}

/// The value for one resource. `given` is its source, or `None` for a default.
struct Said<'a, T> {
    value: Option<T>,
    given: Option<&'a Sourced<String>>,
}

/// Resolves requests and limits. If only one of the two is given for a resource, the default of the other
/// is adjusted, so that the request does not exceed the limit.
///
/// # Errors
/// When a value is not a quantity, when a resource is unknown, or when a given request exceeds the given
/// limit.
pub(super) fn settle(
    requests: &[Sourced<String>],
    limits: &[Sourced<String>],
) -> Result<(Resources, Resources), SettingsError> {
    check_names("requests", requests)?;
    check_names("limits", limits)?;
    let (cpu, cpu_limit) = both::<Cpu, _>("cpu", requests, limits, |cpu| cpu.0)?;
    let (memory, memory_limit) = both("memory", requests, limits, Quantity::bytes)?;
    let (storage, storage_limit) = both("ephemeral-storage", requests, limits, Quantity::bytes)?;
    Ok((
        Resources { cpu, memory, ephemeral_storage: storage },
        Resources { cpu: cpu_limit, memory: memory_limit, ephemeral_storage: storage_limit },
    ))
}

fn both<T, N>(
    name: &str,
    requests: &[Sourced<String>],
    limits: &[Sourced<String>],
    number: impl Fn(&T) -> N,
) -> Result<(Option<T>, Option<T>), SettingsError>
where
    T: FromStr<Err = Invalid> + Clone,
    N: PartialOrd,
{
    let request = said::<T>("requests", name, requests, &REQUESTS)?;
    let limit = said::<T>("limits", name, limits, &LIMITS)?;
    let (Some(low), Some(high)) = (&request.value, &limit.value) else {
        return Ok((request.value, limit.value));
    };
    if number(low) <= number(high) {
        return Ok((request.value, limit.value));
    }
    match (request.given, limit.given) {
        (Some(given), Some(limit)) => {
            let invalid = Invalid::new(format!(
                "must not be more than the limit {:?} (from {})",
                limit.value, limit.source
            ));
            Err(SettingsError::of("requests", given.value.as_str(), given.source.clone(), invalid))
        }
        (Some(_), None) => Ok((request.value.clone(), request.value)),
        _ => Ok((limit.value.clone(), limit.value)),
    }
}

/// Returns the last value that was given for a resource, or else its default. The value `none` removes the
/// default.
fn said<'a, T: FromStr<Err = Invalid>>(
    field: &'static str,
    name: &str,
    given: &'a [Sourced<String>],
    defaults: &[(&str, &str)],
) -> Result<Said<'a, T>, SettingsError> {
    let mine = |given: &&Sourced<String>| split(&given.value).is_some_and(|(n, _)| n == name);
    let Some(given) = given.iter().rfind(mine) else {
        let default = defaults.iter().find(|(known, _)| *known == name);
        let value = default.and_then(|(_, value)| value.parse().ok());
        return Ok(Said { value, given: None });
    };
    let text = split(&given.value).map_or("", |(_, value)| value);
    let value = match text {
        "none" => None,
        text => Some(text.parse().map_err(|invalid| {
            SettingsError::of(field, given.value.as_str(), given.source.clone(), invalid)
        })?),
    };
    Ok(Said { value, given: Some(given) })
}

fn check_names(field: &'static str, given: &[Sourced<String>]) -> Result<(), SettingsError> {
    for given in given {
        if !split(&given.value).is_some_and(|(name, _)| REQUESTS.iter().any(|(n, _)| *n == name)) {
            let invalid = Invalid::new(
                "must be cpu=, memory= or ephemeral-storage= and a quantity: cpu=500m,memory=1Gi",
            );
            return Err(SettingsError::of(
                field,
                given.value.as_str(),
                given.source.clone(),
                invalid,
            ));
        }
    }
    Ok(())
}

fn split(text: &str) -> Option<(&str, &str)> {
    text.split_once('=')
}
