//! Kills commands with SIGKILL after 0, 1, 2 ... requests and runs them again: the result must equal that
//! of an undisturbed run.
//!
//! The proxy forwards n requests and holds the next one. The program is killed while it waits, so exactly
//! n requests have reached the server, even if several are sent concurrently. `up --no-wait` is killed at
//! every n. Commands that wait for pods send about fifty requests: they are killed before and after some of
//! their writes. `sandbox::killed::` kills them at every n.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use super::{CLASS, no_pod_is_left};
use crate::support::cluster::Cluster;
use crate::support::pgset::Pgset;
use crate::support::proxy::{Proxy, Seen};
use crate::support::space::Space;
use crate::support::state::{self, State};
use crate::support::{eventually, seconds};

/// The number of namespaces used concurrently.
const AT_ONCE: usize = 3;
/// The number of points at which a command that waits for pods is killed, at most.
const POINTS: usize = 8;

/// Runs a command until `n` requests have passed, then kills it. False if it ended before.
pub(super) async fn killed_after(space: &Space, proxy: &Proxy, n: usize, call: Pgset) -> bool {
    proxy.hold_after(n);
    let mut running = call.kubeconfig(&proxy.kubeconfig(&space.name)).spawn();
    let held = tokio::select! {
        () = proxy.held() => true,
        () = running.ended() => false,
    };
    let output = running.kill().await;
    let_lease_die(space).await;
    assert!(held || output.code == Some(0), "after {n} requests: {output}");
    held
}

/// Lets the next command take over the Lease of a killed one after a second.
async fn let_lease_die(space: &Space) {
    let soon = json!({"spec": {"leaseDurationSeconds": 1}});
    let leases = space.api::<Lease>();
    for lease in leases.list(&ListParams::default()).await.expect("Leases can be listed") {
        let name = lease.name_any();
        // It may have been deleted just before.
        leases.patch(&name, &PatchParams::default(), &Patch::Merge(&soon)).await.ok();
    }
}

/// The requests of an undisturbed run.
pub(super) async fn undisturbed(space: &Space, call: Pgset) -> Vec<Seen> {
    let proxy = Proxy::start(&space.cluster).await;
    call.kubeconfig(&proxy.kubeconfig(&space.name)).run().await.ok();
    proxy.requests()
}

/// Points before and after writes, from the first to the last ones.
fn points(requests: &[Seen]) -> Vec<usize> {
    let writes = requests.iter().enumerate().filter(|(_, r)| r.writes());
    let points: BTreeSet<usize> = writes.flat_map(|(at, _)| [at, at + 1]).collect();
    let step = points.len().div_ceil(POINTS).max(1);
    points.into_iter().step_by(step).collect()
}

async fn ends_as(space: &Space, expected: &State, what: &str) {
    eventually(what, seconds(60), async || {
        let found = state::of(space).await;
        let difference = state::difference(expected, &found);
        if difference.is_empty() { Ok(()) } else { Err(difference) }
    })
    .await;
}

/// Pods with an image that is not on the node need almost no resources.
fn up_without_waiting(space: &Space) -> Pgset {
    space.without_image(space.pgset("up --no-wait").args(CLASS))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn up_without_waiting_at_every_request() {
    let model = Space::new("kill-model").await;
    let requests = undisturbed(&model, up_without_waiting(&model)).await;
    let writes = requests.iter().filter(|r| r.writes()).count();
    assert!(writes >= 8, "{requests:?}");
    eventually("the first pod is made", seconds(30), async || {
        let made = state::of(&model).await.contains_key("Pod pgset-0");
        made.then_some(()).ok_or_else(|| "no pod".to_owned())
    })
    .await;
    let expected = state::of(&model).await;
    stream::iter(0..=requests.len())
        .for_each_concurrent(AT_ONCE, |n| {
            let (cluster, expected, count) = (model.cluster.clone(), &expected, requests.len());
            async move {
                let space = Space::in_cluster(cluster, &format!("kill-{n}")).await;
                let proxy = Proxy::start(&space.cluster).await;
                let killed = killed_after(&space, &proxy, n, up_without_waiting(&space)).await;
                assert_eq!(killed, n < count, "{n} of {count}");
                up_without_waiting(&space).run().await.ok();
                ends_as(&space, expected, &format!("up --no-wait killed after {n} requests")).await;
            }
        })
        .await;
}

async fn in_each_namespace<F>(cluster: &Cluster, points: Vec<usize>, run: F)
where
    F: AsyncFn(Space, usize),
{
    stream::iter(points)
        .for_each_concurrent(AT_ONCE, |n| {
            let cluster = cluster.clone();
            let run = &run;
            async move { run(Space::in_cluster(cluster, &format!("kill-{n}")).await, n).await }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn up() {
    let model = Space::new("kill-model").await;
    let call = |space: &Space| space.pgset("up").args(CLASS);
    let requests = undisturbed(&model, call(&model)).await;
    let expected = state::of(&model).await;
    in_each_namespace(&model.cluster, points(&requests), async |space, n| {
        let proxy = Proxy::start(&space.cluster).await;
        killed_after(&space, &proxy, n, call(&space)).await;
        call(&space).run().await.ok();
        ends_as(&space, &expected, &format!("up killed after {n} requests")).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn scale() {
    let space = Space::new("kill-scale").await;
    space.pgset("up --replicas 1").args(CLASS).run().await.ok();
    let there = || space.pgset("scale --replicas 2");
    let back = async || drop(space.pgset("scale --replicas 1").run().await.ok());
    let requests = undisturbed(&space, there()).await;
    let expected = state::of(&space).await;
    let proxy = Proxy::start(&space.cluster).await;
    for n in points(&requests) {
        back().await;
        killed_after(&space, &proxy, n, there()).await;
        there().run().await.ok();
        ends_as(&space, &expected, &format!("scale killed after {n} requests")).await;
    }
    // The same for scaling down.
    let requests = undisturbed(&space, space.pgset("scale --replicas 1")).await;
    let expected = state::of(&space).await;
    for n in points(&requests) {
        there().run().await.ok();
        killed_after(&space, &proxy, n, space.pgset("scale --replicas 1")).await;
        back().await;
        ends_as(&space, &expected, &format!("scaling down killed after {n} requests")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn down() {
    let model = Space::new("kill-model").await;
    let start = async |space: &Space| {
        space.pgset("up --replicas 1").args(CLASS).run().await.ok();
    };
    let call = |space: &Space| space.pgset("down --yes");
    start(&model).await;
    let requests = undisturbed(&model, call(&model)).await;
    let expected = state::of(&model).await;
    in_each_namespace(&model.cluster, points(&requests), async |space, n| {
        start(&space).await;
        let proxy = Proxy::start(&space.cluster).await;
        killed_after(&space, &proxy, n, call(&space)).await;
        call(&space).run().await.ok();
        no_pod_is_left(&space, seconds(1)).await;
        ends_as(&space, &expected, &format!("down killed after {n} requests")).await;
    })
    .await;
}
