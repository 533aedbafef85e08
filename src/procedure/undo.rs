//! Gives a set back the settings that it had before, when the first pod that restarts does not start with the new
//! ones.

use anyhow::Context as _;
use serde_json::Value;

use super::wait::{self, Wait};
use super::{Work, configure, expectation, lease, pods};
use crate::cluster::objects::Apply;
use crate::error::{Exit, Failure};
use crate::manifest::{Kind, Object};
use crate::plan::{self, Action};
use crate::procedure::planning::Planned;
use crate::set::{SetIdentity, objects};

/// The objects that a change updates, as they were before.
#[derive(Debug, PartialEq)]
pub(crate) struct Undo {
    objects: Vec<Object>,
    /// Whether PostgreSQL's configuration is among them.
    configuration: bool,
}

impl Undo {
    /// What to apply to undo a plan. `None` if the plan changes no settings of the pods.
    pub(crate) fn of(planned: &Planned, set: &SetIdentity) -> Option<Self> {
        // Passwords and certificates are no settings of the pods.
        let changed = planned.plan.steps.iter().filter(|step| {
            step.object.id.kind != Kind::Secret && matches!(step.action, Action::Update(_))
        });
        let before = changed.filter_map(|step| {
            let id = &step.object.id;
            let value = plan::reapplied(planned.live.objects.get(id)?, id);
            Some(Object { id: id.clone(), value, template: "the live object".to_owned() })
        });
        let objects: Vec<Object> = before.collect();
        let configuration = objects.iter().any(|object| object.id == objects::config(set));
        let pods = configuration || objects.iter().any(|o| o.id.kind == Kind::StatefulSet);
        pods.then_some(Self { objects, configuration })
    }

    /// Applies the previous settings after `pod` did not become ready with the new ones, and lets it start with
    /// them. Returns the error that tells both.
    pub(super) async fn after(
        self,
        work: Work<'_>,
        wait: &Wait<'_>,
        pod: &str,
        error: anyhow::Error,
    ) -> anyhow::Error {
        let failed = error.downcast_ref::<Failure>();
        // After an interrupt or at the deadline there is nothing known that is wrong with the settings.
        let Some(failed) = failed.filter(|failure| failure.exit == Exit::Failed).cloned() else {
            return error;
        };
        work.context.warn(format!(
            "{pod} does not start with the new settings, and gets the previous ones back: {}",
            failed.message
        ));
        match self.apply(work, wait, pod).await {
            Ok(()) => Failure {
                message: format!(
                    "{pod} did not start with the new settings: {}; all pods run with the previous settings, which are recorded again",
                    failed.message
                ),
                ..failed
            }
            .into(),
            Err(undo) => Failure {
                message: format!(
                    "{pod} did not start with the new settings: {}; and the previous ones could not be restored: {undo:#}",
                    failed.message
                ),
                ..failed
            }
            .into(),
        }
    }

    async fn apply(self, work: Work<'_>, wait: &Wait<'_>, pod: &str) -> anyhow::Result<()> {
        lease::still_ours(work).await?;
        let mut statefulset: Option<Value> = None;
        for object in &self.objects {
            let applied = work.cluster.apply(object, Apply { dry_run: false, force: true });
            let applied = applied.await.with_context(|| format!("restoring {}", object.id))?;
            if object.id.kind == Kind::StatefulSet {
                statefulset = Some(applied);
            }
        }
        if self.configuration {
            // The other servers have loaded the new settings already.
            configure::load_except(work, pod).await?;
        }
        pods::delete(work, pod).await?;
        let mut again =
            Wait { done: "the previous settings are applied again", replace: &[], ..wait.clone() };
        if let Some(statefulset) = statefulset {
            expectation::applied_again(&mut again.expectation, &statefulset);
        }
        wait::until_ready(work, again).await?;
        Ok(())
    }
}
