//! Runs commands in a pod's container.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Cluster, ClusterError};

/// The maximum size of each output stream; the rest is dropped.
const OUTPUT_LIMIT: u64 = 4 << 20;

/// The output and the exit code of a command in a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its exit code.
    pub code: i32,
}

/// A command to run in a pod.
#[derive(Clone, Debug)]
pub struct Exec<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The pod.
    pub pod: &'a str,
    /// The container.
    pub container: &'a str,
    /// The program and its arguments. They must not contain a password.
    pub argv: Vec<String>,
    /// The standard input. It must make the program exit, because the older exec protocol can't close
    /// standard input.
    pub stdin: String,
    /// The time limit.
    pub timeout: Duration,
}

impl Cluster {
    /// Runs a command and waits until it ends.
    ///
    /// # Errors
    /// When the command could not run, or did not end in time. A nonzero exit code is not an error here.
    pub async fn exec(&self, exec: Exec<'_>) -> Result<ExecOutput, ClusterError> {
        let (pod, timeout) = (exec.pod.to_owned(), exec.timeout.min(self.deadline.remaining()));
        match tokio::time::timeout(timeout, self.exec_unbounded(exec)).await {
            Ok(result) => result,
            Err(_) => Err(ClusterError::Exec {
                pod,
                reason: format!("the command did not end within {} s", timeout.as_secs()),
            }),
        }
    }

    async fn exec_unbounded(&self, exec: Exec<'_>) -> Result<ExecOutput, ClusterError> {
        let failed = |reason: String| ClusterError::Exec { pod: exec.pod.to_owned(), reason };
        let pods: Api<Pod> = Api::namespaced(self.upgrading_client()?, exec.namespace);
        let parameters = AttachParams::default()
            .container(exec.container)
            .stdin(!exec.stdin.is_empty())
            .stdout(true)
            .stderr(true);
        let mut process = pods
            .exec(exec.pod, exec.argv.clone(), &parameters)
            .await
            .map_err(|e| refusal(exec.pod, e))?;
        // Take the status and read both streams before joining the process: a full pipe would block it
        // forever.
        let status = process.take_status();
        let (stdin, stdout, stderr) = (process.stdin(), process.stdout(), process.stderr());
        let writing = async {
            let mut stdin = stdin;
            if let Some(stdin) = &mut stdin {
                // A program that ended early closes its input. Its status has the reason.
                let _ = stdin.write_all(exec.stdin.as_bytes()).await;
                let _ = stdin.flush().await;
            }
            // Keep the input open until the program ends: some servers treat its end as a hang-up.
            std::future::pending::<()>().await;
        };
        let ended = async {
            match status {
                Some(status) => status.await,
                None => None,
            }
        };
        let reading = async { futures::join!(read_to_end(stdout), read_to_end(stderr)) };
        let (ended, reading) = (std::pin::pin!(ended), std::pin::pin!(reading));
        let ((stdout, stderr), status) = tokio::select! {
            end = output_and_end(reading, ended) => end.ok_or_else(|| failed(BROKEN.to_owned()))?,
            () = writing => unreachable!("it stays open"),
        };
        Ok(ExecOutput { stdout, stderr, code: exit_code(&status).map_err(failed)? })
    }
}

/// The reason if the end of a program is unknown.
pub(super) const BROKEN: &str = "the connection broke before the command ended";

/// The output and the status of a program; `None` if the connection broke. In that case the library does
/// not close the output streams, so reading them would never end, but the status future completes without
/// a status.
pub(super) async fn output_and_end<O, S>(
    mut output: impl Future<Output = O> + Unpin,
    mut end: impl Future<Output = Option<S>> + Unpin,
) -> Option<(O, S)> {
    tokio::select! {
        output = &mut output => Some((output, end.await?)),
        end = &mut end => {
            let end = end?;
            Some((output.await, end))
        }
    }
}

async fn read_to_end(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // Output from before a broken connection is still useful.
        let _ = stream.take(OUTPUT_LIMIT).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The exit code in a status of the exec protocol: `Success`, or `NonZeroExitCode` with a cause
/// `ExitCode`. Any other status means that the command never ran.
pub(super) fn exit_code(
    status: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Status,
) -> Result<i32, String> {
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.as_ref().and_then(|d| d.causes.as_ref());
    causes
        .into_iter()
        .flatten()
        .find(|cause| cause.reason.as_deref() == Some("ExitCode"))
        .and_then(|cause| cause.message.as_deref()?.parse().ok())
        .ok_or_else(|| {
            status.message.clone().unwrap_or_else(|| "the command could not be started".to_owned())
        })
}

pub(super) fn refusal(pod: &str, error: kube::Error) -> ClusterError {
    match error {
        kube::Error::Api(status) => {
            ClusterError::Refused { action: format!("running a command in pod {pod}"), status }
        }
        other => {
            let root = std::error::Error::source(&other)
                .map_or_else(|| other.to_string(), ToString::to_string);
            ClusterError::Exec { pod: pod.to_owned(), reason: root }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::future::{pending, ready};

    #[tokio::test]
    async fn a_broken_connection_is_not_read_for_ever() {
        assert_eq!(output_and_end(pending::<()>(), ready(None::<i32>)).await, None);
        assert_eq!(output_and_end(ready("said"), ready(Some(3))).await, Some(("said", 3)));
        assert_eq!(output_and_end(ready("said"), ready(None::<i32>)).await, None);
    }

    #[test]
    fn exit_codes() {
        let parse = |value| exit_code(&serde_json::from_value(value).unwrap());
        assert_eq!(parse(json!({"status": "Success"})), Ok(0));
        assert_eq!(
            parse(json!({"status": "Failure", "reason": "NonZeroExitCode", "details":
                {"causes": [{"reason": "ExitCode", "message": "3"}]}})),
            Ok(3)
        );
        assert_eq!(
            parse(json!({"status": "Failure", "message": "no such file"})),
            Err("no such file".to_owned())
        );
    }
}
