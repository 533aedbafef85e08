//! Connects a program in a pod to the standard input and output of this process.

use std::io;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;
use rustix::fs::{FileType, fstat, tell};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::cluster::ClusterError;
use crate::cluster::session::{Closed, Input, Output, Session, Written};
use crate::postgres::pipe::{self, Mark, Marked};

/// The size of the largest frame of input whose length is not known. The pod starts a process for each frame, so short ones
/// are slow.
const FRAME: usize = 2 << 20;
/// How much of a file is sent at once.
const PIECE: usize = 1 << 20;
/// How much output is written at once.
const BATCH: usize = 256 << 10;
/// How long a frame waits for more input.
const LINGER: Duration = Duration::from_millis(20);
/// The exit code when the reader of the output has closed it, as `head` does: 128 + SIGPIPE. The program was
/// ended, and may not have read all of its input.
pub(crate) const NOT_READ: i32 = 141;
/// How much of a program's errors is kept to recognize that of its connection, which comes first.
const KEPT: usize = 4 << 10;

/// How a program ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its exit code.
    pub(crate) code: i32,
    /// The beginning of what it printed as errors. On a terminal, where errors and output are one stream, the
    /// beginning of that.
    said: Vec<u8>,
}

impl Ended {
    /// An end with this exit code, of a program that has said nothing.
    pub(crate) fn with(code: i32) -> Self {
        Self { code, said: Vec::new() }
    }

    /// Keeps the beginning of what the program says.
    pub(crate) fn hears(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.said.len());
        self.said.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The beginning of what it printed.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }
}

/// Starts the program, and sends it stdin up to its end. Only the program's output is written to stdout and stderr.
///
/// # Errors
/// When the connection, stdin or stdout breaks.
pub(crate) async fn run(session: Session, mark: Mark) -> anyhow::Result<Ended> {
    let Session { mut input, mut output } = session;
    let (mut here, mut errors) = (tokio::io::stdout(), tokio::io::stderr());
    tokio::select! {
        ended = receive(&mut output, mark, &mut here, &mut errors) => ended,
        error = send(tokio::io::stdin(), length_of_stdin(), &mut input) => Err(error).context("reading stdin"),
    }
}

/// What is read from stdin.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// A frame of this length follows.
    Length(u64),
    /// A part of it.
    Bytes(Vec<u8>),
    End,
}

/// The number of bytes that are left in the file at stdin. 0 if it is no file.
fn length_of_stdin() -> u64 {
    let stdin = io::stdin();
    let (Ok(stat), Ok(at)) = (fstat(&stdin), tell(&stdin)) else { return 0 };
    let is_file = FileType::from_raw_mode(stat.st_mode).is_file();
    let length = u64::try_from(stat.st_size).unwrap_or(0);
    if is_file { length.saturating_sub(at) } else { 0 }
}

/// Sends `from` in frames, the first of them with `known` bytes. Returns only when it can't be read: then the program must
/// not see an end.
async fn send(from: impl AsyncRead + Unpin, known: u64, input: &mut Input) -> io::Error {
    // One part is sent while the next one is read.
    let (queue, mut parts) = mpsc::channel(1);
    let writing = async {
        // If the connection is broken, the output tells.
        let _ = input.send(pipe::START).await;
        while let Some(part) = input.alive_while(parts.recv()).await {
            let sent = match part {
                Part::Length(length) => input.send(&pipe::header(length)).await,
                Part::Bytes(bytes) => input.send(&bytes).await,
                Part::End => end(input).await,
            };
            if sent.is_err() {
                break;
            }
        }
        // Otherwise psql works on its input.
        input.alive_while(std::future::pending()).await
    };
    let reading = async {
        match read(from, known, queue).await {
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    };
    tokio::select! {
        error = reading => error,
        error = writing => error,
    }
}

async fn end(input: &mut Input) -> Result<(), Closed> {
    input.send(pipe::END).await?;
    input.close().await
}

/// Reads `from` up to its end. The first `known` bytes are one frame: for each frame, the pod starts a process.
async fn read(
    mut from: impl AsyncRead + Unpin,
    known: u64,
    queue: mpsc::Sender<Part>,
) -> io::Result<()> {
    // The receiver lives as long as this future.
    let put = async |part: Part| {
        let _ = queue.send(part).await;
    };
    if known > 0 {
        put(Part::Length(known)).await;
    }
    let mut left = known;
    while left > 0 {
        let mut bytes = Vec::with_capacity(PIECE);
        let mut next = (&mut from).take(left.min(PIECE as u64));
        while next.read_buf(&mut bytes).await? > 0 {}
        if bytes.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file has become shorter",
            ));
        }
        left -= bytes.len() as u64;
        put(Part::Bytes(bytes)).await;
    }
    let mut more = true;
    while more {
        let mut bytes = Vec::with_capacity(FRAME);
        more = fill(&mut from, &mut bytes).await?;
        if !bytes.is_empty() {
            put(Part::Length(bytes.len() as u64)).await;
            put(Part::Bytes(bytes)).await;
        }
    }
    put(Part::End).await;
    Ok(())
}

