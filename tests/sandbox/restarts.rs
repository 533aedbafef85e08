//! Restarts: only what was asked for, in the right order, after one question.

use std::path::Path;

use pgset::sandbox::kinds::{CONFIG_MAPS, PODS, STATEFUL_SETS};
use serde_json::{Value, json};

use super::World;
use super::quick::{PROFILES, Profile};
use crate::support::pgset::Output;

/// The UIDs of the two pods.
fn pods(world: &World) -> [Value; 2] {
    [0, 1].map(|ordinal| {
        let pod = world.object(&World::key(&PODS, &format!("pgset-{ordinal}")));
        pod.map(|pod| pod["metadata"]["uid"].clone()).unwrap_or_default()
    })
}

/// The names of the ConfigMaps with scripts.
fn scripts(world: &World) -> Vec<String> {
    let all = world.sandbox.registry.store.all(&CONFIG_MAPS);
    let names = all.iter().filter_map(|object| object["metadata"]["name"].as_str());
    names.filter(|name| name.starts_with("pgset-scripts-")).map(str::to_owned).collect()
}

fn statefulset(world: &World) -> Value {
    world.object(&World::key(&STATEFUL_SETS, "pgset")).expect("there is a set")["spec"].clone()
}

async fn official(world: &World, line: &str) -> Output {
    Profile::Official.of(world.pgset(line)).run().await
}

/// Whether the texts stand in the output in this order.
fn in_order(output: &Output, texts: [&str; 2]) {
    let all = output.all();
    let at = texts.map(|text| all.find(text).unwrap_or_else(|| panic!("{text}: {all}")));
    assert!(at[0] < at[1], "{all}");
}

#[tokio::test]
async fn a_template_of_another_version_restarts_nothing_until_it_is_asked_for() {
    let world = World::quick().await;
    official(&world, "up").await.ok();
    let (ran, old) = (pods(&world), scripts(&world));
    let directory = world.directory.path().join("templates/postgres");
    std::fs::create_dir_all(&directory).unwrap();
    let script = include_str!("../../templates/postgres/bootstrap.sh");
    std::fs::write(directory.join("bootstrap.sh"), format!("{script}# another version\n")).unwrap();
    let up = format!("up --templates {}", Path::new(&directory).parent().unwrap().display());
    for _ in 0..2 {
        let up = official(&world, &up).await.ok();
        up.says("2 pods run the previous template; `pgset restart` updates them");
        assert_eq!(pods(&world), ran);
    }
    let both = scripts(&world);
    assert_eq!((both.len(), both.contains(&old[0])), (2, true), "pods still run the old script");
    official(&world, "status").await.ok().prints("2 pods run the previous template");
    let status = official(&world, "status -o json").await.ok().json();
    assert_eq!(status["previous_template"], json!(["pgset-0", "pgset-1"]));

    let refused = official(&world, "restart").await.exits(4);
    refused.says("this restarts pgset-1, then pgset-0 (the master), and there is no terminal");
    assert_eq!(pods(&world), ran);
    let restarted = official(&world, "restart --yes").await.ok();
    in_order(&restarted, ["restarting pgset-1, a replica", "restarting pgset-0, the master"]);
    let now = pods(&world);
    assert!(now[0] != ran[0] && now[1] != ran[1], "both are new");
    assert_eq!(scripts(&world).len(), 1, "the old script is gone");
    assert!(!scripts(&world).contains(&old[0]));
    official(&world, "restart --yes").await.ok().says("nothing to restart");
    official(&world, &up).await.ok().says("nothing changed").never_says("previous template");
    assert_eq!(pods(&world), now);
    world.stop().await;
}

#[tokio::test]
async fn what_restarts_is_shown_and_asked_once() {
    for profile in PROFILES {
        let world = World::quick().await;
        let run = async |line: &str| profile.of(world.pgset(line)).run().await;
        run("up").await.ok();
        let (ran, spec) = (pods(&world), statefulset(&world));
        let (change, told) = match profile {
            Profile::Official => ("up --label team=a", "label team none -> a"),
            Profile::Article => (
                "up --image example.org/crunchy-postgres:centos7-9.5-1.2.6",
                "image crunchydata/crunchy-postgres:centos7-9.5-1.2.6 -> example.org/",
            ),
        };
        let refused = run(change).await.exits(4);
        refused.says("this restarts pgset-1, then pgset-0 (the master)").says(told).says("--yes");
        assert_eq!((pods(&world), statefulset(&world)), (ran.clone(), spec), "nothing was written");
        run(&format!("{change} --dry-run")).await.ok().says("this would restart pgset-1");

        // As a run that was killed before the restarts: the next one asks for them.
        run(&format!("{change} --no-wait")).await.ok();
        run(change).await.exits(4).says(told);
        run("status").await.prints("2 pods run the previous template");
        assert_eq!(pods(&world), ran);
        let up = run(&format!("{change} --yes")).await.ok();
        in_order(&up, ["restarting pgset-1, a replica", "restarting pgset-0, the master"]);
        let now = pods(&world);
        assert!(now[0] != ran[0] && now[1] != ran[1], "both are new");
        run(change).await.ok().says("nothing changed");
        assert_eq!(pods(&world), now);
        world.stop().await;
    }
}

