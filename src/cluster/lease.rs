//! The Lease of a set while this command holds it: renewed in the background, deleted at the end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{Cluster, ClusterError};
use crate::manifest::ObjectId;
use crate::set::lease::{Holder, Lease, RENEW_EVERY};

/// How long the Lease may take to be deleted at the end. If that fails, it is dead some seconds later.
const RELEASE_WITHIN: Duration = Duration::from_secs(2);
/// How often the deletion is repeated, when the Lease was renewed at the same moment.
const RELEASES: usize = 3;

/// A Lease that this command holds. Dropping it ends the renewals, so that the Lease dies.
pub struct HeldLease {
    inner: Arc<Inner>,
    renewals: JoinHandle<()>,
}

struct Inner {
    cluster: Cluster,
    id: ObjectId,
    holder: Holder,
    lease: Mutex<Lease>,
    /// Why this command is no longer the holder.
    lost: watch::Sender<Option<Loss>>,
}

/// Why a command is no longer the holder of its Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Another command has taken it over: `pgset up` by bob@desk.
    TakenOver(String),
    /// It was deleted: by a command that took it over and has ended, or by hand.
    Deleted,
}

impl HeldLease {
    /// Starts to renew a Lease of which `holder` has just become the holder. `live` is the server's response.
    #[must_use]
    pub fn new(cluster: &Cluster, id: ObjectId, holder: Holder, live: &Value) -> Self {
        let inner = Arc::new(Inner {
            cluster: cluster.clone(),
            id,
            holder,
            lease: Mutex::new(Lease::of(live)),
            lost: watch::Sender::new(None),
        });
        let renewing = Arc::clone(&inner);
        let renewals = tokio::spawn(async move {
            while renewing.loss().is_none() {
                sleep(RENEW_EVERY).await;
                if let Err(error) = renewing.renew().await {
                    tracing::debug!("renewing the Lease: {error}");
                }
            }
        });
        Self { inner, renewals }
    }

    /// Why this command is no longer the holder, as far as it knows.
    #[must_use]
    pub fn loss(&self) -> Option<Loss> {
        self.inner.loss()
    }

    /// Waits until it is known that this command is no longer the holder.
    pub async fn lost(&self) -> Loss {
        let mut lost = self.inner.lost.subscribe();
        loop {
            if let Some(loss) = lost.borrow_and_update().clone() {
                return loss;
            }
            if lost.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Reads the Lease: the machine may have slept, and another command may have taken it over. Returns why this
    /// command is no longer the holder, if it isn't.
    ///
    /// # Errors
    /// When the Lease can't be read.
    pub async fn verify(&self) -> Result<Option<Loss>, ClusterError> {
        let mut lease = self.inner.lease.lock().await;
        self.inner.read(&mut lease, &self.inner.cluster).await?;
        Ok(self.loss())
    }

    /// Ends the renewals and deletes the Lease. A failure is only logged: the Lease dies without renewals.
    pub async fn release(self) {
        self.renewals.abort();
        let inner = &self.inner;
        let cluster = inner.cluster.within(RELEASE_WITHIN);
        let release = async {
            let mut lease = inner.lease.lock().await;
            for _ in 0..RELEASES {
                if inner.loss().is_some()
                    || cluster.delete_version(&inner.id, &lease.uid, &lease.version).await?
                {
                    break;
                }
                inner.read(&mut lease, &cluster).await?;
            }
            Ok::<_, ClusterError>(())
        };
        match tokio::time::timeout(RELEASE_WITHIN, release).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("deleting the Lease: {error}"),
            Err(_) => tracing::debug!("deleting the Lease: no answer"),
        }
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        self.renewals.abort();
    }
}

impl Inner {
    fn loss(&self) -> Option<Loss> {
        self.lost.borrow().clone()
    }

    async fn renew(&self) -> Result<(), ClusterError> {
        let cluster = self.cluster.within(RENEW_EVERY);
        let mut lease = self.lease.lock().await;
        match cluster.merge(&self.id, &lease.renewal(Timestamp::now()), false).await {
            Ok(live) => *lease = Lease::of(&live),
            // Another client has changed it, or the response to this command's own renewal was lost.
            Err(error) if error.is_conflict() || error.is_not_found() => {
                self.read(&mut lease, &cluster).await?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn read(&self, lease: &mut Lease, cluster: &Cluster) -> Result<(), ClusterError> {
        let live = cluster.get(&self.id).await?.map(|live| Lease::of(&live));
        let loss = match live {
            Some(live) if live.identity == self.holder.identity() => {
                *lease = live;
                return Ok(());
            }
            Some(live) => Loss::TakenOver(live.to_string()),
            None => Loss::Deleted,
        };
        self.lost.send_replace(Some(loss));
        Ok(())
    }
}
