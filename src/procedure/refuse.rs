//! Finds out before the first write what would fail only after it, when a pod is stopped already: another
//! major version of PostgreSQL, another owner of the data, pods that the cluster does not admit, replicas that do not fit on a volume.

mod admission;
mod owner;
mod quota;
mod release;
pub(crate) mod room;

pub(crate) use owner::check as owner;
pub(crate) use release::check as release;

use super::planning::Planned;
use super::{Ending, Work};
use crate::cli::DryRun;
use crate::manifest::Kind;
use crate::plan::Action;
use crate::set::objects;

/// Refuses a plan whose pods would not start or would stop others.
///
/// # Errors
/// When the cluster would not admit the new pods, or new replicas do not fit on the volume.
pub(crate) async fn before_writing(
    work: Work<'_>,
    planned: &Planned,
    ending: Ending,
) -> anyhow::Result<()> {
    if ending == Ending::DryRun(DryRun::Client) || !planned.live.namespace.exists() {
        return Ok(());
    }
    let id = objects::statefulset(work.set);
    let Some(step) = planned.plan.step(&id) else { return Ok(()) };
    let live = planned.live.objects.get(&id);
    let changes = step.action == Action::Create || step.changes_template();
    let account_exists =
        !planned.plan.steps.iter().any(|step| {
            step.object.id.kind == Kind::ServiceAccount && step.action == Action::Create
        });
    let new = admission::Candidate {
        statefulset: &step.object.value,
        live,
        replicas: planned.replicas,
        account_exists,
    };
    let admitted = async { if changes { admission::check(work, new).await } else { Ok(()) } };
    let room = async {
        let Some(live) = live else { return Ok(()) };
        let mut growth = room::Growth::of(live, planned.replicas);
        growth.template = room::template(&step.object.value);
        room::check(work, growth).await
    };
    futures::try_join!(admitted, room)?;
    Ok(())
}
