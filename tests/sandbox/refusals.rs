//! What is refused before anything is written: no pod restarts, and no object changes.

use pgset::sandbox::faults::Fault;
use pgset::sandbox::kinds::{
    CLAIMS, CONFIG_MAPS, LIMIT_RANGES, NAMESPACES, PODS, QUOTAS, STATEFUL_SETS, STORAGE_CLASSES,
};
use pgset::sandbox::store::Key;
use serde_json::{Value, json};

use super::World;
use super::quick::{PROFILES, Profile};
use crate::support::pgset::Output;
use crate::support::{CRUNCHY_TAG, eventually, seconds};

async fn official(world: &World, line: &str) -> Output {
    Profile::Official.of(world.pgset(line)).run().await
}

/// A call with another image, given by its variable or flag.
async fn with_image(world: &World, image: &str, line: &str) -> Output {
    let call = world.pgset(line).env("CCP_IMAGE_TAG", "");
    call.args(&format!("--image {image}")).run().await
}

/// The UIDs of the pods and the generation of the StatefulSet: neither may change.
fn state(world: &World) -> (Vec<Value>, Value) {
    let pods = (0..3).filter_map(|n| world.object(&World::key(&PODS, &format!("pgset-{n}"))));
    let pods = pods.map(|pod| pod["metadata"]["uid"].clone()).collect();
    let set = world.object(&World::key(&STATEFUL_SETS, "pgset")).unwrap_or_default();
    (pods, set["metadata"]["generation"].clone())
}

/// Runs a call that must be refused, and checks that it has written nothing.
async fn refused(world: &World, call: impl Future<Output = Output>) -> Output {
    let before = state(world);
    world.faults().record();
    let output = call.await.exits(4);
    assert_eq!(world.faults().writes(), []);
    assert_eq!(state(world), before);
    output
}

#[tokio::test]
async fn another_major_version_is_refused_while_the_set_runs_and_after_down() {
    let world = World::quick().await;
    official(&world, "up").await.ok();
    for image in ["postgres:18", "postgres:16", "pgvector/pgvector:pg16"] {
        let output = refused(&world, with_image(&world, image, "up")).await;
        output
            .says("the data of pgset is of PostgreSQL 17")
            .says(image)
            .says("without --image the set keeps postgres:17")
            .says("create another set (pgset up -n default --name NAME");
    }
    let version = world.pgset("up --postgres-version 18").env("CCP_IMAGE_TAG", "").run();
    refused(&world, version).await.says("postgres:18 is PostgreSQL 18");
    // `diff` shows what `up` would do.
    with_image(&world, "postgres:18", "diff").await.exits(4).says("PostgreSQL 17");

    official(&world, "down --yes").await.ok();
    let output = refused(&world, with_image(&world, "postgres:18", "up")).await;
    output.says("the data of pgset is of PostgreSQL 17");
    with_image(&world, "registry.example/postgres:17.6", "up --no-wait").await.ok();
    world.stop().await;
}

