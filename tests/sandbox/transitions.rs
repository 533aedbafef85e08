//! Another master: the program is killed with SIGKILL after each request of the command that makes one. Then the same
//! command completes it, every other one is refused, or it is backed out.
//!
//! Containers are stand-ins (`standins/server`), which know what a server of its role does and refuses: these tests are
//! about what pgset asks of the pods, and in which order. They also record whether two servers were ever writable at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use futures::future::join_all;
use pgset::sandbox::faults::Seen;
use pgset::sandbox::kinds::{CONFIG_MAPS, PODS};
use serde_json::{Value, json};

use super::World;
use super::quick::Profile;
use crate::support::pgset::Output;
use crate::support::{eventually, seconds};

const PODS_OF_THE_SET: usize = 3;
/// The number of sandboxes that are used in parallel.
const LANES: usize = 2;

/// A command that makes another pod the master.
struct Change {
    command: &'static str,
    /// The most requests that it takes until the topology records that it is complete. The wait that follows may ask more or
    /// less often.
    requests: usize,
}

const SWITCHOVER: Change = Change { command: "switchover", requests: 36 };

impl Change {
    fn to(&self, ordinal: usize) -> String {
        format!("{} --to pgset-{ordinal} --yes", self.command)
    }

    fn back_out(&self) -> String {
        format!("{} --back-out", self.command)
    }
}

/// A set whose master moves from pod to pod. Each change raises the epoch and the timeline by 1.
struct Moving {
    world: World,
    master: usize,
    epoch: usize,
    /// The UIDs of the pods. No pod is ever deleted.
    uids: Vec<Value>,
    /// The volumes of the pods.
    volumes: Vec<PathBuf>,
}

impl Moving {
    async fn up() -> Self {
        let world = World::quick().await;
        let up = format!("up --replicas {PODS_OF_THE_SET}");
        Profile::Official.of(world.pgset(&up)).run().await.ok();
        let (uids, volumes) = (uids(&world), world.volumes("default"));
        Self { world, master: 0, epoch: 1, uids, volumes }
    }

    /// The next master.
    fn next(&self) -> usize {
        (self.master + 1) % PODS_OF_THE_SET
    }

    async fn run(&self, line: &str) -> Output {
        Profile::Official.of(self.world.pgset(line)).run().await
    }

    /// Kills a command after this number of requests. Returns the step that the topology records now; `None` if it records
    /// no transition.
    async fn killed_after(&self, passes: usize, line: &str) -> Option<String> {
        let call = Profile::Official.of(self.world.pgset(line));
        self.world.killed_after(passes, "default", call).await;
        let transition = self.topology()["transition"].as_str().map(str::to_owned);
        transition.map(|it| it.split(' ').nth(4).unwrap_or_default().to_owned())
    }

    fn topology(&self) -> Value {
        let topology = self.world.object(&World::key(&CONFIG_MAPS, "pgset-topology"));
        topology.expect("a topology")["data"].clone()
    }

    /// Nothing but the command changes the master.
    fn left_alone(&self, what: &str) {
        assert_eq!(self.world.writable_twice(), "", "{what}");
        assert_eq!(uids(&self.world), self.uids, "{what}");
    }

    /// No other command writes while a transition is open, and each says at once what to do.
    async fn refuses_others(&self, change: &Change) {
        let (from, to) = (pod(self.master), pod(self.next()));
        let words = format!("a {} from {from} to {to} is not complete", change.command);
        let others = ["up", "scale --replicas 3", "restart --all --yes", "password rotate"];
        let third = change.to((self.next() + 1) % PODS_OF_THE_SET);
        for other in [others[self.epoch % others.len()], "up --set work_mem=8MB", &third] {
            let refused = self.run(other).await.exits(4).says(&words);
            refused.says(&format!("pgset {}  # completes it", change.command));
        }
    }

    /// Another pod is the master now.
    fn moved(&mut self) {
        (self.master, self.epoch) = (self.next(), self.epoch + 1);
    }

    /// The set is whole: each pod has its role, and nothing is left of a transition.
    async fn is_whole(&self, what: &str) {
        let topology = self.topology();
        let master = topology["master"].as_str().unwrap_or("pgset-0");
        let epoch = topology["epoch"].as_str().unwrap_or("1");
        assert_eq!((master, epoch), (&*pod(self.master), &*self.epoch.to_string()), "{what}");
        assert_eq!(topology["transition"], Value::Null, "{what}");
        // A pod notices a moment later that it streams.
        eventually(what, seconds(30), async || {
            let found: Vec<Found> = (0..PODS_OF_THE_SET).map(|it| self.found(it)).collect();
            let expected: Vec<Found> = (0..PODS_OF_THE_SET).map(|it| self.expected(it)).collect();
            if found == expected { Ok(()) } else { Err(format!("{found:#?}")) }
        })
        .await;
        self.left_alone(what);
    }

    fn found(&self, ordinal: usize) -> Found {
        let pods = self.world.object(&World::key(&PODS, &pod(ordinal))).expect("a pod");
        let data = self.volumes[ordinal].join(pod(ordinal));
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let wal = read(&data.join("wal"));
        let timeline = wal.lines().last().and_then(|line| line.split(' ').next());
        Found {
            label: pods["metadata"]["labels"]["name"].clone(),
            timeline: timeline.unwrap_or_default().to_owned(),
            stands_by: data.join("standby.signal").exists(),
            fence: read(&data.with_extension("fence")),
            role: read(&data.with_extension("role")),
        }
    }

