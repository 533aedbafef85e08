//! Faulty answers of the API server, and missing ones.

use std::time::Duration;

use http::Method;
use pgset::sandbox::faults::{Fault, Seen};
use pgset::sandbox::refusal::Refusal;

use super::super::World;
use super::super::quick::PROFILES;
use crate::support::http::kubeconfig;
use crate::support::pgset::Pgset;
use crate::support::seconds;

const EVER: usize = usize::MAX;

impl World {
    /// A call that writes its objects and does not wait for pods.
    fn up(&self, namespace: &str) -> Pgset {
        self.pgset("up --no-wait -n").arg(namespace)
    }

    fn patches(&self, path: &str) -> usize {
        self.faults().writes().iter().filter(|w| w.path.contains(path)).count()
    }
}

fn status(code: u16, reason: &'static str, message: &str) -> Fault {
    Fault::Status(Refusal::new(code, reason, message), None)
}

#[tokio::test]
pub(super) async fn too_many_requests_are_waited_for_as_told() {
    let world = World::quick().await;
    let busy = Refusal::new(429, "TooManyRequests", "slow down");
    let later = Fault::Status(busy, Some(seconds(2)));
    world.faults().request(Method::PATCH, "/statefulsets/pgset", 0..1, later);
    world.faults().record();
    let output = world.up("default").run().await.ok();
    assert!(output.took >= seconds(2), "{output}");
    assert_eq!(world.patches("/statefulsets/pgset"), 2);
    world.stop().await;
}

#[tokio::test]
pub(super) async fn failures_that_pass_are_tried_again() {
    let world = World::quick().await;
    let page = "<html>bad gateway</html>".to_owned();
    for (namespace, fault) in [
        ("leader", status(500, "InternalError", "etcdserver: leader changed")),
        ("gateway", Fault::Page(502, page.clone())),
        ("overloaded", status(503, "ServiceUnavailable", "not now")),
        ("late", Fault::Page(504, page)),
        ("late-too", status(504, "Timeout", "request did not complete within the allotted time")),
    ] {
        world.namespace(namespace);
        let faults = world.faults();
        faults.clear();
        faults.request(Method::POST, "/selfsubjectaccessreviews", 0..1, fault.clone());
        faults.request(Method::GET, "/secrets/pgset-auth", 0..2, fault.clone());
        faults.request(Method::PATCH, "/services/pgset-master", 0..2, fault.clone());
        faults.request(Method::POST, "/secrets", 0..1, fault.clone());
        faults.record();
        world.up(namespace).run().await.ok();
        assert_eq!(world.patches("/services/pgset-master"), 3, "{fault:?}");
        assert!(world.objects(namespace).contains_key("StatefulSet pgset"), "{fault:?}");
    }
    world.stop().await;
}

#[tokio::test]
pub(super) async fn an_unavailable_server_is_given_up_at_the_deadline() {
    let world = World::quick().await;
    let down = status(503, "ServiceUnavailable", "the server is being upgraded");
    world.faults().request(Method::GET, "/", 0..EVER, down.clone());
    world.faults().request(Method::POST, "/", 0..EVER, down);
    world.faults().record();
    for line in ["up", "scale --replicas 3", "test", "status", "down --yes"] {
        let output = world.pgset(line).args("--timeout 2s").run().await.exits(3);
        assert!(output.took >= seconds(1) && output.took < seconds(20), "{output}");
        output.says("the server is being upgraded");
    }
    assert_eq!(world.faults().writes(), []);
    world.stop().await;
}

