//! PostgreSQL settings: validated, applied, kept, and activated by restarts in the right order.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::ListParams;

use crate::support::space::{Image, Space};

/// The UID of each pod. A replaced pod has another UID.
async fn uids(space: &Space) -> Vec<Option<String>> {
    let pods = space.api::<Pod>().list(&ListParams::default()).await.unwrap();
    let mut uids: Vec<_> = pods.items.into_iter().map(|pod| (pod.name_any(), pod.uid())).collect();
    uids.sort();
    uids.into_iter().map(|(_, uid)| uid).collect()
}

async fn runs_with(space: &Space, pods: &[&str], name: &str, value: &str) {
    for pod in pods {
        space.sql_yields(pod, "postgres", &format!("show {name}"), value).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn settings_are_checked_followed_without_a_restart_and_kept() {
    const PODS: [&str; 2] = ["pgset-0", "pgset-1"];
    let space = Space::of(Image::Official, "config").await;
    space.pgset("up --set work_mem=8MB").run().await.ok();
    runs_with(&space, &PODS, "work_mem", "8MB").await;
    let before = uids(&space).await;

    // The error is the server's message, and nothing is changed.
    let refused = space.pgset("up --set work_mem=banana").run().await.exits(2);
    refused.says("invalid value for parameter \"work_mem\"").never_says("configured");
    let refused = space.pgset("up --set wrok_mem=1").run().await.exits(2);
    refused.says("unrecognized configuration parameter \"wrok_mem\"");

    let refused = space.pgset("up --yes --set shared_preload_libraries=nope").run().await.exits(2);
    refused.says("no library nope").never_says("configured");

    // The kubelet alone would need a minute or more to update a mounted file.
    let changed = space.pgset("up --set work_mem=9MB").run().await.ok();
    changed.says("work_mem '8MB' -> '9MB'").never_says("restarting");
    runs_with(&space, &PODS, "work_mem", "9MB").await;

    // Without settings in the command, all are kept. If some are specified, the others are removed, with a
    // message.
    space.pgset("up").run().await.ok().never_says("configured");
    runs_with(&space, &PODS, "work_mem", "9MB").await;
    let file = space
        .file("my.conf", "# mine\nrandom_page_cost = 1.5\nsearch_path = '\"it''s\", public'\n");
    let changed = space.pgset("up --config").arg(&file).run().await.ok();
    changed.says("no longer sets work_mem (was '9MB')").says("sets random_page_cost = '1.5'");
    runs_with(&space, &PODS, "work_mem", "4MB").await;
    runs_with(&space, &PODS, "search_path", "\"it's\", public").await;

    // pgset never restarts a server without confirmation.
    let refused = space.pgset("up --set max_connections=150").run().await.exits(4);
    refused.says("--yes").never_says("configured");
    runs_with(&space, &PODS, "max_connections", "100").await;
    assert_eq!(uids(&space).await, before, "no pod was replaced");
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn no_replica_ever_has_less_than_its_master() {
    const PODS: [&str; 3] = ["pgset-0", "pgset-1", "pgset-2"];
    let space = Space::of(Image::Official, "order").await;
    space.pgset("up --replicas 3").run().await.ok();
    for (value, order) in [("150", [2, 1, 0]), ("60", [0, 2, 1])] {
        let up = space.pgset("up --yes --set").arg(format!("max_connections={value}"));
        let output = up.run().await.ok();
        let restarts: Vec<String> = output
            .stderr
            .lines()
            .filter_map(|line| {
                Some(line.strip_prefix("restarting ")?.split(',').next()?.to_owned())
            })
            .collect();
        assert_eq!(restarts, order.map(|n| format!("pgset-{n}")), "{output}");
        runs_with(&space, &PODS, "max_connections", value).await;
        space.pgset("status").run().await.ok();
    }
    let mixed = "up --yes --set max_connections=40 --set max_worker_processes=20";
    space.pgset(mixed).run().await.exits(4).says("in two steps");
    runs_with(&space, &PODS, "max_connections", "60").await;
}
