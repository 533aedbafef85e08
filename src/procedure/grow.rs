//! Growing the claims of a set whose templates can't change: what `up --size` does before the rest.
//!
//! Nothing is lost wherever this ends: the claims have grown or not, the pods run on, and the next `up`
//! goes on. Between the StatefulSet that is deleted and the one that is made again nothing restarts a
//! pod; `up` counts the pods that run then, so that none of them goes.

use std::time::Duration;

use serde_json::json;

use crate::cluster::objects::Apply;
use crate::cluster::{Cluster, ClusterError};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::event::{Event, Outcome};
use crate::manifest::{Kind, ObjectId};
use crate::plan::{Growth, Plan, with_live_templates};
use crate::procedure::live;
use crate::procedure::live::Live;
use crate::set::SetIdentity;
use crate::set::rights;

/// How often the deleted StatefulSet is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Lets the claims ask for more, and deletes the StatefulSet without its pods; the plan's step makes it
/// again. Asks first.
///
/// # Errors
/// When a right is missing, a claim can't grow, or nobody agreed: nothing is changed then.
pub(crate) async fn carry_out(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    plan: &Plan,
    live: &Live,
    force: bool,
) -> anyhow::Result<()> {
    let Some(growth) = &plan.growth else { return Ok(()) };
    live::check_rights(cluster, rights::growing(set)).await?;
    let there = live.objects.get(&growth.set).cloned().unwrap_or_default();
    rehearse(cluster, plan, growth, &there, force).await?;
    if !context.confirm(&question(growth)).await? {
        return Err(Failure::new(Exit::Refused, "nothing was changed")
            .hint("without --size (PGSET_SIZE) the claims stay as they are")
            .into());
    }
    for (claim, from) in &growth.claims {
        cluster.merge(claim, &larger(growth), false).await?;
        context.reporter.emit(Event::Object {
            object: claim.clone(),
            outcome: Outcome::Configured,
            detail: Some(format!("{from} -> {}", growth.to)),
        });
    }
    let uid = live::uid_of(&there);
    cluster.orphan(&growth.set, uid).await?;
    while let Some(still) = cluster.get(&growth.set).await?.filter(|it| live::uid_of(it) == uid) {
        if cluster.deadline.remaining().is_zero() {
            let held = &still["metadata"]["finalizers"];
            let what = format!("{} is still being deleted: {held} holds it", growth.set);
            return Err(Failure::new(Exit::TimedOut, what)
                .hint(format!("{}  # goes on", context.again))
                .into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn larger(growth: &Growth) -> serde_json::Value {
    json!({"spec": {"resources": {"requests": {"storage": growth.to}}}})
}

fn question(growth: &Growth) -> String {
    format!("The volumes grow: {}, which run on. Go on?", growth.detail())
}

/// Has the server check all of it before anything is written.
async fn rehearse(
    cluster: &Cluster,
    plan: &Plan,
    growth: &Growth,
    there: &serde_json::Value,
    force: bool,
) -> anyhow::Result<()> {
    for (claim, _) in &growth.claims {
        cluster.merge(claim, &larger(growth), true).await.map_err(|e| stuck(claim, growth, e))?;
    }
    let set = plan.steps.iter().find(|step| step.object.id == growth.set);
    if let Some(step) = set {
        let rest = with_live_templates(&step.object, there);
        cluster.apply(&rest, Apply { dry_run: true, force }).await?;
    }
    Ok(())
}

/// A claim that the server won't let grow: its class forbids it, or a quota.
fn stuck(claim: &ObjectId, growth: &Growth, error: ClusterError) -> anyhow::Error {
    let says = |words: &str| error.status().is_some_and(|s| s.message.contains(words));
    if !says("resize") && !says("exceeded quota") {
        return error.into();
    }
    Failure::new(Exit::Refused, format!("{claim} can't grow to {}: {error}", growth.to))
        .hint(format!(
            "kubectl get storageclass  # which classes allow it (ALLOWVOLUMEEXPANSION)? {} stays as it is without --size",
            Kind::PersistentVolumeClaim.plural()
        ))
        .into()
}
