//! Tests of behaviour that depends on an API server's answers, with a scripted server instead of a cluster.

use http::Method;
use serde_json::json;

use crate::support::http::kubeconfig;
use crate::support::pgset::Pgset;
use crate::support::server::{Reply, Server};
use crate::support::{CRUNCHY_TAG, seconds};

mod complete;
mod full;
mod input;
mod prompt;

const STATEFUL_SET: &str = "/apis/apps/v1/namespaces/pg/statefulsets/pgset";

fn pgset(server: &Server, line: &str) -> Pgset {
    Pgset::new(line)
        .kubeconfig(&server.kubeconfig())
        .env("CCP_IMAGE_TAG", CRUNCHY_TAG)
        .deadline(seconds(60))
}

fn up(server: &Server) -> Pgset {
    pgset(server, "up --no-wait --storage class")
}

#[tokio::test]
async fn a_fresh_namespace_gets_every_object() {
    let server = Server::start().await;
    up(&server).run().await.ok().mentions(&["created"]);
    let set = server.object(STATEFUL_SET).unwrap();
    assert_eq!(set["spec"]["replicas"], 2);
    for path in [
        "/api/v1/namespaces/pg/serviceaccounts/pgset-sa",
        "/api/v1/namespaces/pg/services/pgset",
        "/api/v1/namespaces/pg/services/pgset-master",
        "/api/v1/namespaces/pg/services/pgset-replica",
        "/api/v1/namespaces/pg/secrets/pgset-auth",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/pg/roles/pgset-sa",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/pg/rolebindings/pgset-sa",
    ] {
        assert!(server.object(path).is_some(), "{path} was not made");
    }
}

#[tokio::test]
async fn a_second_up_writes_nothing() {
    let server = Server::start().await;
    up(&server).run().await.ok();
    server.forget();
    let second = up(&server).run().await.ok().mentions(&["up to date"]);
    assert!(!second.all().contains("configured"), "{second}");
    assert!(!server.requests().is_empty());
    assert_eq!(server.writes(), []);
}

