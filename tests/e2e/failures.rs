//! A failure is reported with its cause, and not as a timeout.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, ResourceQuota, Service};
use serde_json::json;

use super::{CLASS, NOT_THIS_MACHINE, own_template, skipped};
use crate::support::proxy::Proxy;
use crate::support::space::Space;
use crate::support::{seconds, state};

use crate::support::space::NO_SUCH_CRUNCHY_TAG as NO_SUCH_TAG;

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn no_such_image() {
    let space = Space::new("image").await;
    let up = space.without_image(space.pgset("up").args(CLASS));
    let output = up.run().await.exits(1).within(seconds(90)).says(NO_SUCH_TAG).says("pgset-0");
    output.mentions(&["can't be pulled"]).mentions(&["hint"]);
    // `status` reports the same as its first problem.
    let status = space.pgset("status").run().await.exits(1);
    status.mentions(&["can't be pulled"]);
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_volume_that_the_image_can_not_write() {
    let mut space = Space::new("crash").await;
    let Some(storage) = space.host_storage(0o700) else { return skipped(NOT_THIS_MACHINE) };
    let output = space.pgset("up").args(&storage).run().await.exits(1).within(seconds(120));
    // The output contains the container's message, and the uid that needs access.
    let output = output.mentions(&["CrashLoopBackOff", "crash"]).says("Permission denied");
    output.mentions(&["26"]);
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_class_that_is_not_there() {
    let space = Space::new("noclass").await;
    let proxy = Proxy::start(&space.cluster).await;
    let up = space.pgset_through(&proxy.kubeconfig(&space.name), "up --storage class:golden");
    let output = up.run().await.exits(1).within(seconds(20)).says("golden").says("standard");
    output.mentions(&["StorageClass"]);
    assert_eq!(proxy.writes(), []);
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_claim_that_stays_pending() {
    let space = Space::new("pending").await;
    let claim = json!({
        "metadata": {"name": "mine"},
        "spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "golden",
                 "resources": {"requests": {"storage": "100M"}}},
    });
    space.create::<PersistentVolumeClaim>(claim).await;
    let output = space.pgset("up --storage claim:mine").run().await.exits(1).within(seconds(110));
    output.says("mine").mentions(&["golden", "unbound", "not found"]);
    // The claim belongs to the user, so it is never deleted.
    space.pgset("down --delete-data --yes").run().await;
    assert!(space.api::<PersistentVolumeClaim>().get_opt("mine").await.unwrap().is_some());
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_quota() {
    let space = Space::new("quota").await;
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    space.create::<ResourceQuota>(quota).await;
    let quotas = space.api::<ResourceQuota>();
    crate::support::eventually("the quota is in force", seconds(30), async || {
        let quota = quotas.get("none").await.map_err(|e| e.to_string())?;
        quota.status.and_then(|s| s.hard).map(drop).ok_or_else(|| "no status".to_owned())
    })
    .await;
    let output = space.pgset("up").args(CLASS).run().await.exits(4).within(seconds(20));
    output.says("ResourceQuota none allows pods 0").says("nothing was created");
    assert!(state::of(&space).await.is_empty(), "something was made");
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_service_of_somebody_else() {
    let space = Space::new("foreign").await;
    let service = json!({
        "metadata": {"name": "pgset-master"},
        "spec": {"selector": {"app": "other"}, "ports": [{"port": 80}]},
    });
    let before: Service = space.create(service).await;
    let output = space.pgset("up").args(CLASS).run().await.exits(4).within(seconds(20));
    output.says("pgset-master").mentions(&["--name"]);
    let after: Service = space.api().get("pgset-master").await.unwrap();
    assert_eq!(before.metadata.resource_version, after.metadata.resource_version);
    assert!(state::of(&space).await.is_empty(), "something was made");
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_volume_of_another_set() {
    let owner = Space::new("owner").await;
    let other = Space::in_cluster(owner.cluster.clone(), "other").await;
    let storage =
        format!("--storage nfs://10.240.0.1/nfsfileshare --volume-prefix {}", owner.prefix);
    owner.pgset("up --no-wait").args(&storage).run().await.ok();
    let output = other.pgset("up --no-wait").args(&storage).run().await.exits(4);
    output.says(&format!("{}1", owner.prefix)).says(&owner.name).says("--volume-prefix");
    assert!(state::of(&other).await.is_empty(), "something was made");
    // With the same directory, two sets of the same name would share one database.
    let storage =
        format!("--storage nfs://10.240.0.1/nfsfileshare --volume-prefix {}", other.prefix);
    let output = other.pgset("up --no-wait").args(&storage).run().await.exits(4);
    output.says("/nfsfileshare").says(&owner.name);
    // With different volume names and directories, they can run side by side.
    let storage = format!("--storage nfs://10.240.0.1/elsewhere --volume-prefix {}", other.prefix);
    other.pgset("up --no-wait").args(&storage).run().await.ok();
    other.pgset("down --yes --delete-data --timeout 60s").run().await;
    assert_eq!(owner.volumes().await.len(), 3, "the neighbour's volumes are not touched");
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_pod_that_fits_no_node() {
    let space = Space::new("unschedulable").await;
    // One template is replaced; the others are the built-in ones.
    let own = own_template(&space, "statefulset.yaml.j2", |text| {
        let at = text.lines().find(|l| l.trim_start().starts_with("serviceAccountName:")).unwrap();
        let indent = &at[..at.len() - at.trim_start().len()];
        let selector = format!("{indent}nodeSelector: {{pgset.example/nowhere: \"true\"}}\n{at}");
        text.replacen(at, &selector, 1)
    })
    .await;
    let list =
        space.pgset("render --list").args(CLASS).arg("--templates").arg(&own).run().await.ok();
    assert!(list.stdout.contains(own.to_str().unwrap()), "{list}");
    let up = space.pgset("up").args(CLASS).arg("--templates").arg(&own);
    let output = up.run().await.exits(1).within(seconds(120)).says("pgset-0");
    output.mentions(&["Unschedulable", "didn't match"]).mentions(&["node"]);
}
