//! pgset's own CA: issues certificates, and decides when to replace them.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;

use super::inspect::{Unfit, all_of, check, dates, dates_of, names_of};
use super::{Certificates, Dates};
use crate::values::Secret;

const DAY: i64 = 24 * 3600;
/// How long a server certificate is valid.
const SERVER_LIFE: i64 = 365 * DAY;
/// How long a CA certificate is valid.
const CA_LIFE: i64 = 10 * SERVER_LIFE;
/// Certificates are valid from one hour before now, because a client's clock may be slow.
const BEFORE: i64 = 3600;

/// Why a certificate could not be issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a certificate could not be generated: {0}")]
pub struct IssueError(String);

impl From<rcgen::Error> for IssueError {
    fn from(error: rcgen::Error) -> Self {
        Self(error.to_string())
    }
}

/// The result of a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The certificates do not need to be replaced yet.
    Keep,
    /// The certificates were replaced.
    Renewed {
        /// The new certificates.
        certificates: Certificates,
        /// The reason, in words: `a third of its time is left`.
        why: String,
    },
}

/// A CA, with its private key if the Secret has it.
struct Authority {
    pem: String,
    key: Option<KeyPair>,
    dates: Dates,
}

/// Issues missing certificates and replaces those that expire soon.
///
/// The CA is kept, so that clients can continue to use their `ca.crt`. When less than a third of the CA's
/// lifetime is left, a second CA is added to `ca.crt`. It signs nothing until the first CA expires too soon
/// to sign a certificate for a whole year. By then, every client should have copied the new `ca.crt`. A CA
/// without its private key is still trusted, but another CA signs.
///
/// # Errors
/// When the library can't generate a key or a certificate.
pub fn renew(
    there: Option<&Certificates>,
    names: &[String],
    now: Timestamp,
) -> Result<Renewal, IssueError> {
    let mut authorities = there.map_or_else(Vec::new, authorities);
    let before = authorities.len();
    authorities.retain(|authority| !authority.dates.is_over(now));
    let mut changed = authorities.len() != before;
    let year = now + SignedDuration::from_secs(SERVER_LIFE);
    let signs = |ca: &&Authority| ca.key.is_some() && ca.dates.until >= year;
    // Only a CA that can sign can replace another one.
    if !authorities.iter().any(|ca| signs(&ca) && !ca.dates.is_due(now)) {
        authorities.push(authority(now)?);
        changed = true;
    }
    let trusted: String = authorities.iter().map(|ca| ca.pem.as_str()).collect();
    let why = match there {
        None => Some("generated".to_owned()),
        Some(there) => replaced(there, &trusted, names, now),
    };
    let (certificate, key) = match (&why, there) {
        (None, Some(_)) if !changed => return Ok(Renewal::Keep),
        (None, Some(there)) => (there.certificate.clone(), there.key.clone()),
        _ => {
            let signer = authorities.iter().find(signs);
            let signer =
                signer.ok_or_else(|| IssueError("no CA is valid long enough".to_owned()))?;
            issue(signer, &names_with_own(there, names), now)?
        }
    };
    let keys: String =
        authorities.iter().filter_map(|ca| Some(lf(&ca.key.as_ref()?.serialize_pem()))).collect();
    let why =
        why.unwrap_or_else(|| "a second CA was added, which will replace the first".to_owned());
    Ok(Renewal::Renewed {
        certificates: Certificates {
            authorities: trusted,
            authority_keys: Secret::new(keys),
            certificate,
            key,
        },
        why,
    })
}

/// Keeps names that were added to the certificate before.
fn names_with_own(there: Option<&Certificates>, names: &[String]) -> Vec<String> {
    let mut all = names.to_vec();
    let own = there.map_or_else(Vec::new, |there| names_of(&there.certificate));
    all.extend(own.into_iter().filter(|name| !names.contains(name)));
    all
}

