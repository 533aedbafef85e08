//! `stop` and `start`, sets that another client scaled to 0, and what the commands say about a set without pods.

use pgset::sandbox::kinds::{CLAIMS, CONFIG_MAPS, PODS, STATEFUL_SETS};
use pgset::sandbox::ownership::Writer;
use pgset::sandbox::store::Key;
use serde_json::{Value, json};

use super::World;
use super::quick::{PROFILES, Profile};
use crate::support::pgset::Output;
use crate::support::terminal::Terminal;
use crate::support::{eventually, seconds};

const SCALE: Writer<'_> = Writer { manager: "kubectl", subresource: "scale" };

async fn run(world: &World, line: &str) -> Output {
    Profile::Official.of(world.pgset(line)).env("USER", "joe").run().await
}

fn set() -> Key {
    World::key(&STATEFUL_SETS, "pgset")
}

fn recipe(world: &World) -> Value {
    world.object(&World::key(&CONFIG_MAPS, "pgset-settings")).expect("a recipe")["data"].clone()
}

fn replicas(world: &World) -> Value {
    world.object(&set()).expect("a StatefulSet")["spec"]["replicas"].clone()
}

fn pods(world: &World) -> usize {
    world.sandbox.registry.store.list(&PODS, Some("default")).0.len()
}

/// The objects that a stop must leave alone.
fn kept(world: &World) -> Vec<String> {
    let all = world.objects("default").into_iter();
    let kept = all.filter(|(name, _)| !name.starts_with("Pod ") && !name.contains("number "));
    let mut kept: Vec<String> = kept.map(|(name, _)| name).collect();
    kept.sort();
    kept
}

/// Sets the number of pods to 0 as `kubectl scale` does, and waits until the pods are deleted.
async fn scaled_to_0(world: &World, writer: Writer<'_>) {
    let scaled = world.sandbox.registry.update(&set(), writer, false, |set| {
        set["spec"]["replicas"] = json!(0);
        Ok(())
    });
    scaled.unwrap();
    eventually("the pods are deleted", seconds(30), async || match pods(world) {
        0 => Ok(()),
        left => Err(format!("{left} pods")),
    })
    .await;
}

#[tokio::test]
async fn stop_and_start_bring_back_the_same_pods() {
    for profile in PROFILES {
        let world = World::quick().await;
        let run = async |line: &str| profile.of(world.pgset(line)).env("USER", "joe").run().await;
        run("up --replicas 3").await.ok();
        let (objects, claims) = (kept(&world), world.data("default"));

        // Without an answer nothing is written.
        world.faults().record();
        run("stop").await.exits(4).says("Stop set pgset (3 pods").says("--yes");
        assert_eq!(world.faults().writes(), []);

        let stopped = run("stop --yes").await.ok().says("replicas 3 -> 0");
        stopped.says("pgset is stopped (").says("data on ").says("pgset start");
        assert_eq!((replicas(&world), pods(&world)), (json!(0), 0));
        assert_eq!(recipe(&world)["replicas"], "3");
        assert!(recipe(&world)["stopped-by"].as_str().unwrap().starts_with("joe@"));
        assert_eq!((kept(&world), world.data("default")), (objects.clone(), claims.clone()));

        world.faults().record();
        run("stop")
            .await
            .ok()
            .says("nothing to do: pgset in namespace default is stopped (by joe@");
        assert_eq!(world.faults().writes(), []);

        let started = run("start").await.ok().says("replicas 0 -> 3");
        started.says("pgset is started: 3 pods ready, 2 replicas streaming").says("pgset psql");
        assert_eq!((replicas(&world), pods(&world)), (json!(3), 3));
        assert_eq!(recipe(&world).get("stopped-by"), None);
        assert_eq!((kept(&world), world.data("default")), (objects, claims));

        world.faults().record();
        run("start").await.ok().says("nothing to do: pgset runs already, 3 pods ready");
        assert_eq!(world.faults().writes(), []);
        run("up").await.ok().says("nothing changed");
        world.stop().await;
    }
}

