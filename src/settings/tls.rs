//! TLS: whether the servers have certificates, whose these are, and how far that has come (`--tls`,
//! `--tls-secret`).

use std::fmt;

use super::sources::Sources;
use super::{SettingsError, Source, Sourced};
use crate::cli::SettingsArgs;
use crate::environment as variables;
use crate::set::SetIdentity;
use crate::values::Invalid;
use crate::values::names::is_dns_name;

const FIELD: &str = "TLS";
const SECRET: &str = "TLS secret";

/// What somebody said about TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSetting {
    /// No TLS.
    Off,
    /// TLS, by the certificate that is in use, or one that pgset makes.
    On,
    /// TLS by the certificate in this Secret, which is somebody else's.
    Secret(String),
}

impl fmt::Display for TlsSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("false"),
            Self::On => f.write_str("true"),
            Self::Secret(name) => write!(f, "true, Secret {name}"),
        }
    }
}

/// Whose the certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// pgset's own CA made it, and renews it.
    Made,
    /// Somebody else's; pgset only reads it.
    Given,
}

/// How far TLS is. A set is up and its replicas stream in each stage, and when its pods are in two that
/// follow one another: so that it comes and goes without a moment in which somebody is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The servers speak TLS with whoever wants to; replicas do, and verify nothing.
    Offered,
    /// Replicas verify in full, and nobody is let in without TLS.
    Required,
    /// As offered, on the way to none.
    Leaving,
}

impl Stage {
    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Required => "required",
            Self::Leaving => "leaving",
        }
    }
}

/// How far TLS is and which certificate it is by: a line of the set's ConfigMap, which the pods read, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// How far.
    pub stage: Stage,
    /// Whose the certificate is.
    pub origin: Origin,
    /// The Secret that holds it.
    pub secret: String,
}

impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = if self.origin == Origin::Made { "made" } else { "given" };
        write!(f, "{} {origin} {}", self.stage.name(), self.secret)
    }
}

impl Tls {
    /// Reads the line; none where it is not one of ours.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let stage = match words.next()? {
            "offered" => Stage::Offered,
            "required" => Stage::Required,
            "leaving" => Stage::Leaving,
            _ => return None,
        };
        let origin = match words.next()? {
            "made" => Origin::Made,
            "given" => Origin::Given,
            _ => return None,
        };
        Some(Self { stage, origin, secret: words.next()?.to_owned() })
    }

    /// The same certificate in another stage.
    #[must_use]
    pub fn at(&self, stage: Stage) -> Self {
        Self { stage, ..self.clone() }
    }

    /// What is to be in the end, in the stage `Required`: as somebody said, or else as it is.
    #[must_use]
    pub fn wanted(
        setting: Option<&TlsSetting>,
        live: Option<&Self>,
        set: &SetIdentity,
    ) -> Option<Self> {
        let made =
            || Self { stage: Stage::Required, origin: Origin::Made, secret: set.tls_secret() };
        match (setting, live) {
            (Some(TlsSetting::Off), _) | (None, None) => None,
            (Some(TlsSetting::Secret(name)), _) => {
                Some(Self { stage: Stage::Required, origin: Origin::Given, secret: name.clone() })
            }
            // Somebody began to turn it off, and nobody has said otherwise.
            (None, Some(live)) if live.stage == Stage::Leaving => None,
            (_, Some(live)) => Some(live.at(Stage::Required)),
            (Some(TlsSetting::On), None) => Some(made()),
        }
    }

    /// What to write first, on the way from what runs to what is wanted. Where it is not what is wanted,
    /// that follows once every pod is there.
    #[must_use]
    pub fn first(live: Option<&Self>, wanted: Option<&Self>) -> Option<Self> {
        match (live, wanted) {
            (None, None) => None,
            (Some(live), None) => Some(live.at(Stage::Leaving)),
            (Some(live), Some(wanted)) if live == wanted => Some(wanted.clone()),
            // Another certificate, too, is offered first: replicas trust the CA of the one before.
            (_, Some(wanted)) => Some(wanted.at(Stage::Offered)),
        }
    }
}

