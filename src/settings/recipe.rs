//! The recipe of a set: the settings that it was created with. What a later `up` is not given, it takes from the
//! recipe instead of the default.
//!
//! A value has the syntax of the setting's variable, so that it is read and checked in the same way. A recipe
//! contains no password.

use std::collections::BTreeMap;

use super::{Parameters, Settings, TlsSetting, computed};
use crate::environment::{self as variables, Variable};
use crate::values::{Invalid, Replicas, duration};

/// The version of the recipe, recorded as `version`. A pgset that records something that this one could not keep
/// increases it.
pub const VERSION: u32 = 2;

/// The settings that a recipe contains, by the name that they have in the recipe.
const RECORDED: [(&str, &Variable); 26] = [
    ("access-mode", &variables::PGSET_ACCESS_MODE),
    ("annotation", &variables::PGSET_ANNOTATION),
    ("database", &variables::PG_DATABASE),
    ("image", &variables::PGSET_IMAGE),
    ("image-pull-secret", &variables::PGSET_IMAGE_PULL_SECRET),
    ("label", &variables::PGSET_LABEL),
    ("limits", &variables::PGSET_LIMITS),
    ("max-lag", &variables::PGSET_MAX_LAG),
    ("network-policy", &variables::PGSET_NETWORK_POLICY),
    ("node-selector", &variables::PGSET_NODE_SELECTOR),
    ("primary-user", &variables::PG_PRIMARY_USER),
    ("profile", &variables::PGSET_PROFILE),
    ("replicas", &variables::PGSET_REPLICAS),
    ("requests", &variables::PGSET_REQUESTS),
    ("service-account", &variables::PGSET_SERVICE_ACCOUNT),
    ("set", &variables::PGSET_SET),
    ("size", &variables::PGSET_SIZE),
    ("storage", &variables::PGSET_STORAGE),
    ("synchronous", &variables::PGSET_SYNCHRONOUS),
    ("termination-grace-period", &variables::PGSET_TERMINATION_GRACE_PERIOD),
    ("tls", &variables::PGSET_TLS),
    ("tls-secret", &variables::PGSET_TLS_SECRET),
    ("toleration", &variables::PGSET_TOLERATION),
    ("user", &variables::PG_USER),
    ("user-id", &variables::PGSET_USER_ID),
    ("volume-prefix", &variables::PGSET_VOLUME_PREFIX),
];

/// The settings that a running set keeps itself, where another client may have changed them, too.
const LIVE: [&str; 5] = ["replicas", "set", "synchronous", "tls", "tls-secret"];

/// The names of all recorded settings. There is no variable for the computed ones: they follow from other settings.
fn names() -> impl Iterator<Item = &'static str> {
    RECORDED.iter().map(|(name, _)| *name).chain([computed::NAME])
}

/// The recorded settings: values in the syntax of their variables, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipe(BTreeMap<&'static str, String>);

impl Recipe {
    /// The recipe that records these settings of a set with this number of pods. `tls` is the TLS setting that
    /// the set has after all.
    #[must_use]
    pub fn of(settings: &Settings, replicas: u32, tls: &TlsSetting) -> Self {
        let mut recipe = Self::default();
        let mut record = |name, value: String| {
            recipe.0.insert(name, value);
        };
        record("image", settings.image.to_string());
        record("profile", settings.profile.name().to_string());
        record("replicas", replicas.to_string());
        record("storage", settings.storage.to_string());
        record("size", settings.size.to_string());
        record("access-mode", settings.access_mode.to_string());
        record("volume-prefix", settings.volume_prefix.clone());
        record("user", settings.credentials.user.to_string());
        record("primary-user", settings.credentials.primary_user.to_string());
        record("database", settings.credentials.database.to_string());
        if let Some(user) = settings.profile.given_user_id() {
            record("user-id", user.to_string());
        }
        if let Some(account) = &settings.service_account {
            record("service-account", account.clone());
        }
        if settings.profile.capabilities().configuration.is_there() {
            let parameters = settings.parameters.as_ref();
            record("set", parameters.map(Parameters::text).unwrap_or_default());
            let synchronous = settings.synchronous.as_ref().map_or(0, |given| given.value);
            record("synchronous", synchronous.to_string());
            record("max-lag", settings.max_lag.to_string());
            record(computed::NAME, settings.computed.recorded().to_owned());
        }
        if settings.profile.capabilities().tls.is_there() {
            match tls {
                TlsSetting::On => record("tls", "true".to_owned()),
                TlsSetting::Off => record("tls", "false".to_owned()),
                TlsSetting::Secret(name) => record("tls-secret", name.clone()),
            }
        }
        if settings.profile.capabilities().has_pod_settings {
            let pods = &settings.pods;
            record("requests", pods.requests.recorded());
            record("limits", pods.limits.recorded());
            record("node-selector", super::pods::joined(&pods.node_selector, ","));
            record("toleration", super::pods::words(&pods.tolerations));
            record("image-pull-secret", super::pods::words(&pods.image_pull_secrets));
            record("label", super::pods::joined(&pods.labels, ","));
            record("annotation", super::pods::joined(&pods.annotations, "\n"));
            record("network-policy", pods.network_policy.to_string());
            let grace = duration::display(pods.termination_grace_period);
            record("termination-grace-period", grace);
        }
        recipe
    }

