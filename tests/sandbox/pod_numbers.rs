//! The numbers of pods in the topology: what the pods must know is written before there are more of them.

use std::collections::BTreeSet;

use http::Method;
use pgset::sandbox::faults::Fault;
use pgset::sandbox::kinds::{CLAIMS, CONFIG_MAPS, STATEFUL_SETS};
use pgset::sandbox::refusal::Refusal;
use serde_json::{Value, json};

use super::World;
use super::quick::Profile;
use crate::support::pgset::Pgset;
use crate::support::{eventually, seconds};

const TOPOLOGY: &str = "/configmaps/pgset-topology?";
const STATEFUL_SET: &str = "/statefulsets/pgset?";

impl World {
    fn run_official(&self, line: &str) -> Pgset {
        Profile::Official.of(self.pgset(line))
    }

    fn topology(&self) -> Value {
        let topology = self.object(&Self::key(&CONFIG_MAPS, "pgset-topology"));
        topology.map(|topology| topology["data"].clone()).unwrap_or_default()
    }

    /// The most pods and the number of pods in the topology.
    fn numbers(&self) -> (Value, Value) {
        let data = self.topology();
        (data["most-pods"].clone(), data["pods"].clone())
    }

    fn set_topology(&self, key: &str, value: Option<&str>) {
        self.edit(&Self::key(&CONFIG_MAPS, "pgset-topology"), |topology| match value {
            Some(value) => topology["data"][key] = json!(value),
            None => drop(topology["data"].as_object_mut().unwrap().remove(key)),
        });
    }

    /// Makes the topology that of a pgset which recorded no numbers.
    fn forget_numbers(&self) {
        self.set_topology("most-pods", None);
        self.set_topology("pods", None);
    }

    /// The writes to the topology and to the StatefulSet since [`Faults::record`], in their order.
    fn order(&self) -> Vec<&'static str> {
        let writes = self.faults().writes();
        let of = |path: &str| [TOPOLOGY, STATEFUL_SET].into_iter().find(|id| path.contains(id));
        writes.iter().filter_map(|seen| of(&seen.path)).collect()
    }

    fn slots(&self) -> std::path::PathBuf {
        self.volumes("default")[0].join("pgset-0/slots")
    }

    /// Creates a replication slot on the master, as another client does.
    fn create_slot(&self, name: &str) {
        std::fs::write(self.slots().join(name), "").unwrap();
    }

    fn slot_names(&self) -> BTreeSet<String> {
        let slots = std::fs::read_dir(self.slots()).unwrap().flatten();
        slots.map(|slot| slot.file_name().into_string().unwrap()).collect()
    }

    fn replicas(&self) -> Value {
        self.object(&Self::key(&STATEFUL_SETS, "pgset")).unwrap()["spec"]["replicas"].clone()
    }
}