/// Reads what there is, up to the size of a frame. Returns whether there is more.
async fn fill(from: &mut (impl AsyncRead + Unpin), frame: &mut Vec<u8>) -> io::Result<bool> {
    let mut until = None;
    while frame.len() < FRAME {
        let reading = from.read_buf(frame);
        let length = match until {
            None => reading.await?,
            Some(until) => match timeout_at(until, reading).await {
                Ok(length) => length?,
                Err(_) => break,
            },
        };
        if length == 0 {
            return Ok(false);
        }
        until.get_or_insert_with(|| Instant::now() + LINGER);
    }
    Ok(true)
}

/// Writes what the program writes. Its end counts only with its mark.
async fn receive(
    output: &mut Output,
    mark: Mark,
    here: &mut (impl AsyncWrite + Unpin),
    errors: &mut (impl AsyncWrite + Unpin),
) -> anyhow::Result<Ended> {
    let mut batch = Batch::new(mark);
    let code = loop {
        let end = batch.collect(output).await;
        let shown = show(here, &mut batch.shown).await;
        match shown.and(show(errors, &mut batch.said).await) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(Ended { code: NOT_READ, ..batch.ended });
            }
            written => written.context("printing the output of psql")?,
        }
        if let Some(code) = end? {
            break code;
        }
    };
    let code = match (batch.marked.end(), code) {
        (Ok(code), _) => code,
        (Err(mut rest), code) => {
            show(here, &mut rest).await.context("printing the output of psql")?;
            if code == 0 {
                return Err(output.broken().into());
            }
            // It was ended from outside: with its container, or because the node has no memory left.
            code
        }
    };
    Ok(Ended { code, ..batch.ended })
}

/// The output that is written in one piece: a piece for each message would cost more than all the rest.
struct Batch {
    marked: Marked,
    ended: Ended,
    shown: Vec<u8>,
    said: Vec<u8>,
}

impl Batch {
    fn new(mark: Mark) -> Self {
        let (shown, said) = (Vec::new(), Vec::new());
        Self { marked: Marked::new(mark), ended: Ended::default(), shown, said }
    }

    /// Waits for output and takes what has arrived. Returns the exit code in the message about the end.
    async fn collect(&mut self, output: &mut Output) -> Result<Option<i32>, ClusterError> {
        let mut next = Some(output.next().await);
        while let Some(written) = next {
            match written? {
                Written::Output(bytes) => self.marked.pass(&bytes, &mut self.shown),
                Written::Errors(bytes) => {
                    self.ended.hears(&bytes);
                    self.said.extend_from_slice(&bytes);
                }
                Written::End(code) => return Ok(Some(code)),
            }
            let room = self.shown.len() + self.said.len() < BATCH;
            next = room.then(|| output.next().now_or_never()).flatten();
        }
        Ok(None)
    }
}

