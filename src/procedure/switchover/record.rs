//! Writes the topology, by compare-and-set: a pod may record something at the same time, and another command must not have
//! changed the transition.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::error::{Exit, Failure};
use crate::procedure::{Work, lease, live};
use crate::set::{Topology, objects};

/// How often a write is repeated when another client has changed the ConfigMap since it was read.
const ATTEMPTS: u32 = 10;

/// The topology, as this run has last read or written it.
pub(in crate::procedure) struct Record<'a> {
    work: Work<'a>,
    pub(in crate::procedure) topology: Topology,
    /// The ConfigMap. `None` until it is read.
    live: Option<Value>,
}

impl<'a> Record<'a> {
    pub(in crate::procedure) fn new(work: Work<'a>) -> Self {
        Self { work, topology: work.topology.clone(), live: None }
    }

    /// Writes keys, if the transition that is recorded is still the one with the id `before`.
    ///
    /// # Errors
    /// When it is another one, or the ConfigMap can't be written.
    pub(in crate::procedure) async fn write(
        &mut self,
        data: &Value,
        before: Option<&str>,
    ) -> anyhow::Result<()> {
        let (cluster, set, id) =
            (self.work.cluster, self.work.set, objects::topology(self.work.set));
        let mut attempt = 1;
        loop {
            lease::hold(self.work).await?;
            let there = match self.live.take() {
                Some(there) => there,
                None => self.read().await?,
            };
            let recorded = Topology::recorded(set, Some(&there))?;
            let now = recorded.transition.as_ref().map(|it| it.id.as_str());
            if now != before {
                let message = format!("another client has changed the transition in {id}");
                return Err(Failure::new(Exit::Refused, message)
                    .hint(format!("{}  # makes a new plan", self.work.context.again))
                    .into());
            }
            let metadata = &there["metadata"];
            let patch = json!({
                "metadata": { "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"] },
                "data": data,
            });
            match cluster.merge(&id, &patch, false).await {
                Ok(written) => {
                    self.topology = Topology::recorded(set, Some(&written))?;
                    self.live = Some(written);
                    return Ok(());
                }
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error).context("recording the master"),
            }
        }
    }

    async fn read(&self) -> anyhow::Result<Value> {
        let (set, id) = (self.work.set, objects::topology(self.work.set));
        let there = self.work.cluster.get(&id).await.context("reading the topology")?;
        let there = there.ok_or_else(|| {
            Failure::new(Exit::Refused, format!("{id} does not exist"))
                .hint(format!("{}  # records it", self.work.context.sibling("up")))
        })?;
        live::check_ours(&there, &id, set)?;
        Ok(there)
    }
}