    /// Reads the data of a ConfigMap. Settings that this version does not know are left out.
    #[must_use]
    pub fn of_data<'a>(data: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let known = |name: &str| names().find(|known| *known == name);
        let data =
            data.into_iter().filter_map(|(name, value)| Some((known(name)?, value.to_owned())));
        Self(data.collect())
    }

    /// The data of a ConfigMap.
    pub fn data(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Whether nothing is recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a setting in the syntax of its variable. An empty value is the default of a list.
    #[must_use]
    pub fn get(&self, variable: &Variable) -> Option<&str> {
        let (name, _) = RECORDED.iter().find(|(_, known)| known.name == variable.name)?;
        // No PostgreSQL setting at all is a value, too: a running set must not keep those that it has.
        self.0.get(name).map(String::as_str).filter(|value| *name == "set" || !value.is_empty())
    }

    /// A recorded value, by its name in the recipe.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Removes a recorded value and returns it.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Records another value, or none.
    pub fn record(&mut self, name: &'static str, value: Option<String>) {
        match value {
            Some(value) => self.0.insert(name, value),
            None => self.0.remove(name),
        };
    }

    /// The recipe for a set that runs: what the set keeps itself is not taken from the recipe, but from the set.
    #[must_use]
    pub fn without_live(mut self) -> Self {
        for name in LIVE {
            self.0.remove(name);
        }
        self
    }

    /// Goes back to the default of settings: `size`, `set.work_mem`, or `all`.
    ///
    /// # Errors
    /// When there is no such setting.
    pub fn reset(&mut self, settings: &[String]) -> Result<(), Invalid> {
        for setting in settings {
            match setting.split_once('.') {
                None if setting == "all" => {
                    self.0.clear();
                    for name in LIVE.into_iter().chain([computed::NAME]) {
                        self.reset_live(name);
                    }
                }
                None => {
                    let known = names().find(|name| name == setting);
                    let name = known.ok_or_else(|| unknown(setting))?;
                    self.0.remove(name);
                    self.reset_live(name);
                }
                Some(("set", parameter)) => self.reset_parameter(parameter),
                Some(_) => return Err(unknown(setting)),
            }
        }
        Ok(())
    }

    /// Without a value, a running set would keep what it has: the default must be recorded.
    fn reset_live(&mut self, name: &str) {
        match name {
            "replicas" => self.record("replicas", Some(Replicas::DEFAULT.to_string())),
            "set" => self.record("set", Some(String::new())),
            // The same as for a new set.
            computed::NAME => self.record(computed::NAME, Some(computed::RULE.to_owned())),
            "synchronous" => self.record("synchronous", Some("0".to_owned())),
            "tls" | "tls-secret" => {
                self.record("tls", Some("false".to_owned()));
                self.record("tls-secret", None);
            }
            _ => {}
        }
    }

    /// The variables of the settings that [`Recipe::reset`] resets.
    #[must_use]
    pub fn variables_of(reset: &[String]) -> Vec<&'static str> {
        let is_named = |name: &str| {
            reset.iter().any(|setting| {
                setting == "all"
                    || setting.split_once('.').map_or(&**setting, |(list, _)| list) == name
            })
        };
        RECORDED
            .iter()
            .filter(|(name, _)| is_named(name))
            .map(|(_, variable)| variable.name)
            .collect()
    }

    fn reset_parameter(&mut self, parameter: &str) {
        let Some(set) = self.0.get_mut("set") else { return };
        let kept = Parameters::of_recorded(set).without(parameter);
        *set = kept.text();
    }
}

fn unknown(setting: &str) -> Invalid {
    let names = || names().chain(["all"]);
    let invalid = Invalid::new("is not a recorded setting");
    let closest = names()
        .map(|name| (strsim::damerau_levenshtein(name, setting), name))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    match closest {
        Some((_, name)) => invalid.hint(format!("did you mean {name}?")),
        None => invalid.hint(format!(
            "recorded settings: {}; a PostgreSQL setting: set.NAME",
            names().collect::<Vec<_>>().join(", ")
        )),
    }
}