/// Every write of all commands fails once, before or after it is executed.
#[tokio::test]
pub(super) async fn a_connection_that_is_reset_makes_nothing_twice() {
    const STORY: [&str; 5] = [
        "up",
        "scale --replicas 3",
        "scale --replicas 1",
        "down --yes",
        "down --yes --delete-data",
    ];
    for profile in PROFILES {
        let world = World::quick().await;
        let mut model = Vec::new();
        world.namespace("ns-model");
        for line in STORY {
            world.faults().record();
            profile.of(world.pgset(line).args("-n ns-model")).run().await.ok();
            model.push((world.faults().writes(), world.objects("ns-model")));
        }
        for (namespace, fault) in [("ns-before", Fault::Reset), ("ns-after", Fault::ResetAfter)] {
            world.namespace(namespace);
            for (line, (writes, expected)) in STORY.into_iter().zip(&model) {
                world.faults().clear();
                world.faults().record();
                let paths: Vec<Seen> = once(writes, namespace);
                for Seen { method, path, .. } in &paths {
                    world.faults().request(method.clone(), path, 0..1, fault.clone());
                }
                profile.of(world.pgset(line).arg("-n").arg(namespace)).run().await.ok();
                let what = format!("{line} with {profile:?} and {fault:?}");
                world.ends_as(namespace, expected, &what).await;
                // Each write failed and was sent again.
                let seen = world.faults().writes();
                for Seen { path, .. } in paths {
                    let sent = seen.iter().filter(|seen| seen.path.contains(&path)).count();
                    assert!(sent >= 1, "{what}: {path} was never sent");
                }
                assert!(seen.len() >= writes.len(), "{what}: {seen:?}");
            }
        }
        world.stop().await;
    }
}

/// The writes with another namespace in their paths, without queries; each path once.
fn once(writes: &[Seen], namespace: &str) -> Vec<Seen> {
    let mut all: Vec<Seen> = Vec::new();
    for write in writes {
        let path = write.path.replace("ns-model", namespace);
        let path = path.split_inclusive('?').next().unwrap_or_default().to_owned();
        let seen = Seen { path, ..write.clone() };
        if !all.contains(&seen) {
            all.push(seen);
        }
    }
    all
}

#[tokio::test]
pub(super) async fn an_answer_that_is_no_json_is_an_error_and_no_panic() {
    let world = World::quick().await;
    world.faults().record();
    world.up("default").run().await.ok();
    let mut reads: Vec<String> = world
        .faults()
        .seen()
        .into_iter()
        .filter(|seen| seen.method == Method::GET)
        .map(|seen| seen.path.split_inclusive('?').next().unwrap_or_default().to_owned())
        .collect();
    reads.sort();
    reads.dedup();
    assert!(reads.len() > 8, "{reads:?}");
    for path in reads {
        for fault in [
            Fault::Page(200, "{\"kind\":\"StatefulSet\",\"meta".to_owned()),
            Fault::Page(200, String::new()),
            Fault::Page(200, "<html>log in first</html>".to_owned()),
            Fault::Page(200, "[null]".to_owned()),
        ] {
            world.faults().clear();
            world.faults().request(Method::GET, &path, 0..EVER, fault.clone());
            world.faults().record();
            let output = world.up("default").args("--timeout 10s").run().await;
            let what = format!("{path} with {fault:?}");
            assert!(matches!(output.code, Some(0 | 1 | 3)), "{what}: {output}");
            assert!(
                output.code == Some(0) || output.stderr.contains("can't be read"),
                "{what}: {output}"
            );
            output.never_says("panicked");
            assert_eq!(world.faults().writes(), [], "{what}");
        }
    }
    world.stop().await;
}

#[tokio::test]
pub(super) async fn an_answer_that_is_cut_is_asked_for_again() {
    let world = World::quick().await;
    // The fault begins after the first request, which fails at once.
    for method in [Method::GET, Method::PATCH, Method::POST] {
        world.faults().request(method, "/namespaces/", 0..2, Fault::Cut);
    }
    world.up("default").run().await.ok();
    assert!(world.objects("default").contains_key("StatefulSet pgset"));
    // A permanent fault: pgset gives up at the deadline and reports it.
    world.faults().clear();
    world.faults().request(Method::GET, "/statefulsets/pgset", 0..EVER, Fault::Cut);
    let output = world.up("default").args("--timeout 6s").run().await.exits(3);
    output.within(seconds(20)).says("StatefulSet pgset").never_says("panicked");
    world.stop().await;
}

#[tokio::test]
pub(super) async fn a_server_that_hangs_is_given_up_at_the_deadline() {
    let world = World::quick().await;
    world.faults().request(Method::PATCH, "/statefulsets/pgset", 0..EVER, Fault::Hang);
    let output = world.up("default").args("--timeout 6s").run().await.exits(3);
    output.within(seconds(20)).says("StatefulSet pgset");
    world.faults().clear();
    world.faults().request(Method::GET, "/", 0..EVER, Fault::Hang);
    for line in ["up", "scale --replicas 3", "test", "status", "down --yes"] {
        let output = world.pgset(line).args("--timeout 2s").run().await.exits(3);
        output.within(seconds(20)).mentions(&["no answer", "does not answer", "gave up"]);
    }
    world.faults().clear();
    world.faults().request(Method::GET, "/", 0..EVER, Fault::Delay(Duration::from_millis(50)));
    world.up("default").run().await.ok();
    world.stop().await;
}

