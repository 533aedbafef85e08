//! The sandbox as a process in the background.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use super::node::processes;
use super::place::{Place, PlaceError};
use crate::error::{Exit, Failure};

/// What the process prints when it serves.
pub const READY: &str = "ready";
/// How long the process may take to end: its pods have ten seconds.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// How often the end of the process is checked.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How much of its log explains why it did not start.
const LOG_LINES: usize = 10;

/// When the process in the background ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// When it is stopped.
    UntilStopped,
    /// With the command that it serves, and its directory with it.
    OfOneCommand,
}

/// Starts the process in the background, and waits until it serves. It ends when its standard input ends, unless that
/// is empty from the start. `verbosity`: how much it logs.
///
/// # Errors
/// When a sandbox runs in the directory already, or this one does not start.
pub fn spawn(
    place: &Place,
    stdin: Stdio,
    lifetime: Lifetime,
    verbosity: u8,
) -> anyhow::Result<Child> {
    if let Some(pid) = place.running() {
        let directory = place.directory().display().to_string();
        return Err(PlaceError::Running { directory, pid }.into());
    }
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).mode(0o600).open(place.log());
    let file = file.with_context(|| format!("writing {}", place.log().display()))?;
    let program = std::env::current_exe().context("finding the path of pgset")?;
    let mut command = Command::new(program);
    command.args(["sandbox", "serve", "--directory"]).arg(place.directory());
    command.arg("--nodes").arg(place.nodes().to_string());
    if lifetime == Lifetime::OfOneCommand {
        command.arg("--passing");
    }
    command.stdin(stdin).stdout(Stdio::piped()).stderr(file);
    command.env("PGSET_LOG", if verbosity > 0 { "pgset=debug" } else { "pgset=info" });
    let mut child = command.spawn().context("starting the sandbox")?;
    let mut line = String::new();
    let stdout = child.stdout.take().context("reading from the sandbox")?;
    BufReader::new(stdout).read_line(&mut line)?;
    if line.trim() == READY {
        return Ok(child);
    }
    child.wait()?;
    let text = std::fs::read_to_string(place.log()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
    Err(Failure::new(Exit::Failed, "the sandbox did not start")
        .details(last.iter().copied())
        .into())
}

/// Starts a sandbox, runs a command, and then stops the sandbox. `interrupted` ends when a signal arrives.
///
/// # Errors
/// When the sandbox does not start, or the command can't be run.
pub async fn run(
    place: &Place,
    lifetime: Lifetime,
    command: &[OsString],
    verbosity: u8,
    interrupted: impl Future<Output = Exit>,
) -> anyhow::Result<ExitStatus> {
    let mut server = spawn(place, Stdio::piped(), lifetime, verbosity)?;
    let mut child = tokio::process::Command::new(&command[0]);
    child.args(&command[1..]).env("KUBECONFIG", place.kubeconfig());
    let status = match child.spawn() {
        Ok(mut child) => wait(&mut child, interrupted).await,
        Err(e) => Err(Failure::new(
            Exit::Usage,
            format!("{} can't be run: {e}", command[0].to_string_lossy()),
        )
        .into()),
    };
    // The server stops when its standard input is closed.
    drop(server.stdin.take());
    tokio::task::spawn_blocking(move || server.wait()).await??;
    status
}

/// Waits for a command and forwards SIGTERM to it, so that the sandbox ends after the command.
async fn wait(
    child: &mut tokio::process::Child,
    interrupted: impl Future<Output = Exit>,
) -> anyhow::Result<ExitStatus> {
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    tokio::select! {
        status = child.wait() => return status.context("waiting for the command"),
        exit = interrupted => {
            // Ctrl-C in the terminal has already sent the command a SIGINT.
            if let (Some(pid), Exit::Terminated) = (pid, exit) {
                // Fails if the command has just ended.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
    }
    child.wait().await.context("waiting for the command")
}

/// Stops the sandbox, and the processes that a killed one left. Whether a sandbox ran. `warn` is told when it has to
/// be killed.
///
/// # Errors
/// When it can't be stopped.
pub async fn stop(place: &Place, warn: impl Fn(&str)) -> anyhow::Result<bool> {
    let pid = place.running().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    if let Some(pid) = pid {
        kill_process(pid, Signal::TERM).context("stopping the sandbox")?;
        let began = Instant::now();
        while place.running().is_some() && began.elapsed() < STOP_WITHIN {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if place.running().is_some() {
            warn("the sandbox did not stop in time: killing it");
            kill_process(pid, Signal::KILL).context("killing the sandbox")?;
        }
    }
    processes::kill_all(place);
    Ok(pid.is_some())
}

/// Deletes the directory of a sandbox, and ends the processes that still run there.
///
/// # Errors
/// When a file can't be deleted.
pub fn delete(place: &Place) -> anyhow::Result<()> {
    processes::kill_all(place);
    match std::fs::remove_dir_all(place.directory()) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("deleting {}", place.directory().display()))
        }
        _ => Ok(()),
    }
}
