//! Requests and limits in the syntax of `kubectl set resources`: `cpu=500m,memory=1Gi`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::settings::{SettingsError, Source, Sourced};
use crate::values::{Invalid, Quantity, quantity};

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
pub struct Cpu(u32);

impl FromStr for Cpu {
    type Err = Invalid;

    /// Parses `2`, `0.5` and `500m`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number = text.strip_suffix('m').unwrap_or(text);
        let is_plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let milli = is_plain.then(|| quantity::whole_units(text, -3)).flatten();
        let milli = milli.and_then(|milli| u32::try_from(milli).ok());
        // A million processors is a slip of the finger.
        milli.filter(|milli| (1..=1_000_000_000).contains(milli)).map(Self).ok_or_else(|| {
            Invalid::new("must be a number of CPUs, or of thousandths of a CPU: 2, 0.5 or 500m")
        })
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

impl Resources {
    /// Every resource in the syntax of the variable, also those without a value: `cpu=2,memory=none`.
    #[must_use]
    pub fn recorded(&self) -> String {
        let pairs: BTreeMap<&str, String> = self.pairs().into_iter().collect();
        let one = |(name, _): &(&str, &str)| {
            format!("{name}={}", pairs.get(name).map_or("none", String::as_str))
        };
        REQUESTS.iter().map(one).collect::<Vec<_>>().join(",")
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

/// The value of one resource, and the input that it comes from; none where it is a default.
struct ResourceInput<'a, T> {
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
    let request = input::<T>("requests", name, requests, &REQUESTS)?;
    let limit = input::<T>("limits", name, limits, &LIMITS)?;
    let (Some(low), Some(high)) = (&request.value, &limit.value) else {
        return Ok((request.value, limit.value));
    };
    if number(low) <= number(high) {
        return Ok((request.value, limit.value));
    }
    let limit_value = limit.value;
    match (request.given, limit.given) {
        // A recorded value gives way to one that is given now.
        (Some(given), Some(limit)) if is_recorded(limit) && !is_recorded(given) => {
            Ok((request.value.clone(), request.value))
        }
        (Some(given), Some(limit)) if is_recorded(given) && !is_recorded(limit) => {
            Ok((limit_value.clone(), limit_value))
        }
        (Some(given), Some(limit)) => {
            let invalid = Invalid::new(format!(
                "must not be more than the limit {:?} (from {})",
                limit.value, limit.source
            ));
            Err(SettingsError::of("requests", given.value.as_str(), given.source.clone(), invalid))
        }
        (Some(_), None) => Ok((request.value.clone(), request.value)),
        _ => Ok((limit_value.clone(), limit_value)),
    }
}

fn is_recorded(given: &Sourced<String>) -> bool {
    given.source == Source::Recorded
}

/// The last that was given for a resource, else its default; `none` takes the default away.
fn input<'a, T: FromStr<Err = Invalid>>(
    field: &'static str,
    name: &str,
    given: &'a [Sourced<String>],
    defaults: &[(&str, &str)],
) -> Result<ResourceInput<'a, T>, SettingsError> {
    let mine = |given: &&Sourced<String>| split(&given.value).is_some_and(|(n, _)| n == name);
    let Some(given) = given.iter().rfind(mine) else {
        let default = defaults.iter().find(|(known, _)| *known == name);
        let value = default.and_then(|(_, value)| value.parse().ok());
        return Ok(ResourceInput { value, given: None });
    };
    let text = split(&given.value).map_or("", |(_, value)| value);
    let value = match text {
        "none" => None,
        text => Some(text.parse().map_err(|invalid| {
            SettingsError::of(field, given.value.as_str(), given.source.clone(), invalid)
        })?),
    };
    Ok(ResourceInput { value, given: Some(given) })
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
