//! Another master: the program is killed with SIGKILL after each request of the command that makes one. Then the same
//! command completes it, every other one is refused, or it is backed out. The same with `rejoin`.
//!
//! Containers are stand-ins (`standins/server`), which know what a server of its role does and refuses: these tests are
//! about what pgset asks of the pods, and in which order. They also record whether two servers were ever writable at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use futures::future::join_all;
use pgset::sandbox::faults::Seen;
use pgset::sandbox::kinds::{CONFIG_MAPS, PODS};
use pgset::sandbox::registry::Delete;
use serde_json::{Value, json};

use super::World;
use super::quick::Profile;
use crate::support::pgset::Output;
use crate::support::{eventually, seconds};

const PODS_OF_THE_SET: usize = 3;
/// The number of sandboxes that are used in parallel.
const LANES: usize = 2;

/// What becomes of the master before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// It works.
    None,
    /// Its server does not work, and its container can be reached: it is stopped.
    Server,
    /// Its volume is empty: its pod is deleted.
    Volume,
}

/// A command that makes another pod the master.
struct Change {
    command: &'static str,
    loss: Loss,
    /// The most requests that it takes until the topology records that it is complete. The wait that follows may ask more or
    /// less often.
    requests: usize,
}

const SWITCHOVER: Change = Change { command: "switchover", loss: Loss::None, requests: 36 };
const SERVER_LOST: Change = Change { command: "failover", loss: Loss::Server, requests: 40 };
const VOLUME_LOST: Change = Change { command: "failover", loss: Loss::Volume, requests: 40 };

impl Change {
    fn to(&self, ordinal: usize) -> String {
        format!("{} --to pgset-{ordinal} --yes", self.command)
    }

    fn back_out(&self) -> String {
        format!("{} --back-out", self.command)
    }

    /// The words about it while it is not complete.
    fn incomplete(&self, from: usize, to: usize, step: &str) -> String {
        let (from, to) = (pod(from), pod(to));
        match (self.command, step) {
            ("failover", "fenced") => format!("a failover of {from} is not complete"),
            (command, _) => format!("a {command} from {from} to {to} is not complete"),
        }
    }
}

