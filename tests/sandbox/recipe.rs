//! What runs is kept: the recipe of a set.

use pgset::sandbox::kinds::{CONFIG_MAPS, PODS, STATEFUL_SETS};
use pgset::sandbox::ownership::Writer;
use pgset::sandbox::store::Key;
use serde_json::{Value, json};

use super::World;
use super::quick::{PROFILES, Profile};
use crate::support::pgset::Output;

/// Every setting of the pods, each different from its default.
const EVERYTHING: &str = "up --replicas 3 --size 2Gi --set work_mem=64MB --synchronous 1 --requests cpu=50m \
    --limits cpu=3,memory=none --label team=db --annotation note=x --network-policy \
    --termination-grace-period 90s";

/// The parts of a set that a plain `up` must not change, and the UIDs of its pods.
fn specs(world: &World) -> Vec<Value> {
    let set = world.object(&World::key(&STATEFUL_SETS, "pgset")).expect("there is a set");
    let config = world.object(&World::key(&CONFIG_MAPS, "pgset-config"));
    let data = config.map(|config| config["data"]["postgresql.conf"].clone());
    vec![set["spec"].clone(), data.unwrap_or_default()]
}

fn pods(world: &World) -> Vec<Value> {
    let pod = |n| world.object(&World::key(&PODS, &format!("pgset-{n}")));
    (0..3).filter_map(pod).map(|pod| pod["metadata"]["uid"].clone()).collect()
}

async fn official(world: &World, line: &str) -> Output {
    Profile::Official.of(world.pgset(line)).run().await
}

#[tokio::test]
async fn a_plain_up_changes_nothing_and_down_and_up_is_the_same_set() {
    let world = World::quick().await;
    official(&world, EVERYTHING).await.ok();
    let (before, ran) = (specs(&world), pods(&world));
    official(&world, "up").await.ok().says("nothing changed");
    assert_eq!((specs(&world), pods(&world)), (before.clone(), ran.clone()));

    // One setting replaces that setting only.
    official(&world, "up --set jit=off").await.ok();
    let conf = specs(&world)[1].to_string();
    assert!(conf.contains("work_mem = '64MB'") && conf.contains("jit = 'off'"), "{conf}");
    official(&world, "up --reset set.jit").await.ok();
    assert_eq!((specs(&world), pods(&world)), (before.clone(), ran), "no pod restarted");

    official(&world, "down --yes").await.ok().says("kept");
    official(&world, "up").await.ok().says("3 pods ready");
    assert_eq!(specs(&world), before);
    let json = official(&world, "env -o json").await.ok().json();
    let row = |name: &str| {
        let rows = json.as_array().expect("rows").iter();
        rows.clone().find(|row| row["name"] == name).expect(name).clone()
    };
    assert_eq!(row("PGSET_SIZE")["source"], "recorded");
    assert_eq!(row("PGSET_SIZE")["value"], "2Gi");
    world.stop().await;
}

