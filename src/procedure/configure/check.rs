//! Checks a configuration before it is written.

use super::change::{Change, read};
use super::server;
use crate::error::{Exit, Failure};
use crate::plan::Plan;
use crate::postgres::configuration::{self, Order, Setting};
use crate::procedure::{Work, live, sql};

/// The changed settings that PostgreSQL reads only at its start.
#[derive(Debug, Default)]
pub(crate) struct AtStart {
    /// The changes: `max_connections 100 -> 200`.
    pub(crate) changes: Vec<String>,
    /// The order in which the servers must restart.
    pub(crate) order: Order,
}

/// Lets a running server check the new configuration. Returns what requires a restart.
///
/// # Errors
/// When the server does not accept the configuration, with its messages; when no order of restarts is safe.
pub(crate) async fn check(
    work: Work<'_>,
    plan: &Plan,
    live: &live::Live,
) -> anyhow::Result<AtStart> {
    let Some(change) = Change::of(plan, &live.objects, work.set) else {
        return Ok(AtStart::default());
    };
    let Some(pod) = server::running(work).await? else {
        // No server can check it. A server that does not accept it will report that in its log when it
        // starts.
        return Ok(AtStart::default());
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
    let wanted = read(&change.after);
    let of_change = running.iter().filter(|setting| change.names.contains(&setting.name));
    let changes = of_change.filter_map(|setting| {
        let wanted = wanted.get(&setting.name).map(String::as_str);
        setting.needs_restart(wanted).then(|| {
            format!("{} {} -> {}", setting.name, setting.shown, wanted.unwrap_or("its default"))
        })
    });
    Ok(AtStart { changes: changes.collect(), order })
}