/// A set whose master moves from pod to pod. Each change raises the epoch and the timeline by 1.
struct Moving {
    world: World,
    master: usize,
    epoch: usize,
    timeline: usize,
    /// The UIDs of the pods. No pod is ever deleted, except that of a volume that is lost.
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
        Self { world, master: 0, epoch: 1, timeline: 1, uids, volumes }
    }

    /// The next master.
    fn next(&self) -> usize {
        (self.master + 1) % PODS_OF_THE_SET
    }

    async fn run(&self, line: &str) -> Output {
        Profile::Official.of(self.world.pgset(line)).run().await
    }

    /// Kills a command after this number of requests that [`acts`]. Returns the step that the topology records now; `None`
    /// if it records no transition.
    async fn killed_after(&self, passes: usize, line: &str) -> Option<String> {
        let call = Profile::Official.of(self.world.pgset(line));
        self.world.killed_after_counted(passes, acts, "default", call).await;
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
        for (uid, known) in uids(&self.world).iter().zip(&self.uids) {
            assert!(known.is_null() || uid == known, "{what}");
        }
    }

    fn data(&self, ordinal: usize) -> PathBuf {
        self.volumes[ordinal].join(pod(ordinal))
    }

    /// Loses the master, and waits until its pod shows it.
    async fn lose(&mut self, loss: Loss) {
        match loss {
            Loss::None => {}
            Loss::Server => std::fs::write(self.data(self.master).join("broken"), "").unwrap(),
            Loss::Volume => self.lose_volume(self.master).await,
        }
    }

    async fn lose_volume(&mut self, ordinal: usize) {
        let key = World::key(&PODS, &pod(ordinal));
        self.uids[ordinal] = Value::Null;
        if self.data(ordinal).join("wal").exists() {
            for entry in std::fs::read_dir(&self.volumes[ordinal]).unwrap().flatten() {
                let path = entry.path();
                let removed = if path.is_dir() {
                    std::fs::remove_dir_all(path)
                } else {
                    std::fs::remove_file(path)
                };
                removed.unwrap();
            }
            self.world.sandbox.registry.delete(&key, &Delete::default()).unwrap();
        }
        eventually("the server never starts", seconds(30), async || {
            let pod = self.world.object(&key).unwrap_or_default();
            let init = &pod["status"]["initContainerStatuses"][0];
            let ended =
                [&init["state"], &init["lastState"]].map(|it| it["terminated"]["exitCode"].clone());
            let deleted = pod["metadata"]["deletionTimestamp"].is_string();
            if !deleted && ended.contains(&json!(14)) {
                Ok(())
            } else {
                Err(format!("{:#}", pod["status"]))
            }
        })
        .await;
    }

    /// No other command writes while a transition is open, and each says at once what to do.
    async fn refuses_others(&self, change: &Change, step: &str) {
        let words = change.incomplete(self.master, self.next(), step);
        let others = ["up", "scale --replicas 3", "restart --all --yes", "password rotate"];
        let third = SWITCHOVER.to((self.next() + 1) % PODS_OF_THE_SET);
        for other in [others[self.epoch % others.len()], "up --set work_mem=8MB", &third] {
            let refused = self.run(other).await.exits(4).says(&words);
            refused.says(&format!("pgset {}  # completes it", change.command));
        }
    }

    /// Another pod is the master now.
    fn moved(&mut self) {
        (self.master, self.epoch) = (self.next(), self.epoch + 1);
        self.timeline += 1;
    }

    /// The old master is the one again, which is still lost, and the others follow it.
    async fn is_as_before(&self, what: &str) {
        self.is_recorded(what);
        eventually(what, seconds(30), async || {
            let others = (0..PODS_OF_THE_SET).filter(|it| *it != self.master);
            let found: Vec<Found> = others.clone().map(|it| self.found(it)).collect();
            let expected: Vec<Found> = others.clone().map(|it| self.expected(it)).collect();
            let master = pod(self.master);
            let follow =
                others.clone().all(|it| self.primary(it) == format!("{master} {}\n", self.epoch));
            let label = self.found(self.master).label == "pgset-master";
            if found == expected && follow && label { Ok(()) } else { Err(format!("{found:#?}")) }
        })
        .await;
        self.left_alone(what);
    }

    /// Whom a replica follows, and in which epoch.
    fn primary(&self, ordinal: usize) -> String {
        std::fs::read_to_string(self.data(ordinal).join("primary")).unwrap_or_default()
    }

    fn is_recorded(&self, what: &str) {
        let topology = self.topology();
        let master = topology["master"].as_str().unwrap_or("pgset-0");
        let epoch = topology["epoch"].as_str().unwrap_or("1");
        assert_eq!((master, epoch), (&*pod(self.master), &*self.epoch.to_string()), "{what}");
        assert_eq!(topology["transition"], Value::Null, "{what}");
        assert_eq!(topology["rejoin"], Value::Null, "{what}");
    }

    /// The set is whole: each pod has its role, and nothing is left of a transition.
    async fn is_whole(&self, what: &str) {
        self.is_recorded(what);
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
        let pods = self.world.object(&World::key(&PODS, &pod(ordinal))).unwrap_or_default();
        let data = self.data(ordinal);
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
            timeline: self.timeline.to_string(),
            stands_by: ordinal != self.master,
            fence: String::new(),
            role: format!("7000000000000000001 {epoch} {master}\n"),
        }
    }

    /// The replication slots on a pod.
    fn slots(&self, ordinal: usize) -> BTreeSet<String> {
        let slots = std::fs::read_dir(self.data(ordinal).join("slots")).unwrap().flatten();
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
    let found = |ordinal| world.object(&World::key(&PODS, &pod(ordinal))).unwrap_or_default();
    (0..PODS_OF_THE_SET).map(|it| found(it)["metadata"]["uid"].clone()).collect()
}

/// After how many requests that [`acts`] the command is killed: before the first one, and after each from the first write
/// on.
async fn points(change: &Change) -> Vec<usize> {
    let mut set = Moving::up().await;
    set.lose(change.loss).await;
    set.world.faults().record();
    let done = set.run(&change.to(1)).await.ok();
    done.says("pgset-1 is the master: ").says("timeline 2, ");
    let seen: Vec<Seen> = set.world.faults().seen();
    set.moved();
    set.is_whole(change.command).await;
    set.world.stop().await;
    let recorded = |seen: &Seen| seen.writes() && seen.path.contains("/pgset-topology?");
    let until_complete = &seen[..=seen.iter().rposition(recorded).unwrap()];
    // How often it looks whether the pod is deleted depends on the machine.
    let looks = |seen: &&Seen| seen.path.ends_with("/pods/pgset-0?") && !seen.writes();
    let requests = until_complete.len() - until_complete.iter().filter(looks).count();
    assert!(requests <= change.requests, "{requests} requests: {seen:#?}");
    acting(&seen)
}

/// A write, or a call of the script in a pod. How many other requests there are, also those for psql ([`Seen::acts`]),
/// depends on the machine: a command looks again and again whether something has happened.
fn acts(seen: &Seen) -> bool {
    seen.writes() || seen.path.contains("command=bash")
}

