//! A set whose topology names another master than pod 0. No command writes such a topology yet, so the test
//! does.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::Role;
use serde_json::json;

use crate::support::space::{Image, Space};

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn the_master_is_who_the_topology_names() {
    let space = Space::of(Image::Official, "topology").await;
    let labels = json!({
        "app.kubernetes.io/managed-by": "pgset", "app.kubernetes.io/instance": "pgset", "app": "pgset",
    });
    let topology = json!({
        "metadata": {"name": "pgset-topology", "labels": labels}, "data": {"master": "pgset-1"},
    });
    space.create::<ConfigMap>(topology).await;
    space.pgset("up --replicas 3 --synchronous 1").run().await.ok();

    // The bootstrap script, the labels and the Services follow the topology.
    let recovery = "select pg_is_in_recovery()";
    space.sql_yields("pgset-1", "postgres", recovery, "f").await;
    for replica in ["pgset-0", "pgset-2"] {
        space.sql_yields(replica, "postgres", recovery, "t").await;
    }
    let slots = async || {
        let names =
            "select string_agg(slot_name, ',' order by slot_name) from pg_replication_slots";
        space.sql("pgset-1", "postgres", names).await.unwrap()
    };
    assert_eq!(slots().await, "pgset_0,pgset_2");
    let recorded = space.api::<ConfigMap>().get("pgset-topology").await.unwrap().data.unwrap();
    assert_eq!(recorded["master"], "pgset-1");
    assert!(recorded["system-identifier"].len() > 15, "{recorded:?}");
    let role = space.api::<Role>().get("pgset-sa").await.unwrap().rules.unwrap();
    assert_eq!(role[0].resource_names.as_ref().unwrap(), &["pgset-0", "pgset-1", "pgset-2"]);

    let status = space.pgset("status -o json").run().await.ok().json();
    assert_eq!(status["health"], "healthy", "{status:#}");
    space.pgset("test").run().await.ok().prints("pgset-0").prints("pgset-2");
    space.pgset("up").run().await.ok().never_says("configured");
    space.pgset("password rotate replication user").run().await.ok();
    // The master restarts last, whatever its ordinal is.
    let restart = space.pgset("up --set max_connections=150 --yes").run().await.ok();
    let at = |text: &str| restart.stderr.find(text).unwrap_or_else(|| panic!("{text}: {restart}"));
    assert!(at("restarting pgset-2, a replica") < at("restarting pgset-0, a replica"));
    assert!(at("restarting pgset-0, a replica") < at("restarting pgset-1, the master"));
    space.pgset("up --tls").run().await.ok();
    space.pgset("test").run().await.ok();

    // pgset refuses to scale a set down below its master.
    let words = "pgset-1 is the master: --replicas 1 would delete it";
    space.pgset("scale --replicas 1").run().await.exits(4).says(words);
    space.pgset("up --replicas 1 --synchronous 0").run().await.exits(4).says(words);
    space.pgset("scale -v --replicas 2").run().await.ok().says("replication slot pgset_2 dropped");
    assert_eq!(slots().await, "pgset_0");
    space.pgset("down --yes").run().await.ok();
}
