//! The TLS that a set has: its stage in a ConfigMap, its certificates in a Secret.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::certificate::{self, Certificates, Renewal, names};
use crate::cluster::Cluster;
use crate::procedure::live::Live;
use crate::set::{SetIdentity, objects, passwords};
use crate::settings::tls::{CertificateSource, Stage};
use crate::settings::{Settings, Tls};
use crate::values::Secret;

/// The key of the set's ConfigMap, and of the one that is kept with the data.
pub(crate) const KEY: &str = "tls";

/// The certificates of a set that has none yet.
///
/// # Errors
/// When they can't be made.
pub(crate) fn made_new(set: &SetIdentity) -> anyhow::Result<Option<Certificates>> {
    Ok(match certificate::renew(None, &names::all(set), Timestamp::now())? {
        Renewal::Renewed { certificates, .. } => Some(certificates),
        Renewal::Keep => None,
    })
}

/// The line of a ConfigMap.
pub(super) fn line_of(config: &Value) -> Option<Tls> {
    Tls::parse(config["data"][KEY].as_str()?)
}

/// What a live set has. Once it is down, what it had is kept with its data.
pub(super) fn recorded(live: &Live, set: &SetIdentity) -> Option<Tls> {
    match live.objects.get(&objects::config(set)) {
        Some(config) => line_of(config),
        None => line_of(live.objects.get(&objects::topology(set))?),
    }
}

/// What a set has, read now.
///
/// # Errors
/// When its ConfigMap can't be read.
pub(crate) async fn of_set(cluster: &Cluster, set: &SetIdentity) -> anyhow::Result<Option<Tls>> {
    let config = cluster.get(&objects::config(set)).await?;
    Ok(config.as_ref().and_then(line_of))
}

/// Whether clients have to verify, and can.
pub(crate) fn is_required(tls: Option<&Tls>) -> bool {
    tls.is_some_and(|tls| tls.stage == Stage::Required)
}

/// Reads the Secret of somebody else's certificate, which is known only now where nobody named it.
///
/// # Errors
/// When it can't be read.
pub(crate) async fn read_given(
    cluster: &Cluster,
    settings: &Settings,
    live: &mut Live,
) -> anyhow::Result<()> {
    let setting = settings.tls.as_ref().map(|given| &given.value);
    let wanted = Tls::wanted(setting, recorded(live, &settings.set).as_ref(), &settings.set);
    let Some(wanted) = wanted.filter(|tls| tls.origin == CertificateSource::User) else {
        return Ok(());
    };
    let id = objects::secret(&settings.set, &wanted.secret);
    if let Some(secret) = cluster.get(&id).await? {
        live.objects.insert(id, secret);
    }
    Ok(())
}

/// What a Secret holds; empty where it lacks a key.
pub(crate) fn certificates_of(secret: &Value) -> Certificates {
    let text = |key| passwords::text(secret, key).unwrap_or_default();
    Certificates {
        authorities: text(certificate::CA_CERTIFICATE),
        authority_keys: Secret::new(text(certificate::CA_KEY)),
        certificate: text(certificate::CERTIFICATE),
        key: Secret::new(text(certificate::KEY)),
    }
}

/// Keeps with the data what TLS the set has: a set that is taken down and brought up again does not fall
/// back to plain connections. `recorded`: that ConfigMap as it was read, unless it is new.
///
/// # Errors
/// When the ConfigMap can't be changed.
pub(crate) async fn remember(
    cluster: &Cluster,
    set: &SetIdentity,
    recorded: Option<&Value>,
    tls: Option<&Tls>,
) -> anyhow::Result<()> {
    let id = objects::topology(set);
    let there = match recorded {
        Some(recorded) => Some(recorded.clone()),
        None => cluster.get(&id).await?,
    };
    let Some(there) = there else { return Ok(()) };
    if there["data"][KEY].as_str().map(str::to_owned) == tls.map(ToString::to_string) {
        return Ok(());
    }
    let patch = json!({
        "metadata": { "uid": there["metadata"]["uid"] },
        "data": { KEY: tls.map(ToString::to_string) },
    });
    cluster.merge(&id, &patch, false).await?;
    Ok(())
}
