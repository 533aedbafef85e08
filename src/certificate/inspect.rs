//! Checks whether a client would accept a certificate, and for how long.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// The validity period of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// The certificate is not valid before this time.
    pub from: Timestamp,
    /// The certificate is not valid after this time.
    pub until: Timestamp,
}

impl Dates {
    /// Whether less than a third of the validity period is left, so that the certificate should be
    /// replaced.
    #[must_use]
    pub fn is_due(self, now: Timestamp) -> bool {
        self.left(now) * 3 < self.life()
    }

    /// Whether less than a tenth of the validity period is left. The certificate should have been replaced
    /// before.
    #[must_use]
    pub fn is_overdue(self, now: Timestamp) -> bool {
        self.left(now) * 10 < self.life()
    }

    /// Whether the certificate has expired.
    #[must_use]
    pub fn is_over(self, now: Timestamp) -> bool {
        self.left(now) <= 0
    }

    /// The seconds until the certificate expires. Negative if it has expired.
    fn left(self, now: Timestamp) -> i64 {
        self.until.as_second().saturating_sub(now.as_second())
    }

    fn life(self) -> i64 {
        self.until.as_second().saturating_sub(self.from.as_second())
    }
}

/// Why a certificate can't be used: a fragment that is printed after the name of the Secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A key of the Secret does not contain PEM of the right kind.
    #[error("{key} contains no {what} in PEM format")]
    NotPem {
        /// The Secret's key.
        key: &'static str,
        /// What it should contain.
        what: &'static str,
    },
    /// The private key is damaged, or its type is not supported.
    #[error(
        "tls.key is not a key that can be used (RSA, ECDSA with P-256 or P-384, or Ed25519, without a passphrase)"
    )]
    Key,
    /// The private key belongs to another certificate.
    #[error("tls.key is not the key of tls.crt")]
    OtherKey,
    /// The certificate has expired.
    #[error("tls.crt or its issuer expired: {0}")]
    Expired(String),
    /// The certificate is not valid yet.
    #[error("tls.crt or its issuer is not valid yet: {0}")]
    TooEarly(String),
    /// No CA in `ca.crt` signed the certificate.
    #[error("tls.crt was not signed by a CA in ca.crt: {0}")]
    Untrusted(String),
    /// The certificate lacks some of the names.
    #[error("tls.crt does not name {}", .0.join(", "))]
    Names(Vec<String>),
}

/// Reads the validity period of the first certificate in a PEM text. Returns `None` if there is no
/// certificate.
#[must_use]
pub fn dates(pem: &str) -> Option<Dates> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    dates_of(&certificate)
}

pub(super) fn dates_of(certificate: &CertificateDer<'_>) -> Option<Dates> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    let validity = parsed.validity();
    Some(Dates { from: time(validity.not_before)?, until: time(validity.not_after)? })
}

/// Reads the DNS names of the first certificate in a PEM text.
pub(super) fn names_of(pem: &str) -> Vec<String> {
    let Ok(certificate) = CertificateDer::from_pem_slice(pem.as_bytes()) else { return Vec::new() };
    let Ok((_, parsed)) = X509Certificate::from_der(&certificate) else { return Vec::new() };
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.map(|extension| &extension.value.general_names);
    let dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    };
    names.into_iter().flatten().filter_map(dns).collect()
}

/// Reads all certificates in a PEM text.
pub(super) fn all_of(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map_while(Result::ok).collect()
}

/// Verifies a certificate for each of these names, like a client with `verify-full`. Also checks that the
/// private key belongs to the certificate.
///
/// # Errors
/// With the first reason why it can't be used. If names are missing, with all of them.
pub fn check(
    authorities: &str,
    certificate: &str,
    key: &str,
    names: &[String],
    now: Timestamp,
) -> Result<Dates, Unfit> {
    let chain = all_of(certificate);
    let Some((own, between)) = chain.split_first() else {
        return Err(Unfit::NotPem { key: super::CERTIFICATE, what: "certificate" });
    };
    let dates = dates_of(own)
        .ok_or(Unfit::NotPem { key: super::CERTIFICATE, what: "readable certificate" })?;
    check_key(own, key)?;
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(all_of(authorities));
    if taken == 0 {
        return Err(Unfit::NotPem { key: super::CA_CERTIFICATE, what: "CA certificate" });
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| Unfit::Untrusted(error.to_string()))?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(
        u64::try_from(now.as_second()).unwrap_or_default(),
    ));
    let mut missing = Vec::new();
    for name in names {
        let Ok(server) = ServerName::try_from(name.as_str()) else {
            missing.push(name.clone());
            continue;
        };
        match verifier.verify_server_cert(own, between, &server, &[], time) {
            Ok(_) => {}
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => missing.push(name.clone()),
            Err(error) => return Err(unfit(error)),
        }
    }
    if missing.is_empty() { Ok(dates) } else { Err(Unfit::Names(missing)) }
}

fn check_key(certificate: &CertificateDer<'_>, key: &str) -> Result<(), Unfit> {
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| Unfit::NotPem { key: super::KEY, what: "private key" })?;
    // The library's error does not say what is wrong with the key.
    let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|_| Unfit::Key)?;
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|_| Unfit::NotPem { key: super::CERTIFICATE, what: "certificate" })?;
    let public = key.public_key().ok_or(Unfit::Key)?;
    if public.as_ref() == parsed.public_key().raw { Ok(()) } else { Err(Unfit::OtherKey) }
}

fn unfit(error: Error) -> Unfit {
    let at = |time: UnixTime| {
        i64::try_from(time.as_secs())
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .map_or_else(String::new, |time| time.to_string())
    };
    match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            Unfit::Expired(format!("it was valid until {}", at(not_after)))
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            Unfit::TooEarly(format!("it is valid from {}", at(not_before)))
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            Unfit::Untrusted("no chain of certificates leads to such a CA".to_owned())
        }
        other => Unfit::Untrusted(other.to_string()),
    }
}