#[tokio::test]
async fn a_master_that_has_nowhere_to_move_does_not_restart_instead() {
    for profile in PROFILES {
        let world = World::quick().await;
        let run = async |line: &str| profile.of(world.pgset(line)).run().await;
        let (change, why) = match profile {
            Profile::Official => ("up --label team=a", "pgset has one pod: there is no replica"),
            Profile::Article => (
                "up --image example.org/crunchy-postgres:centos7-9.5-1.2.6",
                "the image decides that the pod with ordinal 0 is the master",
            ),
        };
        run("up --replicas 1").await.ok();
        let (ran, spec) = (pods(&world), statefulset(&world));
        run("restart --all --switchover --yes").await.exits(4).says(why);
        run(&format!("{change} --switchover --yes")).await.exits(4).says(why);
        assert_eq!((pods(&world), statefulset(&world)), (ran, spec), "nothing was changed");
        // Where no master restarts, there is none to move.
        run("restart --switchover").await.ok().says("nothing to restart");
        run("up --switchover").await.ok().says("nothing changed");
        run("scale --replicas 2 --switchover").await.ok();
        world.stop().await;
    }
}

#[tokio::test]
async fn one_pod_or_all() {
    let world = World::quick().await;
    official(&world, "up").await.ok();
    let ran = pods(&world);
    official(&world, "restart").await.ok().says("nothing to restart");
    official(&world, "restart pgset-7 --yes").await.exits(2).says("pgset has no pod pgset-7");
    official(&world, "restart pgset-1 --all --yes").await.exits(2);
    official(&world, "restart other-1 --yes").await.exits(1).says("no set other");
    assert_eq!(pods(&world), ran);
    official(&world, "restart pgset-1 --yes").await.ok().says("pgset-1 is restarted and ready");
    let one = pods(&world);
    assert!(one[0] == ran[0] && one[1] != ran[1]);
    official(&world, "restart pgset --all --yes").await.ok().says("2 pods of pgset are restarted");
    let all = pods(&world);
    assert!(all[0] != one[0] && all[1] != one[1]);
    world.stop().await;
}

#[tokio::test]
async fn the_first_pod_that_does_not_start_gets_its_settings_back() {
    let world = World::quick().await;
    official(&world, "up").await.ok();
    let (ran, spec) = (pods(&world), statefulset(&world));
    let settings = World::key(&CONFIG_MAPS, "pgset-settings");
    let recorded = |world: &World| world.object(&settings).expect("a recipe")["data"].clone();
    let recipe = recorded(&world);
    let call = world.pgset("up --label team=a --yes").env("CCP_IMAGE_TAG", "");
    let failed = call.env("PGSET_IMAGE", "registry.invalid/postgres:17").run().await.exits(1);
    failed
        .says("pgset-1 did not start with the new settings")
        .says("all pods run with the previous settings");
    let now = pods(&world);
    assert!(now[0] == ran[0] && now[1] != ran[1], "the master was not restarted");
    assert_eq!((statefulset(&world), recorded(&world)), (spec, recipe));
    official(&world, "up").await.ok().says("nothing changed");
    official(&world, "status").await.ok().never_says("previous template");
    assert_eq!(pods(&world), now);
    world.stop().await;
}

#[tokio::test]
async fn a_pod_that_does_not_run_is_replaced_by_the_fix() {
    let world = World::quick().await;
    let bad = world.pgset("up --timeout 60s").env("CCP_IMAGE_TAG", "");
    bad.env("PGSET_IMAGE", "registry.invalid/postgres:17").run().await.exits(1);
    // No server runs, so there is nothing to ask.
    official(&world, "up").await.ok().says("replacing pgset-0, which is not ready");
    world.stop().await;
}

#[tokio::test]
async fn a_value_of_another_client_is_kept_and_restarts_nothing() {
    let world = World::quick().await;
    official(&world, "up").await.ok();
    let ran = pods(&world);
    world.edit(&World::key(&STATEFUL_SETS, "pgset"), |set| {
        let server = &mut set["spec"]["template"]["spec"]["containers"][0];
        server["resources"]["limits"]["memory"] = json!("2Gi");
    });
    for line in ["up", "up --yes"] {
        let up = official(&world, line).await.ok();
        up.says("limits.memory 2Gi, set by kubectl-edit").says("2 pods run the previous template");
        assert_eq!(pods(&world), ran, "{line}");
    }
    // Once a pod has it, a plain `up` does not take it away either.
    official(&world, "restart pgset-1 --yes").await.ok().says("memory limit 1Gi -> 2Gi");
    let one = pods(&world);
    official(&world, "up").await.ok().says("pgset-0 runs the previous template");
    assert_eq!(pods(&world), one);
    // What is asked for restarts both, whatever they run.
    let taken = official(&world, "up --limits memory=3Gi --force-conflicts --yes").await.ok();
    taken.says("memory limit 2Gi -> 3Gi").says("memory limit 1Gi -> 3Gi");
    world.stop().await;
}
