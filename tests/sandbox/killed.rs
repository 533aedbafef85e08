//! Fault 11: the program is killed with SIGKILL before and after every request that may change something, one after the
//! other. The next run has to reach the same result as a run without a fault.
//!
//! The sandbox answers until the nth such request ([`Seen::acts`]) and holds the next one of any kind. The program is killed
//! while that one waits. This is done for every n from 0 until a run ends without being held. A request that only reads is
//! no point more: the cluster is the same before and after it. Containers are stand-ins, because these tests are about
//! objects in the cluster. The same with PostgreSQL and a row in the database is done for a sample of the points.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use pgset::sandbox::faults::Seen;

use super::World;
use super::objects::Objects;
use super::quick::Profile;
use crate::support::pgset::Pgset;

/// Namespaces with names that occur in no other text.
const MODEL: &str = "ns-model";
const KILLED: &str = "ns-killed";
/// The number of sandboxes that are used in parallel.
const LANES: usize = 2;

impl World {
    fn call(&self, profile: Profile, namespace: &str, line: &str) -> Pgset {
        profile.of(self.pgset(line).args(&format!("-n {namespace}")))
    }

    /// Runs a call until this many requests have passed, and kills it. Returns false if the call
    /// ended before that.
    async fn killed_after(&self, passes: usize, namespace: &str, call: Pgset) -> bool {
        self.killed_after_counted(passes, |_| true, namespace, call).await
    }

    /// The same, where only some requests count.
    pub(super) async fn killed_after_counted(
        &self,
        passes: usize,
        counted: fn(&Seen) -> bool,
        namespace: &str,
        call: Pgset,
    ) -> bool {
        let faults = self.faults();
        faults.hold_after_counted(passes, counted);
        let mut running = call.spawn();
        let held = tokio::select! {
            () = faults.held() => true,
            () = running.ended() => false,
        };
        let output = running.kill().await;
        faults.release();
        self.let_lease_die(namespace);
        assert!(held || output.code == Some(0), "after {passes} requests: {output}");
        held
    }
}

/// Calls `run` for every n, in parallel sandboxes, until it returns false because the call was not
/// held. Returns the number of calls that were held.
async fn at_every_act<F>(run: impl Fn(Arc<World>, usize) -> F) -> usize
where
    F: Future<Output = bool>,
{
    let lane = async |first: usize| {
        let world = Arc::new(World::quick().await);
        let mut n = first;
        while run(Arc::clone(&world), n).await {
            n += LANES;
        }
        Arc::into_inner(world).unwrap().stop().await;
        (n - first) / LANES
    };
    join_all((0..LANES).map(lane)).await.into_iter().sum()
}

/// Prints the number of points, so that a drop is noticed.
#[expect(clippy::print_stderr, reason = "how much was tested has to be seen")]
fn report(what: &str, profile: Profile, points: usize, began: Instant) {
    eprintln!("{what} with {profile:?}: killed at {points} points, {:?}", began.elapsed());
}

const UP: &str = "up";
const GROW: &str = "scale --replicas 2";
const SHRINK: &str = "scale --replicas 1";
const DOWN: &str = "down --yes";
const STOP: &str = "stop --yes";
const START: &str = "start";

/// The objects after the last of these calls, without faults.
async fn undisturbed(profile: Profile, lines: &[&str]) -> Objects {
    let world = World::quick().await;
    world.namespace(MODEL);
    for line in lines {
        world.call(profile, MODEL, line).run().await.ok();
    }
    let objects = world.objects(MODEL);
    world.stop().await;
    objects
}

async fn up(profile: Profile) {
    let began = Instant::now();
    let expected = undisturbed(profile, &[UP]).await;
    let points = at_every_act(async |world, n| {
        let namespace = format!("{KILLED}-{n}");
        world.namespace(&namespace);
        let call = world.call(profile, &namespace, UP);
        let held = world.killed_after_counted(n, Seen::acts, &namespace, call).await;
        world.call(profile, &namespace, UP).run().await.ok();
        world.ends_as(&namespace, &expected, &format!("up killed after {n} requests")).await;
        assert_eq!(world.data(&namespace).len(), 2, "volumes after {n} requests");
        world.forget(&namespace).await;
        held
    })
    .await;
    report(UP, profile, points, began);
    assert!(points >= 12, "only {points} points");
}

