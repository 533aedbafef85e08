//! Enlarges the claims of a set before the rest of `up --size`. A StatefulSet's claim templates are
//! immutable, so pgset deletes the StatefulSet without its pods and `up` creates it again.
//!
//! An interruption loses no data: some claims may have the new size, the pods keep running, and the next `up`
//! resumes. While the StatefulSet does not exist, no failed pod is replaced. `up` counts the running pods, so
//! that the new StatefulSet deletes none of them.

use std::time::Duration;

use super::planning::Conflicts;
use super::{Next, Procedure, Work, lease, live, run};
use crate::cluster::ClusterError;
use crate::cluster::objects::Apply;
use crate::error::{Exit, Failure};
use crate::event::{Event, Outcome};
use crate::manifest::{Kind, Object, ObjectId};
use crate::plan::{Growth, Plan, with_live_templates};
use crate::set::rights;
use serde_json::{Value, json};

/// Increases the size that the claims request, and deletes the StatefulSet without its pods. A later step of
/// the plan creates it again. Asks for confirmation first.
///
/// # Errors
/// When a right is missing, a claim can't grow, or the user declines: in these cases nothing is changed.
pub(crate) async fn grow(
    work: Work<'_>,
    plan: &Plan,
    live: &live::Live,
    conflicts: Conflicts,
) -> anyhow::Result<()> {
    let Some(growth) = &plan.growth else { return Ok(()) };
    live::check_rights(work.cluster, rights::growing(work.set)).await?;
    let there = live.objects.get(&growth.set).cloned().unwrap_or_default();
    let wanted = plan.step(&growth.set);
    let grow = Grow {
        work,
        growth,
        rest: wanted
            .filter(|_| growth.recreates)
            .map(|step| plan.rehearsed(&with_live_templates(&step.object, &there))),
        uid: live::uid_of(&there).to_owned(),
        there,
        conflicts,
        facts: Facts {
            small: growth.claims.clone(),
            deleted: !growth.recreates,
            ..Facts::default()
        },
    };
    run(work, grow).await?;
    Ok(())
}

/// The progress of the growth.
#[derive(Clone, Debug, Default)]
struct Facts {
    /// Whether a dry run has shown that the server accepts all writes.
    rehearsed: bool,
    /// Whether the user has confirmed.
    agreed: bool,
    /// The claims that do not request the new size yet, with their current size.
    small: Vec<(ObjectId, String)>,
    /// Whether the StatefulSet was deleted.
    deleted: bool,
    /// The finalizers of the StatefulSet that is being deleted. `None` when it is gone.
    finalizers: Option<Value>,
}

#[derive(Debug, PartialEq)]
enum Step {
    /// Validate all writes with a dry run.
    Rehearse,
    /// Ask the user.
    Ask,
    /// Increase the size that a claim requests. The text is the current size.
    Grow(ObjectId, String),
    /// Delete the StatefulSet without its pods.
    Orphan,
}

struct Grow<'a> {
    work: Work<'a>,
    growth: &'a Growth,
    /// The desired StatefulSet, but with the claim templates of the live one.
    rest: Option<Object>,
    /// The UID of the StatefulSet.
    uid: String,
    /// The StatefulSet, as the plan is based on it.
    there: Value,
    conflicts: Conflicts,
    facts: Facts,
}

impl Grow<'_> {
    fn larger(&self) -> Value {
        json!({"spec": {"resources": {"requests": {"storage": self.growth.to}}}})
    }

    async fn rehearse(&self) -> anyhow::Result<()> {
        for (claim, _) in &self.growth.claims {
            self.work
                .cluster
                .merge(claim, &self.larger(), true)
                .await
                .map_err(|error| stuck(claim, self.growth, error))?;
        }
        if let Some(rest) = &self.rest {
            let force = self.conflicts.force();
            self.work.cluster.apply(rest, Apply { dry_run: true, force }).await?;
        }
        Ok(())
    }
}

