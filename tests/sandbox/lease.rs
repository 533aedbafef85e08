//! Two commands at once: the Lease of the set (fault 43).

use std::time::Duration;

use http::Method;
use pgset::sandbox::kinds::{CONFIG_MAPS, LEASES, PODS, STATEFUL_SETS};
use serde_json::{Value, json};

use super::World;
use super::quick::Profile;
use crate::support::pgset::{Output, Pgset};
use crate::support::{eventually, seconds};

const OTHER: &str = "pgset scale by ann@laptop, 12345678";

impl World {
    fn bob(&self, line: &str) -> Pgset {
        Profile::Official.of(self.pgset(line)).env("USER", "bob")
    }

    fn lease(&self) -> Option<Value> {
        self.object(&Self::key(&LEASES, "pgset"))
    }

    /// The Lease of a command on another machine.
    fn other_holds_it(&self, dead_after: u64) {
        let lease = json!({
            "metadata": {"labels": {"app.kubernetes.io/managed-by": "pgset",
                "app.kubernetes.io/instance": "pgset"}},
            "spec": {"holderIdentity": OTHER, "leaseDurationSeconds": dead_after,
                // Clocks differ: this one is years behind.
                "acquireTime": "2020-01-01T00:00:00.000000Z",
                "renewTime": "2020-01-01T00:00:04.000000Z"},
        });
        self.create(&Self::key(&LEASES, "pgset"), lease);
    }

    /// Lets the Lease die at once, if its holder does not exist any more.
    pub(super) fn let_lease_die(&self, namespace: &str) {
        for lease in self.sandbox.registry.store.list(&LEASES, Some(namespace)).0 {
            let key = pgset::sandbox::store::Key::of(&LEASES, &lease);
            self.edit(&key, |lease| lease["spec"]["leaseDurationSeconds"] = json!(0));
        }
    }

    /// The requests about Leases.
    fn of_lease(&self) -> Vec<Method> {
        let seen = self.faults().seen();
        seen.iter().filter(|s| s.path.contains("/leases")).map(|s| s.method.clone()).collect()
    }
}

