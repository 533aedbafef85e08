//! Tolerations in the syntax of taints: `key=value:NoSchedule`.

use std::fmt;
use std::str::FromStr;

use super::Pair as _;
use super::metadata::Label;
use crate::values::Invalid;

/// A taint that the pods tolerate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toleration {
    /// The taint's key.
    pub key: String,
    /// The taint's value. `None` matches any value.
    pub value: Option<String>,
    /// The taint's effect. `None` matches all effects.
    pub effect: Option<Effect>,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// They are not scheduled on the node.
    NoSchedule,
    /// They are scheduled on other nodes if possible.
    PreferNoSchedule,
    /// They are evicted from the node.
    NoExecute,
}

impl Effect {
    /// The name that Kubernetes uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

impl FromStr for Toleration {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (taint, effect) = match text.split_once(':') {
            Some((taint, effect)) => (taint, Some(read_effect(effect)?)),
            None => (text, None),
        };
        let whole = if taint.contains('=') { taint.to_owned() } else { format!("{taint}=") };
        let (key, value) = Label::pair(&whole, false).map_err(|_| {
            Invalid::new("must be a taint: key=value:NoSchedule, or key:NoSchedule")
        })?;
        Ok(Self { key, value: taint.contains('=').then_some(value), effect })
    }
}

fn read_effect(text: &str) -> Result<Effect, Invalid> {
    [Effect::NoSchedule, Effect::PreferNoSchedule, Effect::NoExecute]
        .into_iter()
        .find(|effect| effect.name().eq_ignore_ascii_case(text))
        .ok_or_else(|| {
            Invalid::new(
                "must end in :NoSchedule, :PreferNoSchedule or :NoExecute, or contain no colon",
            )
        })
}

impl fmt::Display for Toleration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, "={value}")?;
        }
        match self.effect {
            Some(effect) => write!(f, ":{}", effect.name()),
            None => Ok(()),
        }
    }
}
