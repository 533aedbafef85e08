//! Objects that `up` no longer wants and does not delete.

use super::{Work, live};
use crate::manifest::{Kind, ObjectId};
use crate::settings::Settings;

/// Warns about a NetworkPolicy that is no longer wanted: `up` deletes nothing, so the policy still blocks
/// clients.
pub(crate) async fn warn_of_policy(work: Work<'_>, settings: &Settings) {
    if settings.pods.network_policy || !settings.profile.capabilities().has_pod_settings {
        return;
    }
    let id = ObjectId::new(Kind::NetworkPolicy, work.namespace(), work.set.name.as_str());
    // If this account may not read the policy, it did not create it.
    if let Ok(Some(policy)) = work.cluster.get(&id).await
        && live::check_ours(&policy, &id, work.set).is_ok()
    {
        work.context.warn(format!(
            "{id} still exists and is in effect, although --network-policy is off; to delete it: kubectl -n {} delete networkpolicy {}",
            work.namespace(),
            id.name
        ));
    }
}
