//! A program in a pod that somebody, or a pipe, talks to while it runs.

use futures::future::{BoxFuture, FutureExt as _};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, AttachedProcess, TerminalSize};
use tokio::io::{AsyncRead, AsyncWrite};

use super::exec::{BROKEN, exit_code, output_and_end, refusal};
use super::{Cluster, ClusterError};

/// How much of a stream is under way at once.
const BUFFER: usize = 64 << 10;

/// What to run, and where.
#[derive(Clone, Debug)]
pub struct Program<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The pod.
    pub pod: &'a str,
    /// The container.
    pub container: &'a str,
    /// The program and its arguments; never a password.
    pub argv: Vec<String>,
    /// Whether it gets a terminal of its own. Its stderr is its stdout then.
    pub terminal: bool,
}

/// A program that runs.
pub struct Session {
    /// What it reads. Its end can't be told over the older exec protocols: keep it until the program
    /// has ended.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// What it prints.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// What it complains of; none with a terminal.
    pub stderr: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// The size of its terminal.
    pub size: Size,
    /// How it ends.
    pub end: End,
}

/// Tells a program how large its terminal is.
pub struct Size(Option<futures::channel::mpsc::Sender<TerminalSize>>);

/// How a program ends. Dropping it breaks the connection.
pub struct End {
    status: BoxFuture<'static, Option<Status>>,
    pod: String,
    _process: AttachedProcess,
}

impl Cluster {
    /// Starts a program. From then on there is no deadline: it runs as long as somebody talks to it.
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
            Ok(process) => process.map_err(|e| refusal(program.pod, e))?,
            Err(_) => return Err(broken("it was not started in time")),
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
            end: End { status: status.boxed(), pod: program.pod.to_owned(), _process: process },
        })
    }
}

impl Size {
    /// Tells columns and rows; without a terminal nobody listens.
    pub fn is(&mut self, (width, height): (u16, u16)) {
        if let Some(size) = &mut self.0 {
            // A full queue holds sizes that are no older than what this one would have told.
            let _ = size.try_send(TerminalSize { width, height });
        }
    }
}

impl End {
    /// Waits for it while somebody reads what the program prints; its exit code, and what became of the
    /// reading.
    ///
    /// # Errors
    /// When the connection broke before that, or the program could not be started.
    pub async fn while_reading<O>(
        self,
        reading: impl Future<Output = O>,
    ) -> Result<(O, i32), ClusterError> {
        let failed = |reason: String| ClusterError::Exec { pod: self.pod.clone(), reason };
        let end = output_and_end(std::pin::pin!(reading), self.status).await;
        let (read, status) = end.ok_or_else(|| failed(BROKEN.to_owned()))?;
        Ok((read, exit_code(&status).map_err(failed)?))
    }
}