    fn expected(&self, ordinal: usize) -> Found {
        let (epoch, master) = (self.epoch, pod(self.master));
        let role = if ordinal == self.master { "master" } else { "replica" };
        Found {
            label: json!(format!("pgset-{role}")),
            timeline: epoch.to_string(),
            stands_by: ordinal != self.master,
            fence: String::new(),
            role: format!("7000000000000000001 {epoch} {master}\n"),
        }
    }

    /// The replication slots on a pod.
    fn slots(&self, ordinal: usize) -> BTreeSet<String> {
        let slots = self.volumes[ordinal].join(pod(ordinal)).join("slots");
        let slots = std::fs::read_dir(slots).unwrap().flatten();
        slots.map(|slot| slot.file_name().into_string().unwrap()).collect()
    }
}

/// What belongs to the role of a pod.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    label: Value,
    timeline: String,
    stands_by: bool,
    fence: String,
    role: String,
}

fn pod(ordinal: usize) -> String {
    format!("pgset-{ordinal}")
}

fn uids(world: &World) -> Vec<Value> {
    let uid = |ordinal| world.object(&World::key(&PODS, &pod(ordinal))).expect("a pod");
    (0..PODS_OF_THE_SET).map(|it| uid(it)["metadata"]["uid"].clone()).collect()
}

/// After how many requests the command is killed: before the first one, and after each write and each command in a pod,
/// from the first write on.
async fn points(change: &Change) -> Vec<usize> {
    let mut set = Moving::up().await;
    set.world.faults().record();
    let done = set.run(&change.to(1)).await.ok();
    done.says("pgset-1 is the master: timeline 2, no writes for");
    let seen: Vec<Seen> = set.world.faults().seen();
    set.moved();
    set.is_whole(change.command).await;
    set.world.stop().await;
    let recorded = |seen: &Seen| seen.writes() && seen.path.contains("/pgset-topology?");
    let until_complete = seen.iter().rposition(recorded).unwrap() + 1;
    assert!(until_complete <= change.requests, "{until_complete} requests: {seen:#?}");
    let acts = |seen: &Seen| seen.writes() || seen.path.contains("/exec?");
    let numbered = (1..).zip(&seen).skip_while(|(_, seen)| !seen.writes());
    let acting = numbered.filter(|(_, seen)| acts(seen)).map(|(number, _)| number);
    std::iter::once(0).chain(acting).collect()
}

async fn killed_after_each_request(change: &Change) {
    let began = Instant::now();
    let points = points(change).await;
    let lane = async |lane: usize| {
        let mut set = Moving::up().await;
        for passes in points.iter().skip(lane).step_by(LANES) {
            killed(&mut set, change, *passes).await;
        }
        set.world.stop().await;
    };
    join_all((0..LANES).map(lane)).await;
    report(change, points.len(), began);
}

/// Kills the command. Every other one is refused then. Backs it out where that is possible, and kills it once more. Then
/// the same command completes it.
async fn killed(set: &mut Moving, change: &Change, passes: usize) {
    let what = format!("{} killed after {passes} requests", change.command);
    let line = change.to(set.next());
    let open = set.killed_after(passes, &line).await;
    set.left_alone(&what);
    if open.is_some() {
        set.refuses_others(change).await;
    }
    let back = set.run(&change.back_out()).await;
    match open.as_deref() {
        None => drop(back.ok().says("nothing to back out")),
        Some("fenced") => {
            back.ok().says(&format!("{} is the master again", pod(set.master)));
            set.is_whole(&format!("{what}, then backed out")).await;
            assert_eq!(set.slots(set.next()), BTreeSet::new(), "{what}, then backed out");
            set.killed_after(passes, &line).await;
        }
        Some(_) => {
            let refused = back.exits(4).says("is decided as the master");
            refused.says(&format!("pgset {}  # completes it", change.command));
        }
    }
    let done = set.run(&line).await.ok();
    done.says(&format!("{} is the master", pod(set.next())));
    set.moved();
    set.is_whole(&format!("{what}, then completed")).await;
    let others = (0..PODS_OF_THE_SET).filter(|ordinal| *ordinal != set.master);
    let slots: BTreeSet<String> = others.map(|ordinal| format!("pgset_{ordinal}")).collect();
    for ordinal in 0..PODS_OF_THE_SET {
        let expected = if ordinal == set.master { slots.clone() } else { BTreeSet::new() };
        assert_eq!(set.slots(ordinal), expected, "{what}: slots on pgset-{ordinal}");
    }
}

/// Prints the number of points, so that a drop is noticed.
#[expect(clippy::print_stderr, reason = "how much was tested has to be seen")]
fn report(change: &Change, points: usize, began: Instant) {
    eprintln!("{} killed at {points} points, {:?}", change.command, began.elapsed());
}

#[tokio::test]
async fn a_switchover_takes_few_requests() {
    assert!(points(&SWITCHOVER).await.len() >= 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn a_switchover_that_is_killed_is_completed_or_backed_out() {
    killed_after_each_request(&SWITCHOVER).await;
}
