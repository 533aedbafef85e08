//! Settings of the pods, such as resources, scheduling, labels and annotations. Only the profile `postgres`
//! has them.

mod metadata;
mod resources;
mod toleration;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

pub use metadata::{Annotation, Label};
pub use resources::{Cpu, Resources};
pub use toleration::{Effect, Toleration};

use super::sources::Sources;
use super::{SettingsError, Source, Sourced};
use crate::cli::SettingsArgs;
use crate::environment::{self as variables, Variable};
use crate::image::{Capabilities, Profile, ProfileName};
use crate::values::Invalid;
use crate::values::duration;
use crate::values::names::is_dns_name;

/// Settings of the pods, such as resources, scheduling, labels and annotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pods {
    /// Resource requests of each container.
    pub requests: Resources,
    /// Resource limits of each container.
    pub limits: Resources,
    /// Labels that a node must have to run the pods.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods tolerate.
    pub tolerations: Vec<Toleration>,
    /// Names of the Secrets with the credentials of the image's registry.
    pub image_pull_secrets: Vec<String>,
    /// Labels of every object, and of the pods.
    pub labels: BTreeMap<String, String>,
    /// Annotations of every object, and of the pods.
    pub annotations: BTreeMap<String, String>,
    /// Whether a NetworkPolicy refuses connections from other namespaces.
    pub network_policy: bool,
    /// How long a pod may take to stop before Kubernetes kills it.
    pub termination_grace_period: Duration,
}

/// A fast shutdown of a large and busy server takes minutes, because it writes a checkpoint first. A server
/// that was killed must do crash recovery at its next start.
const TERMINATION_GRACE_PERIOD: Duration = Duration::from_secs(600);

impl Default for Pods {
    fn default() -> Self {
        let (requests, limits) = resources::defaults();
        Self {
            requests,
            limits,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            image_pull_secrets: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            network_policy: false,
            termination_grace_period: TERMINATION_GRACE_PERIOD,
        }
    }
}

/// Resolves the settings of the pods from flags and environment variables.
///
/// # Errors
/// When a value is invalid, or when any of these settings is given with another profile: the templates of
/// other profiles do not use them.
pub(super) fn pods(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
    profile: &Profile,
) -> Result<Pods, SettingsError> {
    let given = PodInputs::read(sources, args)?;
    if !profile.capabilities().has_pod_settings {
        return match given.first() {
            None => Ok(Pods::default()),
            Some((field, found)) => {
                let others = ProfileName::ALL
                    .into_iter()
                    .filter(|name| Capabilities::of(*name).has_pod_settings)
                    .map(ProfileName::as_str);
                let invalid = Invalid::new(format!(
                    "must not be given with the profile {}: only the profile {} supports it",
                    profile.name(),
                    others.collect::<Vec<_>>().join(", ")
                ))
                .hint("your templates can set it: pgset templates export DIR");
                Err(SettingsError::of(field, &found.value, found.source.clone(), invalid))
            }
        };
    }
    given.settle(sources)
}

/// What was given, list by list; values that belong to one field share a source.
struct PodInputs {
    requests: Vec<Sourced<String>>,
    limits: Vec<Sourced<String>>,
    node_selector: Vec<Sourced<String>>,
    tolerations: Vec<Sourced<String>>,
    image_pull_secrets: Vec<Sourced<String>>,
    labels: Vec<Sourced<String>>,
    annotations: Vec<Sourced<String>>,
    network_policy: Vec<Sourced<String>>,
    termination_grace_period: Vec<Sourced<String>>,
}