#[tokio::test]
async fn the_version_of_the_data_decides_not_the_template() {
    let world = World::quick().await;
    official(&world, "up").await.ok();
    let set = World::key(&STATEFUL_SETS, "pgset");
    world.edit(&set, |set| {
        set["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
        let pod = &mut set["spec"]["template"]["spec"];
        for list in ["initContainers", "containers"] {
            pod[list][0]["image"] = json!("postgres:18");
        }
    });
    // Now the template has this image, and the data is still that of 17.
    let output = refused(&world, with_image(&world, "postgres:18", "up")).await;
    output.says("the data of pgset is of PostgreSQL 17");
    let back = with_image(&world, "postgres:17", "up --force-conflicts --no-wait").await;
    back.ok();
    world.stop().await;
}

#[tokio::test]
async fn an_image_that_never_ran_decides_nothing() {
    let world = World::quick().await;
    world.faults().fail("pull registry.example/postgres:16", "no such image");
    with_image(&world, "registry.example/postgres:16", "up").await.exits(1);
    let output = with_image(&world, "postgres:17", "up --yes").await.ok();
    output.says("the version of PostgreSQL that wrote the data is not known");
    world.stop().await;
}

#[tokio::test]
async fn a_version_that_no_tag_tells_is_used_with_a_warning() {
    let world = World::quick().await;
    official(&world, "up").await.ok();
    let output = with_image(&world, "registry.example/orders-db:5", "up --no-wait").await;
    output.ok().says("registry.example/orders-db:5 has no version of PostgreSQL");
    world.stop().await;
}

#[tokio::test]
async fn an_image_of_another_profile_is_refused() {
    for profile in PROFILES {
        let world = World::quick().await;
        let other = match profile {
            Profile::Article => "postgres:17".to_owned(),
            Profile::Official => format!("crunchydata/crunchy-postgres:{CRUNCHY_TAG}"),
        };
        let settings = if profile == Profile::Official { "--set work_mem=8MB" } else { "" };
        profile.of(world.pgset(&format!("up {settings}"))).run().await.ok();
        let output = refused(&world, with_image(&world, &other, "up")).await;
        output.says("can't use it").says(&other);
        profile.of(world.pgset("down --yes")).run().await.ok();
        refused(&world, with_image(&world, &other, "up")).await.says("can't use it");
        world.stop().await;
    }
}

#[tokio::test]
async fn pods_that_the_cluster_does_not_admit_stop_none_that_run() {
    let world = World::quick().await;
    official(&world, "up --limits cpu=1,memory=512Mi").await.ok();

    let limits = json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}}]}});
    let range = World::key(&LIMIT_RANGES, "small");
    world.create(&range, limits);
    let output = refused(&world, official(&world, "up --limits cpu=3")).await;
    output
        .says("the cluster would not admit the new pods of pgset")
        .says("maximum cpu usage per Container is 2, but limit is 3");
    // An unchanged set is not checked, and asks nothing more.
    world.faults().record();
    official(&world, "up").await.ok().says("nothing changed");
    assert!(!world.faults().seen().iter().any(|seen| seen.path.contains("dryRun")));
    world.delete(&range);

    let namespace = Key::new(&NAMESPACES, "", "default");
    world.edit(&namespace, |namespace| {
        namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = json!("restricted");
    });
    // The pods of the official image satisfy this level; those of a changed template do not.
    let templates = world.directory.path().join("templates");
    official(&world, &format!("templates export {}", templates.display())).await.ok();
    let file = templates.join("postgres/statefulset.yaml.j2");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("runAsNonRoot: true", "runAsNonRoot: false")).unwrap();
    let line = format!("up --templates {}", templates.display());
    refused(&world, official(&world, &line)).await.says("violates PodSecurity");
    world.stop().await;
}

#[tokio::test]
async fn a_quota_counts_only_where_the_old_pods_make_no_room() {
    let world = World::quick().await;
    official(&world, "up --limits cpu=1,memory=512Mi").await.ok();
    let quota = World::key(&QUOTAS, "small");
    world.create(&quota, json!({"spec": {"hard": {"pods": "2", "limits.cpu": "4"}}}));
    eventually("the quota is counted", seconds(10), async || {
        let quota = world.object(&quota).unwrap_or_default();
        let used = quota["status"]["used"]["limits.cpu"].clone();
        if used == "2" { Ok(()) } else { Err(used.to_string()) }
    })
    .await;
    // One of the new pods would fit, the second would not.
    for cpu in ["3", "2500m"] {
        let output = refused(&world, official(&world, &format!("up --limits cpu={cpu}"))).await;
        output.says("ResourceQuota small allows limits.cpu 4").says("--limits");
    }
    // For the server this is a third pod, and a quota for two.
    let (pods, _) = state(&world);
    official(&world, "up --limits cpu=2 --yes").await.ok();
    assert!(state(&world).0.iter().all(|pod| !pods.contains(pod)), "the pods are replaced");
    world.stop().await;
}

#[tokio::test]
async fn a_new_set_that_is_not_admitted_leaves_nothing_behind() {
    let world = World::quick().await;
    let limits = json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}}]}});
    world.create(&World::key(&LIMIT_RANGES, "small"), limits);
    let output = refused(&world, official(&world, "up --limits cpu=3")).await;
    output.says("nothing was created").says("but limit is 3");
    assert_eq!(world.object(&World::key(&CONFIG_MAPS, "pgset-settings")), None);
    official(&world, "up --limits cpu=2").await.ok();
    world.stop().await;
}

