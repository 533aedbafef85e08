//! Runs commands in a pod's container.

use std::time::Duration;

use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams};
use kube::client::UpgradeConnectionError;
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
        let failed = |reason: String| failure(exec.pod, exec.container, reason);
        let pods: Api<Pod> = Api::namespaced(self.upgrading_client()?, exec.namespace);
        let parameters = AttachParams::default()
            .container(exec.container)
            .stdin(!exec.stdin.is_empty())
            .stdout(true)
            .stderr(true);
        let mut process = pods
            .exec(exec.pod, exec.argv.clone(), &parameters)
            .await
            .map_err(|e| refusal(exec.pod, exec.container, e))?;
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

/// The error for a command that did not start, by what the API server, the kubelet or the container runtime says.
pub(super) fn failure(pod: &str, container: &str, reason: String) -> ClusterError {
    let (pod, container) = (pod.to_owned(), container.to_owned());
    if is_not_running(&reason) {
        ClusterError::NotRunning { pod, container }
    } else {
        ClusterError::Exec { pod, reason }
    }
}

/// Whether a reason says that the container is not running. Each runtime has its own words, and a container that
/// ends while the command starts has others.
fn is_not_running(reason: &str) -> bool {
    let says = |needle: &str| reason.contains(needle);
    // The program is missing or can't be run, so the container does run.
    let about_program = says("executable file not found")
        || says("permission denied")
        || says("no such file or directory: unknown");
    [
        "container not found",
        "CONTAINER_EXITED",
        "CONTAINER_CREATED",
        "is not running",
        "not created or running",
        "stopped container",
        "has stopped",
        "no running task found",
        "container does not exist",
        "current phase is",
        "does not have a host assigned",
    ]
    .into_iter()
    .any(says)
        || (says("OCI runtime") || says("setns")) && !about_program
}

pub(super) fn refusal(pod: &str, container: &str, error: kube::Error) -> ClusterError {
    match error {
        kube::Error::Api(status) if is_not_running(&status.message) => {
            failure(pod, container, status.message.clone())
        }
        kube::Error::Api(status) => {
            ClusterError::Refused { action: format!("running a command in pod {pod}"), status }
        }
        // The library drops the body of the answer, which has the reason. Older API servers answer so when the
        // kubelet finds no running container.
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(code))
            if code == StatusCode::INTERNAL_SERVER_ERROR =>
        {
            failure(pod, container, "container not found".to_owned())
        }
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(code)) => {
            let why = format!("the API server refused it with {code}");
            ClusterError::Exec { pod: pod.to_owned(), reason: why }
        }
        other => {
            let root = std::error::Error::source(&other)
                .map_or_else(|| other.to_string(), ToString::to_string);
            failure(pod, container, root)
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

    #[test]
    fn a_container_that_does_not_run_is_told_in_plain_words() {
        let error = |reason: &str| failure("pgset-0", "postgres", reason.to_owned());
        for reason in [
            "unable to upgrade connection: container not found (\"postgres\")",
            "Internal error occurred: error executing command in container: container is in CONTAINER_EXITED state",
            "Internal error occurred: error executing command in container: failed to exec in container: failed to load task: no running task found: task 0ab1 not found: not found",
            "Internal error occurred: error executing command in container: failed to exec in container: failed to start exec \"7f\": OCI runtime exec failed: exec failed: cannot exec in a stopped container: unknown",
            "OCI runtime exec failed: exec failed: unable to start container process: error executing setns process: exit status 1: unknown",
            "container is not created or running",
            "cannot exec into a container in a completed pod; current phase is Failed",
        ] {
            assert_eq!(
                error(reason).to_string(),
                "container postgres of pod pgset-0 is not running",
                "{reason}"
            );
        }
        for reason in [
            "OCI runtime exec failed: exec failed: unable to start container process: exec: \"psql\": executable file not found in $PATH: unknown",
            "error dialing backend: dial tcp 10.0.0.1:10250: connect: connection refused",
        ] {
            assert_eq!(
                error(reason).to_string(),
                format!("running a command in pod pgset-0: {reason}")
            );
        }
    }

    #[test]
    fn an_answer_without_a_reason_is_told_by_its_code() {
        let switch = |code| {
            let error = UpgradeConnectionError::ProtocolSwitch(code);
            refusal("pgset-0", "postgres", kube::Error::UpgradeConnection(error)).to_string()
        };
        assert_eq!(
            switch(StatusCode::INTERNAL_SERVER_ERROR),
            "container postgres of pod pgset-0 is not running"
        );
        assert_eq!(
            switch(StatusCode::FORBIDDEN),
            "running a command in pod pgset-0: the API server refused it with 403 Forbidden"
        );
    }
}