/// The reader of the events must not mistake a truncated stream for a successful run.
#[tokio::test]
async fn events_that_could_not_be_written_are_no_success() {
    let server = Server::start().await;
    let call = up(&server).args("-o json");
    let line = format!("{} >/dev/full", call.shell_line());
    let output =
        tokio::process::Command::new("sh").args(["-c", &line]).output().await.expect("sh runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("No space left on device"), "{stderr}");
    assert!(server.object(STATEFUL_SET).is_some(), "the work stopped for it");
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let server = Server::start().await;
    for kind in ["client", "server"] {
        pgset(&server, &format!("up --storage class --dry-run={kind}")).run().await.ok();
        assert_eq!(server.writes(), [], "--dry-run={kind}");
        assert!(server.object(STATEFUL_SET).is_none());
    }
    let asked = |r: &crate::support::proxy::Seen| r.path.contains("dryRun=All");
    assert!(server.requests().iter().any(asked), "--dry-run=server asks the server");
}

#[tokio::test]
async fn too_many_requests_are_waited_for_as_told() {
    let server = Server::start().await;
    let body = r#"{"kind":"Status","status":"Failure","message":"slow down","code":429}"#;
    let busy = Reply::Text(429, vec![("retry-after", "2")], body.to_owned());
    server.script(Method::PATCH, STATEFUL_SET, 0..1, busy);
    let output = up(&server).run().await.ok();
    assert!(output.took >= seconds(2), "{output}");
    let patches = server.writes().iter().filter(|w| w.path.starts_with(STATEFUL_SET)).count();
    assert_eq!(patches, 2);
}

#[tokio::test]
async fn failures_that_pass_are_tried_again() {
    let server = Server::start().await;
    let leader = Reply::status(500, "InternalError", "etcdserver: leader changed");
    server.script(Method::PATCH, "/services/pgset-master", 0..2, leader);
    let gateway = Reply::Text(502, Vec::new(), "<html>bad gateway</html>".to_owned());
    server.script(Method::GET, "/services/pgset-master", 0..1, gateway);
    let overloaded = Reply::status(503, "ServiceUnavailable", "not now");
    server.script(Method::POST, "/selfsubjectaccessreviews", 0..1, overloaded);
    server.script(Method::GET, "/namespaces/pg/secrets/", 0..1, Reply::Broken("{\"kind\":\"Se"));
    server.script(Method::PATCH, "/services/pgset-replica", 0..1, Reply::Close);
    up(&server).run().await.ok();
    assert!(server.object(STATEFUL_SET).is_some());
}

#[tokio::test]
async fn an_unavailable_server_is_given_up_at_the_deadline() {
    let server = Server::start().await;
    let forever = 0..usize::MAX;
    let down = Reply::status(503, "ServiceUnavailable", "the server is being upgraded");
    server.script(Method::GET, "/", forever, down);
    let output = up(&server).args("--timeout 3s").run().await.exits(3);
    assert!(output.took >= seconds(2) && output.took < seconds(10), "{output}");
    output.says("the server is being upgraded");
    assert_eq!(server.writes(), []);
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_at_the_deadline() {
    let server = Server::start().await;
    server.script(Method::GET, "/", 0..usize::MAX, Reply::Hang);
    up(&server).args("--timeout 2s").run().await.exits(3).within(seconds(10));
}

#[tokio::test]
async fn broken_json_is_an_error_and_no_panic() {
    let server = Server::start().await;
    let half = Reply::Text(200, Vec::new(), "{\"kind\":\"StatefulSet\",\"meta".to_owned());
    server.script(Method::GET, STATEFUL_SET, 0..usize::MAX, half);
    let output = up(&server).run().await.exits(1);
    output.says("StatefulSet pgset").never_says("panicked");
    assert_eq!(server.writes(), []);
}

#[tokio::test]
async fn a_missing_right_is_found_before_the_first_write() {
    let server = Server::start().await;
    server.deny("persistentvolumes");
    let output = pgset(&server, "up --no-wait --storage nfs://10.240.0.1/nfsfileshare").run().await;
    let output = output.exits(3).says("persistentvolumes").mentions(&["ClusterRole"]);
    output.mentions(&["--storage class"]);
    assert_eq!(server.writes(), []);
    // The same user has enough rights for `--storage class`.
    up(&server).run().await.ok();
}

#[tokio::test]
async fn a_conflict_names_field_and_manager() {
    let server = Server::start().await;
    let words = r#"Apply failed with 1 conflict: conflict with "kubectl-edit" using apps/v1: .spec.template.spec.terminationGracePeriodSeconds"#;
    server.script(Method::PATCH, STATEFUL_SET, 0..1, Reply::status(409, "Conflict", words));
    let output = up(&server).run().await.exits(4);
    let output = output.says("kubectl-edit").says("terminationGracePeriodSeconds");
    output.says("--force-conflicts");
}

#[tokio::test]
async fn a_foreign_object_is_left_alone() {
    let server = Server::start().await;
    let path = "/api/v1/namespaces/pg/services/pgset-master";
    let foreign = json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80}]}});
    server.put(path, foreign);
    let before = server.object(path);
    up(&server).run().await.exits(4).says("pgset-master");
    assert_eq!(server.writes(), []);
    assert_eq!(server.object(path), before);
}

