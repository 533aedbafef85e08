//! Connects psql in a pod to the terminal of this process.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::pipe::Ended;
use crate::cluster::Cluster;
use crate::cluster::session::{Input, Program, Session, Written};
use crate::terminal::{self, Raw};

/// The size of one read from the terminal, in bytes.
const CHUNK: usize = 4 << 10;
/// The exit code after a hang-up: 128 + SIGHUP.
const HUNG_UP: i32 = 129;

/// Sends the keyboard input to psql and prints its output.
///
/// # Errors
/// When psql can't be started, or the connection breaks.
pub(crate) async fn on_a_terminal(
    cluster: &Cluster,
    program: Program<'_>,
) -> anyhow::Result<Ended> {
    let Session { mut input, mut output } = cluster.start(program).await?;
    let changes = signal(SignalKind::window_change())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut raw = Raw::enter()?;
    let mut here = tokio::io::stdout();
    let shown = async {
        let mut ended = Ended::default();
        loop {
            match output.next().await? {
                Written::Output(bytes) | Written::Errors(bytes) => {
                    ended.hears(&bytes);
                    here.write_all(&bytes).await?;
                    here.flush().await?;
                }
                Written::End(code) => {
                    ended.code = code;
                    return anyhow::Ok(ended);
                }
            }
        }
    };
    tokio::select! {
        ended = shown => {
            let ended = ended?;
            // A code of 128 or more means that psql was killed and has not reset the terminal.
            if ended.code < 128 {
                raw.ended_well();
            }
            Ok(ended)
        }
        error = type_to(&mut input, changes) => Err(error.into()),
        // The terminal is gone, so nothing more can be shown.
        _ = hangup.recv() => Ok(Ended::with(HUNG_UP)),
    }
}

/// Sends what the user types, and the size of the terminal. Returns only when the terminal can't be read.
async fn type_to(input: &mut Input, mut changes: Signal) -> io::Error {
    let (mut keys, mut buffer) = (tokio::io::stdin(), vec![0; CHUNK]);
    // At the end of its input psql exits by itself. The connection stays open for its last output.
    let mut open = true;
    let mut resized = true;
    loop {
        // If the connection is broken, the output tells.
        if std::mem::take(&mut resized)
            && let Some(now) = terminal::size()
        {
            let _ = input.resize(now).await;
        }
        let typed = async {
            tokio::select! {
                typed = keys.read(&mut buffer), if open => Some(typed),
                _ = changes.recv() => None,
            }
        };
        match input.alive_while(typed).await {
            Some(Ok(0)) => open = false,
            Some(Ok(length)) => drop(input.send(&buffer[..length]).await),
            Some(Err(error)) => return error,
            None => resized = true,
        }
    }
}
