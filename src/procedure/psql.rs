//! Connects psql in a pod to this process: to its terminal, or to its standard input and output.

use std::io;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::Cluster;
use crate::cluster::session::{Program, Session};
use crate::postgres::interactive;
use crate::terminal::{self, Raw};

/// The size of one read from stdin, in bytes.
const CHUNK: usize = 16 << 10;
/// The exit code after a hang-up: 128 + SIGHUP.
const HUNG_UP: i32 = 129;

/// How much of psql's output is kept to recognize an error of its connection, which comes first.
const KEPT: usize = 4 << 10;

/// How psql ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its exit code.
    pub(crate) code: i32,
    /// The beginning of what it printed as errors. On a terminal, where errors and output are one stream, the
    /// beginning of that.
    pub(crate) said: String,
}

impl Ended {
    fn new(code: i32, said: &[u8]) -> Self {
        Self { code, said: String::from_utf8_lossy(said).into_owned() }
    }
}

/// Sends the keyboard input to psql and prints its output.
///
/// # Errors
/// When psql can't be started, or the connection breaks.
pub(crate) async fn on_a_terminal(
    cluster: &Cluster,
    program: Program<'_>,
) -> anyhow::Result<Ended> {
    let Session { mut stdin, mut stdout, mut size, end, .. } = cluster.start(program).await?;
    let mut changes = signal(SignalKind::window_change())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut raw = Raw::enter()?;
    if let Some(now) = terminal::size() {
        size.is(now);
    }
    let mut here = tokio::io::stdout();
    let shown = end.while_reading(async {
        let mut said = Vec::new();
        copy(&mut stdout, &mut here, &mut said).await.map(|()| said)
    });
    let typed = async {
        copy(&mut tokio::io::stdin(), &mut stdin, &mut Vec::new()).await?;
        // At the end of its input psql exits by itself. The connection stays open for its last output.
        std::future::pending::<io::Result<()>>().await
    };
    let (mut shown, mut typed) = (std::pin::pin!(shown), std::pin::pin!(typed));
    loop {
        tokio::select! {
            ended = &mut shown => {
                let (shown, code) = ended?;
                let said = shown?;
                // A code of 128 or more means that psql was killed and has not reset the terminal.
                if code < 128 {
                    raw.ended_well();
                }
                return Ok(Ended::new(code, &said));
            }
            error = &mut typed => error?,
            _ = changes.recv() => if let Some(now) = terminal::size() {
                size.is(now);
            },
            // The terminal is gone, so nothing more can be shown.
            _ = hangup.recv() => return Ok(Ended::new(HUNG_UP, &[])),
        }
    }
}

/// Sends stdin to psql up to its end. Only psql's output is written to stdout and stderr.
///
/// # Errors
/// When the connection, stdin or stdout breaks.
pub(crate) async fn on_a_pipe(session: Session) -> anyhow::Result<Ended> {
    let Session { mut stdin, mut stdout, stderr, end, .. } = session;
    let (mut here, mut errors) = (tokio::io::stdout(), tokio::io::stderr());
    let said = async {
        let mut said = Vec::new();
        if let Some(mut stderr) = stderr {
            copy(&mut stderr, &mut errors, &mut said).await?;
        }
        Ok(said)
    };
    // If its output is not read, psql blocks forever. So a failed write must end the session at once.
    let (broke, broken) = futures::channel::oneshot::channel();
    let printed = async {
        let mut dropped = Vec::new();
        match futures::try_join!(copy(&mut stdout, &mut here, &mut dropped), said) {
            Ok(((), said)) => said,
            Err(error) => {
                let _ = broke.send(error);
                std::future::pending().await
            }
        }
    };
    let fed = async {
        feed(&mut tokio::io::stdin(), &mut stdin).await?;
        std::future::pending::<io::Result<()>>().await
    };
    tokio::select! {
        ended = end.while_reading(printed) => {
            let (said, code) = ended?;
            Ok(Ended::new(code, &said))
        }
        // The reader has closed the pipe, as `head` does.
        Ok(error) = broken => match error.kind() {
            io::ErrorKind::BrokenPipe => Ok(Ended::new(0, &[])),
            _ => Err(error).context("printing the output of psql"),
        },
        error = fed => error.map(|()| Ended::new(0, &[])).context("reading stdin"),
    }
}

/// Copies data as soon as it arrives. The first [`KEPT`] bytes also go to `kept`.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    kept: &mut Vec<u8>,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let room = KEPT.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..length.min(room)]);
        to.write_all(&buffer[..length]).await?;
        to.flush().await?;
    }
}

/// Copies data in frames and marks the end with an empty frame. If the program has ended early, writing
/// fails; this is ignored, because the program's exit code tells why.
async fn feed(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = from.read(&mut buffer).await?;
        let (head, body) = match length {
            0 => (interactive::END.to_owned(), &buffer[..0]),
            length => (interactive::frame(length), &buffer[..length]),
        };
        if to.write_all(head.as_bytes()).await.is_err() || to.write_all(body).await.is_err() {
            return Ok(());
        }
        let _ = to.flush().await;
        if length == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_beginning_of_the_output_is_kept() {
        let (mut shown, mut kept) = (Vec::new(), Vec::new());
        let long = vec![b'x'; 3 * KEPT];
        copy(&mut &long[..], &mut shown, &mut kept).await.unwrap();
        assert_eq!((shown.len(), kept.len()), (long.len(), KEPT));
    }

    #[tokio::test]
    async fn what_is_fed_comes_in_frames_and_ends() {
        let mut fed = Vec::new();
        feed(&mut &b"select 1\n"[..], &mut fed).await.unwrap();
        assert_eq!(fed, b"9\nselect 1\n0\n");
        let mut nothing = Vec::new();
        feed(&mut &b""[..], &mut nothing).await.unwrap();
        assert_eq!(nothing, b"0\n");
    }
}
