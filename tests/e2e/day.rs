//! A day with a set: whatever is typed, no pod restarts that nobody asked for, and no setting changes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{kubelet_restart, own_template, pods_are_ready, run_shell};
use crate::support::pgset::Output;
use crate::support::space::{Image, Space};
use crate::support::state::{self, State};
use crate::support::{eventually, seconds};

const PODS: [&str; 3] = ["pgset-0", "pgset-1", "pgset-2"];

/// A value other than the default for each setting that a set in any cluster can have. The image is the default one,
/// under another name: a set that forgets it would restart.
const EVERYTHING: &str = "up --yes --image docker.io/library/postgres:17 --replicas 3 --synchronous 1 \
    --max-lag 2Gi \
    --storage class --size 1100Mi --set work_mem=8MB --set max_connections=120 --tls \
    --requests cpu=20m,memory=100Mi --limits cpu=1,memory=600Mi,ephemeral-storage=none \
    --node-selector kubernetes.io/os=linux --toleration dedicated=db:NoSchedule \
    --label team=shop --annotation example.com/owner=shop --network-policy \
    --termination-grace-period 2m";

/// What a command must not change unasked.
struct Kept {
    /// The start of each server, by the pod's name and UID.
    servers: BTreeMap<String, Value>,
    /// What `pgset env` shows as recorded.
    settings: BTreeMap<String, Value>,
    objects: State,
}

impl Kept {
    async fn of(space: &Space) -> Self {
        let all = space.pgset("env -o json").run().await.ok().json();
        let recorded = all.as_array().unwrap().iter().filter(|it| it["source"] == "recorded");
        let settings = recorded.map(|it| (it["name"].to_string(), it["value"].clone())).collect();
        Self { servers: servers(space).await, settings, objects: state::of(space).await }
    }

    /// Fails if a pod restarted, or a setting or an object is another one.
    async fn is_kept(&self, space: &Space, by: &str) {
        assert_eq!(servers(space).await, self.servers, "{by} restarted a pod");
        self.is_the_same_set(space, by).await;
    }

    /// Fails if a setting or an object is another one, or a pod was not replaced.
    async fn is_the_same_set_with_other_pods(&self, space: &Space, by: &str) {
        pods_are_ready(space, &PODS).await;
        let now = servers(space).await;
        assert!(now.keys().all(|pod| !self.servers.contains_key(pod)), "{by}: {now:?}");
        self.is_the_same_set(space, by).await;
    }

    async fn is_the_same_set(&self, space: &Space, by: &str) {
        // A kubelet that has just started calls its pods not ready until it has probed them.
        eventually(&format!("the objects after {by} are those before"), seconds(60), async || {
            let difference = state::difference(&self.objects, &state::of(space).await);
            if difference.is_empty() { Ok(()) } else { Err(difference) }
        })
        .await;
        let now = Self::of(space).await;
        assert_eq!(now.settings, self.settings, "{by} changed a setting");
    }
}

async fn servers(space: &Space) -> BTreeMap<String, Value> {
    let pods = space.api::<Pod>().list(&ListParams::default()).await.unwrap();
    let started = pods.items.into_iter().map(|pod| {
        let name = format!("{} {}", pod.name_any(), pod.uid().unwrap_or_default());
        let status = pod.status.unwrap_or_default().container_statuses.unwrap_or_default();
        (name, json!(status.iter().map(|it| (&it.name, &it.state)).collect::<Vec<_>>()))
    });
    started.collect()
}

/// Starts two commands at the same time.
async fn at_once(space: &Space, lines: [&str; 2]) -> [Output; 2] {
    let [first, second] = lines.map(|line| space.pgset(line).spawn());
    let (first, second) = tokio::join!(first.finish(), second.finish());
    [first.ok(), second.ok()]
}

