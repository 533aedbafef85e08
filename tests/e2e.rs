//! Tests of the whole program, each in its own namespace: in a sandbox, or on a real cluster.
//!
//! Run them with `PGSET_E2E=sandbox cargo test --test pgset -- --ignored --test-threads=4 e2e::`, or on a
//! cluster with `PGSET_E2E=1 KUBECONFIG=...` instead.

mod access;
mod config;
mod day;
mod failover;
mod failures;
mod faults;
mod forbidden;
mod interrupted;
mod killed;
mod lag;
mod ledger;
mod lost_topology;
mod nodes;
mod official;
mod passwords;
mod repair;
mod secrets;
mod services;
mod slots;
mod story;
mod switchover;
mod synchronous;
mod tls;
mod topology;

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;

use crate::support::space::{Space, ready};
use crate::support::{eventually, seconds};

/// One PersistentVolumeClaim per pod, with the cluster's default StorageClass.
const CLASS: &str = "--storage class";

/// Prints to standard error why a part of the suite did not run.
#[expect(clippy::print_stderr, reason = "what was not tested has to be seen")]
fn skipped(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// The reason if hostPath storage is not available.
const NOT_THIS_MACHINE: &str = "host path: the cluster's node is not this machine";

/// The environment variable with a command that restarts the kubelet of the cluster's only node.
const RESTART_KUBELET: &str = "PGSET_E2E_RESTART_KUBELET";

#[expect(clippy::disallowed_methods, reason = "the tests' own switch, not a setting of pgset")]
fn switch(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// The command that restarts the kubelet. `None`, with a message, if it is not known.
fn kubelet_restart() -> Option<String> {
    let command = switch(RESTART_KUBELET);
    if command.is_none() {
        skipped(&format!("restarting the kubelet: {RESTART_KUBELET} does not say how"));
    }
    command
}

async fn run_shell(command: &str) {
    let output = tokio::process::Command::new("bash").args(["-c", command]).output().await;
    let output = output.expect("there is a bash");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until exactly these pods are ready.
async fn pods_are_ready(space: &Space, expected: &[&str]) {
    eventually("the pods", seconds(120), async || {
        let ready = space.ready_pods().await;
        if ready == expected { Ok(()) } else { Err(format!("ready: {ready:?}, not {expected:?}")) }
    })
    .await;
}

/// Waits until the pod with this name has another UID and is ready.
async fn comes_back(space: &Space, name: &str, uid: Option<&str>) {
    eventually(&format!("another pod {name} is ready"), seconds(120), async || {
        let pod = space.api::<Pod>().get_opt(name).await.map_err(|e| e.to_string())?;
        let pod = pod.ok_or("it is not there")?;
        let other = pod.metadata.uid.as_deref() != uid;
        if other && ready(&pod) { Ok(()) } else { Err(format!("another: {other}")) }
    })
    .await;
}

/// Waits until the namespace has no pod.
async fn no_pod_is_left(space: &Space, deadline: Duration) {
    eventually("no pod is left", deadline, async || {
        let pods = space.api::<Pod>().list(&ListParams::default()).await;
        let pods = pods.map_err(|e| e.to_string())?.items;
        if pods.is_empty() { Ok(()) } else { Err(format!("{} pods are left", pods.len())) }
    })
    .await;
}

/// A directory with one edited template of the program.
async fn own_template(space: &Space, name: &str, edit: impl FnOnce(&str) -> String) -> PathBuf {
    let exported = space.directory(&format!("exported-{name}"));
    space.pgset("templates export").arg(&exported).run().await.ok();
    let profile = space.image.profile();
    let text = std::fs::read_to_string(exported.join(profile).join(name)).expect("the template");
    let own = space.directory("own");
    let inside = own.join(profile);
    std::fs::create_dir_all(&inside).unwrap();
    std::fs::write(inside.join(name), edit(&text)).unwrap();
    own
}