#[tokio::test]
async fn a_scaled_set_comes_back_with_its_pods() {
    for profile in PROFILES {
        let world = World::quick().await;
        let run = async |line: &str| profile.of(world.pgset(line)).run().await.ok();
        run("up").await;
        run("scale --replicas 3").await;
        run("down --yes").await;
        run("up").await.says("3 pods ready");
        run("up --reset replicas").await.says("2 pods ready");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_set_without_a_recipe_is_read_back() {
    let world = World::quick().await;
    official(&world, EVERYTHING).await.ok();
    let (before, ran) = (specs(&world), pods(&world));
    let recipe = World::key(&CONFIG_MAPS, "pgset-settings");
    let recorded = world.object(&recipe).expect("a recipe")["data"].clone();
    assert_eq!(recorded["size"], "2Gi");
    assert!(!recorded.to_string().contains("password"), "{recorded}");
    world.delete(&recipe);
    official(&world, "up").await.ok().says("configmap/pgset-settings created");
    assert_eq!((specs(&world), pods(&world)), (before, ran));
    assert_eq!(world.object(&recipe).expect("a recipe")["data"], recorded);
    world.stop().await;
}

#[tokio::test]
async fn the_recipe_of_a_newer_pgset_is_left_alone() {
    let world = World::quick().await;
    official(&world, "up").await.ok();
    let recipe = World::key(&CONFIG_MAPS, "pgset-settings");
    world.edit(&recipe, |recipe| recipe["data"]["version"] = json!("1000"));
    let before = world.object(&recipe);
    for command in ["up --size 2Gi", "down --yes"] {
        let refused = official(&world, command).await.exits(4);
        refused.says("ConfigMap pgset-settings was written by a newer pgset");
    }
    assert_eq!((world.object(&recipe), pods(&world).len()), (before, 2));
    world.stop().await;
}

#[tokio::test]
async fn bad_settings_to_reset_are_refused_before_any_request() {
    let world = World::quick().await;
    let refused = official(&world, "up --reset siez").await.exits(2);
    refused.says("--reset").says("did you mean size?");
    assert_eq!(world.object(&World::key(&CONFIG_MAPS, "pgset-settings")), None::<Value>);
    assert_eq!(json!(pods(&world)), json!([]));
    world.stop().await;
}

/// Changes the data of a ConfigMap as an older pgset would write it.
fn by_pgset(world: &World, key: &Key, change: impl FnOnce(&mut Value)) {
    let mut object = world.object(key).expect("the object").clone();
    object["metadata"] = json!({
        "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"],
        "labels": object["metadata"]["labels"],
    });
    change(&mut object["data"]);
    let writer = Writer { manager: "pgset", subresource: "" };
    world.sandbox.registry.apply(key, &object, writer, true, false).expect("it is written");
}

#[tokio::test]
async fn computed_settings_follow_the_limit_and_come_back_after_down() {
    let world = World::quick().await;
    official(&world, "up --limits memory=512Mi --set huge_pages=try").await.ok();
    let conf = || specs(&world)[1].as_str().unwrap_or_default().to_owned();
    let before = conf();
    assert!(before.contains("\nshared_buffers = 128MB\n"), "{before}");
    // The last line applies, so the user's value does.
    let value_of = |name: &str| before.lines().rfind(|line| line.starts_with(name));
    assert_eq!(value_of("huge_pages"), Some("huge_pages = 'try'"));

    official(&world, "up --limits memory=1Gi").await.exits(4).says("memory limit 512Mi -> 1Gi");
    let changed = official(&world, "up --limits memory=1Gi --yes").await.ok();
    changed.says("shared_buffers '128MB' -> '256MB')").never_says("huge_pages '");
    let after = conf();
    assert!(after.contains("\nshared_buffers = 256MB\n"), "{after}");
    official(&world, "up").await.ok().says("nothing changed");
    official(&world, "down --yes").await.ok();
    official(&world, "up").await.ok();
    assert_eq!(conf(), after);
    // Also where `down` has to read the recipe back.
    world.delete(&World::key(&CONFIG_MAPS, "pgset-settings"));
    official(&world, "down --yes").await.ok();
    official(&world, "up").await.ok();
    assert_eq!(conf(), after);
    world.stop().await;
}

#[tokio::test]
async fn a_set_without_computed_settings_keeps_its_values_and_is_told_once() {
    let world = World::quick().await;
    official(&world, "up").await.ok().never_says("a new set would have");
    let recipe = World::key(&CONFIG_MAPS, "pgset-settings");
    let new = specs(&world)[1].clone();
    // As an older pgset has left it.
    by_pgset(&world, &recipe, |data| {
        data["version"] = json!("1");
        data.as_object_mut().expect("data").remove("computed");
    });
    by_pgset(&world, &World::key(&CONFIG_MAPS, "pgset-config"), |data| {
        let text = data["postgresql.conf"].as_str().expect("a file");
        let (begin, rest) = text.split_once("# Computed").expect("computed settings");
        let rest = rest.split_once("\n\n").expect("an empty line").1;
        data["postgresql.conf"] = json!(format!("{begin}{rest}"));
    });
    let (before, ran) = (specs(&world), pods(&world));
    assert_ne!(before[1], new);
    let suggestion = "`pgset up --set shared_buffers=256MB --set effective_cache_size=768MB --set temp_file_limit=1GB --set huge_pages=off` sets them";
    official(&world, "up --dry-run").await.ok().says(suggestion);
    official(&world, "up").await.ok().says(suggestion);
    assert_eq!((specs(&world), pods(&world)), (before.clone(), ran.clone()));
    assert_eq!(world.object(&recipe).expect("a recipe")["data"]["computed"], "none");
    let again = official(&world, "up").await.ok();
    again.says("nothing changed").never_says("a new set would have");

    official(&world, "up --reset computed").await.ok().says("sets shared_buffers = '256MB'");
    assert_eq!(specs(&world)[1], new);
    world.stop().await;
}

#[tokio::test]
async fn what_alter_system_has_left_is_told() {
    let world = World::quick().await;
    official(&world, "up").await.ok().never_says("ALTER SYSTEM");
    world.alter(r#"["jit", "work_mem"]"#);
    let words = "Pods pgset-0, pgset-1: ALTER SYSTEM has set jit, work_mem, ";
    official(&world, "up").await.ok().says(words).says("nothing changed");
    official(&world, "status").await.ok().prints("healthy").prints(words);
    let json = official(&world, "status -o json").await.ok().json();
    assert!(json["warnings"][0].as_str().expect("a warning").starts_with(words), "{json}");
    world.stop().await;
}