impl Procedure for Grow<'_> {
    type Facts = Facts;
    type Step = Step;

    /// The pause between two polls for the deleted StatefulSet.
    const EVERY: Duration = Duration::from_millis(100);

    async fn look(&mut self) -> anyhow::Result<Facts> {
        if self.facts.deleted && self.growth.recreates {
            let there = self.work.cluster.get(&self.growth.set).await?;
            let still = there.filter(|there| live::uid_of(there) == self.uid);
            self.facts.finalizers = still.map(|still| still["metadata"]["finalizers"].clone());
        }
        Ok(self.facts.clone())
    }

    fn next(facts: &Facts) -> Next<Step> {
        if !facts.rehearsed {
            return Next::Act(Step::Rehearse);
        }
        if !facts.agreed {
            return Next::Act(Step::Ask);
        }
        if let Some((claim, from)) = facts.small.first() {
            return Next::Act(Step::Grow(claim.clone(), from.clone()));
        }
        match (facts.deleted, &facts.finalizers) {
            (false, _) => Next::Act(Step::Orphan),
            (true, Some(held)) => Next::Wait(format!("is still being deleted: finalizers {held}")),
            (true, None) => Next::Done,
        }
    }

    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Rehearse => {
                self.rehearse().await?;
                self.facts.rehearsed = true;
            }
            Step::Ask => {
                let grows = self.growth.detail();
                let pods = if self.growth.recreates { " (the pods keep running)" } else { "" };
                let question = format!("Enlarge {grows}{pods}?");
                if !self.work.context.confirm(&question).await? {
                    return Err(Failure::cancelled()
                        .hint("without --size (PGSET_SIZE) the claims keep their size")
                        .into());
                }
                lease::hold_as_planned(self.work, Some(&self.there)).await?;
                self.facts.agreed = true;
            }
            Step::Grow(claim, from) => {
                lease::still_ours(self.work).await?;
                self.work.cluster.merge(&claim, &self.larger(), false).await?;
                self.facts.small.retain(|(other, _)| *other != claim);
                let detail = Some(format!("{from} -> {}", self.growth.to));
                let event = Event::object(claim, Outcome::Configured, detail);
                self.work.context.reporter.emit(event);
            }
            Step::Orphan => {
                lease::still_ours(self.work).await?;
                self.work.cluster.orphan(&self.growth.set, &self.uid).await?;
                self.facts.deleted = true;
            }
        }
        Ok(())
    }

    fn done(&self) -> String {
        if self.facts.deleted && self.growth.recreates {
            return format!(
                "{} is deleted, its pods keep running, and the next run creates it again",
                self.growth.set
            );
        }
        let (small, all) = (self.facts.small.len(), self.growth.claims.len());
        if small == all {
            return "nothing was changed".to_owned();
        }
        format!("{} of {all} claims request {}, nothing is lost", all - small, self.growth.to)
    }

    fn too_late(&self, work: Work<'_>, why: String) -> Failure {
        work.too_late(format!("{} {why}", self.growth.set))
    }
}

/// Explains why the server refuses to enlarge a claim: the storage class does not allow it, or a quota is
/// exceeded.
fn stuck(claim: &ObjectId, growth: &Growth, error: ClusterError) -> anyhow::Error {
    let says = |words: &str| error.status().is_some_and(|s| s.message.contains(words));
    if !says("resize") && !says("exceeded quota") {
        return error.into();
    }
    Failure::new(Exit::Refused, format!("{claim} can't grow to {}: {error}", growth.to))
        .hint(format!(
            "kubectl get storageclass  # ALLOWVOLUMEEXPANSION: the classes that allow it; without --size, the {} keep their size",
            Kind::PersistentVolumeClaim.plural()
        ))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_grow_after_a_rehearsal_and_consent_and_the_statefulset_goes_last() {
        let claim = ObjectId::new(Kind::PersistentVolumeClaim, "pg", "pgdata-pgset-0");
        let small = vec![(claim.clone(), "1Gi".to_owned())];
        let mut facts = Facts { small, ..Facts::default() };
        assert_eq!(Grow::next(&facts), Next::Act(Step::Rehearse));
        facts.rehearsed = true;
        assert_eq!(Grow::next(&facts), Next::Act(Step::Ask));
        facts.agreed = true;
        assert_eq!(Grow::next(&facts), Next::Act(Step::Grow(claim, "1Gi".to_owned())));
        facts.small.clear();
        assert_eq!(Grow::next(&facts), Next::Act(Step::Orphan));
        facts.deleted = true;
        facts.finalizers = Some(json!(["orphan"]));
        assert!(matches!(Grow::next(&facts), Next::Wait(why) if why.contains("orphan")));
        facts.finalizers = None;
        assert_eq!(Grow::next(&facts), Next::Done);
    }
}
