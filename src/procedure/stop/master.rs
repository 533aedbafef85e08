//! Stops the master's server before the pods of its set.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep};

use crate::postgres::replication::Lsn;
use crate::postgres::script::{self, Stopped};
use crate::procedure::{LOOK_EVERY, Work, pods, sql};

/// How long the replicas may take to receive the last bytes: a server that stops has sent them to each replica that
/// streams.
const RECEIVE_WITHIN: Duration = Duration::from_secs(10);

/// Stops the master's server, and waits until the replicas have received all that it has written. Then no replica lacks
/// anything, whichever is the next master.
///
/// It is no condition for stopping the set: what is not possible is told, and the pods stop as they are.
///
/// # Errors
/// When the pods can't be listed.
pub(super) async fn stop_master(work: Work<'_>) -> anyhow::Result<()> {
    let Some(master) = work.topology.master_pod(work.set) else { return Ok(()) };
    let running = pods::running(work.cluster, work.set).await?;
    let has_server = |name: &str| running.iter().any(|pod| pods::name(pod) == name);
    if !has_server(&master) {
        return Ok(());
    }
    let within = script::STOP_WITHIN.min(work.cluster.deadline.remaining());
    let stopped = match sql::call(work, &master, "stop", within).await {
        Ok(output) => Stopped::parse(&output),
        Err(error) => Stopped::No(error.to_string()),
    };
    let position = match stopped {
        Stopped::At(position) => position,
        Stopped::NotKnown => {
            work.context.detail(format!("{master} runs a script that stops all pods together"));
            return Ok(());
        }
        Stopped::No(reason) => {
            let message = format!("the master {master} did not stop before its replicas: {reason}");
            work.context.warn(message);
            return Ok(());
        }
    };
    let replicas = running.iter().map(pods::name).filter(|name| *name != master);
    let waits = replicas.map(async |replica| {
        let why = receives(work, replica, position).await?;
        Some(format!("{replica} does not have all that the master wrote, up to {position}: {why}"))
    });
    let behind: Vec<String> = join_all(waits).await.into_iter().flatten().collect();
    if behind.is_empty() {
        work.context.detail(format!("{master} has stopped, and its replicas have all of its WAL"));
    }
    for message in behind {
        work.context.warn(message);
    }
    Ok(())
}

/// Waits until a replica has received the record at a position. Returns why it has not.
async fn receives(work: Work<'_>, replica: &str, position: Lsn) -> Option<String> {
    let until = Instant::now() + RECEIVE_WITHIN;
    loop {
        let why = match sql::observe(work.cluster, work.namespace(), replica).await {
            Ok(there) if there.lsn.is_some_and(|lsn| lsn > position) => return None,
            Ok(there) => match there.lsn {
                Some(lsn) => format!("it is at {lsn}"),
                None => "it reports no position".to_owned(),
            },
            Err(words) => words,
        };
        if Instant::now() >= until {
            return Some(why);
        }
        sleep(LOOK_EVERY).await;
    }
}