impl PodInputs {
    fn read(sources: &Sources<'_>, args: &SettingsArgs) -> Result<Self, SettingsError> {
        let one = |flag, value: &Option<String>, variable| {
            list(sources, flag, value.as_slice(), variable, None)
        };
        let many =
            |flag, values: &[String], variable| list(sources, flag, values, variable, Some(','));
        Ok(Self {
            requests: merged(
                sources,
                many("--requests", &args.requests, &variables::PGSET_REQUESTS)?,
                &variables::PGSET_REQUESTS,
            ),
            limits: merged(
                sources,
                many("--limits", &args.limits, &variables::PGSET_LIMITS)?,
                &variables::PGSET_LIMITS,
            ),
            node_selector: many(
                "--node-selector",
                &args.node_selector,
                &variables::PGSET_NODE_SELECTOR,
            )?,
            tolerations: many("--toleration", &args.toleration, &variables::PGSET_TOLERATION)?,
            image_pull_secrets: many(
                "--image-pull-secret",
                &args.image_pull_secret,
                &variables::PGSET_IMAGE_PULL_SECRET,
            )?,
            labels: many("--label", &args.label, &variables::PGSET_LABEL)?,
            // Separated by newlines, because the value of an annotation may contain commas.
            annotations: list(
                sources,
                "--annotation",
                &args.annotation,
                &variables::PGSET_ANNOTATION,
                Some('\n'),
            )?,
            network_policy: one(
                "--network-policy",
                &args.network_policy,
                &variables::PGSET_NETWORK_POLICY,
            )?,
            termination_grace_period: one(
                "--termination-grace-period",
                &args.termination_grace_period,
                &variables::PGSET_TERMINATION_GRACE_PERIOD,
            )?,
        })
    }

    /// The first setting that was given, with the name of its field.
    fn first(&self) -> Option<(&'static str, &Sourced<String>)> {
        [
            ("requests", &self.requests),
            ("limits", &self.limits),
            ("node selector", &self.node_selector),
            ("toleration", &self.tolerations),
            ("image pull secret", &self.image_pull_secrets),
            ("label", &self.labels),
            ("annotation", &self.annotations),
            ("network policy", &self.network_policy),
            ("termination grace period", &self.termination_grace_period),
        ]
        .into_iter()
        .find_map(|(field, values)| Some((field, values.first()?)))
    }

    fn settle(self, sources: &mut Sources<'_>) -> Result<Pods, SettingsError> {
        let (requests, limits) = resources::settle(&self.requests, &self.limits)?;
        let grace = parsed("termination grace period", &self.termination_grace_period, |text| {
            // Kubernetes takes whole seconds, so round up.
            let read = duration::parse(text)?;
            Ok(Duration::from_secs(read.as_millis().div_ceil(1000).try_into().unwrap_or(1)))
        })?;
        let network_policy = parsed("network policy", &self.network_policy, yes_or_no)?;
        let pods = Pods {
            requests,
            limits,
            node_selector: pairs::<Label>("node selector", &self.node_selector, false)?,
            tolerations: parsed("toleration", &self.tolerations, str::parse)?,
            image_pull_secrets: parsed("image pull secret", &self.image_pull_secrets, object_name)?,
            labels: pairs::<Label>("label", &self.labels, true)?,
            annotations: pairs::<Annotation>("annotation", &self.annotations, true)?,
            network_policy: network_policy.last().copied().unwrap_or(false),
            termination_grace_period: grace.last().copied().unwrap_or(TERMINATION_GRACE_PERIOD),
        };
        let mut settle = |variable, given: &[Sourced<String>], value: String| {
            let source = given.first().map_or(&Source::Default, |given| &given.source);
            sources.settle(variable, value, source);
        };
        settle(&variables::PGSET_REQUESTS, &self.requests, pods.requests.to_string());
        settle(&variables::PGSET_LIMITS, &self.limits, pods.limits.to_string());
        settle(
            &variables::PGSET_NETWORK_POLICY,
            &self.network_policy,
            pods.network_policy.to_string(),
        );
        settle(
            &variables::PGSET_TERMINATION_GRACE_PERIOD,
            &self.termination_grace_period,
            duration::display(pods.termination_grace_period),
        );
        for (variable, given, value) in [
            (
                &variables::PGSET_NODE_SELECTOR,
                &self.node_selector,
                joined(&pods.node_selector, ","),
            ),
            (&variables::PGSET_LABEL, &self.labels, joined(&pods.labels, ",")),
            (&variables::PGSET_ANNOTATION, &self.annotations, joined(&pods.annotations, "\n")),
            (&variables::PGSET_TOLERATION, &self.tolerations, words(&pods.tolerations)),
            (
                &variables::PGSET_IMAGE_PULL_SECRET,
                &self.image_pull_secrets,
                words(&pods.image_pull_secrets),
            ),
        ] {
            if !given.is_empty() {
                settle(variable, given, value);
            }
        }
        Ok(pods)
    }
}