#[tokio::test]
async fn a_volume_of_another_set_is_named_with_its_owner() {
    let server = Server::start().await;
    let labels = json!({
        "app.kubernetes.io/managed-by": "pgset",
        "app.kubernetes.io/instance": "pgset",
        "pgset/namespace": "elsewhere",
    });
    let volume = json!({"apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"labels": labels}, "spec": {}});
    server.put("/api/v1/persistentvolumes/pv1", volume);
    let output = pgset(&server, "up --no-wait --storage nfs://10.240.0.1/nfsfileshare").run().await;
    output.exits(4).says("pv1").says("elsewhere").says("--volume-prefix");
    assert_eq!(server.writes(), []);
}

#[tokio::test]
async fn a_namespace_that_is_not_there_or_is_going() {
    let server = Server::start().await;
    let output = up(&server).args("-n nowhere").run().await.exits(1).says("nowhere");
    output.says("pgset up -n nowhere --create-namespace").says("kubectl create namespace nowhere");
    server.put("/api/v1/namespaces/going", json!({"status": {"phase": "Terminating"}}));
    up(&server).args("-n going").run().await.exits(4).says("being deleted");
    assert_eq!(server.writes(), []);
}

#[tokio::test]
async fn the_namespace_is_created_on_request_only() {
    const NAMESPACE: &str = "/api/v1/namespaces/nowhere";
    let server = Server::start().await;
    let up = |line: &str| up(&server).args("-n nowhere --create-namespace").args(line);
    for dry_run in ["--dry-run", "--dry-run=server"] {
        let call = pgset(&server, "up --storage class -n nowhere --create-namespace");
        let output = call.args(dry_run).run().await.ok();
        output.says("namespace/nowhere would be created").says("nothing was written");
        assert_eq!(server.object(NAMESPACE), None, "{dry_run}");
        assert!(server.writes().iter().all(|write| write.path.contains("dryRun=All")));
    }
    server.deny("namespaces");
    server.forget();
    let output = up("").run().await.exits(3);
    output.says("create namespaces in the whole cluster").says("ClusterRole");
    assert_eq!(server.writes(), []);

    let server = Server::start().await;
    let up = |line: &str| self::up(&server).args("-n nowhere --create-namespace").args(line);
    up("-v").run().await.ok().says("namespace/nowhere created");
    let writes = server.writes();
    let first = writes.first().map(|write| write.path.clone()).unwrap_or_default();
    assert!(first.starts_with("/api/v1/namespaces?fieldManager=pgset"), "{first}");
    assert!(server.object("/apis/apps/v1/namespaces/nowhere/statefulsets/pgset").is_some());

    // An existing namespace is not changed, and the right to create it is not needed.
    server.forget();
    server.deny("namespaces");
    up("").run().await.ok().never_says("namespace/nowhere");
    assert_eq!(server.writes(), []);
}

#[tokio::test]
async fn no_cluster_is_said_at_once() {
    let home = tempfile::TempDir::new().unwrap();
    // A port that was free just before, so no server listens on it.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = kubeconfig(home.path(), &format!("http://{free}"), "pg");
    for line in ["up --storage class", "scale --replicas 3", "test", "status", "down --yes"] {
        let output = Pgset::new(line).kubeconfig(&nobody).env("CCP_IMAGE_TAG", CRUNCHY_TAG);
        let output = output.run().await.exits(3).within(seconds(15));
        output.says(&free.to_string()).says("connection refused");
    }
}

#[tokio::test]
async fn whoever_is_not_let_in_is_told() {
    let server = Server::start().await;
    let unauthorized = Reply::status(401, "Unauthorized", "Unauthorized");
    server.script(Method::GET, "/", 0..usize::MAX, unauthorized.clone());
    server.script(Method::POST, "/", 0..usize::MAX, unauthorized);
    for line in ["up --storage class", "scale --replicas 3", "test", "status", "down --yes"] {
        pgset(&server, line).run().await.exits(3).says("Unauthorized").mentions(&["log in"]);
    }
    assert_eq!(server.writes(), []);
}

#[tokio::test]
async fn a_second_run_takes_the_passwords_of_the_first() {
    let server = Server::start().await;
    let secret = "/api/v1/namespaces/pg/secrets/pgset-auth";
    up(&server).env("PG_PASSWORD", "first0password").run().await.ok();
    let before = server.object(secret).unwrap()["data"].clone();
    up(&server).run().await.ok();
    assert_eq!(server.object(secret).unwrap()["data"], before);
    // Another password would not match the one in the existing data.
    let output = up(&server).env("PG_PASSWORD", "second0password").run().await.exits(4);
    output.never_says("second0password").never_says("first0password");
    assert_eq!(server.object(secret).unwrap()["data"], before);
}

#[tokio::test]
async fn whoever_loses_the_race_to_create_an_object_applies_it_once_more() {
    let server = Server::start().await;
    let there = Reply::status(409, "AlreadyExists", "services \"pgset-replica\" already exists");
    server.script(Method::PATCH, "/services/pgset-replica", 0..1, there);
    up(&server).run().await.ok().never_says("--force-conflicts");
    let patches = server.writes();
    let patches = patches.iter().filter(|w| w.path.contains("/services/pgset-replica")).count();
    assert_eq!(patches, 2);
    assert!(server.object(STATEFUL_SET).is_some());
}

#[tokio::test]
async fn whoever_loses_the_race_for_the_secret_takes_it_unless_it_says_something_else() {
    let server = Server::start().await;
    let secret = "/api/v1/namespaces/pg/secrets/pgset-auth";
    up(&server).env("PG_PASSWORD", "first0password").run().await.ok();
    let before = server.object(secret).unwrap()["data"].clone();
    // The first GET does not find the Secret, but it exists when pgset creates it.
    let unseen = || {
        let reply = Reply::status(404, "NotFound", "secrets \"pgset-auth\" not found");
        server.script(Method::GET, "/secrets/pgset-auth", 0..1, reply);
    };
    unseen();
    up(&server).run().await.ok().says("another run created it first");
    unseen();
    let output = up(&server).env("PG_PASSWORD", "second0password").run().await.exits(4);
    output.says("user-password").never_says("second0password").never_says("first0password");
    assert_eq!(server.object(secret).unwrap()["data"], before);
}

/// Fault 10: the credentials expire while a command waits.
#[tokio::test]
async fn credentials_that_run_out_while_waiting_are_read_once_more() {
    let server = Server::start().await;
    let pods = "/api/v1/namespaces/pg/pods";
    let unauthorized = Reply::status(401, "Unauthorized", "Unauthorized");
    server.script(Method::GET, pods, 0..1, unauthorized.clone());
    // No pod runs here, so the command must end at its deadline, and not with "Unauthorized".
    let wait = || pgset(&server, "up --storage class --timeout 3s");
    wait().run().await.exits(70).never_says("Unauthorized");
    let lists = server.requests().iter().filter(|r| r.path.contains(pods)).count();
    assert!(lists > 1, "the pods were listed {lists} times");

    server.script(Method::GET, pods, 0..usize::MAX, unauthorized);
    wait().run().await.exits(3).says("Unauthorized").mentions(&["log in"]);
}

#[tokio::test]
async fn the_status_of_no_set_is_a_document_too() {
    let server = Server::start().await;
    let output = pgset(&server, "status -o json").run().await.exits(1).says("there is no set");
    let status = output.json();
    assert_eq!((&status["health"], &status["set"]), (&json!("down"), &json!("pgset")));
}

#[tokio::test]
async fn a_claim_that_can_not_grow_is_found_before_anything_is_changed() {
    let server = Server::start().await;
    up(&server).run().await.ok();
    let set = server.object(STATEFUL_SET).unwrap();
    let claim = "/api/v1/namespaces/pg/persistentvolumeclaims/pgdata-pgset-0";
    server.put(
        claim,
        json!({"kind": "PersistentVolumeClaim", "apiVersion": "v1",
            "metadata": {"name": "pgdata-pgset-0", "namespace": "pg", "labels": {
                "app.kubernetes.io/instance": "pgset", "app.kubernetes.io/managed-by": "pgset"}},
            "spec": {"resources": {"requests": {"storage": "1Gi"}}}}),
    );
    let words = "persistentvolumeclaims \"pgdata-pgset-0\" is forbidden: only dynamically \
        provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
    server.script(Method::PATCH, claim, 0..1, Reply::status(403, "Forbidden", words));
    let output = up(&server).args("--size 2Gi --yes").run().await.exits(4);
    output.says("can't grow to 2Gi").mentions(&["storageclass"]);
    assert_eq!(server.object(STATEFUL_SET).unwrap(), set);
}

#[tokio::test]
async fn generated_passwords_that_are_rendered_are_named() {
    let server = Server::start().await;
    let render = |line: &str| pgset(&server, line).args("--storage class");
    let generated = "passwords that are not given are generated each time";
    render("render --show-secrets").run().await.ok().says(generated);
    render("render").run().await.ok().never_says(generated);
    let given = ["PG_PASSWORD", "PG_PRIMARY_PASSWORD", "PG_ROOT_PASSWORD"];
    let call = given.iter().fold(render("render --show-secrets"), |c, name| c.env(name, "Given1"));
    call.run().await.ok().never_says(generated);
    let tls = render("render --show-secrets --tls").env("CCP_IMAGE_TAG", "");
    tls.run().await.ok().says("private keys that are not given are generated each time");
    assert_eq!(server.requests(), []);
}
