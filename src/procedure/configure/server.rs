//! Asks a running server about a configuration.

use std::collections::BTreeMap;

use crate::cluster::exec::Exec;
use crate::error::{Exit, Failure};
use crate::postgres::configuration::{self, Mixed, Setting};
use crate::procedure::{Work, pods, sql};
use crate::readiness::is_ready;

/// Lets PostgreSQL read the file as at startup. Returns the values of the settings that replicas must follow.
///
/// # Errors
/// When PostgreSQL does not accept it, with its messages.
pub(crate) async fn dry_start(
    work: Work<'_>,
    pod: &str,
    text: &str,
) -> anyhow::Result<BTreeMap<String, i64>> {
    let exec = Exec {
        namespace: work.namespace(),
        pod,
        container: sql::CONTAINER,
        argv: configuration::check_argv(text.len()),
        stdin: text.to_owned(),
        timeout: configuration::CHECK_TIMEOUT,
    };
    let output = sql::exec(work.cluster, exec).await?;
    configuration::checked(&output).map_err(|words| {
        Failure::new(Exit::Usage, "PostgreSQL does not accept these settings; nothing was changed")
            .details(words)
            .into()
    })
}

/// The failure when some settings increase and others decrease, so that no order of restarts is valid.
pub(crate) fn two_steps(mixed: &Mixed) -> Failure {
    Failure::new(
        Exit::Refused,
        format!(
            "{} would increase and {} would decrease: a replica is not allowed to have a lower value than the master, and no order of restarts is safe for both",
            mixed.grow.join(", "),
            mixed.shrink.join(", ")
        ),
    )
    .hint("change them in two steps: first the settings that increase, then those that decrease")
}

/// The numeric values of the settings that replicas must follow.
pub(crate) fn numbers(settings: &[Setting]) -> BTreeMap<String, i64> {
    let numbers = settings.iter().filter_map(|s| Some((s.name.clone(), s.value.parse().ok()?)));
    numbers.filter(|(name, _)| configuration::FOLLOWED.contains(&name.as_str())).collect()
}

/// A pod whose server is ready, preferably the master's.
///
/// # Errors
/// When the pods can't be listed.
pub(crate) async fn running(work: Work<'_>) -> anyhow::Result<Option<String>> {
    let mut found = pods::list(work.cluster, work.set).await?;
    found.retain(is_ready);
    found.sort_by_key(|pod| !pods::is_master(work.set, work.topology, pod));
    Ok(found.first().map(|pod| pods::name(pod).to_owned()))
}