/// Returns the values of the flag, or else those of its variable, split at `separator`.
fn list(
    sources: &Sources<'_>,
    flag: &'static str,
    values: &[String],
    variable: &Variable,
    separator: Option<char>,
) -> Result<Vec<Sourced<String>>, SettingsError> {
    let (texts, source) = match sources.variable_or_recorded(&[variable])? {
        _ if !values.is_empty() => (values.to_vec(), Source::Flag(flag)),
        Some(given) => (vec![given.value.to_owned()], given.source),
        None => return Ok(Vec::new()),
    };
    let cut = |text: String| match separator {
        Some(separator) => text.split(separator).map(|part| part.trim().to_owned()).collect(),
        None => vec![text],
    };
    let parts = texts.into_iter().flat_map(cut);
    Ok(parts.map(|value| Sourced { value, source: source.clone() }).collect())
}

/// Adds the recorded values of the resources that were not given: `--requests cpu=1` replaces only that of cpu.
fn merged(
    sources: &Sources<'_>,
    given: Vec<Sourced<String>>,
    variable: &Variable,
) -> Vec<Sourced<String>> {
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().trim().to_owned();
    let Some(recorded) = sources.recorded(variable) else { return given };
    let is_given = |pair: &&str| given.iter().any(|given| name(&given.value) == name(pair));
    let recorded = recorded.value.split(',').map(str::trim).filter(|pair| !is_given(pair));
    let recorded: Vec<Sourced<String>> =
        recorded.map(|pair| Sourced { value: pair.to_owned(), source: Source::Recorded }).collect();
    given.into_iter().chain(recorded).collect()
}

/// Parses each of the values with `read`.
fn parsed<T>(
    field: &'static str,
    given: &[Sourced<String>],
    read: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Vec<T>, SettingsError> {
    let one = |given: &Sourced<String>| {
        read(&given.value).map_err(|invalid| {
            SettingsError::of(field, given.value.as_str(), given.source.clone(), invalid)
        })
    };
    given.iter().map(one).collect()
}

/// A key and a value that Kubernetes accepts.
pub(super) trait Pair: Sized {
    /// Parses `key=value`. If `own` is true, refuses the keys that pgset and Kubernetes set themselves.
    fn pair(text: &str, own: bool) -> Result<(String, String), Invalid>;
}

fn pairs<T: Pair>(
    field: &'static str,
    given: &[Sourced<String>],
    own: bool,
) -> Result<BTreeMap<String, String>, SettingsError> {
    let mut map = BTreeMap::new();
    for (pair, given) in parsed(field, given, |text| T::pair(text, own))?.into_iter().zip(given) {
        let (key, value) = pair;
        if let Some(other) = map.insert(key, value.clone())
            && other != value
        {
            let invalid = Invalid::new(format!("must have one value: {other:?} was also given"));
            return Err(SettingsError::of(
                field,
                given.value.as_str(),
                given.source.clone(),
                invalid,
            ));
        }
    }
    Ok(map)
}

/// Whether a label or an annotation `key=value` is the user's, and not pgset's or Kubernetes'.
pub(super) fn is_users<T: Pair>(text: &str) -> bool {
    T::pair(text, true).is_ok()
}

fn yes_or_no(text: &str) -> Result<bool, Invalid> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(Invalid::new("must be true or false")),
    }
}

fn object_name(name: &str) -> Result<String, Invalid> {
    if is_dns_name(name) {
        return Ok(name.to_owned());
    }
    Err(Invalid::new("must be the name of a Secret: lower-case letters, digits, dashes and dots"))
}

/// `key=value` pairs in the syntax of the variable.
pub(super) fn joined(map: &BTreeMap<String, String>, separator: &str) -> String {
    let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(separator)
}

/// Values in the syntax of the variable.
pub(super) fn words(list: &[impl Display]) -> String {
    let words: Vec<String> = list.iter().map(ToString::to_string).collect();
    words.join(",")
}

#[cfg(test)]
mod tests;
