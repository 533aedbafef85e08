//! Checks a configuration before it is written.

use super::change::{Change, read};
use super::restart::{self, Consent};
use super::server;
use crate::error::{Exit, Failure};
use crate::plan::Plan;
use crate::postgres::configuration::{self, Order, Setting};
use crate::procedure::{Ending, Work, live, sql};

/// Lets a running server check the new configuration, and asks for confirmation if it requires a restart.
///
/// # Errors
/// When the server does not accept the configuration, with its messages; when the user declines the restart.
pub(crate) async fn check(
    work: Work<'_>,
    plan: &Plan,
    live: &live::Live,
    ending: Ending,
) -> anyhow::Result<Consent> {
    let Some(change) = Change::of(plan, &live.objects, work.set) else {
        return Ok(Consent::NotAsked);
    };
    let Some(pod) = server::running(work).await? else {
        // No server can check it. A server that does not accept it will report that in its log when it
        // starts.
        return Ok(Consent::NotAsked);
    };
    let after = server::dry_start(work, &pod, &change.after).await?;
    let names: Vec<&str> = change.names.iter().map(String::as_str).collect();
    let libraries = configuration::libraries(&read(&change.after));
    let script = configuration::settings(&pod, &names, &libraries);
    let output = sql::run(work.cluster, work.namespace(), &script).await?;
    if let Some(trouble) = output.trouble() {
        return Err(Failure::new(
            Exit::Failed,
            format!("the settings of PostgreSQL in pod {pod} can't be read: {trouble}"),
        )
        .into());
    }
    if let Some(library) = configuration::missing_library(&output) {
        return Err(Failure::new(
            Exit::Usage,
            format!("the image has no library {library}, which the settings load: no server would start; nothing was changed"),
        )
        .into());
    }
    let running = Setting::parse(&output);
    let order = configuration::order(&server::numbers(&running), &after)
        .map_err(|m| server::two_steps(&m))?;
    if change.rolls && order == Order::MasterFirst {
        return Err(Failure::new(
            Exit::Refused,
            "a setting that must not be lower on a replica than on the master is decreased, and the pod template changes as well: the StatefulSet controller would restart the replicas first, and they could not start",
        )
        .hint("change them in two steps: first the settings alone, then the rest")
        .into());
    }
    let at_start: Vec<&str> = running
        .iter()
        .filter(|setting| setting.at_start && change.names.contains(&setting.name))
        .map(|setting| setting.name.as_str())
        .collect();
    if at_start.is_empty() || change.rolls || ending != Ending::Wait {
        return Ok(Consent::NotAsked);
    }
    if !restart::agree(work.context, &at_start.join(", "), order).await? {
        return Err(Failure::cancelled()
            .hint("leave out what needs a restart, or answer yes")
            .into());
    }
    Ok(Consent::Given)
}