#[tokio::test]
async fn a_lease_costs_two_requests_and_nothing_when_nothing_is_written() {
    let world = World::quick().await;
    world.faults().record();
    world.bob("up --dry-run").run().await.ok();
    world.bob("up --dry-run=server").run().await.ok();
    assert_eq!(world.of_lease(), [Method::GET; 0], "a dry run");
    world.bob("up").run().await.ok();
    assert_eq!(world.of_lease(), [Method::POST, Method::DELETE]);
    assert_eq!(world.lease(), None);
    world.faults().record();
    world.bob("up").run().await.ok().says("nothing changed");
    world.bob("scale --replicas 2").run().await.ok();
    world.bob("diff").run().await.ok();
    world.bob("status").run().await.ok();
    assert_eq!(world.of_lease(), [Method::GET; 0], "nothing to write");
    for line in ["scale --replicas 1", "password rotate", "up --set work_mem=8MB", "down --yes"] {
        world.faults().record();
        let mut running = world.bob(line).spawn();
        eventually("the command holds the Lease", seconds(30), async || {
            let ended = tokio::time::timeout(Duration::from_millis(1), running.ended()).await;
            let holds = world.of_lease().first() == Some(&Method::POST);
            if holds || ended.is_ok() { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
        running.finish().await;
        assert_eq!(world.of_lease().first(), Some(&Method::POST), "{line}");
        assert_eq!(world.of_lease().last(), Some(&Method::DELETE), "{line}");
        assert_eq!(world.lease(), None, "{line}");
    }
    world.stop().await;
}

#[tokio::test]
pub(super) async fn a_second_command_waits_says_for_whom_and_makes_a_new_plan() {
    let world = World::quick().await;
    world.bob("up").run().await.ok();
    // The first one waits for a pod, and holds the Lease.
    world.faults().fail("schedule", "no room.");
    let first = world.bob("up --replicas 3").spawn();
    eventually("the first one writes", seconds(30), async || {
        let pod = world.object(&World::key(&PODS, "pgset-2"));
        pod.map(drop).ok_or_else(|| "no third pod".to_owned())
    })
    .await;
    let scale = world.bob("scale --replicas 1").spawn();
    let up = world.bob("up --set work_mem=8MB").spawn();
    scale.says("waiting for `pgset up` by bob@").await;
    up.says("waiting for `pgset up` by bob@").await;
    world.faults().mend("schedule");
    first.finish().await.ok().says("3 pods ready");
    // Whoever comes first, the other one keeps what that one did.
    let (scale, up) = tokio::join!(scale.finish(), up.finish());
    scale.ok().says("1 pod ready");
    up.ok();
    let set = world.object(&World::key(&STATEFUL_SETS, "pgset")).unwrap();
    assert_eq!(set["spec"]["replicas"], 1);
    let config = world.object(&World::key(&CONFIG_MAPS, "pgset-config")).unwrap();
    assert!(config["data"]["postgresql.conf"].to_string().contains("8MB"));
    assert_eq!(world.lease(), None);
    world.stop().await;
}

#[tokio::test]
async fn after_the_wait_the_set_is_read_again() {
    let world = World::quick().await;
    world.bob("up").run().await.ok();
    world.other_holds_it(15);
    let up = world.bob("up --replicas 3").spawn();
    up.says("waiting for `pgset scale` by ann@laptop, for 4 s").await;
    world.edit(&World::key(&STATEFUL_SETS, "pgset"), |set| set["spec"]["replicas"] = json!(4));
    world.delete(&World::key(&LEASES, "pgset"));
    let output: Output = up.finish().await.exits(4);
    output.says("kubectl-edit owns spec.replicas and set it to 4, not 3");
    assert_eq!(world.lease(), None);
    world.stop().await;
}

#[tokio::test]
async fn a_wait_for_another_command_ends_as_every_wait_does() {
    let world = World::quick().await;
    world.bob("up").run().await.ok();
    world.other_holds_it(15);
    let before = world.lease();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let up = world.bob("up --replicas 3").spawn();
        up.says("waiting for").await;
        up.signal(signal);
        up.finish().await.exits(code).says("nothing was changed");
    }
    let late = world.bob("scale --replicas 3 --timeout 2s").run().await.exits(70);
    late.says("set pgset is still being changed by `pgset scale` by ann@laptop").says("--timeout");
    assert_eq!(world.lease(), before);
    world.stop().await;
}

#[tokio::test]
pub(super) async fn the_lease_of_a_killed_command_is_taken_over() {
    let world = World::quick().await;
    world.faults().fail("schedule", "no room.");
    let killed = world.bob("up -v").spawn();
    killed.says("pod/pgset-0").await;
    killed.kill().await;
    world.faults().mend("schedule");
    let lease = world.lease().expect("nobody has deleted it");
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 15);
    world.let_lease_die("default");
    let up = world.bob("scale --replicas 1").run().await.ok();
    up.says("`pgset up` by bob@").says("has not renewed its Lease for").says("it no longer runs");
    assert_eq!(world.lease(), None);
    // Nobody renews it: it is dead after its time, and not before.
    world.other_holds_it(2);
    let up = world.bob("up --replicas 2").run().await.ok();
    assert!(up.took >= seconds(2), "{up}");
    world.stop().await;
}

#[tokio::test]
async fn a_command_that_has_lost_its_lease_stops() {
    let world = World::quick().await;
    world.faults().fail("schedule", "no room.");
    let up = world.bob("up -v").spawn();
    up.says("pod/pgset-0").await;
    let key = World::key(&LEASES, "pgset");
    world.edit(&key, |lease| lease["spec"]["holderIdentity"] = json!(OTHER));
    let output = up.finish().await.exits(4).within(seconds(60));
    output.says("`pgset scale` by ann@laptop has taken over set pgset").says("makes a new plan");
    assert_eq!(world.lease().unwrap()["spec"]["holderIdentity"], OTHER, "it is not deleted");
    world.stop().await;
}

/// A machine has slept: before a pod is deleted, the Lease is read.
#[tokio::test]
async fn what_cant_be_undone_is_not_done_without_the_lease() {
    let world = World::quick().await;
    world.bob("up --replicas 2").run().await.ok();
    let key = World::key(&LEASES, "pgset");
    // The Lease changes hands right after it was created: the next request is the check of the plan.
    world.faults().record();
    let delay = pgset::sandbox::faults::Fault::Delay(seconds(2));
    world.faults().request(Method::GET, "/leases/pgset", 0..1, delay);
    let scale = world.bob("scale --replicas 1").spawn();
    eventually("the Lease is there", seconds(30), async || {
        world.lease().map(drop).ok_or_else(|| "not yet".to_owned())
    })
    .await;
    world.edit(&key, |lease| lease["spec"]["holderIdentity"] = json!(OTHER));
    scale.finish().await.exits(4).says("has taken over set pgset");
    let set = world.object(&World::key(&STATEFUL_SETS, "pgset")).unwrap();
    assert_eq!(set["spec"]["replicas"], 2);
    world.stop().await;
}

#[tokio::test]
async fn somebody_else_s_lease_of_this_name_is_left_alone() {
    let world = World::quick().await;
    let foreign = json!({"spec": {"holderIdentity": "app-7f9c_1"}});
    world.create(&World::key(&LEASES, "pgset"), foreign);
    let before = world.lease();
    let refused = world.bob("up").run().await.exits(4);
    refused.says("Lease pgset is owned by another client (created by kubectl-create)");
    assert_eq!(world.lease(), before);
    assert_eq!(world.object(&World::key(&STATEFUL_SETS, "pgset")), None);
    world.stop().await;
}

#[tokio::test]
async fn the_missing_right_is_named_before_the_first_write() {
    let world = World::quick().await;
    world.faults().deny("leases");
    world.faults().record();
    let refused = world.bob("up").run().await.exits(3);
    refused.says("resources: [\"leases\"], verbs: [\"get\", \"create\", \"patch\", \"delete\"]");
    assert_eq!(world.faults().writes().len(), 0);
    world.bob("up --dry-run").run().await.ok();
    world.stop().await;
}
