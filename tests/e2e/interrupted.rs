//! Signals, two concurrent runs, and a closed pipe.

use super::{CLASS, pods_are_ready};
use crate::support::pgset::Output;
use crate::support::proxy::Proxy;
use crate::support::space::Space;
use crate::support::{seconds, state};

async fn signalled(space: &Space, signal: &str) -> Output {
    let running = space.pgset("up -v").args(CLASS).spawn();
    running.says("statefulset/pgset ").await;
    running.signal(signal);
    running.finish().await.within(seconds(60))
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn ctrl_c_says_what_was_done_and_how_to_go_on() {
    let space = Space::new("signal").await;
    let output = signalled(&space, "INT").await.exits(130).says("interrupted").says("pgset up");
    output.mentions(&["applied"]);
    let output = signalled(&space, "TERM").await.exits(143).says("terminated");
    output.says("pgset up");
    space.pgset("up").args(CLASS).run().await.ok();
    pods_are_ready(&space, &["pgset-0", "pgset-1"]).await;
    let running = space.pgset("down -v --yes").spawn();
    running.says("pgset-auth").await;
    running.signal("INT");
    let output = running.finish().await;
    if output.code != Some(0) {
        output.exits(130).says("pgset down");
    }
    space.pgset("down --yes").run().await.ok();
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_second_ctrl_c_ends_at_once() {
    let space = Space::new("twice").await;
    let proxy = Proxy::start(&space.cluster).await;
    // The proxy never answers one request: the first Ctrl-C waits for it, the second does not.
    proxy.hold_after(3);
    let through = proxy.kubeconfig(&space.name);
    let running = space.pgset_through(&through, "up").args(CLASS).spawn();
    proxy.held().await;
    running.signal("INT");
    tokio::time::timeout(seconds(1), proxy_settles(&proxy)).await.ok();
    running.signal("INT");
    running.finish().await.exits(130).within(seconds(20));
}

/// Waits until the current requests have arrived. The program may also end at the first signal.
async fn proxy_settles(proxy: &Proxy) {
    let mut before = 0;
    while proxy.requests().len() != before {
        before = proxy.requests().len();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn two_at_once_have_one_result() {
    let space = Space::new("race").await;
    let up = || space.pgset("up").args(CLASS);
    let (one, two) = tokio::join!(up().run(), up().run());
    one.ok();
    two.ok();
    pods_are_ready(&space, &["pgset-0", "pgset-1"]).await;
    // Both runs used the same passwords: the application's user can log in.
    space.pgset("test").run().await.ok();
    let alone = Space::in_cluster(space.cluster.clone(), "alone").await;
    alone.pgset("up").args(CLASS).run().await.ok();
    let (expected, found) = (state::of(&alone).await, state::of(&space).await);
    assert_eq!(state::difference(&expected, &found), "");
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_reader_that_goes_away() {
    let space = Space::new("reader").await;
    for line in ["up -o json --storage class", "status", "test -o json", "render --storage class"] {
        let mut running = space.pgset(line).spawn();
        running.close_stdout();
        let output = running.finish().await;
        assert!(output.code.is_some_and(|code| code != 101), "{output}");
        output.never_says("panicked");
    }
    // The next run resumes.
    space.pgset("up").args(CLASS).run().await.ok();
}