/// Uses one namespace in each sandbox: kills `line` and runs it again. `back` then restores the
/// state from before.
async fn over_and_over(profile: Profile, begin: &[&str], line: &str, back: &str, least: usize) {
    let start = Instant::now();
    let lines: Vec<&str> = begin.iter().copied().chain([line]).collect();
    let expected = undisturbed(profile, &lines).await;
    let points = at_every_act(async |world, n| {
        let run = async |line: &str| world.call(profile, KILLED, line).run().await.ok();
        // The first time in this sandbox.
        if n < LANES {
            world.namespace(KILLED);
            for line in begin {
                run(line).await;
            }
        }
        let data = world.data(KILLED);
        let call = world.call(profile, KILLED, line);
        let held = world.killed_after_counted(n, Seen::acts, KILLED, call).await;
        run(line).await;
        world.ends_as(KILLED, &expected, &format!("{line} killed after {n} requests")).await;
        // Each volume still has the same database.
        let kept = world.data(KILLED);
        assert!(data.iter().zip(&kept).all(|(a, b)| a == b), "{data:?}, then {kept:?}");
        run(back).await;
        held
    })
    .await;
    report(line, profile, points, start);
    assert!(points >= least, "only {points} points");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn up_of_the_article_s_image() {
    up(Profile::Article).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn growing_of_the_article_s_image() {
    over_and_over(Profile::Article, &[UP, SHRINK], GROW, SHRINK, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn shrinking_of_the_article_s_image() {
    over_and_over(Profile::Article, &[UP], SHRINK, GROW, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn down_of_the_article_s_image() {
    over_and_over(Profile::Article, &[UP], DOWN, UP, 10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn up_of_the_official_s_image() {
    up(Profile::Official).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn growing_of_the_official_s_image() {
    over_and_over(Profile::Official, &[UP, SHRINK], GROW, SHRINK, 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn shrinking_of_the_official_s_image() {
    over_and_over(Profile::Official, &[UP], SHRINK, GROW, 8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn down_of_the_official_s_image() {
    over_and_over(Profile::Official, &[UP], DOWN, UP, 12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn stopping() {
    over_and_over(Profile::Official, &[UP], STOP, START, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn starting() {
    over_and_over(Profile::Official, &[UP, STOP], START, STOP, 4).await;
}

/// The same with PostgreSQL in the pods, for a sample of the points. Committed rows have to survive
/// each kill.
async fn with_postgres(profile: Profile) {
    let world = World::start().await;
    let run = async |namespace: &str, line: &str| {
        world.call(profile, namespace, line).run().await.ok();
    };
    let rows = async |namespace: &str| {
        let psql = world.call(profile, namespace, "psql").args("-- -At -v ON_ERROR_STOP=1");
        psql.run_with("select text from ledger;").await.ok().stdout
    };
    for n in [9, 17, 25, 33] {
        let namespace = format!("{KILLED}-{n}");
        world.namespace(&namespace);
        world.killed_after(n, &namespace, world.call(profile, &namespace, UP)).await;
        run(&namespace, UP).await;
        run(&namespace, "test").await;
        world.forget(&namespace).await;
    }
    world.namespace(KILLED);
    run(KILLED, UP).await;
    let insert = "create table ledger as select 'kept' as text;";
    let psql = world.call(profile, KILLED, "psql").args("-- -v ON_ERROR_STOP=1");
    psql.run_with(insert).await.ok();
    for n in [5, 9, 13] {
        for line in [SHRINK, GROW, DOWN, UP] {
            world.killed_after(n, KILLED, world.call(profile, KILLED, line)).await;
            run(KILLED, line).await;
            if line != DOWN {
                assert_eq!(rows(KILLED).await, "kept\n", "{line} killed after {n} requests");
            }
        }
    }
    run(KILLED, "test").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
pub(super) async fn the_article_s_image_with_postgres() {
    with_postgres(Profile::Article).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
pub(super) async fn the_official_image_with_postgres() {
    with_postgres(Profile::Official).await;
}
