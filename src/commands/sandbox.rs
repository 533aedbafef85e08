//! `pgset sandbox`.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;

use crate::cli::{NodeCommand, SandboxArgs, SandboxCommand, SandboxNodes};
use crate::cluster::Target;
use crate::cluster::connect::Sources;
use crate::context::Context;
use crate::error::Exit;
use crate::sandbox::Sandbox;
use crate::sandbox::background::{self, Lifetime, READY, delete};
use crate::sandbox::node::processes;
use crate::sandbox::nodes::{NodeAction, NodeError};
use crate::sandbox::place::Place;
use crate::sandbox::remote;

/// Starts, shows and stops the sandbox.
pub async fn run(args: &SandboxArgs, context: &Context) -> anyhow::Result<Exit> {
    let directory = args.directory.clone().unwrap_or_else(Place::usual);
    match &args.command {
        SandboxCommand::Start { nodes } => {
            sweep(context);
            start(&Place::open(&directory)?.with_nodes(nodes.nodes)?, context)
        }
        SandboxCommand::Serve { nodes, passing } => {
            let place = Place::open(&directory)?.with_nodes(nodes.nodes)?;
            serve(place, *passing, context).await
        }
        SandboxCommand::Run { nodes, command } => {
            sweep(context);
            run_in(&directory, args, *nodes, command, context).await
        }
        SandboxCommand::Node { command } => node(&directory, command, context).await,
        SandboxCommand::Status | SandboxCommand::Logs | SandboxCommand::Stop { .. }
            if !directory.exists() =>
        {
            context.note(format!("there is no sandbox in {}", directory.display()));
            let fine = matches!(args.command, SandboxCommand::Stop { .. });
            Ok(if fine { Exit::Done } else { Exit::Failed })
        }
        SandboxCommand::Status => status(&Place::open(&directory)?, context).await,
        SandboxCommand::Logs => logs(&Place::open(&directory)?, context),
        SandboxCommand::Stop { delete: and_delete } => {
            let place = Place::open(&directory)?;
            let said = if background::stop(&place, |words| context.warn(words)).await? {
                "the sandbox is stopped"
            } else {
                "no sandbox was running"
            };
            let shown = place.directory().display();
            if *and_delete {
                delete(&place)?;
                context.note(format!("{said}; {shown} is deleted"));
            } else {
                context.note(format!("{said}; its data is kept in {shown}"));
            }
            Ok(Exit::Done)
        }
    }
}

fn start(place: &Place, context: &Context) -> anyhow::Result<Exit> {
    let started = Instant::now();
    background::spawn(place, Stdio::null(), Lifetime::UntilStopped, context.general.verbosity)?;
    let next = vec![("stop", format!("pgset sandbox stop{}", place.flag()))];
    let message = "the sandbox is running, only for trials and tests";
    context.finish_with(message, started, None, next);
    context.reporter.print(&format!("export KUBECONFIG={}\n", place.kubeconfig().display()))?;
    Ok(Exit::Done)
}

/// Runs the sandbox in the background process.
async fn serve(place: Place, passing: bool, context: &Context) -> anyhow::Result<Exit> {
    // Detach from the terminal, so that closing it does not end the sandbox. Fails only if already detached.
    let _ = rustix::process::setsid();
    let sandbox = Sandbox::start(place.clone()).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{READY}")?;
    stdout.flush()?;
    let mut stdin = tokio::io::stdin();
    let mut byte = [0];
    let watched = std::fs::read_link("/proc/self/fd/0").is_ok_and(|l| l != Path::new("/dev/null"));
    tokio::select! {
        _ = context.interrupt.wait() => {}
        _ = stdin.read(&mut byte), if watched => {}
    }
    sandbox.stop().await;
    if passing {
        // The process that started the sandbox may have been killed and can't delete the directory.
        delete(&place)?;
    }
    Ok(Exit::Done)
}

async fn status(place: &Place, context: &Context) -> anyhow::Result<Exit> {
    let Some(pid) = place.running() else {
        context.note(format!("no sandbox is running in {}", place.directory().display()));
        return Ok(Exit::Failed);
    };
    let kubeconfig = place.kubeconfig();
    context.reporter.print(&format!(
        "running     process {pid}\nkubeconfig  {}\nlog         {}\n",
        kubeconfig.display(),
        place.log().display()
    ))?;
    let listed = async { anyhow::Ok(remote::lines(&remote::nodes(&client(place).await?).await?)) };
    match listed.await {
        Ok(lines) => context.reporter.print(&lines)?,
        Err(error) => context.warn(format!("{error:#}")),
    }
    Ok(Exit::Done)
}

/// A client for the sandbox in this directory.
async fn client(place: &Place) -> anyhow::Result<kube::Client> {
    let sources = Sources { file: Some(place.kubeconfig()), ..Sources::default() };
    Ok(Target::load(&sources).await?.client()?)
}

/// Stops, starts, freezes or thaws a node.
async fn node(directory: &Path, command: &NodeCommand, context: &Context) -> anyhow::Result<Exit> {
    let (name, action, done) = match command {
        NodeCommand::Stop(node) => (&node.name, NodeAction::Stop, "stopped"),
        NodeCommand::Start(node) => (&node.name, NodeAction::Start, "ready"),
        NodeCommand::Freeze(node) => (&node.name, NodeAction::Freeze, "frozen"),
        NodeCommand::Thaw(node) => (&node.name, NodeAction::Thaw, "ready"),
    };
    let place = directory.exists().then(|| Place::open(directory)).transpose()?;
    let Some(place) = place.filter(|place| place.running().is_some()) else {
        let flag = Place::flag_of(directory);
        return Err(
            NodeError::NotRunning { directory: directory.display().to_string(), flag }.into()
        );
    };
    remote::switch(&client(&place).await?, name, action, &place.flag()).await?;
    context.note(format!("node {name} is {done}"));
    Ok(Exit::Done)
}

fn logs(place: &Place, context: &Context) -> anyhow::Result<Exit> {
    let text = std::fs::read_to_string(place.log())
        .with_context(|| format!("reading {}", place.log().display()))?;
    context.reporter.print(&text)?;
    Ok(Exit::Done)
}

/// Deletes the directories of `pgset sandbox run` processes that were killed together with their sandbox.
fn sweep(context: &Context) {
    for place in Place::left_behind() {
        match delete(&place) {
            Ok(()) => context.note(format!(
                "{} is deleted: its `pgset sandbox run` was killed",
                place.directory().display()
            )),
            Err(error) => context.warn(format!("{error:#}")),
        }
    }
}

/// Runs a command in a temporary sandbox, or in the sandbox of the directory that is given.
async fn run_in(
    directory: &Path,
    args: &SandboxArgs,
    nodes: SandboxNodes,
    command: &[OsString],
    context: &Context,
) -> anyhow::Result<Exit> {
    let passing = args.directory.is_none();
    let directory = if passing { Place::passing() } else { directory.to_owned() };
    let place = Place::open(&directory)?.with_nodes(nodes.nodes)?;
    let lifetime = if passing { Lifetime::OfOneCommand } else { Lifetime::UntilStopped };
    let interrupted = context.interrupt.wait();
    let ended =
        background::run(&place, lifetime, command, context.general.verbosity, interrupted).await;
    if passing {
        delete(&place)?;
    } else {
        processes::kill_all(&place);
    }
    let status = ended?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    if code == 0 {
        return Ok(Exit::Done);
    }
    context.note(format!("the command ended with exit code {code}"));
    Ok(Exit::Other(u8::try_from(code).unwrap_or(1)))
}
