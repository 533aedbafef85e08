//! Claims that grow while the pods run. pgset deletes the StatefulSet without its pods and creates
//! it again; the new one adopts the pods.

use pgset::sandbox::kinds::{CLAIMS, PODS, STATEFUL_SETS, STORAGE_CLASSES};
use pgset::sandbox::store::Key;
use serde_json::{Value, json};

use super::World;
use super::quick::PROFILES;

impl World {
    fn uids(&self, names: [&str; 2]) -> [Value; 2] {
        names.map(|name| {
            let pod = self.sandbox.registry.store.get(&Key::new(&PODS, "default", name));
            pod.map(|pod| pod["metadata"]["uid"].clone()).unwrap_or_default()
        })
    }

    fn field(&self, key: &Key, pointer: &str) -> Option<Value> {
        self.sandbox.registry.store.get(key)?.pointer(pointer).cloned()
    }
}

const PAIR: [&str; 2] = ["pgset-0", "pgset-1"];

#[tokio::test]
async fn volumes_grow_under_running_pods_where_the_class_allows_it() {
    for profile in PROFILES {
        let world = World::quick().await;
        let class = json!({"provisioner": "pgset.sandbox/directory", "allowVolumeExpansion": true});
        let key = Key::new(&STORAGE_CLASSES, "", "grows");
        world.sandbox.registry.create(&key, class, "kubectl", false).unwrap();
        let up = |line: &str| profile.of(world.pgset("up --storage class:grows").args(line)).run();
        up("--size 1Gi").await.ok();
        let pods = world.uids(PAIR);
        let set = Key::new(&STATEFUL_SETS, "default", "pgset");
        let before = world.field(&set, "/metadata/uid").unwrap();

        up("--size 2Gi --yes").await.ok().says("1Gi -> 2Gi");
        assert_ne!(world.field(&set, "/metadata/uid").unwrap(), before);
        assert_eq!(world.uids(PAIR), pods, "the pods run on");
        for claim in ["pgdata-pgset-0", "pgdata-pgset-1"] {
            let claim = Key::new(&CLAIMS, "default", claim);
            assert_eq!(world.field(&claim, "/status/capacity/storage"), Some(json!("2Gi")));
        }
        up("--size 2Gi").await.ok().says("nothing changed");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_class_that_does_not_allow_it_is_found_before_the_first_write() {
    let world = World::quick().await;
    world.pgset("up --size 1Gi").run().await.ok();
    let before = world.objects("default");
    world.faults().record();
    let refused = world.pgset("up --size 2Gi --yes").run().await.exits(4);
    refused.says("only dynamically provisioned pvc can be resized").says("ALLOWVOLUMEEXPANSION");
    assert_eq!(world.faults().writes(), []);
    assert_eq!(super::objects::difference(&before, &world.objects("default")), "");
    world.stop().await;
}
