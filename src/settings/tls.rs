//! TLS: whether the servers have certificates, who issues them, and the stage of the set (`--tls`,
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

/// The TLS setting that the user gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSetting {
    /// No TLS.
    Off,
    /// TLS with the certificate that is in use, or else with one that pgset issues.
    On,
    /// TLS with the certificate in this Secret, which the user manages.
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

/// Who manages the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// pgset's own CA issues and renews it.
    Pgset,
    /// The user manages it; pgset only reads it.
    User,
}

/// The stage of TLS in a set.
///
/// The set is available and its replicas stream in every stage, and also while its pods are in two
/// successive stages. Therefore enabling or disabling TLS never disconnects a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Clients may use TLS. Replicas use TLS, but do not verify the certificate.
    Offered,
    /// Replicas verify the certificate fully (`verify-full`), and the servers refuse connections without
    /// TLS.
    Required,
    /// Like [`Self::Offered`], while TLS is being disabled.
    Leaving,
}

impl Stage {
    /// The name of the stage in the ConfigMap.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Required => "required",
            Self::Leaving => "leaving",
        }
    }
}

/// The stage of TLS and its certificate: a line in the set's ConfigMap. The pods read it, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The stage.
    pub stage: Stage,
    /// Who manages the certificate.
    pub origin: CertificateSource,
    /// The Secret with the certificate.
    pub secret: String,
}

impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = if self.origin == CertificateSource::Pgset { "made" } else { "given" };
        write!(f, "{} {origin} {}", self.stage.name(), self.secret)
    }
}

impl Tls {
    /// Parses the line. Returns `None` if pgset did not write it.
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
            "made" => CertificateSource::Pgset,
            "given" => CertificateSource::User,
            _ => return None,
        };
        Some(Self { stage, origin, secret: words.next()?.to_owned() })
    }

    /// Returns the same certificate in another stage.
    #[must_use]
    pub fn at(&self, stage: Stage) -> Self {
        Self { stage, ..self.clone() }
    }

    /// Returns the final state of TLS, in the stage `Required`, or `None` for no TLS. It follows the
    /// setting, or the running set if there is no setting.
    #[must_use]
    pub fn wanted(
        setting: Option<&TlsSetting>,
        live: Option<&Self>,
        set: &SetIdentity,
    ) -> Option<Self> {
        let made = || Self {
            stage: Stage::Required,
            origin: CertificateSource::Pgset,
            secret: set.tls_secret(),
        };
        match (setting, live) {
            (Some(TlsSetting::Off), _) | (None, None) => None,
            (Some(TlsSetting::Secret(name)), _) => Some(Self {
                stage: Stage::Required,
                origin: CertificateSource::User,
                secret: name.clone(),
            }),
            // TLS is already being disabled, and there is no setting that says otherwise.
            (None, Some(live)) if live.stage == Stage::Leaving => None,
            (_, Some(live)) => Some(live.at(Stage::Required)),
            (Some(TlsSetting::On), None) => Some(made()),
        }
    }

    /// Returns the next state to write, on the way from the running state to the wanted state. If the two
    /// differ, the wanted state is written after every pod has applied this one.
    #[must_use]
    pub fn first(live: Option<&Self>, wanted: Option<&Self>) -> Option<Self> {
        match (live, wanted) {
            (None, None) => None,
            (Some(live), None) => Some(live.at(Stage::Leaving)),
            (Some(live), Some(wanted)) if live == wanted => Some(wanted.clone()),
            // A change of the certificate also starts with `Offered`, because replicas trust the previous
            // CA.
            (_, Some(wanted)) => Some(wanted.at(Stage::Offered)),
        }
    }
}

/// The TLS setting that was given, or `None`.
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
    // The recipe counts only where neither of the two is given: each can end what the other has begun.
    let (on, secret) = match (on, secret) {
        (None, None) => {
            let on = sources.recorded(&variables::PGSET_TLS);
            let on = on.map(|on| Sourced { value: on.value == "true", source: on.source });
            (on, sources.recorded(&variables::PGSET_TLS_SECRET))
        }
        given => given,
    };
    if let Some(on) = &on {
        sources.settle(&variables::PGSET_TLS, on.value, &on.source);
    }
    let is_flag = |source: &Source| matches!(source, Source::Flag(_));
    let (on, secret) =
        match (on, secret) {
            // A flag takes precedence over the environment variable of the other setting.
            (Some(on), Some(secret))
                if !on.value && is_flag(&on.source) != is_flag(&secret.source) =>
            {
                if is_flag(&on.source) { (Some(on), None) } else { (None, Some(secret)) }
            }
            (Some(on), Some(secret)) if !on.value => {
                let reason = format!(
                    "must not be false together with a Secret for TLS (from {})",
                    secret.source
                );
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
                Invalid::new(reason).hint("the official image supports it: --image postgres:17");
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

    /// Checks which stages are written, and in which order, for every running state and every setting.
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
            // Interrupted, and no setting is given: it resumes.
            ("offered given mine", None, "offered given mine", "required given mine"),
            ("leaving made pgset-tls", None, "leaving made pgset-tls", ""),
            // Interrupted, and the opposite setting is given.
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