/// Writes these bytes, and empties their buffer.
async fn show(to: &mut (impl AsyncWrite + Unpin), bytes: &mut Vec<u8>) -> io::Result<()> {
    if !bytes.is_empty() {
        to.write_all(bytes).await?;
        to.flush().await?;
        bytes.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts that are read from this input.
    async fn parts(from: impl AsyncRead + Unpin, known: u64) -> Vec<Part> {
        let (queue, mut parts) = mpsc::channel(100);
        read(from, known, queue).await.unwrap();
        let mut all = Vec::new();
        while let Some(part) = parts.recv().await {
            all.push(part);
        }
        all
    }

    #[tokio::test]
    async fn what_is_read_comes_in_large_frames_and_ends() {
        let bytes = |bytes: &[u8]| Part::Bytes(bytes.to_vec());
        let select = parts(&b"select 1\n"[..], 0).await;
        assert_eq!(select, [Part::Length(9), bytes(b"select 1\n"), Part::End]);
        assert_eq!(parts(&b""[..], 0).await, [Part::End]);
        let (frame, long) = (FRAME as u64, vec![b'x'; FRAME + 1]);
        let (most, last) = (bytes(&long[1..]), bytes(b"x"));
        let frames = [Part::Length(frame), most, Part::Length(1), last, Part::End];
        assert_eq!(parts(&long[..], 0).await, frames);
        // Many short reads are one frame.
        let words = (&b"a"[..]).chain(&b"b"[..]).chain(&b"c"[..]);
        assert_eq!(parts(words, 0).await, [Part::Length(3), bytes(b"abc"), Part::End]);
        // A file is one frame, and what is appended meanwhile another one.
        let (piece, rest) = (bytes(&long[..PIECE]), bytes(b"x"));
        let file = [Part::Length(PIECE as u64 + 1), piece, rest, Part::End];
        assert_eq!(parts(&long[..=PIECE], PIECE as u64 + 1).await, file);
        let grown = [Part::Length(1), bytes(b"a"), Part::Length(2), bytes(b"bc"), Part::End];
        assert_eq!(parts(&b"abc"[..], 1).await, grown);
    }

    #[tokio::test]
    async fn a_file_that_becomes_shorter_has_no_end() {
        let (queue, mut parts) = mpsc::channel(100);
        let error = read(&b"ab"[..], 3, queue).await.unwrap_err();
        assert_eq!(error.to_string(), "the file has become shorter");
        assert_eq!(parts.recv().await, Some(Part::Length(3)));
        assert_eq!(parts.recv().await, Some(Part::Bytes(b"ab".to_vec())));
        assert_eq!(parts.recv().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_typed_does_not_wait_for_more() {
        let (mut typed, from) = tokio::io::duplex(64);
        let (queue, mut parts) = mpsc::channel(1);
        let reading = tokio::spawn(async move { read(from, 0, queue).await });
        typed.write_all(b"select 1;\n").await.unwrap();
        assert_eq!(parts.recv().await, Some(Part::Length(10)));
        assert_eq!(parts.recv().await, Some(Part::Bytes(b"select 1;\n".to_vec())));
        drop(typed);
        assert_eq!(parts.recv().await, Some(Part::End));
        reading.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn input_that_can_not_be_read_has_no_end() {
        struct Broken;
        impl AsyncRead for Broken {
            fn poll_read(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                _: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                std::task::Poll::Ready(Err(io::Error::other("disk")))
            }
        }
        let (queue, mut parts) = mpsc::channel(100);
        let from = (&b"select 1"[..]).chain(Broken);
        assert_eq!(read(from, 0, queue).await.unwrap_err().to_string(), "disk");
        assert_eq!(parts.recv().await, None);
    }

    #[test]
    fn only_the_beginning_of_the_errors_is_kept() {
        let mut ended = Ended::default();
        ended.hears(&[b'x'; KEPT - 1]);
        ended.hears(b"yz");
        assert_eq!((ended.said.len(), ended.said.last()), (KEPT, Some(&b'y')));
    }
}
