//! Runs a program in a pod, connected to a terminal or a pipe.
//!
//! The library can do this, too, but sends the input in pieces of at most 4 KiB, and stops reading while it
//! writes.

use std::pin::Pin;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Sink, SinkExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, Request};
use kube::core::Resource as _;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::channel::{self, Received};
use super::exec::{BROKEN, exit_code, failure, refusal};
use super::{Cluster, ClusterError};

/// The size of the largest message of input. Each one costs the server work; it accepts up to 32 MiB.
const MESSAGE: usize = 1 << 20;
/// The interval of pings: proxies close connections on which nothing is sent.
const PING: Duration = Duration::from_secs(30);

/// The program to run, and the container.
#[derive(Clone, Debug)]
pub struct Program<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: &'a str,
    /// The program and its arguments. They must not contain a password.
    pub argv: Vec<String>,
    /// Whether to allocate a terminal. The program's stderr then goes to stdout.
    pub terminal: bool,
}

/// A running program. Dropping both halves closes the connection.
pub struct Session {
    /// To the program.
    pub input: Input,
    /// From the program.
    pub output: Output,
}

/// The standard input of a program, and the size of its terminal.
pub struct Input {
    sink: Pin<Box<dyn Sink<Message, Error = Error> + Send>>,
    /// Whether the server can close the input.
    closes: bool,
}

/// The output of a program, up to its end.
pub struct Output {
    stream: BoxStream<'static, Result<Message, Error>>,
    pod: String,
    container: String,
}

/// The connection is broken or closed. Its [`Output`] tells the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl From<Error> for Closed {
    fn from(_: Error) -> Self {
        Self
    }
}

/// What a program wrote.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// A part of its standard output.
    Output(Bytes),
    /// A part of its standard error.
    Errors(Bytes),
    /// It has ended with this exit code. Nothing follows.
    End(i32),
}

impl Cluster {
    /// Starts a program. After the start there is no deadline: the program may run as long as needed.
    ///
    /// # Errors
    /// When it could not be started.
    pub async fn start(&self, program: Program<'_>) -> Result<Session, ClusterError> {
        let parameters = AttachParams::default()
            .container(program.container)
            .stdin(true)
            .stdout(true)
            .stderr(!program.terminal)
            .tty(program.terminal);
        let refused = |error| refusal(&program.pod, program.container, error);
        let request = Request::new(Pod::url_path(&(), Some(program.namespace)))
            .exec(&program.pod, program.argv, &parameters)
            .map_err(|e| refused(kube::Error::BuildRequest(e)))?;
        let client = self.upgrading_client()?;
        // The library offers v5 and v4 of the protocol, and the server chooses.
        let starting = client.connect(request);
        let Ok(connection) = tokio::time::timeout(self.deadline.remaining(), starting).await else {
            let reason = "the command was not started in time".to_owned();
            return Err(ClusterError::Exec { pod: program.pod, reason });
        };
        let connection = connection.map_err(refused)?;
        let closes = connection.supports_stream_close();
        let (sink, stream) = connection.into_stream().split();
        let (pod, container) = (program.pod, program.container.to_owned());
        Ok(Session {
            input: Input { sink: Box::pin(sink), closes },
            output: Output { stream: stream.boxed(), pod, container },
        })
    }
}

impl Input {
    /// Sends a part of the input. Waits while the program does not read.
    ///
    /// # Errors
    /// When the connection is broken or closed.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        for part in bytes.chunks(MESSAGE) {
            self.sink.feed(channel::input(part)).await?;
        }
        Ok(self.sink.flush().await?)
    }

    /// Ends the input, if the server knows how to: before version 5 the protocol has no such message.
    ///
    /// # Errors
    /// When the connection is broken or closed.
    pub async fn close(&mut self) -> Result<(), Closed> {
        if self.closes {
            self.sink.send(channel::end_of_input()).await?;
        }
        Ok(())
    }

    /// Sends the columns and rows of the terminal.
    ///
    /// # Errors
    /// When the connection is broken or closed.
    pub async fn resize(&mut self, size: (u16, u16)) -> Result<(), Closed> {
        Ok(self.sink.send(channel::resize(size)).await?)
    }

    /// Keeps the connection open during `waiting`, while there is nothing to send.
    pub async fn alive_while<T>(&mut self, waiting: impl Future<Output = T>) -> T {
        let pinging = async {
            let mut interval = interval_at(Instant::now() + PING, PING);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                // The output tells whether the connection is broken.
                let _ = self.sink.send(Message::Ping(Bytes::new())).await;
            }
        };
        tokio::select! {
            done = waiting => done,
            () = pinging => unreachable!("it pings until then"),
        }
    }
}

impl Output {
    /// The error if the connection broke before the end of the program.
    #[must_use]
    pub fn broken(&self) -> ClusterError {
        failure(&self.pod, &self.container, BROKEN.to_owned())
    }

    /// Waits for what the program writes next.
    ///
    /// # Errors
    /// When the connection broke before the end, or the program could not be started.
    pub async fn next(&mut self) -> Result<Written, ClusterError> {
        let failed = |reason: String| failure(&self.pod, &self.container, reason);
        loop {
            // The library reports the end of a connection, also of a broken one, as the end of the stream.
            let Some(Ok(message)) = self.stream.next().await else {
                return Err(self.broken());
            };
            return Ok(match channel::decode(message) {
                Ok(Received::Output(bytes)) => Written::Output(bytes),
                Ok(Received::Errors(bytes)) => Written::Errors(bytes),
                Ok(Received::End(status)) => Written::End(exit_code(&status).map_err(failed)?),
                Ok(Received::Nothing) => continue,
                Err(error) => return Err(failed(format!("its status can't be read: {error}"))),
            });
        }
    }
}
