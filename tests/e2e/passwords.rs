//! Password rotation, also with interruptions.

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{LogParams, Patch, PatchParams};
use serde_json::json;

use super::killed::{killed_after, undisturbed};
use super::{CLASS, pods_are_ready};
use crate::support::pgset::Output;
use crate::support::proxy::Proxy;
use crate::support::space::{Image, Space};
use crate::support::{eventually, seconds};

const REPLICA_1: &str = "select count(*) from pg_stat_replication where state = 'streaming'";

async fn password(space: &Space, role: &str) -> String {
    space.pgset("password show").arg(role).run().await.ok().stdout.trim_end().to_owned()
}

/// The keys of the Secret.
async fn keys(space: &Space) -> Vec<String> {
    let secret = space.api::<Secret>().get("pgset-auth").await.unwrap();
    secret.data.unwrap_or_default().into_keys().collect()
}

/// Terminates the connections of all replicas, so that each must log in again, and waits until all stream.
async fn replicas_log_in_again(space: &Space) {
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_replication";
    space.sql("pgset-0", "postgres", cut).await.unwrap();
    let since = "select count(*) from pg_stat_replication where state = 'streaming' and backend_start > now() - interval '1 minute'";
    space.sql_yields("pgset-0", "postgres", since, "1").await;
}