#[tokio::test]
async fn each_command_says_that_the_set_is_stopped() {
    let world = World::quick().await;
    run(&world, "up --replicas 3").await.ok();
    run(&world, "stop --yes --no-wait").await.ok().says("is stopping (--no-wait)");
    // An interrupted run is resumed without a question.
    run(&world, "stop").await.ok().says("pgset is stopped (");

    let status = run(&world, "status").await.exits(1);
    let status =
        status.prints("default/pgset is stopped (by joe@").prints("`pgset start` starts 3 pods");
    status.never_says("✗").never_says("hint:").never_says("no pod runs");
    let json = run(&world, "status -o json").await.exits(1).json();
    assert_eq!((&json["health"], &json["state"]), (&json!("stopped"), &json!("stopped")));
    assert_eq!((&json["recorded_replicas"], &json["problems"]), (&json!(3), &json!([])));
    assert_eq!(json["hint"], "pgset start  # starts 3 pods");
    assert!(json["by"].as_str().unwrap().starts_with("joe@") && json["since"].is_string());

    world.faults().record();
    for line in ["test", "psql", "password rotate"] {
        let failed = run(&world, line).await.exits(1);
        failed
            .says("set pgset in namespace default is stopped (by joe@")
            .says("pgset start  # starts 3");
    }
    let connect = run(&world, "connect").await.ok().says("warning: pgset is stopped");
    connect.prints("pgset-master.default.svc").prints("pgset-replica.default.svc");
    for (line, pods) in
        [("up", 3), ("up --no-wait", 3), ("up --replicas 2", 2), ("scale --replicas 4", 4)]
    {
        let refused = run(&world, line).await.exits(4).says("--yes");
        refused.says("Set pgset is stopped (by joe@").says(&format!("Start it with {pods} pods?"));
    }
    run(&world, "up --dry-run").await.ok().says("`pgset up` asks, and then starts 3 pods");
    assert_eq!(world.faults().writes(), []);
    assert_eq!((replicas(&world), pods(&world)), (json!(0), 0));

    run(&world, "up --yes").await.ok().says("starting 3 pods").says("pgset is up: 3 pods ready");
    assert_eq!(recipe(&world).get("stopped-since"), None);
    run(&world, "stop --yes").await.ok();
    run(&world, "scale --replicas 2 --yes").await.ok().says("2 pods ready");
    assert_eq!((recipe(&world).get("stopped-since"), replicas(&world)), (None, json!(2)));
    world.stop().await;
}

#[tokio::test]
async fn up_asks_on_a_terminal_and_starts() {
    let world = World::quick().await;
    run(&world, "up").await.ok();
    run(&world, "stop --yes").await.ok();
    let up = || Profile::Official.of(world.pgset("up"));
    let (no, yes) = (up(), up());
    let Some(mut terminal) = Terminal::run(&no.shell_line()) else { return };
    let mut seen = 0;
    terminal.shows(&mut seen, "Start it with 2 pods?").await;
    terminal.types("n\r").await;
    assert_eq!(terminal.ends().await, Some(4));
    assert_eq!(replicas(&world), 0);
    let mut terminal = Terminal::run(&yes.shell_line()).expect("script is installed");
    let mut seen = 0;
    terminal.shows(&mut seen, "Start it with 2 pods?").await;
    terminal.types("y\r").await;
    terminal.shows(&mut seen, "pgset is up").await;
    assert_eq!((terminal.ends().await, replicas(&world)), (Some(0), json!(2)));
    world.stop().await;
}

#[tokio::test]
async fn who_scaled_to_0_is_named_and_up_asks() {
    let world = World::quick().await;
    run(&world, "up").await.ok();
    run(&world, "scale --replicas 3").await.ok();
    // The server does not record who scales to 0 with `kubectl scale`, only who edits.
    let edits = Writer { manager: "kubectl-edit", subresource: "" };
    for (writer, by) in [(SCALE, "another client"), (edits, "kubectl-edit")] {
        scaled_to_0(&world, writer).await;
        let status = run(&world, "status").await.exits(1);
        let status =
            status.prints(&format!("default/pgset is down; scaled to 0 by {by}; `pgset start`"));
        status.never_says("✗").never_says("stopped");
        let json = run(&world, "status -o json").await.exits(1).json();
        assert_eq!((&json["health"], &json["state"]), (&json!("down"), &json!("scaled-to-zero")));
        world.faults().record();
        let refused = run(&world, "up").await.exits(4);
        refused.says(&format!("Set pgset is scaled to 0 by {by}. Start it with 3 pods?"));
        run(&world, "up --dry-run=server").await.ok();
        assert_eq!(world.faults().writes(), []);
        run(&world, "up --yes").await.ok().says("pgset is up: 3 pods ready");
        assert_eq!(replicas(&world), 3);
    }
    // `start` asks nothing: the user has asked for it.
    scaled_to_0(&world, edits).await;
    run(&world, "start").await.ok().says("pgset is started: 3 pods ready");
    // `stop` makes it a stopped set, without a question.
    scaled_to_0(&world, edits).await;
    run(&world, "stop").await.ok().says("pgset is stopped");
    run(&world, "status").await.exits(1).prints("is stopped (by joe@");
    // The record is not valid any more when another client has started and stopped the set.
    world.edit(&set(), |set| set["spec"]["replicas"] = json!(1));
    scaled_to_0(&world, edits).await;
    run(&world, "status").await.exits(1).prints("scaled to 0 by kubectl-edit");
    world.stop().await;
}

