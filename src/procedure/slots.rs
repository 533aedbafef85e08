//! Drops the replication slots of replicas that were scaled down, once the slots are inactive.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use super::pod_numbers::Record;
use super::{Next, Procedure, Work, lease, run, server, sql};
use crate::error::{Exit, Failure};
use crate::postgres::slots::{self, PodSlot};
use crate::postgres::{ExecOutput, Script};
use anyhow::Context as _;

/// Drops the slots of the pods with the ordinals from `pods` on and below `most`, the most pods that there ever were.
/// Waits for slots that are still in use.
///
/// # Errors
/// When the master does not answer, or a slot is still in use at the deadline.
pub(crate) async fn drop_beyond(work: Work<'_>, pods: u32, most: u32) -> anyhow::Result<()> {
    let master = server::master(work).await?;
    let mut slots = Slots {
        work,
        master,
        pods: pods..most,
        left: Vec::new(),
        told: BTreeSet::new(),
        dropped: BTreeSet::new(),
    };
    if work.topology.most_pods.is_none() {
        slots.adopt(most).await?;
    }
    run(work, slots).await?;
    Ok(())
}

struct Slots<'a> {
    work: Work<'a>,
    master: String,
    /// The ordinals of the deleted pods.
    pods: Range<u32>,
    /// The remaining slots, as the master last reported them.
    left: Vec<PodSlot>,
    /// The slots that were reported as still in use.
    told: BTreeSet<String>,
    /// The slots that were dropped since the last poll.
    dropped: BTreeSet<String>,
}

impl Slots<'_> {
    async fn ask(&self, script: &Script) -> anyhow::Result<ExecOutput> {
        let output = sql::run(self.work.cluster, self.work.namespace(), script).await?;
        match output.trouble() {
            None => Ok(output),
            Some(trouble) => Err(Failure::new(Exit::Failed, trouble.to_string()).into()),
        }
    }

    /// The set is from a pgset that did not record the most pods: its slots show pods that were deleted without a
    /// claim. The number is recorded before the slots are dropped, because the data of these pods is kept.
    async fn adopt(&mut self, most: u32) -> anyhow::Result<()> {
        let (work, pods) = (self.work, self.pods.start);
        let answer = self.ask(&slots::list(&self.master)).await;
        let answer = answer.context("looking for replication slots")?;
        self.pods.end = slots::most(work.set, most, &answer);
        if self.pods.end > most {
            Record::new(work.topology, self.pods.end, pods, pods).write(work).await?;
        }
        Ok(())
    }

    /// Reports what has changed since the last poll.
    fn tell(&mut self) {
        let context = self.work.context;
        for name in std::mem::take(&mut self.dropped) {
            if !self.left.iter().any(|slot| slot.name == name) {
                context.detail(format!("replication slot {name} dropped: its pod is deleted"));
            }
        }
        for slot in &self.left {
            if let Some(user) = &slot.user
                && self.told.insert(slot.name.clone())
            {
                context.note(format!(
                    "replication slot {} is still used by {user}: waiting until it is inactive",
                    slot.name
                ));
            }
        }
    }
}

impl Procedure for Slots<'_> {
    /// The slots of deleted pods.
    type Facts = Vec<PodSlot>;
    /// The inactive slots, to drop.
    type Step = Vec<PodSlot>;

    /// The pause between two polls: nothing announces that a slot becomes inactive.
    const EVERY: Duration = Duration::from_millis(500);

    async fn look(&mut self) -> anyhow::Result<Vec<PodSlot>> {
        match self.ask(&slots::list(&self.master)).await {
            Ok(answer) => self.left = slots::beyond(self.work.set, &self.pods, &answer),
            // The deadline cut off the query, so the previous answer is used.
            Err(_) if !self.left.is_empty() && self.work.cluster.deadline.remaining().is_zero() => {
            }
            Err(error) => return Err(error.context("looking for replication slots")),
        }
        self.tell();
        Ok(self.left.clone())
    }

    fn next(left: &Vec<PodSlot>) -> Next<Vec<PodSlot>> {
        let (used, idle): (Vec<&PodSlot>, Vec<&PodSlot>) =
            left.iter().partition(|slot| slot.user.is_some());
        if !idle.is_empty() {
            return Next::Act(idle.into_iter().cloned().collect());
        }
        if used.is_empty() {
            return Next::Done;
        }
        let used = used.iter().map(|slot| {
            let who = slot.user.as_deref().unwrap_or_default();
            format!("replication slot {} is still used by {who}", slot.name)
        });
        Next::Wait(used.collect::<Vec<_>>().join("; "))
    }

    async fn act(&mut self, idle: Vec<PodSlot>) -> anyhow::Result<()> {
        lease::still_ours(self.work).await?;
        for slot in idle {
            self.ask(&slots::drop(&self.master, &slot))
                .await
                .with_context(|| format!("dropping the replication slot {}", slot.name))?;
            self.left.retain(|left| left.name != slot.name);
            self.dropped.insert(slot.name);
        }
        Ok(())
    }

    fn done(&self) -> String {
        "the pods are deleted, some replication slots are not dropped yet".to_owned()
    }

    fn too_late(&self, work: Work<'_>, why: String) -> Failure {
        Failure::new(Exit::TimedOut, why)
            .hint("a slot keeps the WAL that its client needs: stop that client, or keep the slot")
            .hint(format!("{}  # drops the slot once it is inactive", work.context.again))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_slots_are_dropped_and_used_ones_are_waited_for() {
        let slot = |name: &str, user: Option<&str>| PodSlot {
            name: name.to_owned(),
            ordinal: 2,
            user: user.map(str::to_owned),
        };
        assert_eq!(Slots::next(&vec![]), Next::Done);
        let (idle, used) = (slot("pgset_2", None), slot("pgset_3", Some("pgset-3")));
        assert_eq!(Slots::next(&vec![used.clone(), idle.clone()]), Next::Act(vec![idle]));
        let words = "replication slot pgset_3 is still used by pgset-3".to_owned();
        assert_eq!(Slots::next(&vec![used]), Next::Wait(words));
    }
}
