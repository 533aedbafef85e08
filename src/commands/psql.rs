//! `pgset psql`.

use crate::cli::PsqlArgs;
use crate::cluster::session::Program;
use crate::context::Context;
use crate::error::Exit;
use crate::postgres::connections;
use crate::postgres::interactive::{self, Interactive};
use crate::procedure::server::{self, Wanted};
use crate::procedure::{Work, credentials, live, pods, psql, sql, topology};
use crate::set::rights;
use crate::terminal;

/// psql's exit code when its connection fails.
const NO_CONNECTION: i32 = 2;

/// Opens psql in a pod: with a TTY if pgset is interactive, otherwise on a pipe. Returns psql's exit code.
pub async fn run(args: &PsqlArgs, context: &Context) -> anyhow::Result<Exit> {
    interactive::check(&args.args)?;
    let target = context.target().await?;
    let set = context.set(Some(&target))?;
    let cluster = context.cluster(&target).await?;
    let mut needed = rights::psql(&set);
    if args.database.is_none() {
        needed.extend(rights::reading_passwords(&set));
    }
    let database = async {
        match &args.database {
            Some(given) => Ok::<_, anyhow::Error>(given.clone()),
            None => Ok(credentials::credentials(&cluster, &set).await?.database),
        }
    };
    let pod = async {
        let (found, topology) =
            futures::try_join!(pods::list(&cluster, &set), topology::read(&cluster, &set))?;
        let work = Work { context, cluster: &cluster, set: &set, topology: &topology };
        server::choose(work, found, wanted(args)).await
    };
    let (missing, ours, pod, database) = futures::join!(
        live::check_rights(&cluster, needed),
        live::check_statefulset(&cluster, &set),
        pod,
        database
    );
    missing?;
    ours?;
    let (pod, database) = (pod?, database?);
    let session = Interactive { role: args.user.as_deref(), database: &database, args: &args.args };
    let terminal = terminal::is_interactive();
    let command = if terminal { session.on_a_terminal() } else { session.on_a_pipe() };
    let (namespace, container) = (set.namespace.as_str(), sql::CONTAINER);
    let program = Program { namespace, pod: &pod, container, argv: command, terminal };
    let ended = if terminal {
        let role = if args.replica.is_some() { "a read-only replica" } else { "the master" };
        context.note(format!("connecting to pod {pod}, {role}; type \\q to quit"));
        let ended = psql::on_a_terminal(&cluster, program).await?;
        if ended.code > 128 {
            context.warn(format!(
                "psql in pod {pod} was ended by signal {}: the pod may have been deleted",
                ended.code - 128
            ));
        }
        ended
    } else {
        psql::on_a_pipe(cluster.start(program).await?).await?
    };
    // Exit code 2 means that psql could not connect. It has already printed PostgreSQL's message.
    if ended.code == NO_CONNECTION {
        for hint in connections::hints(&ended.said, None) {
            context.note(format!("hint: {}", context.for_set(&hint)));
        }
    }
    Ok(match ended.code {
        0 => Exit::Done,
        code => Exit::Psql(u8::try_from(code).unwrap_or(u8::MAX)),
    })
}

fn wanted(args: &PsqlArgs) -> Wanted {
    match args.replica {
        None => Wanted::Master,
        Some(None) => Wanted::AnyReplica,
        Some(Some(ordinal)) => Wanted::Replica(ordinal),
    }
}