#[tokio::test]
async fn a_conflict_in_another_field_stays_one_when_up_starts_a_set() {
    let world = World::quick().await;
    run(&world, "up").await.ok();
    let edits = Writer { manager: "kubectl-edit", subresource: "" };
    scaled_to_0(&world, edits).await;
    world.edit(&set(), |set| {
        let containers = &mut set["spec"]["template"]["spec"]["containers"];
        containers[0]["command"] = json!(["sleep", "1"]);
    });
    run(&world, "up --yes").await.exits(4).says("command");
    assert_eq!(replicas(&world), 0);
    run(&world, "up --yes --force-conflicts").await.ok().says("2 pods ready");
    world.stop().await;
}

#[tokio::test]
async fn an_interrupted_down_is_no_stop() {
    let world = World::quick().await;
    run(&world, "up --replicas 3").await.ok();
    // The pods are deleted, and no other object.
    let down = Profile::Official.of(world.pgset("down --yes")).spawn();
    eventually("the number of pods is 0", seconds(30), async || match replicas(&world) {
        number if number == 0 => Ok(()),
        number => Err(number.to_string()),
    })
    .await;
    down.kill().await;
    if world.object(&set()).is_some() {
        let status = run(&world, "status").await.exits(1);
        status.prints("scaled to 0 by an interrupted `pgset down`");
    }
    run(&world, "up").await.ok().says("3 pods ready");
    world.stop().await;
}

#[tokio::test]
async fn status_after_down_says_where_the_data_is() {
    let world = World::quick().await;
    run(&world, "up").await.ok();
    run(&world, "down --yes").await.ok();
    let status = run(&world, "status").await.exits(1);
    let status = status.prints(
        "default/pgset is down; data kept on 2 volumes (2 GiB); `pgset up` starts it again",
    );
    assert_eq!(status.stderr, "");
    let json = run(&world, "status -o json").await.exits(1).json();
    assert_eq!((&json["health"], &json["state"]), (&json!("down"), &json!("down")));
    assert_eq!((&json["data_on"], &json["problems"]), (&json!("2 volumes (2 GiB)"), &json!([])));
    assert_eq!(json["volumes"].as_array().map(Vec::len), Some(2));
    for line in ["start", "stop --yes", "psql", "test"] {
        run(&world, line).await.exits(1).says("is down; kept: data on 2 volumes").says("pgset up");
    }
    run(&world, "down --yes --delete-data").await.ok();
    for line in ["status", "start", "stop --yes"] {
        run(&world, line).await.exits(1).says("there is no set pgset");
    }
    let json = run(&world, "status -o json").await.exits(1).json();
    assert_eq!((&json["health"], &json["state"]), (&json!("down"), &json!("absent")));
    world.stop().await;
}

#[tokio::test]
async fn a_dry_run_of_down_lists_everything_and_writes_nothing() {
    for profile in PROFILES {
        let world = World::quick().await;
        let run = async |line: &str| profile.of(world.pgset(line)).run().await;
        run("up").await.ok();
        world.faults().record();
        let before = world.objects("default");
        for place in ["client", "server"] {
            let dry = run(&format!("down --dry-run={place}")).await.ok();
            let dry = dry.says(
                "statefulset/pgset would be deleted (dry run) (2 pods would be stopped first)",
            );
            let dry = dry.says("service/pgset-master would be deleted").says("nothing was written");
            let dry =
                dry.says("secret/pgset-auth would be kept (dry run) (the passwords of the data)");
            dry.says("persistentvolumeclaim/pgdata-pgset-0 would be kept");
            let all = run(&format!("down --delete-data --dry-run={place}")).await.ok();
            let all = all.says("secret/pgset-auth would be deleted").never_says("would be kept");
            all.says("persistentvolumeclaim/pgdata-pgset-1 would be deleted");
        }
        let json = run("down --dry-run -o json").await.ok().stdout;
        assert!(
            json.contains("\"outcome\":\"would-delete\"") && json.contains("\"would-keep\""),
            "{json}"
        );
        assert_eq!((world.faults().writes(), world.objects("default")), (vec![], before));
        // What was listed is what happens.
        run("down --yes").await.ok();
        assert_eq!(world.sandbox.registry.store.list(&CLAIMS, Some("default")).0.len(), 2);
        run("down --dry-run").await.ok().says("nothing to do");
        world.stop().await;
    }
}
