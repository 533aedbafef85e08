//! Logs in to a set as clients do: through the master's Service.

use std::time::Duration;

use tokio::time::Instant;

use super::{LOOK_EVERY, Poll, Work, credentials, pods, poll, sql};
use crate::error::{Exit, Failure};
use crate::postgres::psql::Trouble;
use crate::postgres::{Connection, Script, connections};
use crate::readiness::Snapshot;
use crate::values::Secret;

/// How long a Service may take to route to a server after its endpoints are ready. Each node is updated on
/// its own, and the first server of an image may be a temporary one that only creates the roles.
const SERVICE_LEADS_WITHIN: Duration = Duration::from_secs(10);

/// Checks that the application can log in. A volume that was initialised with another password keeps that
/// one. Without this check, the first client would find the problem.
///
/// # Errors
/// When the login fails, with PostgreSQL's message.
pub(crate) async fn verify(
    work: Work<'_>,
    snapshot: &Snapshot,
    verified: bool,
) -> anyhow::Result<()> {
    let credentials = match credentials::credentials(work.cluster, work.set).await {
        Ok(credentials) => credentials,
        Err(error) => {
            work.context.warn(format!("the login was not tested: {error}"));
            return Ok(());
        }
    };
    let Some(pod) = pods::any_ready(&snapshot.pods) else { return Ok(()) };
    let login = Login {
        user: &credentials.user,
        password: &credentials.user_password,
        database: &credentials.database,
        verified,
    };
    let Some(trouble) = log_in(work, pods::name(pod), login).await? else { return Ok(()) };
    let failure = Failure::new(
        Exit::Failed,
        format!("the set runs, but {} can't log in: {trouble}", credentials.user),
    );
    if connections::hint(&trouble.message, None).is_some() {
        // The superuser is still let in when the others are not, and can tell the limit.
        let master = pods::master(work.set, work.topology, &snapshot.pods).unwrap_or(pod);
        let seen = sql::observe(work.cluster, work.namespace(), pods::name(master)).await;
        let limit = seen.ok().and_then(|seen| seen.max_connections);
        let hints = connections::hints(&trouble.message, limit);
        return Err(hints.into_iter().fold(failure, Failure::hint).into());
    }
    let hint = if trouble.is_unreachable() {
        format!(
            "{}  # shows the endpoints of Service {}",
            work.context.sibling("status"),
            work.set.master()
        )
    } else if credentials.rotating {
        let rotate = work.context.sibling("password rotate user");
        format!("{rotate}  # resumes with the same password")
    } else {
        format!(
            "the data was initialized with other passwords than those in Secret {}: restore that Secret, or delete the data with pgset down --delete-data",
            work.set.secret()
        )
    };
    Err(failure.hint(hint).into())
}

/// The parameters of a login.
#[derive(Clone, Copy)]
pub(crate) struct Login<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a Secret,
    pub(crate) database: &'a str,
    pub(crate) verified: bool,
}

/// Logs in from a pod through the master's Service. Returns the problem if the login fails.
///
/// # Errors
/// When psql can't be run.
pub(crate) async fn log_in(
    work: Work<'_>,
    pod: &str,
    login: Login<'_>,
) -> anyhow::Result<Option<Trouble>> {
    let started = Instant::now();
    let master = work.set.master();
    let connection = Connection {
        host: &master,
        user: login.user,
        password: login.password,
        database: login.database,
        verified: login.verified,
        address: None,
    };
    let script = Script::new(pod, &format!("{}select 1;\n", connection.connect()?));
    let look = async || {
        // Directly after the endpoints are ready, a failed connection proves nothing.
        let over = started.elapsed() >= SERVICE_LEADS_WITHIN
            || work.cluster.deadline.remaining() <= 2 * LOOK_EVERY;
        Ok(match sql::run(work.cluster, work.namespace(), &script).await {
            Ok(output) => match output.trouble() {
                Some(trouble) if trouble.is_unreachable() && !over => {
                    Poll::Pending(trouble.to_string())
                }
                found => Poll::Ready(found),
            },
            Err(error) if over => return Err(error.into()),
            // The container may be restarting.
            Err(error) => Poll::Pending(error.to_string()),
        })
    };
    let done = "the login of the application was not checked";
    poll(work, done, look, |why| work.too_late(why)).await
}