fn numbers(most: u32, pods: u32) -> (Value, Value) {
    (json!(most.to_string()), json!(pods.to_string()))
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn they_are_raised_before_there_are_more_pods_and_lowered_after() {
    let world = World::quick().await;
    let run = async |line: &str| {
        world.faults().record();
        world.run_official(line).run().await.ok()
    };
    run("up").await;
    assert_eq!(world.order(), [TOPOLOGY, STATEFUL_SET, TOPOLOGY], "the last is the identifier");
    assert_eq!(world.numbers(), numbers(2, 2));
    run("scale --replicas 3").await;
    assert_eq!(world.order(), [TOPOLOGY, STATEFUL_SET]);
    assert_eq!(world.numbers(), numbers(3, 3));
    run("scale --replicas 1").await;
    assert_eq!(world.order(), [STATEFUL_SET, TOPOLOGY]);
    assert_eq!(world.numbers(), numbers(3, 1));
    run("up --replicas 2").await;
    assert_eq!(world.order(), [TOPOLOGY, STATEFUL_SET]);
    assert_eq!(world.numbers(), numbers(3, 2));
    run("up --replicas 1").await;
    assert_eq!(world.order(), [STATEFUL_SET, TOPOLOGY]);
    assert_eq!(world.numbers(), numbers(3, 1));

    run("up").await.says("nothing changed");
    let seen = world.faults().seen();
    let reads = seen.iter().filter(|seen| seen.path.contains("/pgset-topology")).count();
    assert_eq!((reads, world.faults().writes().len()), (1, 0));

    // What is kept tells how many pods there were, and a later `up` starts with the number of pods that it creates.
    run("down --yes").await;
    assert_eq!(world.numbers(), numbers(3, 1));
    run("up --replicas 2").await;
    assert_eq!(world.order()[..2], [TOPOLOGY, STATEFUL_SET]);
    assert_eq!(world.numbers(), numbers(3, 2));
    run("stop --yes").await;
    run("start").await;
    assert_eq!(world.order(), [STATEFUL_SET], "the number of pods is that of before");
    run("down --yes --delete-data").await;
    assert_eq!(world.topology(), Value::Null);
    world.stop().await;
}

#[tokio::test]
async fn the_article_s_image_has_none() {
    let world = World::quick().await;
    for line in ["up", "scale --replicas 3", "scale --replicas 1", "up --replicas 2"] {
        Profile::Article.of(world.pgset(line)).run().await.ok();
        assert_eq!(world.topology(), Value::Null);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_run_that_ends_in_the_middle_leaves_too_many_and_the_next_one_repairs_it() {
    let world = World::quick().await;
    let run = |line: &str| world.run_official(line).run();
    run("up").await.ok();
    // More pods are recorded, and the StatefulSet is not changed.
    world.faults().request(Method::PATCH, STATEFUL_SET, 0..1, Fault::Hang);
    let killed = world.run_official("scale --replicas 3").spawn();
    eventually("the number is recorded", seconds(30), async || match world.numbers() {
        found if found == numbers(3, 3) => Ok(()),
        found => Err(format!("{found:?}")),
    })
    .await;
    killed.kill().await;
    world.let_lease_die("default");
    world.faults().clear();
    assert_eq!(world.replicas(), 2);
    run("up").await.ok();
    assert_eq!(world.numbers(), numbers(3, 2));
    run("up").await.ok().says("nothing changed");

    // The StatefulSet has fewer pods, and the topology does not say so yet.
    for (line, again) in [("scale --replicas 1", "scale --replicas 1"), ("up --replicas 1", "up")] {
        world.faults().request(Method::PATCH, TOPOLOGY, 0..1, Fault::Hang);
        let killed = world.run_official(line).spawn();
        eventually("there is one pod", seconds(30), async || match world.replicas() {
            found if found == 1 => Ok(()),
            found => Err(found.to_string()),
        })
        .await;
        killed.kill().await;
        world.let_lease_die("default");
        world.faults().clear();
        assert_eq!(world.numbers(), numbers(3, 2));
        run(again).await.ok();
        assert_eq!(world.numbers(), numbers(3, 1));
        run("scale --replicas 2").await.ok();
    }
    world.stop().await;
}

#[tokio::test]
async fn a_topology_that_changes_meanwhile_is_read_again() {
    let world = World::quick().await;
    let run = |line: &str| world.run_official(line).run();
    run("up").await.ok();
    let changed = Fault::Status(Refusal::new(409, "Conflict", "it has been modified"), None);
    world.faults().request(Method::PATCH, TOPOLOGY, 0..2, changed);
    world.faults().record();
    run("scale --replicas 3").await.ok();
    assert_eq!(world.order(), [TOPOLOGY, TOPOLOGY, TOPOLOGY, STATEFUL_SET]);
    assert_eq!(world.numbers(), numbers(3, 3));
    // The response is lost, and the request is sent again with a version that is outdated by then.
    world.faults().clear();
    world.faults().request(Method::PATCH, TOPOLOGY, 0..1, Fault::ResetAfter);
    world.faults().record();
    run("scale --replicas 2").await.ok();
    assert_eq!(world.order(), [STATEFUL_SET, TOPOLOGY, TOPOLOGY]);
    assert_eq!(world.numbers(), numbers(3, 2));
    world.faults().clear();
    world.delete(&World::key(&CONFIG_MAPS, "pgset-topology"));
    run("scale --replicas 3").await.ok();
    assert_eq!(world.numbers(), numbers(3, 3));
    world.stop().await;
}

#[tokio::test]
async fn a_set_of_a_previous_pgset_is_adopted_by_what_it_shows() {
    let world = World::quick().await;
    let run = |line: &str| world.run_official(line).run();
    run("up --replicas 3").await.ok();
    run("scale --replicas 2").await.ok();
    // The claim of a deleted pod.
    world.forget_numbers();
    run("up").await.ok();
    assert_eq!(world.numbers(), numbers(3, 2));
    run("up").await.ok().says("nothing changed");
    world.forget_numbers();
    run("scale --replicas 2").await.ok();
    assert_eq!(world.numbers(), numbers(3, 2));
    world.forget_numbers();
    run("scale --replicas 4").await.ok();
    assert_eq!(world.numbers(), numbers(4, 4));

    // A slot that no gap separates from those of the pods is that of a deleted pod.
    world.forget_numbers();
    world.create_slot("pgset_4");
    world.create_slot("pgset_6");
    run("scale -v --replicas 2").await.ok().says("replication slot pgset_4 dropped");
    assert_eq!(world.numbers(), numbers(5, 2));
    assert_eq!(world.slot_names(), set(&["pgset_1", "pgset_6"]));

    // After `down` only the claims are left.
    run("down --yes").await.ok();
    world.forget_numbers();
    run("up").await.ok();
    assert_eq!(world.numbers(), numbers(4, 2));
    world.stop().await;
}

#[tokio::test]
async fn slots_of_another_client_are_kept_whatever_their_name() {
    let world = World::quick().await;
    let run = |line: &str| world.run_official(line).run();
    let foreign = ["pgset_007", "pgset_02", "pgset_99", "backup", "pgset_5"];
    run("up").await.ok();
    for name in foreign {
        world.create_slot(name);
    }
    let with = |names: &[&str]| set(&[&foreign[..], names].concat());
    run("scale --replicas 3").await.ok();
    assert_eq!(world.slot_names(), with(&["pgset_1", "pgset_2"]));
    let down = run("scale -v --replicas 1").await.ok();
    down.says("replication slot pgset_2 dropped").never_says("pgset_5").never_says("pgset_99");
    assert_eq!(world.slot_names(), with(&[]));
    run("up --replicas 2").await.ok();
    run("up --replicas 1").await.ok();
    assert_eq!(world.slot_names(), with(&[]));
    let status = run("status -o json").await.json();
    let listed = status["slots"].as_array().unwrap().iter();
    let listed: BTreeSet<String> =
        listed.map(|slot| slot["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, with(&[]));
    world.stop().await;
}

#[tokio::test]
async fn what_another_client_scales_is_recorded_with_the_next_change() {
    let world = World::quick().await;
    let run = |line: &str| world.run_official(line).run();
    run("up").await.ok();
    world.kubectl_scale(4);
    // The Role gets the names of the new pods.
    run("up").await.ok().says("4 pods ready");
    assert_eq!(world.numbers(), numbers(4, 4));
    world.set_topology("pods", Some("3"));
    world.faults().record();
    run("up").await.ok().says("nothing changed").says("4 pods ready");
    assert_eq!(world.faults().writes(), []);
    run("status").await.ok();

    // More pods, and fewer again: their claims are left.
    world.kubectl_scale(6);
    eventually("the pods run", seconds(30), async || {
        let claim = World::key(&CLAIMS, "pgdata-pgset-5");
        world.object(&claim).map(drop).ok_or_else(|| "there is no claim".to_owned())
    })
    .await;
    world.kubectl_scale(4);
    run("scale --replicas 3").await.ok();
    assert_eq!(world.numbers(), numbers(6, 3));
    world.stop().await;
}

#[tokio::test]
async fn nonsense_is_refused_with_its_key() {
    let world = World::quick().await;
    let run = |line: &str| world.run_official(line).run();
    run("up").await.ok();
    for (key, value) in [("most-pods", "many"), ("pods", "-1"), ("epoch", "0")] {
        let before = world.topology()[key].clone();
        world.set_topology(key, Some(value));
        for line in ["up", "scale --replicas 3", "status"] {
            let said = format!("ConfigMap pgset-topology has \"{value}\" as {key}");
            run(line).await.exits(4).says(&said);
        }
        world.set_topology(key, before.as_str());
    }
    world.set_topology("transition", Some("{}"));
    run("up").await.exits(4).says("records the transition \"{}\", which this pgset does not know");
    let begun = "t1 switchover pgset-0 pgset-1 fenced 2026-11-30T10:00:00Z";
    world.set_topology("transition", Some(begun));
    for line in ["scale --replicas 3 --yes", "stop --yes", "restart", "up", "up --label a=b --yes"]
    {
        run(line).await.exits(4).says("a switchover from pgset-0 to pgset-1 is not complete");
    }
    world.set_topology("transition", None);
    world.set_topology("most-pods", Some("many"));
    run("down --yes").await.ok().says("most-pods");
    world.stop().await;
}
