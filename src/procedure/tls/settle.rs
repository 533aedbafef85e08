//! Takes a running set through the stages of TLS: every pod reaches a stage before the next one is written.

use super::follow::follow;
use super::transition::{Transition, change};
use crate::cluster::objects::Apply;
use crate::event::{Event, Outcome};
use crate::manifest::Object;
use crate::procedure::configure;
use crate::procedure::{Next, Procedure, Work, lease, run};

/// Takes every server of a running set to the last stage. `last` is the ConfigMap of the last stage, if that
/// differs from the stage that was already written.
///
/// # Errors
/// When a server does not reach a stage. The next run resumes.
pub(crate) async fn settle(
    work: Work<'_>,
    transition: &Transition,
    last: Option<&Object>,
) -> anyhow::Result<()> {
    let facts = Facts {
        first_to_follow: transition.first.is_some(),
        last_to_write: last.is_some(),
        ..Facts::default()
    };
    run(work, Settle { work, transition, last, facts }).await?;
    Ok(())
}

/// What remains to be done.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a step that is left to do")]
struct Facts {
    /// The pods must reach the stage that is already written.
    first_to_follow: bool,
    /// The last stage must be written.
    last_to_write: bool,
    /// The servers must reload the files of the last stage.
    last_to_read: bool,
    /// The pods must reach the last stage.
    last_to_follow: bool,
}

#[derive(Debug, PartialEq)]
enum Step {
    FollowFirst,
    WriteLast,
    ReadLast,
    FollowLast,
}

struct Settle<'a> {
    work: Work<'a>,
    transition: &'a Transition,
    last: Option<&'a Object>,
    facts: Facts,
}

impl Settle<'_> {
    /// Writes the last stage, after every pod has reached the stage before it.
    async fn write(&self) -> anyhow::Result<()> {
        let Some(config) = self.last else { return Ok(()) };
        lease::hold(self.work).await?;
        // pgset owns this object, and it is rendered from the same inputs as the plan.
        self.work.cluster.apply(config, Apply { dry_run: false, force: true }).await?;
        let detail = Some(change(self.transition.first.as_ref(), self.transition.last.as_ref()));
        let (object, outcome) = (config.id.clone(), Outcome::Configured);
        self.work.context.reporter.emit(Event::object(object, outcome, detail));
        Ok(())
    }
}

impl Procedure for Settle<'_> {
    type Facts = Facts;
    type Step = Step;

    async fn look(&mut self) -> anyhow::Result<Facts> {
        Ok(self.facts)
    }

    fn next(facts: &Facts) -> Next<Step> {
        if facts.first_to_follow {
            Next::Act(Step::FollowFirst)
        } else if facts.last_to_write {
            Next::Act(Step::WriteLast)
        } else if facts.last_to_read {
            Next::Act(Step::ReadLast)
        } else if facts.last_to_follow {
            Next::Act(Step::FollowLast)
        } else {
            Next::Done
        }
    }

    async fn act(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::FollowFirst => {
                follow(self.work).await?;
                self.facts.first_to_follow = false;
            }
            Step::WriteLast => {
                self.write().await?;
                self.facts = Facts { last_to_read: true, last_to_follow: true, ..Facts::default() };
            }
            Step::ReadLast => {
                // All required restarts are already done.
                configure::load(self.work).await?;
                self.facts.last_to_read = false;
            }
            Step::FollowLast => {
                follow(self.work).await?;
                self.facts.last_to_follow = false;
            }
        }
        Ok(())
    }

    fn done(&self) -> String {
        let stage =
            |tls: &Option<crate::settings::Tls>| tls.as_ref().map_or("off", |tls| tls.stage.name());
        if self.facts.first_to_follow {
            return "the new certificates are written, but not every pod has them".to_owned();
        }
        if self.facts.last_to_write {
            let stage = stage(&self.transition.first);
            return format!("TLS is {stage} on every pod, and replicas stream");
        }
        format!("TLS changes to {}, but not every pod has it yet", stage(&self.transition.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_on_every_pod_before_the_next_is_written() {
        let mut facts = Facts { first_to_follow: true, last_to_write: true, ..Facts::default() };
        assert_eq!(Settle::next(&facts), Next::Act(Step::FollowFirst));
        facts.first_to_follow = false;
        assert_eq!(Settle::next(&facts), Next::Act(Step::WriteLast));
        facts = Facts { last_to_read: true, last_to_follow: true, ..Facts::default() };
        assert_eq!(Settle::next(&facts), Next::Act(Step::ReadLast));
        facts.last_to_read = false;
        assert_eq!(Settle::next(&facts), Next::Act(Step::FollowLast));
        assert_eq!(Settle::next(&Facts::default()), Next::Done);
    }
}
