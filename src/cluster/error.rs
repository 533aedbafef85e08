//! Errors of requests to the cluster.

use kube::core::Status;

use crate::error::{Diagnose, Exit};

/// Whether this program can start a sandbox cluster.
const HAS_SANDBOX: bool = cfg!(all(feature = "sandbox", target_os = "linux"));
/// The end of the reason if none of the files in `KUBECONFIG` exists.
pub(super) const MISSING_FILE: &str = "which does not exist";

/// Why a request to the cluster failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no kubeconfig, and this process does not run in a pod.
    #[error("there is no cluster to connect to: no kubeconfig was found")]
    NoKubeconfig,
    /// The kubeconfig can't be used.
    #[error("the kubeconfig can't be used: {reason}")]
    Kubeconfig {
        /// What is wrong, and where.
        reason: String,
    },
    /// The credential plugin of the kubeconfig failed.
    #[error("the kubeconfig's credential plugin failed: {reason}")]
    CredentialPlugin {
        /// The plugin's program and its exit code.
        reason: String,
    },
    /// No connection, or no answer.
    #[error("the cluster at {server} does not answer: {reason}")]
    Unreachable {
        /// The API server's address.
        server: String,
        /// `connection refused`, `no such host`, `invalid certificate`, ...
        reason: String,
    },
    /// The API server refused a request.
    #[error("{action}: {}", words(.status))]
    Refused {
        /// The requested action: `getting Service pgset`.
        action: String,
        /// Its answer.
        status: Box<Status>,
    },
    /// The API server's response can't be parsed.
    #[error("{action}: the answer of {server} can't be read: {reason}")]
    Garbled {
        /// The requested action.
        action: String,
        /// The API server's address.
        server: String,
        /// Why.
        reason: String,
    },
    /// The deadline passed while the API server kept failing.
    #[error("{action}: gave up after {seconds} s; the last answer was: {last}")]
    GaveUp {
        /// The requested action.
        action: String,
        /// The number of seconds before it gave up.
        seconds: u64,
        /// The last error.
        last: String,
    },
    /// A command could not run, because its container does not.
    #[error("container {container} of pod {pod} is not running")]
    NotRunning {
        /// The pod.
        pod: String,
        /// The container.
        container: String,
    },
    /// A command in a pod could not run.
    #[error("running a command in pod {pod}: {reason}")]
    Exec {
        /// The pod.
        pod: String,
        /// Why.
        reason: String,
    },
}

impl ClusterError {
    /// The server's status, if it refused the request.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Refused { status, .. } => Some(status),
            _ => None,
        }
    }

    /// Whether the user lacks the right (403).
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.status().is_some_and(|s| s.code == 403)
    }

    /// Whether the object does not exist (404).
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(|s| s.code == 404)
    }

    /// Whether a create failed because an object with this name exists.
    #[must_use]
    pub fn is_already_there(&self) -> bool {
        self.status().is_some_and(|s| s.code == 409 && s.reason == "AlreadyExists")
    }

    /// Whether the request conflicts with another change (409).
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(|s| s.code == 409)
    }
}