#[tokio::test]
pub(super) async fn a_missing_right_is_found_before_the_first_write() {
    let world = World::quick().await;
    for (resource, group) in [
        ("services", "\"\""),
        ("secrets", "\"\""),
        ("configmaps", "\"\""),
        ("statefulsets", "apps"),
        ("roles", "rbac.authorization.k8s.io"),
        ("pods/exec", "\"\""),
    ] {
        world.faults().clear();
        world.faults().record();
        world.faults().deny(resource);
        let call = PROFILES[1].of(world.pgset("up"));
        let output = call.run().await.exits(3).says(resource);
        // The message contains the missing rule, ready to paste.
        output.says(group).mentions(&["kind: Role", "create role", "resources:", "--resource"]);
        assert_eq!(world.faults().writes(), [], "{resource}");
    }
    // The same user may read, and `status` needs no other right.
    world.faults().clear();
    PROFILES[1].of(world.pgset("up")).run().await.ok();
    world.stop().await;
}

#[tokio::test]
pub(super) async fn credentials_that_run_out_while_waiting_are_read_once_more() {
    let world = World::quick().await;
    let unauthorized = status(401, "Unauthorized", "Unauthorized");
    let pods = "/namespaces/default/pods?";
    world.faults().request(Method::GET, pods, 0..1, unauthorized.clone());
    world.faults().record();
    world.pgset("up").run().await.ok();
    let lists = world.faults().seen().into_iter().filter(|seen| seen.path.contains(pods)).count();
    assert!(lists > 1, "the pods were listed {lists} times");
    world.faults().request(Method::GET, pods, 0..EVER, unauthorized.clone());
    let up = world.pgset("up").run().await.exits(3).within(seconds(30));
    up.says("Unauthorized").mentions(&["log in"]);
    // The fault begins with the first request: nothing is written.
    world.faults().clear();
    for method in [Method::GET, Method::POST] {
        world.faults().request(method, "/", 0..EVER, unauthorized.clone());
    }
    world.faults().record();
    for line in ["up", "scale --replicas 3", "test", "status", "down --yes"] {
        let output = world.pgset(line).run().await.exits(3);
        output.says("Unauthorized").mentions(&["log in"]);
    }
    assert_eq!(world.faults().writes(), []);
    world.stop().await;
}

#[tokio::test]
pub(super) async fn no_way_to_a_cluster_is_named_within_the_connect_timeout() {
    let world = World::quick().await;
    let home = tempfile::TempDir::new().unwrap();
    // The port was just released, so nothing listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plain = |server: &str| kubeconfig(home.path(), server, "default");
    let text = std::fs::read_to_string(world.kubeconfig()).unwrap();
    let mut untrusted: serde_json::Value = serde_json::from_str(&text).unwrap();
    untrusted["clusters"][0]["cluster"]
        .as_object_mut()
        .unwrap()
        .remove("certificate-authority-data");
    let untrusting = home.path().join("untrusting");
    std::fs::write(&untrusting, untrusted.to_string()).unwrap();
    let server = untrusted["clusters"][0]["cluster"]["server"].as_str().unwrap().to_owned();
    let nobody = format!("http://{free}");
    for (kubeconfig, server, words) in [
        (plain(&nobody), nobody.as_str(), "connection refused"),
        (plain("https://nowhere.invalid:6443"), "nowhere.invalid", "no such host"),
        // Class E: no machine has a route to this address.
        (plain("https://240.0.0.1:6443"), "240.0.0.1", ""),
        (untrusting, server.as_str(), "certificate"),
        (plain(&server.replace("https", "http")), "127.", ""),
    ] {
        for line in ["up", "status", "down --yes"] {
            let call = world.pgset(line).kubeconfig(&kubeconfig);
            let output = call.run().await.exits(3).within(seconds(20)).says(words);
            output.says(server.trim_end_matches('/')).never_says("panicked");
        }
    }
    world.stop().await;
}
