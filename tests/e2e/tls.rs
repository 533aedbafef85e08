//! TLS of a set: enabled on running pods, renewed, with a user's certificate, and disabled.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use pgset::certificate::{Certificates, Renewal, names, renew};
use pgset::set::SetIdentity;
use serde_json::{Value, json};

use super::killed::{killed_after, undisturbed};
use super::pods_are_ready;
use crate::support::proxy::Proxy;
use crate::support::space::{Image, Space};
use crate::support::{eventually, seconds};

const SENDERS: &str = "select count(*), bool_and(ssl) from pg_stat_replication join pg_stat_ssl using (pid) where state = 'streaming'";

fn set(space: &Space) -> SetIdentity {
    SetIdentity { name: "pgset".parse().unwrap(), namespace: space.name.parse().unwrap() }
}

/// UID and restarts of each pod. They change when a pod is replaced or its server restarted.
async fn lives(space: &Space) -> Vec<(String, Option<String>, i32)> {
    let pods = space.api::<Pod>().list(&ListParams::default()).await.unwrap();
    let restarts = |pod: &Pod| {
        let statuses = pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten());
        statuses.map(|status| status.restart_count).sum()
    };
    let mut lives: Vec<_> =
        pods.items.iter().map(|pod| (pod.name_any(), pod.uid(), restarts(pod))).collect();
    lives.sort();
    lives
}

/// A client in a pod of the set, which knows only the output of `connect`. Returns what it sees.
async fn client(space: &Space, side: &str, mode: &str) -> Result<String, String> {
    let json = space.pgset("connect -o json --show-password").run().await.ok().json();
    let ca = space.pgset("connect --ca-certificate").run().await.stdout;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let script = "printf %s \"$1\" >/tmp/client-ca.crt; PGPASSWORD=$2 PGSSLROOTCERT=/tmp/client-ca.crt psql -XAtq -d \"host=$3 user=testuser dbname=userdb sslmode=$4\" -c 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'";
    let host = text(&json[side]["host"]);
    let password = text(&json["password"]);
    space.exec("pgset-1", &["bash", "-c", script, "client", &ca, &password, &host, mode]).await
}

async fn is_encrypted(space: &Space) {
    for side in ["master", "replica"] {
        assert_eq!(client(space, side, "verify-full").await.unwrap(), "t", "{side}");
        let refused = client(space, side, "disable").await.unwrap_err();
        assert!(refused.contains("no pg_hba.conf entry"), "{refused}");
    }
    let replicas = space.ready_pods().await.len() - 1;
    space.sql_yields("pgset-0", "postgres", SENDERS, &format!("{replicas}|t")).await;
    let tested = space.pgset("test").run().await.ok();
    tested.prints("pgset-master has a valid certificate and refuses connections without TLS");
    let status = space.pgset("status -o json").run().await.ok().json();
    assert_eq!(status["tls"]["mode"], "required", "{status}");
}

async fn secret(space: &Space, name: &str) -> Certificates {
    let secret = space.api::<Secret>().get(name).await.unwrap();
    let data = secret.data.unwrap_or_default();
    let text = |key: &str| {
        data.get(key).map(|bytes| String::from_utf8(bytes.0.clone()).unwrap()).unwrap_or_default()
    };
    Certificates {
        authorities: text("ca.crt"),
        authority_keys: pgset::values::Secret::new(text("ca.key")),
        certificate: text("tls.crt"),
        key: pgset::values::Secret::new(text("tls.key")),
    }
}

fn data(made: &Certificates) -> Value {
    let encoded = |text: &str| BASE64.encode(text);
    json!({
        "ca.crt": encoded(&made.authorities),
        "tls.crt": encoded(&made.certificate),
        "tls.key": encoded(made.key.expose()),
    })
}

/// Stores certificates like a certificate manager: without the CA's key.
async fn keep(space: &Space, name: &str, made: &Certificates) {
    let value = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "type": "kubernetes.io/tls", "data": data(made)});
    let manager = PatchParams::apply("cert-manager").force();
    space.api::<Secret>().patch(name, &manager, &Patch::Apply(value)).await.unwrap();
}

/// Certificates generated `days_ago` days ago, with the CA of `there` if it is given.
fn made(there: Option<&Certificates>, names: &[String], days_ago: i64) -> Certificates {
    let at = Timestamp::now() - SignedDuration::from_hours(24 * days_ago);
    match renew(there, names, at).unwrap() {
        Renewal::Renewed { certificates, .. } => certificates,
        Renewal::Keep => panic!("kept"),
    }
}

