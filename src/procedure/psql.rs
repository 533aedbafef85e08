//! psql in a pod, connected to this process: to its terminal, or to its standard input and output.

use std::io;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::Cluster;
use crate::cluster::session::{Program, Session};
use crate::postgres::interactive;
use crate::terminal::{self, Raw};

/// How much is read from stdin at once.
const CHUNK: usize = 16 << 10;
/// How a program ends that a hang-up ended.
const HUNG_UP: i32 = 129;

/// Sends every key to psql, and prints what it prints.
///
/// # Errors
/// When psql can't be started, or the connection breaks.
pub(crate) async fn on_a_terminal(cluster: &Cluster, program: Program<'_>) -> anyhow::Result<i32> {
    let Session { mut stdin, mut stdout, mut size, end, .. } = cluster.start(program).await?;
    let mut changes = signal(SignalKind::window_change())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut raw = Raw::enter()?;
    if let Some(now) = terminal::size() {
        size.is(now);
    }
    let mut here = tokio::io::stdout();
    let shown = end.while_reading(copy(&mut stdout, &mut here));
    let typed = async {
        copy(&mut tokio::io::stdin(), &mut stdin).await?;
        // psql ends by itself at the end of its input; the connection stays for its last words.
        std::future::pending::<io::Result<()>>().await
    };
    let (mut shown, mut typed) = (std::pin::pin!(shown), std::pin::pin!(typed));
    loop {
        tokio::select! {
            ended = &mut shown => {
                let (shown, code) = ended?;
                shown?;
                // Killed, by whatever took the pod: then nobody has tidied up.
                if code < 128 {
                    raw.ended_well();
                }
                return Ok(code);
            }
            error = &mut typed => error?,
            _ = changes.recv() => if let Some(now) = terminal::size() {
                size.is(now);
            },
            // The terminal is gone; so is whoever would have read anything.
            _ = hangup.recv() => return Ok(HUNG_UP),
        }
    }
}

/// stdin goes to psql to its end; stdout and stderr are psql's alone.
///
/// # Errors
/// When the connection breaks, or stdin or stdout does.
pub(crate) async fn on_a_pipe(session: Session) -> anyhow::Result<i32> {
    let Session { mut stdin, mut stdout, stderr, end, .. } = session;
    let (mut here, mut errors) = (tokio::io::stdout(), tokio::io::stderr());
    let said = async {
        match stderr {
            Some(mut stderr) => copy(&mut stderr, &mut errors).await,
            None => Ok(()),
        }
    };
    // psql waits for ever for somebody to read on: what can't be written ends it at once.
    let (broke, broken) = futures::channel::oneshot::channel();
    let printed = async {
        if let Err(error) = futures::try_join!(copy(&mut stdout, &mut here), said) {
            let _ = broke.send(error);
            std::future::pending::<()>().await;
        }
    };
    let fed = async {
        feed(&mut tokio::io::stdin(), &mut stdin).await?;
        std::future::pending::<io::Result<()>>().await
    };
    tokio::select! {
        ended = end.while_reading(printed) => Ok(ended?.1),
        // Whoever read has had enough, as of `head`.
        Ok(error) = broken => match error.kind() {
            io::ErrorKind::BrokenPipe => Ok(0),
            _ => Err(error).context("printing what psql says"),
        },
        error = fed => error.map(|()| 0).context("reading stdin"),
    }
}

/// Copies what comes as it comes.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..length]).await?;
        to.flush().await?;
    }
}

/// The same in frames, with one that tells the end. A program that ended early closes its input; how it
/// ended says why.
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
    async fn what_is_fed_comes_in_frames_and_ends() {
        let mut fed = Vec::new();
        feed(&mut &b"select 1\n"[..], &mut fed).await.unwrap();
        assert_eq!(fed, b"9\nselect 1\n0\n");
        let mut nothing = Vec::new();
        feed(&mut &b""[..], &mut nothing).await.unwrap();
        assert_eq!(nothing, b"0\n");
    }
}