/// Reason and message, as kubectl shows them; the code if both are missing.
fn words(status: &Status) -> String {
    let message = status.message.trim();
    match (status.reason.as_str(), message) {
        ("", "") => format!("the server answered with code {}", status.code),
        ("", message) => format!("{message} (code {})", status.code),
        (reason, "") => reason.to_owned(),
        (reason, message) if reason == message => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

impl Diagnose for ClusterError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoKubeconfig | Self::Unreachable { .. } | Self::GaveUp { .. } => Exit::NoCluster,
            Self::Kubeconfig { .. } | Self::CredentialPlugin { .. } => Exit::Usage,
            Self::Garbled { .. } | Self::NotRunning { .. } | Self::Exec { .. } => Exit::Failed,
            Self::Refused { status, .. } => match status.code {
                401 => Exit::NoCluster,
                403 if !is_admission(status) => Exit::NoCluster,
                409 => Exit::Refused,
                _ => Exit::Failed,
            },
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoKubeconfig => {
                let named = "to use your cluster: --kubeconfig FILE, KUBECONFIG, or the file ~/.kube/config";
                let mut hints = vec![named.to_owned()];
                if HAS_SANDBOX {
                    hints.push("pgset sandbox start  # no cluster yet: starts a small one on this machine, to try pgset".to_owned());
                }
                hints
            }
            Self::Kubeconfig { reason } if reason.ends_with(MISSING_FILE) => {
                vec!["unset KUBECONFIG, or set it to a file that exists".into()]
            }
            Self::Kubeconfig { .. } => vec!["kubectl config get-contexts".into()],
            Self::Unreachable { server, .. } if HAS_SANDBOX && is_of_a_sandbox(server) => vec![
                "pgset sandbox start  # the address is of a sandbox that is not running".into(),
            ],
            Self::CredentialPlugin { .. } => {
                vec!["log in again with the tool that the kubeconfig names, then run pgset again".into()]
            }
            Self::Unreachable { reason, .. } if reason.contains("UnknownIssuer") => vec![
                "the kubeconfig's certificate-authority is not the one that signed the server's certificate"
                    .into(),
                "to use another cluster: --context NAME or --kubeconfig FILE".into(),
            ],
            Self::Unreachable { .. } | Self::GaveUp { .. } => vec![
                "kubectl cluster-info  # checks whether the API server answers".into(),
                "to use another cluster: --context NAME or --kubeconfig FILE".into(),
            ],
            Self::Refused { status, .. } => match status.code {
                403 if status.message.contains("\"system:anonymous\"") => vec![
                    "the kubeconfig's user has no credentials: log in, or choose another context with --context"
                        .into(),
                ],
                401 => vec!["the server does not accept the credentials: log in again".into()],
                404 if status.message.starts_with("namespaces ") => {
                    vec!["pgset up --create-namespace creates it; another namespace: -n NAME".into()]
                }
                _ => Vec::new(),
            },
            Self::NotRunning { .. } => vec![
                "pgset status  # shows the pods and problems; while a pod starts, try again later"
                    .into(),
            ],
            Self::Garbled { .. } | Self::Exec { .. } => Vec::new(),
        }
    }
}

/// Whether the server is a sandbox: they use loopback addresses other than 127.0.0.1.
fn is_of_a_sandbox(server: &str) -> bool {
    server.starts_with("https://127.") && !server.starts_with("https://127.0.0.1:")
}

/// Whether a 403 comes from an admission plugin (quota, policy) and not from missing rights.
fn is_admission(status: &Status) -> bool {
    [
        "exceeded quota",
        "failed quota",
        "violates PodSecurity",
        "admission webhook",
        "is being terminated",
    ]
    .iter()
    .any(|words| status.message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, reason: &str, message: &str) -> ClusterError {
        let mut status = Status::failure(message, reason);
        status.code = code;
        ClusterError::Refused { action: "listing pods".to_owned(), status: Box::new(status) }
    }

    #[test]
    fn a_reason_is_not_said_twice() {
        let error = refused(401, "Unauthorized", "Unauthorized");
        assert_eq!(error.to_string(), "listing pods: Unauthorized");
    }

    #[test]
    fn whoever_is_nobody_is_told_to_log_in() {
        let error = refused(403, "Forbidden", "User \"system:anonymous\" cannot list pods");
        assert_eq!(error.exit(), Exit::NoCluster);
        assert!(error.hints()[0].contains("no credentials"), "{:?}", error.hints());
        assert_eq!(refused(403, "Forbidden", "User \"jane\" cannot").hints(), [""; 0]);
    }

    #[test]
    fn a_wrong_authority_is_not_called_a_silent_cluster() {
        let error = ClusterError::Unreachable {
            server: "https://10.0.0.1:6443".to_owned(),
            reason: "invalid peer certificate: UnknownIssuer".to_owned(),
        };
        assert!(error.hints()[0].contains("certificate-authority"), "{:?}", error.hints());
    }
}