/// Waits until the server of a pod has this certificate.
async fn has(space: &Space, pod: &str, made: &Certificates) {
    eventually("the server has the certificate", seconds(200), async || {
        let has = space.exec(pod, &["cat", "/run/pgset/tls/tls.crt"]).await?;
        if made.certificate.trim() == has.trim() { Ok(()) } else { Err(has) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn from_nothing_through_restarts_and_scaling_to_the_end() {
    let space = Space::of(Image::Official, "tls").await;
    let up = space.pgset("up -v --tls").run().await.ok();
    up.says("secret/pgset-tls created").says("sslmode=verify-full").never_says("PRIVATE KEY");
    is_encrypted(&space).await;
    for pod in ["pgset-1", "pgset-0"] {
        space.api::<Pod>().delete(pod, &DeleteParams::default()).await.unwrap();
        eventually("the pod is another one", seconds(60), async || {
            let pod = space.api::<Pod>().get_opt(pod).await.map_err(|e| e.to_string())?;
            let going = pod.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some());
            if going { Err("it is going".to_owned()) } else { Ok(()) }
        })
        .await;
        pods_are_ready(&space, &["pgset-0", "pgset-1"]).await;
    }
    space.sql_yields("pgset-0", "postgres", SENDERS, "1|t").await;
    space.pgset("scale --replicas 3").run().await.ok();
    is_encrypted(&space).await;
    // Rotated passwords are tested over TLS, too.
    space.pgset("password rotate replication user").run().await.ok();
    let before = secret(&space, "pgset-tls").await;
    space.pgset("down -v --yes").run().await.ok().says("the CA that clients trust");
    // Without a TLS flag, TLS stays as it was, and clients can keep their ca.crt.
    space.pgset("up --replicas 3").run().await.ok();
    is_encrypted(&space).await;
    assert_eq!(secret(&space, "pgset-tls").await, before);
    space.pgset("down --yes --delete-data").run().await.ok();
    assert!(space.api::<Secret>().get_opt("pgset-tls").await.unwrap().is_none());
    // The data was deleted, and the certificates with it.
    space.pgset("up --replicas 1").run().await.ok().never_says("pgset-tls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn it_comes_is_renewed_and_goes_without_a_restart() {
    let space = Space::of(Image::Official, "tls").await;
    space.pgset("up").run().await.ok();
    let before = lives(&space).await;
    space.pgset("status").run().await.ok().prints("no TLS: connections are not encrypted");
    space.pgset("connect --ca-certificate").run().await.exits(1).says("pgset up --tls");
    let up = space.pgset("up --tls").run().await.ok();
    up.says("TLS off -> offered").says("TLS offered -> required");
    is_encrypted(&space).await;

    // Less than a third of the lifetime is left: every `up` renews the certificate, without breaking
    // connections.
    let first = secret(&space, "pgset-tls").await;
    let mut other_names = names::all(&set(&space));
    other_names.push("db.example.com".to_owned());
    let due = made(Some(&first), &other_names, 300);
    let patch = Patch::Merge(json!({"data": data(&due)}));
    space.api::<Secret>().patch("pgset-tls", &PatchParams::default(), &patch).await.unwrap();
    let status = space.pgset("status").run().await;
    status.prints("days");
    let sender = "select pid from pg_stat_replication where state = 'streaming'";
    let pid = space.sql("pgset-0", "postgres", sender).await.unwrap();
    let up = space.pgset("up").run().await.ok();
    up.says("renewed: less than a third of its time was left").never_says("TLS off");
    let renewed = secret(&space, "pgset-tls").await;
    assert_eq!(renewed.authorities, first.authorities, "clients keep their ca.crt");
    assert_ne!(renewed.certificate, due.certificate);
    for pod in ["pgset-0", "pgset-1"] {
        let now = space.exec(pod, &["cat", "/run/pgset/tls/tls.crt"]).await.unwrap();
        assert_eq!(now.trim(), renewed.certificate.trim(), "{pod} has it when `up` ends");
    }
    assert_eq!(space.sql("pgset-0", "postgres", sender).await.unwrap(), pid, "nobody was cut off");
    is_encrypted(&space).await;
    space.pgset("up").run().await.ok().never_says("renewed").never_says("configured");

    let up = space.pgset("up --tls=false").run().await.ok();
    up.says("TLS required -> offered").says("TLS offered -> off");
    space.pgset("status").run().await.ok().prints("no TLS");
    assert_eq!(client(&space, "master", "disable").await.unwrap(), "f");
    space.pgset("test").run().await.ok();
    assert_eq!(lives(&space).await, before, "no pod was replaced, no server restarted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn somebody_elses_certificate_is_looked_at_taken_and_left_alone() {
    let space = Space::of(Image::Official, "tls").await;
    space.pgset("up").run().await.ok();
    let set = set(&space);
    let good = made(None, &names::needed(&set), 0);
    let old = made(None, &names::needed(&set), 400);
    let elsewhere = made(None, &["pgset-master".to_owned()], 0);
    let stranger = made(None, &names::needed(&set), 0);
    let replica =
        format!("tls.crt does not name pgset-master.{0}.svc, pgset-replica.{0}.svc", space.name);
    let refused = async |words: &str| {
        let up = space.pgset("up --tls-secret mine").run().await.exits(4);
        up.says(words).never_says("configured").never_says("created").never_says("PRIVATE KEY");
    };
    refused("Secret mine can't be used for TLS: it does not exist").await;
    for (certificates, words) in [
        (elsewhere, replica.as_str()),
        (old, "expired"),
        (Certificates { key: stranger.key.clone(), ..good.clone() }, "not the key of tls.crt"),
        (Certificates { authorities: stranger.authorities, ..good.clone() }, "not signed by a CA"),
        (Certificates { authorities: String::new(), ..good.clone() }, "ca.crt contains no"),
    ] {
        keep(&space, "mine", &certificates).await;
        refused(words).await;
    }

    keep(&space, "mine", &good).await;
    let there = space.api::<Secret>().get("mine").await.unwrap();
    // The pods mount another Secret.
    let words = "this restarts pgset-1, then pgset-0 (the master)";
    let asked = space.pgset("up --tls-secret mine").run().await.exits(4);
    asked.says(words).says("TLS secret pgset-tls -> mine").never_says("configured");
    let up = space.pgset("up --yes --tls-secret mine").run().await.ok();
    up.says("TLS off -> offered, certificate from Secret mine").says("TLS offered -> required");
    is_encrypted(&space).await;
    // Without a TLS flag, TLS stays on.
    space.pgset("up").run().await.ok().never_says("configured");
    assert!(space.api::<Secret>().get_opt("pgset-tls").await.unwrap().is_none());

    // The owner of the Secret renews the certificate, and the servers load it without `up`.
    let renewed = made(Some(&good), &[names::needed(&set), vec!["more".to_owned()]].concat(), 0);
    assert_eq!(renewed.authorities, good.authorities);
    let unchanged = space.api::<Secret>().get("mine").await.unwrap();
    assert_eq!(unchanged.resource_version(), there.resource_version(), "pgset only read it");
    keep(&space, "mine", &renewed).await;
    for pod in ["pgset-0", "pgset-1"] {
        has(&space, pod, &renewed).await;
    }
    is_encrypted(&space).await;
    // An expired certificate is reported, but does not prevent switching TLS off.
    keep(&space, "mine", &made(Some(&good), &names::needed(&set), 400)).await;
    let up = space.pgset("up").run().await.exits(1);
    up.says("Secret mine can't be used for TLS").says("expired");
    // Change from there to pgset's own certificate: the other CA breaks no connection.
    space.pgset("up --tls=false").run().await.ok().never_says("restarting");
    space.pgset("up").run().await.ok().says("nothing changed").never_says("previous template");
    space.pgset("up --tls").run().await.exits(4).says("TLS secret mine -> pgset-tls");
    space.pgset("up --yes --tls").run().await.ok().says("secret/pgset-tls created");
    keep(&space, "mine", &renewed).await;
    is_encrypted(&space).await;
    space
        .pgset("up --yes --tls-secret mine")
        .run()
        .await
        .ok()
        .says("TLS required -> offered, certificate from Secret mine");
    is_encrypted(&space).await;
    space.pgset("down --yes --delete-data").run().await.ok();
    assert!(space.api::<Secret>().get_opt("mine").await.unwrap().is_some(), "it is not the set's");
}

/// Killed at any point, the set still replicates, and the next `up` resumes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn an_up_that_is_killed_on_the_way_is_gone_on_with() {
    let space = Space::of(Image::Official, "tls").await;
    space.pgset("up").run().await.ok();
    let before = lives(&space).await;
    let requests = undisturbed(&space, space.pgset("up --tls")).await;
    let writes = requests.iter().enumerate().filter(|(_, r)| r.writes()).map(|(at, _)| at);
    let points: BTreeSet<usize> = writes.flat_map(|at| [at, at + 1]).collect();
    assert!(points.len() >= 6, "{requests:?}");
    // Each run takes a while, so select some points, including the first and the last.
    let few = points.len().div_ceil(6);
    let points = points.iter().step_by(few).chain(points.last()).copied();
    for n in points {
        space.pgset("up --tls=false").run().await.ok();
        let proxy = Proxy::start(&space.cluster).await;
        killed_after(&space, &proxy, n, space.pgset("up --tls")).await;
        // At every intermediate state, all clients can still connect and all replicas stream.
        space
            .sql(
                "pgset-0",
                "postgres",
                "select count(pg_terminate_backend(pid)) from pg_stat_replication",
            )
            .await
            .unwrap();
        let streams = "select count(*) from pg_stat_replication where state = 'streaming'";
        space.sql_yields("pgset-0", "postgres", streams, "1").await;
        space.pgset("up --tls").run().await.ok();
        is_encrypted(&space).await;
    }
    assert_eq!(lives(&space).await, before);
}