/// What was given; none when nobody said anything.
pub(super) fn tls(
    sources: &mut Sources<'_>,
    args: &SettingsArgs,
) -> Result<Option<Sourced<TlsSetting>>, SettingsError> {
    let switch = sources.given("--tls", args.tls.as_deref(), &[&variables::PGSET_TLS])?;
    let on = switch
        .map(|given| match given.value {
            "true" => Ok(Sourced { value: true, source: given.source }),
            "false" => Ok(Sourced { value: false, source: given.source }),
            other => {
                let invalid = Invalid::new("must be true or false");
                Err(SettingsError::of(FIELD, other, given.source, invalid))
            }
        })
        .transpose()?;
    let secret = sources.given(
        "--tls-secret",
        args.tls_secret.as_deref(),
        &[&variables::PGSET_TLS_SECRET],
    )?;
    if let Some(on) = &on {
        sources.settle(&variables::PGSET_TLS, on.value, &on.source);
    }
    let is_flag = |source: &Source| matches!(source, Source::Flag(_));
    let (on, secret) =
        match (on, secret) {
            // What a flag says holds over what the environment says about the same.
            (Some(on), Some(secret))
                if !on.value && is_flag(&on.source) != is_flag(&secret.source) =>
            {
                if is_flag(&on.source) { (Some(on), None) } else { (None, Some(secret)) }
            }
            (Some(on), Some(secret)) if !on.value => {
                let reason =
                    format!("must not be false beside a Secret for it (from {})", secret.source);
                let invalid = Invalid::new(reason).hint("leave one of them out");
                return Err(SettingsError::of(FIELD, "false", on.source, invalid));
            }
            other => other,
        };
    if let Some(secret) = secret {
        if !is_dns_name(secret.value) {
            let invalid = Invalid::new("must be the name of a Secret");
            return Err(SettingsError::of(SECRET, secret.value, secret.source, invalid));
        }
        sources.settle(&variables::PGSET_TLS_SECRET, secret.value, &secret.source);
        let value = TlsSetting::Secret(secret.value.to_owned());
        return Ok(Some(Sourced { value, source: secret.source }));
    }
    Ok(on.map(|on| Sourced {
        value: if on.value { TlsSetting::On } else { TlsSetting::Off },
        source: on.source,
    }))
}

/// Refuses TLS for an image that has none. That there is to be none is right.
pub(super) fn refuse(
    given: Option<&Sourced<TlsSetting>>,
    reason: &'static str,
) -> Result<(), SettingsError> {
    match given {
        Some(given) if given.value != TlsSetting::Off => {
            let invalid =
                Invalid::new(reason).hint("the official image has it: --image postgres:17");
            Err(SettingsError::of(FIELD, given.value.to_string(), given.source.clone(), invalid))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> SetIdentity {
        SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() }
    }

    fn tls(line: &str) -> Option<Tls> {
        if line.is_empty() { None } else { Some(Tls::parse(line).expect(line)) }
    }

    #[test]
    fn the_line_is_read_back() {
        for line in ["offered made pgset-tls", "required given mine", "leaving made pgset-tls"] {
            assert_eq!(tls(line).unwrap().to_string(), line);
        }
        for other in ["", "required", "on made x", "required his x", "required made"] {
            assert_eq!(Tls::parse(other), None, "{other}");
        }
    }

    /// From every state to every wish: which stages are written, in which order.
    #[test]
    fn every_way_goes_through_a_stage_that_goes_with_both() {
        let on = || Some(TlsSetting::On);
        let own = || Some(TlsSetting::Secret("mine".to_owned()));
        let off = || Some(TlsSetting::Off);
        for (live, setting, first, last) in [
            ("", None, "", ""),
            ("", off(), "", ""),
            ("", on(), "offered made pgset-tls", "required made pgset-tls"),
            ("", own(), "offered given mine", "required given mine"),
            ("required made pgset-tls", None, "required made pgset-tls", "required made pgset-tls"),
            ("required given mine", on(), "required given mine", "required given mine"),
            ("required given mine", own(), "required given mine", "required given mine"),
            ("required made pgset-tls", own(), "offered given mine", "required given mine"),
            ("required made pgset-tls", off(), "leaving made pgset-tls", ""),
            // Interrupted, and nothing said: it goes on.
            ("offered given mine", None, "offered given mine", "required given mine"),
            ("leaving made pgset-tls", None, "leaving made pgset-tls", ""),
            // Interrupted, and the other way was asked for.
            ("offered made pgset-tls", off(), "leaving made pgset-tls", ""),
            ("leaving made pgset-tls", on(), "offered made pgset-tls", "required made pgset-tls"),
        ] {
            let live = tls(live);
            let wanted = Tls::wanted(setting.as_ref(), live.as_ref(), &set());
            let written = Tls::first(live.as_ref(), wanted.as_ref());
            assert_eq!((written, wanted), (tls(first), tls(last)), "{live:?}, {setting:?}");
        }
    }
}