/// Alone on its cluster: the kubelet restarts, where it is known how.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn nothing_is_undone_while_the_kubelet_restarts_and_others_are_at_work() {
    let space = Space::of(Image::Official, "day").await;
    space.pgset(EVERYTHING).run().await.ok();
    let mut kept = Kept::of(&space).await;
    assert!(kept.settings.values().any(|value| value == "docker.io/library/postgres:17"));

    space.pgset("up").run().await.ok().says("nothing changed");
    kept.is_kept(&space, "a plain up").await;
    if let Some(restart) = kubelet_restart() {
        run_shell(&restart).await;
        pods_are_ready(&space, &PODS).await;
        space.pgset("up").run().await.ok().says("nothing changed");
        kept.is_kept(&space, "a restart of the kubelet").await;
    }

    // Refused before anything is written.
    for (line, code, words) in [
        ("up --postgres-version 16", 4, "does not start on it"),
        ("up --set max_connections=130", 4, "--yes"),
        ("up --size 1Gi", 4, "1Gi"),
        ("up --name other --replicas 40", 2, "replicas"),
    ] {
        space.pgset(line).run().await.exits(code).says(words);
        kept.is_kept(&space, line).await;
    }

    // A stranger moves the master's label, and adds what a set does not have.
    let pods = space.api::<Pod>();
    let label = |name| Patch::Merge(json!({"metadata": {"labels": {"name": name}}}));
    let kubectl =
        PatchParams { field_manager: Some("kubectl-label".into()), ..PatchParams::default() };
    pods.patch("pgset-0", &kubectl, &label("pgset-replica")).await.unwrap();
    let note = Patch::Merge(json!({"metadata": {"annotations": {"example.com/note": "kept"}}}));
    let services = space.api::<Service>();
    services.patch("pgset-master", &kubectl, &note).await.unwrap();
    space.pgset("status").run().await.exits(1).prints("label");
    space.pgset("up").run().await.ok();
    let service = services.get("pgset-master").await.unwrap();
    assert_eq!(service.annotations()["example.com/note"], "kept");
    kept.objects = state::of(&space).await;
    space.pgset("status").run().await.ok();
    kept.is_kept(&space, "up after a stranger's edits").await;

    // Two at once have both what they were asked for.
    at_once(&space, ["up --set work_mem=9MB", "up --set random_page_cost=2"]).await;
    for (setting, value) in [("work_mem", "9MB"), ("random_page_cost", "2")] {
        space.sql_yields("pgset-2", "postgres", &format!("show {setting}"), value).await;
    }
    assert_eq!(servers(&space).await, kept.servers, "two at once restarted a pod");
    let kept = Kept::of(&space).await;
    at_once(&space, ["up", "scale --replicas 3"]).await;
    kept.is_kept(&space, "two at once").await;

    // A newer pgset has another template: there, and back.
    let newer = own_template(&space, "bootstrap.sh", |text| format!("{text}# newer\n")).await;
    let up = space.pgset("up --templates").arg(&newer).run().await.ok();
    up.says("3 pods run the previous template; `pgset restart` updates them");
    assert_eq!(servers(&space).await, kept.servers, "a newer pgset restarted a pod");
    space.pgset("up").run().await.ok().never_says("previous template");
    kept.is_kept(&space, "the older pgset").await;

    space.pgset("stop --yes").run().await.ok();
    space.pgset("status").run().await.exits(1).prints("stopped");
    space.pgset("start").run().await.ok();
    kept.is_the_same_set_with_other_pods(&space, "stop and start").await;

    // What others added to a deleted object does not come back with it.
    let no_note = Patch::Merge(json!({"metadata": {"annotations": {"example.com/note": null}}}));
    services.patch("pgset-master", &kubectl, &no_note).await.unwrap();
    let kept = Kept::of(&space).await;
    space.pgset("down --yes").run().await.ok();
    space.pgset("status").run().await.exits(1).prints("data kept on 3 volumes");
    space.pgset("up").run().await.ok();
    kept.is_the_same_set_with_other_pods(&space, "down and up").await;
    space.pgset("test").run().await.ok();
}
