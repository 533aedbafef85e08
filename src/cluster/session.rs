//! Runs an interactive program in a pod, connected to a terminal or a pipe.

use futures::future::{BoxFuture, FutureExt as _};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, AttachedProcess, TerminalSize};
use tokio::io::{AsyncRead, AsyncWrite};

use super::exec::{BROKEN, exit_code, failure, output_and_end, refusal};
use super::{Cluster, ClusterError};

/// The buffer size of a stream.
const BUFFER: usize = 64 << 10;

/// The program to run, and the container.
#[derive(Clone, Debug)]
pub struct Program<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The pod.
    pub pod: &'a str,
    /// The container.
    pub container: &'a str,
    /// The program and its arguments. They must not contain a password.
    pub argv: Vec<String>,
    /// Whether to allocate a terminal. The program's stderr then goes to stdout.
    pub terminal: bool,
}

/// A running program.
pub struct Session {
    /// Its standard input. The older exec protocols can't close it: keep it until the program has ended.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its standard output.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Its standard error; `None` with a terminal.
    pub stderr: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// Sets the size of its terminal.
    pub size: Size,
    /// Waits for its end.
    pub end: End,
}

/// Sends the terminal size to a program.
pub struct Size(Option<futures::channel::mpsc::Sender<TerminalSize>>);

/// The future end of a program. Dropping it closes the connection.
pub struct End {
    status: BoxFuture<'static, Option<Status>>,
    pod: String,
    container: String,
    _process: AttachedProcess,
}

impl Cluster {
    /// Starts a program. After the start there is no deadline: an interactive program may run as long as
    /// needed.
    ///
    /// # Errors
    /// When it could not be started.
    pub async fn start(&self, program: Program<'_>) -> Result<Session, ClusterError> {
        let pods: Api<Pod> = Api::namespaced(self.upgrading_client()?, program.namespace);
        let parameters = AttachParams::default()
            .container(program.container)
            .stdin(true)
            .stdout(true)
            .stderr(!program.terminal)
            .tty(program.terminal)
            .max_stdin_buf_size(BUFFER)
            .max_stdout_buf_size(BUFFER)
            .max_stderr_buf_size(BUFFER);
        let starting = pods.exec(program.pod, program.argv, &parameters);
        let broken = |reason: &str| ClusterError::Exec {
            pod: program.pod.to_owned(),
            reason: reason.to_owned(),
        };
        let mut process = match tokio::time::timeout(self.deadline.remaining(), starting).await {
            Ok(process) => process.map_err(|e| refusal(program.pod, program.container, e))?,
            Err(_) => return Err(broken("the command was not started in time")),
        };
        let (Some(stdin), Some(stdout), Some(status)) =
            (process.stdin(), process.stdout(), process.take_status())
        else {
            return Err(broken("the connection has no streams"));
        };
        Ok(Session {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: process.stderr().map(|stderr| Box::new(stderr) as _),
            size: Size(process.terminal_size()),
            end: End {
                status: status.boxed(),
                pod: program.pod.to_owned(),
                container: program.container.to_owned(),
                _process: process,
            },
        })
    }
}

impl Size {
    /// Sends columns and rows. Without a terminal it does nothing.
    pub fn is(&mut self, (width, height): (u16, u16)) {
        if let Some(size) = &mut self.0 {
            // If the queue is full, this size is dropped: the queue already holds recent ones.
            let _ = size.try_send(TerminalSize { width, height });
        }
    }
}

impl End {
    /// Waits for the end while `reading` reads the output. Returns the result of `reading` and the exit code.
    ///
    /// # Errors
    /// When the connection broke first, or the program could not be started.
    pub async fn while_reading<O>(
        self,
        reading: impl Future<Output = O>,
    ) -> Result<(O, i32), ClusterError> {
        let failed = |reason: String| failure(&self.pod, &self.container, reason);
        let end = output_and_end(std::pin::pin!(reading), self.status).await;
        let (read, status) = end.ok_or_else(|| failed(BROKEN.to_owned()))?;
        Ok((read, exit_code(&status).map_err(failed)?))
    }
}
