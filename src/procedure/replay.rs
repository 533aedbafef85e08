//! Whether the replicas have replayed what the master has written.

use futures::future::join_all;

use super::{Poll, Work, pods, sql};
use crate::postgres::replication::Lsn;

/// A position of the master that its replicas have to replay: the last one that was written at the first look.
pub(crate) struct Replay<'a> {
    work: Work<'a>,
    master: &'a str,
    position: Option<Lsn>,
    /// Why the last look was not the last one.
    said: Option<String>,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(work: Work<'a>, master: &'a str) -> Self {
        Self { work, master, position: None, said: None }
    }

    /// The pods that stream, once each of them has replayed the position. Pods that do not stream are not waited
    /// for.
    ///
    /// # Errors
    /// When the pods can't be listed.
    pub(crate) async fn look(&mut self) -> anyhow::Result<Poll<Vec<String>>> {
        let why = match self.observe().await? {
            Poll::Pending(why) => why,
            ready @ Poll::Ready(_) => return Ok(ready),
        };
        // If the deadline cut this look short, the previous reason says more.
        let over = self.work.cluster.deadline.remaining().is_zero();
        let why = self.said.take().filter(|_| over).unwrap_or(why);
        self.said = Some(why.clone());
        Ok(Poll::Pending(why))
    }

    async fn observe(&mut self) -> anyhow::Result<Poll<Vec<String>>> {
        let work = self.work;
        let mut found = Vec::new();
        for pod in pods::running(work.cluster, work.set).await? {
            let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
            found.push((pods::name(&pod).to_owned(), address.unwrap_or_default()));
        }
        let observed = match sql::observe(work.cluster, work.namespace(), self.master).await {
            Ok(observed) => observed,
            Err(words) => return Ok(Poll::Pending(words)),
        };
        let Some(position) = self.position.or(observed.lsn) else {
            return Ok(Poll::Pending(format!("{} reports no position", self.master)));
        };
        self.position = Some(position);
        let by_pod = observed.by_pod(&found);
        let asked = by_pod.late(position).map(async |pod| {
            let why = not_replayed(work, pod, position).await?;
            Some(format!("{pod} {why}"))
        });
        let behind: Vec<String> = join_all(asked).await.into_iter().flatten().collect();
        if !behind.is_empty() {
            return Ok(Poll::Pending(behind.join(", ")));
        }
        Ok(Poll::Ready(by_pod.streaming().map(str::to_owned).collect()))
    }
}

/// Asks a replica itself: an idle replica tells its master only every 10 seconds what it has replayed.
async fn not_replayed(work: Work<'_>, pod: &str, position: Lsn) -> Option<String> {
    match sql::observe(work.cluster, work.namespace(), pod).await {
        Ok(there) if there.lsn.is_some_and(|lsn| lsn >= position) => None,
        Ok(_) => Some(format!("has not replayed {position}")),
        Err(words) => Some(format!("can't be asked: {words}")),
    }
}