/// Returns the reason why the certificate must be replaced, or `None`.
fn replaced(
    there: &Certificates,
    trusted: &str,
    names: &[String],
    now: Timestamp,
) -> Option<String> {
    // Checks a wildcard with one of the names that it matches.
    let concrete: Vec<String> = names.iter().map(|name| name.replace('*', "any-0")).collect();
    match check(trusted, &there.certificate, there.key.expose(), &concrete, now) {
        Err(Unfit::Names(missing)) => Some(format!("it did not name {}", missing.join(", "))),
        Err(unfit) => Some(unfit.to_string()),
        Ok(dates) if dates.is_due(now) => Some("less than a third of its time was left".to_owned()),
        Ok(_) => None,
    }
}

/// Reads the CAs of a Secret. A private key is matched to the certificate with the same public key,
/// independent of their order.
fn authorities(there: &Certificates) -> Vec<Authority> {
    let mut keys: Vec<KeyPair> = pem_blocks(there.authority_keys.expose())
        .into_iter()
        .filter_map(|block| KeyPair::from_pem(&block).ok())
        .collect();
    let one = |pem: String| {
        let der = all_of(&pem).into_iter().next()?;
        let dates = dates_of(&der)?;
        let public = public_key(&der)?;
        let own = keys.iter().position(|key| {
            use rcgen::PublicKeyData as _;
            key.subject_public_key_info() == public
        });
        Some(Authority { pem, key: own.map(|position| keys.swap_remove(position)), dates })
    };
    pem_blocks(&there.authorities).into_iter().filter_map(one).collect()
}

fn public_key(der: &[u8]) -> Option<Vec<u8>> {
    use x509_parser::prelude::{FromDer as _, X509Certificate};
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    Some(parsed.public_key().raw.to_vec())
}

/// Splits a PEM text into its blocks, without the lines between them.
fn pem_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines().map(str::trim_end) {
        if line.starts_with("-----BEGIN ") {
            block = Some(String::new());
        }
        let Some(open) = &mut block else { continue };
        open.push_str(line);
        open.push('\n');
        if line.starts_with("-----END ") {
            blocks.extend(block.take());
        }
    }
    blocks
}

/// Creates a new CA.
fn authority(now: Timestamp) -> Result<Authority, IssueError> {
    let key = KeyPair::generate()?;
    let mut params = params(Vec::new(), now, CA_LIFE)?;
    // Two CAs in one file must have different names.
    let number: u32 = rand::random();
    params.distinguished_name.push(DnType::CommonName, format!("pgset CA {number:08x}"));
    // The CA may sign server certificates, but no other CAs.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    let pem = lf(&certificate.pem());
    let dates = dates(&pem).ok_or_else(|| IssueError("the CA can't be read".to_owned()))?;
    Ok(Authority { pem, key: Some(key), dates })
}

/// Issues a server certificate for these names. Returns it with its private key.
fn issue(
    signer: &Authority,
    names: &[String],
    now: Timestamp,
) -> Result<(String, Secret), IssueError> {
    let Some(signing) = &signer.key else { return Err(IssueError("the CA has no key".to_owned())) };
    let key = KeyPair::generate()?;
    let mut params = params(names.to_vec(), now, SERVER_LIFE)?;
    let first = names.first().map_or("pgset", String::as_str);
    params.distinguished_name.push(DnType::CommonName, first);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let issuer = Issuer::from_ca_cert_pem(&signer.pem, signing)?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok((lf(&certificate.pem()), Secret::new(lf(&key.serialize_pem()))))
}

fn params(names: Vec<String>, now: Timestamp, life: i64) -> Result<CertificateParams, IssueError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "pgset");
    let at = |seconds: i64| {
        OffsetDateTime::from_unix_timestamp(seconds).map_err(|e| IssueError(e.to_string()))
    };
    params.not_before = at(now.as_second() - BEFORE)?;
    params.not_after = at(now.as_second() + life)?;
    Ok(params)
}

/// Converts the line ends of a PEM text to LF.
fn lf(pem: &str) -> String {
    pem.replace("\r\n", "\n")
}