/// Every role can log in with the password in the Secret.
async fn everybody_logs_in(space: &Space) {
    space.pgset("test").run().await.ok();
    replicas_log_in_again(space).await;
    let superuser = password(space, "superuser").await;
    let script =
        format!("\\connect postgresql://postgres:{superuser}@pgset-master/postgres\nselect 1;\n");
    space.pgset("psql -- -v ON_ERROR_STOP=1").run_with(script).await.ok();
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn every_role_of_the_official_image_gets_a_new_password() {
    let space = Space::of(Image::Official, "rotate").await;
    space.pgset("up --replicas 2").run().await.ok();
    let roles = ["superuser", "replication", "user"];
    let mut before = Vec::new();
    for role in roles {
        before.push(password(&space, role).await);
    }
    let keys_before = keys(&space).await;
    // Every statement is logged, except those that contain a password.
    let logged = "up --set log_statement=all --set log_min_duration_statement=0";
    space.pgset(logged).run().await.ok();
    space.pgset("password rotate superuser replication user").run().await.ok();
    for (role, before) in roles.iter().zip(&before) {
        let after = password(&space, role).await;
        assert!(after != *before && after.len() == 32, "{role}: {} characters", after.len());
    }
    assert_eq!(keys(&space).await, keys_before);
    everybody_logs_in(&space).await;
    space.sql("pgset-0", "postgres", "select 'this is logged'").await.unwrap();
    let of_the_server = LogParams { container: Some("postgres".into()), ..LogParams::default() };
    let log = space.api::<Pod>().logs("pgset-0", &of_the_server).await.unwrap();
    assert!(log.contains("this is logged"), "{log}");
    assert!(!log.contains("alter role"), "{log}");
    for role in roles {
        let password = password(&space, role).await;
        assert!(!log.contains(&password), "the log holds the password of {role}");
    }
    // A recreated pod takes the password from the Secret.
    space.api::<Pod>().delete("pgset-1", &kube::api::DeleteParams::default()).await.unwrap();
    eventually("the pod is gone or new", seconds(60), async || {
        let pod = space.api::<Pod>().get_opt("pgset-1").await.map_err(|e| e.to_string())?;
        let going = pod.is_some_and(|pod| pod.metadata.deletion_timestamp.is_some());
        if going { Err("it is going".to_owned()) } else { Ok(()) }
    })
    .await;
    pods_are_ready(&space, &["pgset-0", "pgset-1"]).await;
    space.sql_yields("pgset-0", "postgres", REPLICA_1, "1").await;
    // A later `up` changes nothing.
    space.pgset("up").run().await.ok().never_says("configured");
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_given_password_is_taken_and_the_articles_replicas_keep_theirs() {
    let space = Space::new("rotate").await;
    let given = space.file("given", "FirstGiven1\n");
    let output = space.pgset("up --replicas 2").args(CLASS).arg("--password-file").arg(&given);
    output.run().await.ok();
    assert_eq!(password(&space, "user").await, "FirstGiven1");
    let rotate = || space.pgset("password rotate");
    rotate().arg("--password-file").arg("-").run_with("SecondGiven2\n").await.ok();
    assert_eq!(password(&space, "user").await, "SecondGiven2");
    rotate().args("superuser user").run().await.ok();
    everybody_logs_in(&space).await;
    let refused: Output = rotate().arg("replication").run().await.exits(4);
    refused.says("recovery.conf");
    let hyphen = rotate().args("--password-file -").run_with("with-hyphen").await.exits(2);
    hyphen.says("only letters and digits").never_says("with-hyphen");
    // `up` with a different password names the right command.
    let up = space.pgset("up").args(CLASS).args("--password-file -").run_with("Third3").await;
    up.exits(4).says("pgset password rotate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_rotation_that_is_killed_goes_on() {
    let space = Space::of(Image::Official, "killed").await;
    space.pgset("up --replicas 2").run().await.ok();
    let call = || space.pgset("password rotate replication user");
    let requests = undisturbed(&space, call()).await;
    assert!(requests.iter().filter(|r| r.writes()).count() >= 6, "{requests:?}");
    let keys_before = keys(&space).await;
    let (mut points, mut pending) = (0, 0);
    for n in 0..requests.len() {
        let proxy = Proxy::start(&space.cluster).await;
        if !killed_after(&space, &proxy, n, call()).await {
            break;
        }
        points += 1;
        pending += u32::from(keys(&space).await.iter().any(|key| key.starts_with("next-")));
        // An `up` in between loses nothing.
        if n % 4 == 0 {
            let kept = keys(&space).await;
            space.pgset("up").run().await;
            assert_eq!(keys(&space).await, kept, "after {n} requests");
        }
        call().run().await.ok();
        assert_eq!(keys(&space).await, keys_before, "after {n} requests");
        let user = password(&space, "user").await;
        let script =
            format!("\\connect postgresql://testuser:{user}@pgset-master/userdb\nselect 1;\n");
        // After many rotations the master may be busy, so its Service may need a moment.
        eventually("the application logs in", seconds(30), async || {
            let psql = space.pgset("psql -- -v ON_ERROR_STOP=1").run_with(script.clone()).await;
            if psql.code == Some(0) { Ok(()) } else { Err(psql.to_string()) }
        })
        .await;
        if n % 4 == 0 {
            replicas_log_in_again(&space).await;
        }
    }
    assert!(points >= 15 && pending >= 5, "{points} points, {pending} of them half-way");
    everybody_logs_in(&space).await;
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_password_that_only_postgresql_has_is_found_again() {
    let space = Space::of(Image::Official, "halfway").await;
    space.pgset("up --replicas 1").run().await.ok();
    // The state after a rotation was killed just after PostgreSQL accepted the password.
    let half_way = Patch::Merge(json!({"stringData": {"next-user-password": "HalfWay1"}}));
    let secrets = space.api::<Secret>();
    secrets.patch("pgset-auth", &PatchParams::default(), &half_way).await.unwrap();
    let alter = "alter role testuser password 'HalfWay1'";
    space.sql("pgset-0", "postgres", alter).await.unwrap();

    let up = space.pgset("up --replicas 1").run().await.exits(1);
    up.says("testuser can't log in").says("pgset password rotate user");
    let show = space.pgset("password show").run().await.ok();
    show.says("interrupted");
    space.pgset("password rotate").run().await.ok().says("resuming an interrupted rotation");
    assert_eq!(password(&space, "user").await, "HalfWay1");
    space.pgset("up --replicas 1").run().await.ok();
    // Two concurrent rotations have the same result as two consecutive ones.
    let (one, two) =
        tokio::join!(space.pgset("password rotate").run(), space.pgset("password rotate").run());
    one.ok();
    two.ok();
    space.pgset("up --replicas 1").run().await.ok();
    assert!(!keys(&space).await.iter().any(|key| key.starts_with("next-")));
}
