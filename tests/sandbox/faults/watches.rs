//! Watches that end, expire, or deliver nothing; a wrong clock; two runs at once; signals.

use std::time::Duration;

use http::Method;
use jiff::SignedDuration;
use pgset::sandbox::faults::{Fault, WatchFault};

use super::super::World;
use super::super::quick::PROFILES;
use crate::support::{eventually, seconds};

#[tokio::test]
pub(super) async fn watches_that_end_or_expire_are_begun_again() {
    for fault in [WatchFault::Closed, WatchFault::Expired] {
        let world = World::quick().await;
        // Two rounds of all six watches.
        world.faults().request(Method::GET, "watch=true", 0..12, Fault::Watch(fault));
        world.faults().record();
        world.pgset("up").run().await.ok().says("1 replica streaming");
        let lists = |seen: Vec<pgset::sandbox::faults::Seen>| {
            seen.iter().filter(|s| s.path.contains("/pods?") && !s.path.contains("watch=")).count()
        };
        let listed = lists(world.faults().seen());
        if fault == WatchFault::Expired {
            assert!(listed > 1, "after 410 the pods were listed {listed} times");
        }
        world.stop().await;
    }
}

#[tokio::test]
pub(super) async fn watches_that_are_ended_while_they_wait_are_begun_again() {
    let world = World::quick().await;
    world.faults().fail("schedule", "no room.");
    let running = world.pgset("up -v").spawn();
    running.says("pod/pgset-0").await;
    world.faults().close_watches();
    world.sandbox.registry.store.forget();
    world.faults().mend("schedule");
    running.finish().await.ok().says("1 replica streaming");
    world.stop().await;
}

#[tokio::test]
pub(super) async fn bookmarks_alone_are_no_success() {
    let world = World::quick().await;
    let silent = Fault::Watch(WatchFault::Bookmarks);
    world.faults().fail("schedule", "no room.");
    world.faults().request(Method::GET, "watch=true", 0..usize::MAX, silent);
    let running = world.pgset("up -v --timeout 6s").spawn();
    running.says("pod/pgset-0").await;
    // From now on the pods become ready, but the watches do not deliver it.
    world.faults().mend("schedule");
    let output = running.finish().await.exits(70).within(seconds(15));
    output.says("not ready").never_says("streaming (");
    world.faults().clear();
    world.pgset("up").run().await.ok();
    world.stop().await;
}

#[tokio::test]
pub(super) async fn the_server_s_clock_does_not_matter() {
    for off in [SignedDuration::from_hours(24), SignedDuration::from_hours(-24)] {
        let world = World::quick().await;
        world.faults().set_clock(off);
        for profile in PROFILES {
            let run = async |line: &str| profile.of(world.pgset(line)).run().await;
            run("up").await.ok().says("1 replica streaming");
            run("up").await.ok().says("nothing changed");
            run("scale --replicas 3").await.ok().says("2 replicas streaming");
            run("status").await.ok();
            run("down --yes --delete-data").await.ok();
        }
        // Deadlines use the monotonic clock.
        world.faults().fail("schedule", "no room.");
        let output = world.pgset("up --timeout 2s").run().await.exits(70);
        assert!(output.took >= seconds(2) && output.took < seconds(15), "{output}");
        output.says("no room");
        world.stop().await;
    }
}

#[tokio::test]
pub(super) async fn two_at_once_have_one_result() {
    for profile in PROFILES {
        let world = World::quick().await;
        let up = |namespace: &str| profile.of(world.pgset("up -n").arg(namespace));
        for namespace in ["ns-alone", "ns-race"] {
            world.namespace(namespace);
        }
        up("ns-alone").run().await.ok();
        let (one, two) = tokio::join!(up("ns-race").run(), up("ns-race").run());
        one.ok();
        two.ok();
        let expected = world.objects("ns-alone");
        world.ends_as("ns-race", &expected, "two at once").await;
        assert_eq!(world.data("ns-race").len(), 2);
        world.stop().await;
    }
}

#[tokio::test]
pub(super) async fn a_signal_says_what_was_done_and_how_to_go_on() {
    let world = World::quick().await;
    world.faults().fail("schedule", "no room.");
    for (signal, code, word) in [("INT", 130, "interrupted"), ("TERM", 143, "terminated")] {
        let running = world.pgset("up -v").spawn();
        running.says("pod/pgset-0").await;
        running.signal(signal);
        let output = running.finish().await.exits(code).within(seconds(60));
        output.says(word).says("pgset up").mentions(&["applied"]);
    }
    world.faults().mend("schedule");
    world.pgset("up").run().await.ok();
    // Also in the middle of `down`: the set is the first object that it deletes.
    let slow = Fault::Delay(seconds(1));
    world.faults().request(Method::DELETE, "/statefulsets/pgset", 0..1, slow);
    world.faults().record();
    let running = world.pgset("down --yes").spawn();
    eventually("it deletes", seconds(30), async || {
        let begun = world.faults().writes().iter().any(|w| w.method == Method::DELETE);
        if begun { Ok(()) } else { Err("nothing is deleted".to_owned()) }
    })
    .await;
    running.signal("INT");
    running.finish().await.exits(130).says("pgset down");
    world.pgset("down --yes").run().await.ok();
    world.stop().await;
}

#[tokio::test]
pub(super) async fn a_second_ctrl_c_ends_at_once() {
    let world = World::quick().await;
    world.faults().hold_after(3);
    let mut running = world.pgset("up").spawn();
    world.faults().held().await;
    // Several pending signals of one kind count as one, so send it again until the program ends.
    eventually("it ends", seconds(20), async || {
        running.signal("INT");
        let ended = tokio::time::timeout(Duration::from_millis(200), running.ended()).await;
        ended.map_err(|_| "it runs".to_owned())
    })
    .await;
    running.finish().await.exits(130).within(seconds(20));
    world.faults().release();
    world.pgset("up").run().await.ok();
    world.stop().await;
}

#[tokio::test]
pub(super) async fn a_reader_that_goes_away_is_no_panic() {
    let world = World::quick().await;
    for line in ["up -o json", "status", "render", "env", "down --yes -o json"] {
        let mut running = world.pgset(line).spawn();
        running.close_stdout();
        let output = running.finish().await;
        assert!(output.code.is_some_and(|code| code != 101), "{output}");
        output.never_says("panicked");
    }
    world.pgset("up").run().await.ok();
    world.stop().await;
}
