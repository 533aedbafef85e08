//! Rights in one namespace are enough for everything but static volumes.

use std::path::PathBuf;

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::PostParams;
use serde_json::{Value, json};

use super::CLASS;
use crate::support::seconds;
use crate::support::space::{Image, Space};
use crate::support::state;

/// A kubeconfig for a service account with these rules in the namespace and no other rights.
async fn account(space: &Space, rules: Value) -> PathBuf {
    space.create::<ServiceAccount>(json!({"metadata": {"name": "deployer"}})).await;
    space.create::<Role>(json!({"metadata": {"name": "deployer"}, "rules": rules})).await;
    let binding = json!({
        "metadata": {"name": "deployer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": space.name}],
    });
    space.create::<RoleBinding>(binding).await;
    let request: TokenRequest = serde_json::from_value(json!({
        "metadata": {}, "spec": {"audiences": [], "expirationSeconds": 3600},
    }))
    .unwrap();
    let accounts = space.api::<ServiceAccount>();
    let made = accounts.create_token_request("deployer", &PostParams::default(), &request).await;
    let token = made.unwrap().status.unwrap().token;
    space.file("deployer.kubeconfig", &space.cluster.kubeconfig_of_token(&space.name, &token))
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn everything_works_with_rights_in_one_namespace() {
    everything_works(Image::Article).await;
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn everything_of_the_official_image_works_with_rights_in_one_namespace() {
    everything_works(Image::Official).await;
}

async fn everything_works(image: Image) {
    let space = Space::of(image, "deployer").await;
    let deployer = account(&space, json!(crate::rights::example())).await;
    let pgset = |line: &str| space.pgset_through(&deployer, line);
    for storage in ["nfs://10.240.0.1/nfsfileshare", "hostpath:/tmp/kube-cluster/volumes/none"] {
        let up = pgset("up --storage").arg(storage).args("--volume-prefix never-made-");
        let output = up.run().await.exits(3).within(seconds(20)).says("persistentvolumes");
        output.mentions(&["ClusterRole"]).mentions(&["--storage class"]);
        assert!(
            state::of(&space).await.is_empty(),
            "something was made before the rights were known"
        );
    }
    pgset("up").args(CLASS).run().await.ok();
    pgset("test").run().await.ok();
    pgset("scale --replicas 3").run().await.ok();
    pgset("status").run().await.ok();
    pgset("up").args(CLASS).run().await.ok().says("nothing changed");
    pgset("password rotate --yes").run().await.ok();
    pgset("diff").args(CLASS).run().await.ok();
    let moved = pgset("switchover --yes").run().await;
    match image {
        Image::Official => moved.ok().says("is the master: timeline 2"),
        Image::Article => moved.exits(4).says("the image decides that the pod with ordinal 0"),
    };
    pgset("down --yes --delete-data").run().await.ok();
    assert!(state::of(&space).await.is_empty());
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn the_rules_that_are_missing_are_printed_and_are_enough() {
    rules_are_enough(Image::Article).await;
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn the_rules_of_the_official_image_are_printed_and_are_enough() {
    rules_are_enough(Image::Official).await;
}

async fn rules_are_enough(image: Image) {
    let space = Space::of(image, "rules").await;
    let deployer = account(&space, json!([])).await;
    let up = || space.pgset_through(&deployer, "up --replicas 1").args(CLASS);
    let output = up().run().await.exits(3).within(seconds(20));
    assert!(state::of(&space).await.is_empty());
    // Each line `Role: {...}` is a rule that can be pasted.
    let lines = output.stderr.lines().filter_map(|line| line.split_once("Role: ").map(|(_, r)| r));
    let rules: Vec<Value> = lines
        .map(|rule| serde_yaml::from_str(rule).unwrap_or_else(|e| panic!("{rule}: {e}")))
        .collect();
    assert!(!rules.is_empty(), "{output}");
    let patch = json!({"rules": rules});
    let patch = kube::api::Patch::Merge(patch);
    let granted = space.api::<Role>();
    granted.patch("deployer", &kube::api::PatchParams::default(), &patch).await.unwrap();
    up().run().await.ok();
    // An account that may create a set may also scale it: the Role lists future pods in advance.
    space.pgset_through(&deployer, "scale --replicas 2").run().await.ok();
}
