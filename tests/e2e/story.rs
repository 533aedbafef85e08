//! The article's story: up, test, scale, status, down, and up again with the kept data.

use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Secret};
use kube::api::{Api, ListParams};
use serde_json::json;

use super::{CLASS, NOT_THIS_MACHINE, no_pod_is_left, pods_are_ready, skipped};
use crate::support::cluster::Cluster;
use crate::support::proxy::Proxy;
use crate::support::space::{Image, Space};
use crate::support::{seconds, state};

const ROWS: &str = "select string_agg(word, ',' order by word) from kept";

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn by_class() {
    by_class_of(Image::Article).await;
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn official_by_class() {
    by_class_of(Image::Official).await;
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn official_of_other_versions() {
    let cluster = Cluster::connect().await;
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let nodes = nodes.list(&ListParams::default()).await.unwrap();
    let images = nodes
        .items
        .iter()
        .flat_map(|node| node.status.iter().flat_map(|s| s.images.iter().flatten()));
    let names: Vec<String> =
        images.flat_map(|image| image.names.clone().unwrap_or_default()).collect();
    for version in [13, 18] {
        if !names.iter().any(|name| name.ends_with(&format!("/postgres:{version}"))) {
            skipped(&format!("no node has the image postgres:{version}"));
            continue;
        }
        let space = Space::of(Image::Official, &format!("v{version}")).await;
        let flags = format!("{CLASS} --postgres-version {version}");
        // What is about Kubernetes is the same for each version.
        first_up(&space, &flags).await;
        smoke_test(&space).await;
        down_and_up_again(&space, &flags).await;
    }
}

async fn by_class_of(image: Image) {
    let space = Space::of(image, "class").await;
    story(&space, CLASS).await;
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn by_host_path() {
    by_host_path_of(Image::Article).await;
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn official_by_host_path() {
    by_host_path_of(Image::Official).await;
}

async fn by_host_path_of(image: Image) {
    let mut space = Space::of(image, "hostpath").await;
    let Some(storage) = space.host_storage(0o1777) else { return skipped(NOT_THIS_MACHINE) };
    first_up(&space, &storage).await;
    scaling(&space).await;
    nothing_to_change(&space, &storage).await;
    down_and_up_again(&space, &storage).await;
    deleting_the_data(&space).await;
    // The directory belongs to the user, but the set's files in it are gone: a set with new passwords can
    // start.
    let left: Vec<_> = std::fs::read_dir(space.host_directory()).unwrap().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    space.pgset("up --replicas 1").args(&storage).run().await.ok();
    space.sql_yields("pgset-0", "userdb", "select to_regclass('kept') is null", "t").await;
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn official_by_claim() {
    let space = Space::of(Image::Official, "claim").await;
    let claim = json!({
        "metadata": {"name": "mine"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    space.create::<PersistentVolumeClaim>(claim).await;
    let storage = "--storage claim:mine";
    first_up(&space, storage).await;
    smoke_test(&space).await;
    scaling(&space).await;
    nothing_to_change(&space, storage).await;
    down_and_up_again(&space, storage).await;
    space.pgset("down --delete-data --yes").run().await.ok();
    assert!(state::of(&space).await.is_empty());
    // The claim belongs to the user, but the set's files in it are gone.
    assert!(space.api::<PersistentVolumeClaim>().get_opt("mine").await.unwrap().is_some());
    space.pgset("up --replicas 1").args(storage).run().await.ok();
    space.sql_yields("pgset-0", "userdb", "select to_regclass('kept') is null", "t").await;
}

async fn story(space: &Space, storage: &str) {
    first_up(space, storage).await;
    smoke_test(space).await;
    scaling(space).await;
    status(space).await;
    nothing_to_change(space, storage).await;
    down_and_up_again(space, storage).await;
    deleting_the_data(space).await;
}

async fn first_up(space: &Space, storage: &str) {
    let output = space.pgset("up").args(storage).run().await.ok();
    output
        .says(" objects created")
        .says("master ready ")
        .says("pgset is up: 2 pods ready, 1 replica streaming")
        .mentions(&[&format!("@pgset-master.{}.svc:5432/userdb", space.name)]);
    pods_are_ready(space, &["pgset-0", "pgset-1"]).await;
    space.sql_yields("pgset-0", "userdb", "select pg_is_in_recovery()", "f").await;
    space.sql_yields("pgset-1", "userdb", "select pg_is_in_recovery()", "t").await;
    let sql = "create table kept (word text); insert into kept values ('one'), ('two')";
    space.sql("pgset-0", "userdb", sql).await.unwrap();
    space.sql_yields("pgset-1", "userdb", ROWS, "one,two").await;
}

async fn smoke_test(space: &Space) {
    let table = space.pgset("test -v").run().await.ok();
    assert!(table.stdout.contains("25006"), "{table}");
    let json = space.pgset("test -o json").run().await.ok();
    let text = json.json().to_string();
    assert!(text.contains("25006"), "{json}");
    let junit = space.pgset("test -o junit").run().await.ok();
    let cases = junit.stdout.matches("<testcase ").count();
    assert!(cases >= 6, "{junit}");
    assert!(
        junit.stdout.starts_with("<?xml ") && junit.stdout.contains("failures=\"0\""),
        "{junit}"
    );
    assert_well_formed(&junit.stdout);
    // The test removes everything that it created.
    let tables = "select count(*) from pg_tables where schemaname not in ('pg_catalog', 'information_schema')";
    space.sql_yields("pgset-0", "userdb", tables, "1").await;
    space.sql_yields("pgset-0", "postgres", tables, "0").await;
}

/// Every element is closed, in order. Hand-written XML is most likely to fail here.
fn assert_well_formed(xml: &str) {
    let mut open = Vec::new();
    for tag in xml.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap_or_else(|| panic!("'<' without '>': {xml}"));
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{xml}");
        } else if !tag.ends_with('/') && !tag.starts_with(['?', '!']) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}: {xml}");
}

async fn scaling(space: &Space) {
    let output = space.pgset("scale --replicas 3").run().await.ok();
    output.says("3 pods ready, 2 replicas streaming");
    assert_eq!(space.ready_pods().await, ["pgset-0", "pgset-1", "pgset-2"]);
    let streaming = "select count(*) from pg_stat_replication where state = 'streaming'";
    assert_eq!(space.sql("pgset-0", "postgres", streaming).await.unwrap(), "2");
    space.sql_yields("pgset-2", "userdb", ROWS, "one,two").await;
    space.pgset("test").run().await.ok();
    // max_wal_senders limits the number of replicas.
    space.pgset("scale --replicas 40").run().await.exits(2).mentions(&["max_wal_senders"]);
    assert_eq!(space.stateful_set("pgset").await.spec.unwrap().replicas, Some(3));
}

async fn status(space: &Space) {
    let table = space.pgset("status").run().await.ok();
    let table = table.prints("pgset-0").prints("pgset-1").prints("pgset-2");
    table.prints("pgset-master").prints("pgset-replica").prints("streaming");
    let output = space.pgset("status -o json").run().await.ok();
    let json = output.json();
    let pods = json["pods"].as_array().map_or(0, Vec::len);
    assert_eq!(pods, 3, "{output}");
    let output = space.pgset("status -o yaml").run().await.ok();
    let yaml: serde_json::Value = serde_yaml::from_str(&output.stdout).unwrap();
    assert_eq!(yaml["pods"].as_array().map(Vec::len), Some(3), "{output}");
}

async fn nothing_to_change(space: &Space, storage: &str) {
    let before = state::of(space).await;
    let proxy = Proxy::start(&space.cluster).await;
    let through = proxy.kubeconfig(&space.name);
    let output = space.pgset_through(&through, "up").args(storage).run().await.ok();
    let output = output.says("nothing changed").never_says("created").never_says("configured");
    output.says("3 pods ready, 2 replicas streaming");
    assert_eq!(proxy.writes(), []);
    assert_eq!(state::difference(&before, &state::of(space).await), "");
    let diff = space.pgset("diff").args(storage).run().await;
    assert_eq!(diff.code, Some(0), "{diff}");
}

async fn down_and_up_again(space: &Space, storage: &str) {
    let output = space.pgset("scale --replicas 1").run().await.ok();
    output.mentions(&["data is kept", "data are kept", "claims are kept"]);
    // With one pod there is no replica to test, and the output says so.
    space.pgset("test").run().await.ok().mentions(&["skip", "not tested", "no replica"]);
    space.sql("pgset-0", "userdb", "insert into kept values ('three')").await.unwrap();

    // There is no terminal to ask and no --yes.
    space.pgset("down").run().await.exits(4).says("--yes");
    assert_eq!(space.ready_pods().await, ["pgset-0"]);

    let output = space.pgset("down --yes").run().await.ok();
    output.says("pgset is down").mentions(&["kept"]);
    no_pod_is_left(space, seconds(1)).await;
    let all = ListParams::default();
    assert!(space.api::<Secret>().get_opt("pgset-auth").await.unwrap().is_some());
    assert!(!space.api::<PersistentVolumeClaim>().list(&all).await.unwrap().items.is_empty());
    space.pgset("status").run().await.exits(1);
    space.pgset("down --yes").run().await.ok().says("nothing to do").within(seconds(20));

    // The passwords were kept with the data, and still work. The set has as many pods as before.
    space.pgset("up").args(storage).run().await.ok().says("1 pod ready");
    space.pgset("scale --replicas 2").run().await.ok();
    space.sql_yields("pgset-0", "userdb", ROWS, "one,three,two").await;
    space.sql_yields("pgset-1", "userdb", ROWS, "one,three,two").await;
    space.pgset("test").run().await.ok();
}

async fn deleting_the_data(space: &Space) {
    space.pgset("down --delete-data").run().await.exits(2).says("--yes");
    assert_eq!(space.ready_pods().await, ["pgset-0", "pgset-1"]);
    space.pgset("down --delete-data --yes").run().await.ok();
    let left = state::of(space).await;
    assert!(left.is_empty(), "left behind: {left:#?}");
    assert!(space.volumes().await.is_empty());
    let claims = space.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.unwrap();
    assert!(claims.items.is_empty(), "{:?}", claims.items);
    space.pgset("down --delete-data --yes").run().await.ok().says("nothing to do");
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn by_nfs_up_to_the_failing_mount() {
    let space = Space::new("nfs").await;
    if let Some(reason) = space.cluster.mounts_any_nfs() {
        return skipped(reason);
    }
    let line =
        format!("up --storage nfs://10.240.0.1/nfsfileshare --volume-prefix {}", space.prefix);
    let output = space.pgset(&line).run().await.exits(1).within(seconds(90));
    output
        .says("Pod pgset-0: volume ")
        .mentions(&["mount"])
        .mentions(&["10.240.0.1", "unknown filesystem"]);
    let names: Vec<_> = space.volumes().await.iter().map(kube::ResourceExt::name_any).collect();
    let expected: Vec<_> = (1..=3).map(|n| format!("{}{n}", space.prefix)).collect();
    assert_eq!(names, expected);
    // A volume that can't be mounted can't be erased, but all Kubernetes objects can be deleted.
    space.pgset("down --yes").run().await.ok();
    no_pod_is_left(&space, seconds(1)).await;
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn two_sets_in_one_namespace() {
    let space = Space::new("two").await;
    let up = |name: &str| space.pgset(&format!("up --replicas 2 --name {name} {CLASS}"));
    let (one, two) = tokio::join!(up("one").run(), up("two").run());
    one.ok();
    two.ok();
    // The name of its headless Service would be that of the other set's master Service.
    up("one-master").run().await.exits(2);
    space.pgset("test --name one").run().await.ok();
    space.pgset("down --name one --delete-data --yes").run().await.ok();
    pods_are_ready(&space, &["two-0", "two-1"]).await;
    space.pgset("test --name two").run().await.ok();
    let claims = space.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.unwrap();
    assert_eq!(claims.items.len(), 2);
}
