//! Clients in a pod of the cluster. They connect to the set through its Services, like an application.

use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::space::Space;
use super::{eventually, seconds};

/// The directory where each client writes its record to a file.
const RECORD: &str = "/record";

/// The pod with the clients. It is deleted with its namespace. No pod of a set has its name and its label.
pub(crate) struct Clients<'a> {
    space: &'a Space,
    pod: &'static str,
}

impl<'a> Clients<'a> {
    /// Starts `count` clients in parallel. Each client runs the shell function `client`, which `script`
    /// defines, with its number (counted from 0) as argument, and appends a line to `$record` for each
    /// thing it did. The clients log in as `testuser`. They receive the password through a pipe, so that
    /// they can start before the set exists. Their pod runs on a node with the labels `nodes`; `null` is any node.
    pub(crate) async fn start(
        space: &'a Space,
        pod: &'static str,
        count: usize,
        script: &str,
        password: &str,
        nodes: Value,
    ) -> Self {
        let script = format!(
            "set -u; export PGPASSFILE=/tmp/passfile PGUSER=testuser PGDATABASE=userdb PGCONNECT_TIMEOUT=2
             PATH=$(dirname /usr/lib/postgresql/*/bin/psql):$PATH
             {script}
             until [ -s $PGPASSFILE ]; do sleep 0.1; done
             for ((number = 0; number < {count}; number++)); do record={RECORD}/$number client $number & done
             wait"
        );
        let mounts = json!([
            {"name": "record", "mountPath": RECORD},
            {"name": "tmp", "mountPath": "/tmp"},
        ]);
        let object = json!({
            "metadata": {"name": pod, "labels": {"e2e": "client"}},
            "spec": {
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "terminationGracePeriodSeconds": 1,
                "nodeSelector": nodes,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 999, "fsGroup": 999,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "clients", "image": "postgres:17", "imagePullPolicy": "IfNotPresent",
                    "command": ["bash", "-c", script],
                    // The servers run on the same machine. Requests are set, because Kubernetes otherwise
                    // uses the limits as requests.
                    "resources": {
                        "requests": {"cpu": "20m", "memory": "64Mi"},
                        "limits": {"cpu": "500m", "memory": "256Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": mounts,
                }],
                "volumes": [
                    {"name": "record", "emptyDir": {}},
                    {"name": "tmp", "emptyDir": {"medium": "Memory"}},
                ],
            },
        });
        space.create::<Pod>(object).await;
        let clients = Self { space, pod };
        clients.log_in(password).await;
        clients
    }

    /// Writes the password to the file that the clients read, in one atomic step. The script reads one line
    /// instead of the whole input, because some connections do not transmit the end of the input.
    async fn log_in(&self, password: &str) {
        let script =
            "umask 077; head -n 1 >/tmp/passfile.new && mv /tmp/passfile.new /tmp/passfile";
        let params = AttachParams::default().stdin(true).stdout(false).stderr(true);
        let pods = self.space.api::<Pod>();
        let mut process = eventually("the clients' pod runs", seconds(60), async || {
            let command = ["bash", "-c", script];
            pods.exec(self.pod, command, &params).await.map_err(|e| e.to_string())
        })
        .await;
        let status = process.take_status().expect("an exec has a status");
        let mut stdin = process.stdin().expect("its standard input was asked for");
        stdin.write_all(format!("*:*:*:*:{password}\n").as_bytes()).await.expect("it is read");
        drop(stdin);
        let status = status.await.and_then(|status| status.status);
        assert_eq!(status.as_deref(), Some("Success"), "the password is there");
    }

    /// Counts the lines that match a `grep` pattern.
    pub(crate) async fn count(&self, pattern: &str) -> Result<usize, String> {
        let script = format!("cat {RECORD}/* 2>/dev/null | grep -c -- \"$1\" || true");
        let command = ["bash", "-c", &script, "count", pattern];
        let count = self.space.exec(self.pod, &command).await?;
        count.parse().map_err(|_| format!("no number: {count:?}"))
    }

    /// Waits until `more` additional lines match a `grep` pattern.
    pub(crate) async fn go_on(&self, pattern: &str, more: usize) {
        let mut before = None;
        eventually(&format!("{more} more of {pattern:?}"), seconds(120), async || {
            let count = self.count(pattern).await?;
            let new = count - *before.get_or_insert(count);
            if new >= more { Ok(()) } else { Err(format!("{new} more than {before:?}")) }
        })
        .await;
    }

    /// Returns all lines that the clients have written. The last line of each file is left out, because it
    /// may be incomplete.
    pub(crate) async fn record(&self) -> Vec<String> {
        let script = format!("for file in {RECORD}/*; do head -n -1 $file; done");
        let text = self.space.exec(self.pod, &["bash", "-c", &script]).await;
        text.expect("the record can be read").lines().map(str::to_owned).collect()
    }
}
