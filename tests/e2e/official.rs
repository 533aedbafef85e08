//! Features that only the profile of the official image has.

use std::process::Stdio;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, LimitRange, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::Role;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{no_pod_is_left, pods_are_ready, skipped};
use crate::support::space::{Image, Space};
use crate::support::{eventually, seconds, state};

/// The server's version in the form of `--kube-version`: `1.37`.
async fn version(space: &Space) -> String {
    let version = space.cluster.client.apiserver_version().await.unwrap();
    format!("{}.{}", version.major, version.minor.trim_end_matches('+'))
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn what_is_rendered_and_applied_by_kubectl_is_the_same_set() {
    let ours = Space::of(Image::Official, "up").await;
    let theirs = Space::of(Image::Official, "kubectl").await;
    ours.pgset("up --network-policy --label team=db").run().await.ok();

    let render = theirs.pgset("render --show-secrets --network-policy --label team=db");
    let rendered = render.arg("--kube-version").arg(version(&theirs).await).run().await.ok();
    let kubectl = Command::new("kubectl")
        .args(["apply", "-f", "-"])
        .env("KUBECONFIG", &theirs.kubeconfig)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    let Ok(mut kubectl) = kubectl else { return skipped("there is no kubectl") };
    let mut stdin = kubectl.stdin.take().unwrap();
    stdin.write_all(rendered.stdout.as_bytes()).await.unwrap();
    drop(stdin);
    assert!(kubectl.wait().await.unwrap().success(), "kubectl apply");
    pods_are_ready(&theirs, &["pgset-0", "pgset-1"]).await;
    theirs.pgset("test").run().await.ok();

    // `up` takes over the set unchanged.
    let uids = async || {
        let pods = theirs.api::<Pod>().list(&ListParams::default()).await.unwrap();
        pods.items.into_iter().map(|pod| pod.metadata.uid).collect::<Vec<_>>()
    };
    let before = uids().await;
    let up = || theirs.pgset("up -v --network-policy --label team=db");
    // The master has recorded its identifier, although no `up` has seen it.
    let topology = theirs.api::<ConfigMap>().get("pgset-topology").await.unwrap().data.unwrap();
    assert!(topology.contains_key("system-identifier"), "{topology:?}");
    // What it does not know is how many pods the set should have.
    let first = up().run().await.ok();
    first.says("configmap/pgset-topology configured (pods 2, most pods 2)");
    up().run().await.ok().never_says("configured");
    // What would cost a pod is refused: another major version, and more than the namespace allows.
    let other = up().args("--image postgres:13").run().await.exits(4).within(seconds(20));
    other.says("postgres:13 is PostgreSQL 13, which does not start on it");
    let range = json!({"metadata": {"name": "small"},
        "spec": {"limits": [{"type": "Container", "max": {"cpu": "64"}}]}});
    theirs.create::<LimitRange>(range).await;
    let more = "--requests cpu=100 --limits cpu=100 --force-conflicts";
    let more = up().args(more).run().await.exits(4);
    more.says("maximum cpu usage per Container is 64, but limit is 100");
    assert_eq!(uids().await, before, "no pod was replaced");
    // What is rendered also serves pods of an older pgset; this set has none.
    let without = Patch::Merge(json!({"data": {"bootstrap.sh": null}}));
    let config = theirs.api::<ConfigMap>();
    config.patch("pgset-config", &PatchParams::default(), &without).await.unwrap();
    assert_eq!(state::difference(&state::of(&ours).await, &state::of(&theirs).await), "");
    // It can be scaled like any other set.
    theirs.pgset("scale --replicas 3").run().await.ok();
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn the_role_names_the_pods_that_there_are_and_no_others() {
    let space = Space::of(Image::Official, "role").await;
    let names = async || -> Vec<String> {
        let role = space.api::<Role>().get("pgset-sa").await.unwrap();
        let rules = role.rules.unwrap_or_default();
        let names = rules.into_iter().flat_map(|rule| rule.resource_names.unwrap_or_default());
        names.filter(|name| name != "pgset-topology").collect()
    };
    space.pgset("up --replicas 1").run().await.ok();
    assert_eq!(names().await, ["pgset-0"]);
    space.pgset("scale --replicas 3").run().await.ok();
    assert_eq!(names().await, ["pgset-0", "pgset-1", "pgset-2"]);
    space.pgset("scale --replicas 2").run().await.ok();
    assert_eq!(names().await, ["pgset-0", "pgset-1"]);
    space.pgset("up").run().await.ok().never_says("configured");
    // A pod that another client added lacks the right to label itself until the next `up`.
    space.kubectl_scale("pgset", 3).await;
    space.pgset("up").run().await.ok().says("3 pods ready, 2 replicas streaming");
    assert_eq!(names().await, ["pgset-0", "pgset-1", "pgset-2"]);
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_lost_volume_and_a_lost_secret_are_no_new_beginning() {
    let space = Space::of(Image::Official, "lost").await;
    space.pgset("up --replicas 1").run().await.ok();
    space.pgset("down -v --yes").run().await.ok().says("configmap/pgset-topology kept");

    let secret = space.api::<Secret>().get("pgset-auth").await.unwrap();
    space.api::<Secret>().delete("pgset-auth", &DeleteParams::default()).await.unwrap();
    let output = space.pgset("up --replicas 1").run().await.exits(4);
    output.says("pgset-auth").says("pgdata-pgset-0");
    no_pod_is_left(&space, seconds(1)).await;
    let mut again = Secret { data: secret.data, ..Secret::default() };
    again.metadata.name = secret.metadata.name;
    again.metadata.labels = secret.metadata.labels;
    again.metadata.annotations = secret.metadata.annotations;
    space.api::<Secret>().create(&kube::api::PostParams::default(), &again).await.unwrap();
    space.pgset("up --replicas 1").run().await.ok();
    space.pgset("down --yes").run().await.ok();

    let claims = space.api::<PersistentVolumeClaim>();
    claims.delete("pgdata-pgset-0", &DeleteParams::default()).await.unwrap();
    eventually("the claim is gone", seconds(60), async || {
        let there = claims.get_opt("pgdata-pgset-0").await.map_err(|e| e.to_string())?;
        there.map_or(Ok(()), |_| Err("it is there".to_owned()))
    })
    .await;
    let output = space.pgset("up --replicas 1").run().await.exits(1).within(seconds(90));
    let output = output.says("the volume is empty, but this set was initialized");
    output.says("exit code 14").says("restore it from a backup").never_says("--delete-data");
    // `status` reports the same.
    let status = space.pgset("status").run().await.exits(1);
    status.mentions(&["the volume is empty, but this set was initialized"]);
    space.pgset("down --delete-data --yes").run().await.ok();
    assert!(state::of(&space).await.is_empty());

    // A replica has the data, although no identifier is on record.
    space.pgset("up --replicas 2").run().await.ok();
    let topology = space.api::<ConfigMap>();
    let recorded = topology.get("pgset-topology").await.unwrap().data.unwrap();
    assert!(recorded.contains_key("system-identifier"), "{recorded:?}");
    topology.delete("pgset-topology", &DeleteParams::default()).await.unwrap();
    claims.delete("pgdata-pgset-0", &DeleteParams::default()).await.unwrap();
    space.api::<Pod>().delete("pgset-0", &DeleteParams::default()).await.unwrap();
    eventually("the pod on the empty volume refuses", seconds(60), async || {
        let status = space.pgset("status").run().await;
        let said = status.stdout.contains("has data of this set");
        if said { Ok(()) } else { Err(status.stdout) }
    })
    .await;
    let output = space.pgset("up --replicas 2").run().await.exits(1).within(seconds(90));
    output.says("pgset failover").never_says("--delete-data");
    let recorded = topology.get_opt("pgset-topology").await.unwrap();
    let recorded = recorded.and_then(|topology| topology.data).unwrap_or_default();
    assert!(!recorded.contains_key("system-identifier"), "{recorded:?}");
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn what_was_asked_for_is_on_the_pods() {
    let space = Space::of(Image::Official, "asked").await;
    let up = || {
        space
            .pgset("up --replicas 1 --requests cpu=50m,memory=128Mi --limits cpu=none")
            .args("--label team=db --node-selector kubernetes.io/os=linux --network-policy")
            .args("--toleration dedicated=db:NoSchedule --termination-grace-period 30s")
            .arg("--annotation")
            .arg("note=made, by a test")
    };
    up().run().await.ok();
    let pod = space.api::<Pod>().get("pgset-0").await.unwrap();
    assert_eq!(pod.metadata.labels.unwrap()["team"], "db");
    assert_eq!(pod.metadata.annotations.unwrap()["note"], "made, by a test");
    let spec = pod.spec.unwrap();
    assert_eq!(spec.termination_grace_period_seconds, Some(30));
    assert_eq!(spec.node_selector.unwrap()["kubernetes.io/os"], "linux");
    assert!(spec.tolerations.unwrap().iter().any(|t| t.key.as_deref() == Some("dedicated")));
    let resources = spec.containers[0].resources.clone().unwrap();
    assert_eq!(resources.requests.unwrap()["cpu"].0, "50m");
    assert!(!resources.limits.unwrap().contains_key("cpu"));
    let set: StatefulSet = space.stateful_set("pgset").await;
    assert_eq!(set.metadata.labels.unwrap()["team"], "db");
    assert!(space.api::<NetworkPolicy>().get_opt("pgset").await.unwrap().is_some());
    up().run().await.ok().says("nothing changed").never_says("configured");
    // Objects that are no longer requested are not deleted, but a message says how to delete them.
    space.pgset("up").run().await.ok().says("nothing changed");
    let output = space.pgset("up --network-policy=false").run().await.ok();
    output.says("delete networkpolicy pgset");
    space.pgset("down --yes --delete-data").run().await.ok();
    assert!(state::of(&space).await.is_empty());
}