#[tokio::test]
async fn whoever_may_not_create_pods_is_not_asked_for_it() {
    let world = World::quick().await;
    let refusal = pgset::sandbox::refusal::Refusal::new(
        403,
        "Forbidden",
        "pods is forbidden: User \"ann\" cannot create resource \"pods\" in API group \"\" in the namespace \"default\"",
    );
    world.faults().request(http::Method::POST, "/pods?", 0..9, Fault::Status(refusal, None));
    official(&world, "up -v").await.ok().says("not checked whether the cluster admits the pods");
    official(&world, "up").await.ok().says("nothing changed");
    world.stop().await;
}

#[tokio::test]
async fn the_size_that_the_set_has_is_no_smaller_one() {
    for storage in ["class:grows", "hostpath:/srv/pgset"] {
        let world = World::quick().await;
        let class = json!({"provisioner": "pgset.sandbox/directory", "allowVolumeExpansion": true});
        world.create(&Key::new(&STORAGE_CLASSES, "", "grows"), class);
        let place = if storage.starts_with("class") {
            storage.to_owned()
        } else {
            let directory = world.directory.path().join("volume");
            std::fs::create_dir_all(&directory).unwrap();
            format!("hostpath:{}", directory.display())
        };
        let up = async |line: &str| official(&world, &format!("up --storage {place} {line}")).await;
        up("--size 1Gi").await.ok();
        for size in ["1024Mi", "1048576Ki", "1073741824"] {
            up(&format!("--size {size}")).await.ok().says("nothing changed");
        }
        up("--size 512Mi").await.exits(4).says("can't shrink to 512Mi");
        world.stop().await;
    }
}

#[tokio::test]
async fn claims_that_somebody_enlarged_stay_as_they_are() {
    let world = World::quick().await;
    let class = json!({"provisioner": "pgset.sandbox/directory", "allowVolumeExpansion": true});
    world.create(&Key::new(&STORAGE_CLASSES, "", "grows"), class);
    let up = async |line: &str| official(&world, &format!("up --storage class:grows {line}")).await;
    up("--size 1Gi").await.ok();
    let claims = ["pgdata-pgset-0", "pgdata-pgset-1"].map(|name| World::key(&CLAIMS, name));
    world.edit(&claims[0], |claim| {
        claim["spec"]["resources"]["requests"]["storage"] = json!("3Gi");
    });
    let sizes = || {
        claims.each_ref().map(|claim| {
            let claim = world.object(claim).unwrap_or_default();
            claim["spec"]["resources"]["requests"]["storage"].clone()
        })
    };
    up("").await.ok().says("nothing changed");
    assert_eq!(sizes(), ["3Gi", "1Gi"]);
    up("--size 2Gi --yes").await.ok();
    assert_eq!(sizes(), ["3Gi", "2Gi"]);

    // After `down`, claims grow and do not shrink either.
    official(&world, "down --yes").await.ok();
    refused(&world, up("--size 1Gi")).await.says("can't shrink to 1Gi");
    up("--size 4096Mi --yes").await.ok().says("3Gi -> 4Gi");
    assert_eq!(sizes(), ["4Gi", "4Gi"]);
    up("").await.ok().says("nothing changed");
    world.stop().await;
}

#[tokio::test]
async fn a_set_without_recorded_settings_comes_back_as_its_data_tells() {
    let world = World::quick().await;
    with_image(&world, "postgres:16", "up --replicas 3 --size 2Gi").await.ok();
    official(&world, "down --yes").await.ok();
    world.delete(&World::key(&CONFIG_MAPS, "pgset-settings"));
    let plain = |line: &str| world.pgset(line).env("CCP_IMAGE_TAG", "").env("PGSET_STORAGE", "");
    let output = refused(&world, with_image(&world, "postgres:18", "up")).await;
    output.says("the data of pgset is of PostgreSQL 16");
    let output = plain("up").run().await.ok();
    output.says("replicas 3, size 2Gi, image postgres:16").says("3 pods ready");
    let recipe = world.object(&World::key(&CONFIG_MAPS, "pgset-settings")).expect("a recipe");
    assert_eq!(recipe["data"]["image"], "postgres:16");
    plain("up").run().await.ok().says("nothing changed").never_says("no recorded settings");
    world.stop().await;
}
