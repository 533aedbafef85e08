//! The TLS state of a set: its stage is in a ConfigMap, its certificates are in a Secret.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::certificate::{self, Certificates, Renewal, names};
use crate::cluster::Cluster;
use crate::procedure::live::Live;
use crate::procedure::{Work, lease};
use crate::set::{SetIdentity, objects, passwords};
use crate::settings::tls::{CertificateSource, Stage};
use crate::settings::{Settings, Tls};
use crate::values::Secret;

/// The key in the set's ConfigMap, and in the topology's ConfigMap, which is kept with the data.
pub(crate) const KEY: &str = "tls";

/// Issues the certificates of a set that has none yet.
///
/// # Errors
/// When they can't be issued.
pub(crate) fn made_new(set: &SetIdentity) -> anyhow::Result<Option<Certificates>> {
    Ok(match certificate::renew(None, &names::all(set), Timestamp::now())? {
        Renewal::Renewed { certificates, .. } => Some(certificates),
        Renewal::Keep => None,
    })
}

/// Parses the TLS line of a ConfigMap.
pub(super) fn line_of(config: &Value) -> Option<Tls> {
    Tls::parse(config["data"][KEY].as_str()?)
}

/// The recorded TLS of a set. After `down`, it is read from the topology's ConfigMap, which is kept with the
/// data.
pub(super) fn recorded(live: &Live, set: &SetIdentity) -> Option<Tls> {
    match live.objects.get(&objects::config(set)) {
        Some(config) => line_of(config),
        None => line_of(live.objects.get(&objects::topology(set))?),
    }
}

/// Reads the current TLS of a set.
///
/// # Errors
/// When its ConfigMap can't be read.
pub(crate) async fn of_set(cluster: &Cluster, set: &SetIdentity) -> anyhow::Result<Option<Tls>> {
    let config = cluster.get(&objects::config(set)).await?;
    Ok(config.as_ref().and_then(line_of))
}

/// Whether TLS is required, so that clients must verify the server and can do so.
pub(crate) fn is_required(tls: Option<&Tls>) -> bool {
    tls.is_some_and(|tls| tls.stage == Stage::Required)
}

/// Reads the Secret with the user's own certificate. Its name may be known only after the set's ConfigMap was
/// read.
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

/// The certificates and keys in a Secret. A missing key becomes an empty text.
pub(crate) fn certificates_of(secret: &Value) -> Certificates {
    let text = |key| passwords::text(secret, key).unwrap_or_default();
    Certificates {
        authorities: text(certificate::CA_CERTIFICATE),
        authority_keys: Secret::new(text(certificate::CA_KEY)),
        certificate: text(certificate::CERTIFICATE),
        key: Secret::new(text(certificate::KEY)),
    }
}

/// Records the TLS of the set in the topology's ConfigMap, which is kept with the data. So a set that is
/// taken down and created again does not fall back to unencrypted connections. `recorded` is that ConfigMap
/// as it was read, or `None` if it is new.
///
/// # Errors
/// When the ConfigMap can't be changed.
pub(crate) async fn remember(
    work: Work<'_>,
    recorded: Option<&Value>,
    tls: Option<&Tls>,
) -> anyhow::Result<()> {
    let (cluster, id) = (work.cluster, objects::topology(work.set));
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
    lease::hold(work).await?;
    cluster.merge(&id, &patch, false).await?;
    Ok(())
}