fn acting(seen: &[Seen]) -> Vec<usize> {
    let numbered = (1..).zip(seen.iter().filter(|it| acts(it)));
    let acting = numbered.skip_while(|(_, seen)| !seen.writes()).map(|(number, _)| number);
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
    let what =
        format!("{} ({:?} lost) killed after {passes} requests", change.command, change.loss);
    let line = change.to(set.next());
    set.lose(change.loss).await;
    let open = set.killed_after(passes, &line).await;
    set.left_alone(&what);
    if let Some(step) = &open {
        set.refuses_others(change, step).await;
    }
    // A run that is complete has left nothing to do.
    if open.is_none() && set.topology()["master"] == json!(pod(set.next())) {
        set.moved();
        set.is_whole(&what).await;
        return;
    }
    let back = set.run(&change.back_out()).await;
    match open.as_deref() {
        None => drop(back.ok().says("nothing to back out")),
        Some("fenced") => {
            back.ok().says(&format!("{} is the master again", pod(set.master)));
            set.is_as_before(&format!("{what}, then backed out")).await;
            for ordinal in (0..PODS_OF_THE_SET).filter(|it| *it != set.master) {
                assert_eq!(set.slots(ordinal), BTreeSet::new(), "{what}, then backed out");
            }
            set.lose(change.loss).await;
            set.killed_after(passes, &line).await;
        }
        Some(_) => {
            back.exits(4).says(&format!("pgset {}  # completes it", change.command));
        }
    }
    let done = set.run(&line).await.ok();
    done.says(&format!("{} is the master", pod(set.next())));
    set.moved();
    set.is_whole(&format!("{what}, then completed")).await;
    has_slots(set, &what);
}

/// The master has a slot for each of the others, which have none.
fn has_slots(set: &Moving, what: &str) {
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
    let (command, loss) = (change.command, change.loss);
    eprintln!("{command} ({loss:?} lost) killed at {points} points, {:?}", began.elapsed());
}

#[tokio::test]
async fn a_switchover_takes_few_requests() {
    assert!(points(&SWITCHOVER).await.len() >= 12);
}

#[tokio::test]
async fn a_failover_takes_few_requests() {
    for change in [&SERVER_LOST, &VOLUME_LOST] {
        assert!(points(change).await.len() >= 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn a_switchover_that_is_killed_is_completed_or_backed_out() {
    killed_after_each_request(&SWITCHOVER).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn a_failover_that_is_killed_is_completed_or_backed_out() {
    killed_after_each_request(&SERVER_LOST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn a_failover_of_a_lost_volume_that_is_killed_is_completed_or_backed_out() {
    killed_after_each_request(&VOLUME_LOST).await;
}

/// The new master is decided, and is lost before the switchover is complete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn a_switchover_whose_new_master_is_lost_is_taken_over() {
    let points = points(&SWITCHOVER).await;
    let mut set = Moving::up().await;
    let mut points = points.into_iter();
    let line = SWITCHOVER.to(1);
    while set.killed_after(points.next().unwrap(), &line).await.as_deref() != Some("promoting") {
        if set.topology()["transition"].is_string() {
            set.run("switchover --back-out").await.ok();
        }
    }
    set.lose_volume(1).await;
    set.run("failover --back-out").await.exits(4).says("pgset switchover  # completes it");
    let done = set.run("failover --yes").await.ok();
    done.says(" is the master: epoch 3, timeline ");
    // It was promoted, and the other replica has that timeline: or it was not.
    set.epoch = 3;
    let master = set.topology()["master"].clone();
    (set.master, set.timeline) = if master == "pgset-0" { (0, 2) } else { (2, 3) };
    set.is_whole("taken over").await;
    has_slots(&set, "taken over");
    set.world.stop().await;
}

/// A replica has more than the master: its directory is kept, and it is cloned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn a_rejoin_that_is_killed_is_resumed() {
    let mut set = Moving::up().await;
    set.uids[2] = Value::Null;
    let (wal, kept) = (set.data(2).join("wal"), set.volumes[2].join("pgset-2.diverged-1"));
    for line in ["rejoin pgset-2 --yes", "rejoin pgset-2 --clone --yes"] {
        let prepare = |set: &Moving| {
            if !line.contains("--clone") {
                set.world.undisturbed(|| std::fs::write(&wal, "1 60000000\n").unwrap());
                std::fs::write(set.data(2).with_extension("diverged"), "").unwrap();
            }
        };
        prepare(&set);
        set.world.faults().record();
        set.run(line).await.ok().says("pgset-2 streams from pgset-0");
        let seen = set.world.faults().seen();
        for passes in acting(&seen).into_iter().skip(1) {
            let what = format!("{line} killed after {passes} requests");
            std::fs::remove_dir_all(&kept).unwrap();
            prepare(&set);
            set.killed_after(passes, line).await;
            let is_complete = set.topology()["rejoin"].is_null() && kept.exists();
            set.run(line).await.ok();
            set.is_whole(&what).await;
            assert!(kept.join("wal").exists(), "{what}");
            // A clone that was complete is made once more; one that was interrupted is completed.
            let second = kept.with_file_name("pgset-2.diverged-1.2");
            assert_eq!(second.exists(), is_complete && line.contains("--clone"), "{what}");
            let _none = std::fs::remove_dir_all(second);
        }
        std::fs::remove_dir_all(&kept).unwrap();
    }
    set.world.stop().await;
}
