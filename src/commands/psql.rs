//! `pgset psql`.

use crate::cli::PsqlArgs;
use crate::cluster::session::Program;
use crate::context::Context;
use crate::error::Exit;
use crate::postgres::connections;
use crate::postgres::interactive::{self, Interactive, SUPERUSER};
use crate::postgres::pipe::Mark;
use crate::procedure::server::{self, Wanted};
use crate::procedure::{Work, credentials, live, pipe, pods, psql, sql, topology};
use crate::set::{SetIdentity, rights};
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
    let way = Way { args, set: &set, mark: Mark::random() };
    let pod = async {
        let reading = async {
            futures::try_join!(pods::list(&cluster, &set), topology::read(&cluster, &set))
        };
        let (read, database) = futures::join!(reading, database);
        let (found, topology) = read?;
        let work = Work { context, cluster: &cluster, set: &set, topology: &topology };
        // On a pipe psql does not run before it gets its input.
        let prepare = async |pod: &str| match &database {
            Ok(database) if !terminal::is_interactive() => {
                Some(cluster.start(way.program(pod, database)).await)
            }
            _ => None,
        };
        let (pod, session) = server::choose_and(work, found, wanted(args), prepare).await?;
        // A set without pods or Secret is reported by its pods, which say more.
        let database = database?;
        anyhow::Ok((pod, database, session))
    };
    let (missing, ours, pod) = futures::join!(
        live::check_rights(&cluster, needed),
        live::check_statefulset(&cluster, &set),
        pod
    );
    missing?;
    ours?;
    let (pod, database, session) = pod?;
    let server = if args.replica.is_some() { "a read-only replica" } else { "the master" };
    let ended = if let Some(session) = session {
        let session = session?;
        if !terminal::is_typed() {
            let role = args.user.as_deref().unwrap_or(SUPERUSER);
            let place = format!("pod {pod}, {server}, database {database}");
            context.note(format!("psql runs as {role} in {place}"));
        }
        pipe::run(session, way.mark).await?
    } else {
        context.note(format!("connecting to pod {pod}, {server}; type \\q to quit"));
        psql::on_a_terminal(&cluster, way.program(&pod, &database)).await?
    };
    if ended.code > 128 && ended.code != pipe::NOT_READ {
        context.warn(format!(
            "psql in pod {pod} was ended by signal {}: the pod may have been deleted",
            ended.code - 128
        ));
    }
    // Exit code 2 means that psql could not connect. It has already printed PostgreSQL's message.
    if ended.code == NO_CONNECTION {
        for hint in connections::hints(&ended.said(), None) {
            context.note(format!("hint: {}", context.for_set(&hint)));
        }
    }
    Ok(match ended.code {
        0 => Exit::Done,
        code => Exit::Psql(u8::try_from(code).unwrap_or(u8::MAX)),
    })
}

/// How psql is run.
struct Way<'a> {
    args: &'a PsqlArgs,
    set: &'a SetIdentity,
    /// Marks its end on a pipe.
    mark: Mark,
}

impl Way<'_> {
    /// psql in this pod, with a TTY if pgset is interactive, otherwise on a pipe.
    fn program(&self, pod: &str, database: &str) -> Program<'_> {
        let terminal = terminal::is_interactive();
        let psql = Interactive {
            role: self.args.user.as_deref(),
            database,
            args: &self.args.args,
            stops: !terminal::is_typed() && !self.args.keep_going,
        };
        Program {
            namespace: self.set.namespace.as_str(),
            pod: pod.to_owned(),
            container: sql::CONTAINER,
            argv: if terminal { psql.on_a_terminal() } else { psql.on_a_pipe(&self.mark) },
            terminal,
        }
    }
}

fn wanted(args: &PsqlArgs) -> Wanted {
    match args.replica {
        None => Wanted::Master,
        Some(None) => Wanted::AnyReplica,
        Some(Some(ordinal)) => Wanted::Replica(ordinal),
    }
}
