//! Changes while pods run, with the official image: PostgreSQL's settings, passwords, the number of
//! replicas, synchronous replication.

use super::{World, official};
use crate::support::pgset::Output;

impl World {
    async fn official(&self, line: &str) -> Output {
        official(self.pgset(line)).run().await
    }

    /// The output of psql on the master or on a replica.
    async fn sql(&self, on: &str, statement: &str) -> String {
        let psql = official(self.pgset(&format!("psql {on} -- -v ON_ERROR_STOP=1 -At")));
        psql.run_with(statement).await.ok().stdout.trim_end().to_owned()
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn settings_are_checked_followed_and_restarted_for() {
    let world = World::start().await;
    world.official("up --set work_mem=8MB").await.ok();
    assert_eq!(world.sql("--replica", "show work_mem").await, "8MB");
    let refused = world.official("up --set work_mem=banana").await.exits(2);
    refused.says("invalid value for parameter \"work_mem\"").never_says("configured");
    let refused = world.official("up --set wrok_mem=1").await.exits(2);
    refused.says("\"wrok_mem\" in file \"postgresql.conf\" line");

    // A mounted file changes while the pod runs.
    let changed = world.official("up --set work_mem=9MB").await.ok();
    changed.says("work_mem '8MB' -> '9MB'").never_says("restarting");
    for on in ["", "--replica"] {
        assert_eq!(world.sql(on, "show work_mem").await, "9MB");
    }
    world.official("up --set max_connections=150").await.exits(4).says("--yes");
    let restarted = world.official("up --yes --set max_connections=150").await.ok();
    restarted.says("restarting pgset-1").says("restarting pgset-0");
    for on in ["", "--replica"] {
        assert_eq!(world.sql(on, "show max_connections").await, "150");
    }
    world.official("up").await.ok().never_says("configured");
    world.official("test").await.ok();
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn replicas_come_go_and_are_waited_for() {
    let world = World::start().await;
    world.official("up").await.ok();
    world.official("scale --replicas 3").await.ok().says("2 replicas streaming");
    world.sql("", "create table t as select generate_series(1, 1000) as n").await;
    world.official("scale --replicas 1").await.ok();
    assert_eq!(world.sql("", "select count(*) from pg_replication_slots").await, "0");
    world.sql("", "insert into t values (0)").await;
    // The replicas use the claims that were kept.
    world.official("scale --replicas 3").await.ok().says("2 replicas streaming");
    assert_eq!(world.sql("--replica 2", "select count(*) from t").await, "1001");

    world.official("up --synchronous 1").await.ok().says("synchronous replicas 0 -> 1");
    world.official("status").await.ok().prints("1 replica must confirm each commit");
    world.sql("", "insert into t values (-1)").await;
    world.official("up").await.ok().never_says("configured");
    world.official("up --synchronous 0").await.ok();
    world.official("test").await.ok();
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn passwords_are_replaced() {
    let world = World::start().await;
    world.official("up").await.ok();
    let show =
        async |role: &str| world.official(&format!("password show {role}")).await.ok().stdout;
    let roles = ["superuser", "replication", "user"];
    let mut before = Vec::new();
    for role in roles {
        before.push(show(role).await);
    }
    world.official("password rotate superuser replication user").await.ok();
    for (role, before) in roles.iter().zip(before) {
        assert_ne!(show(role).await, before, "{role}");
    }
    // Every client has to log in again with the new password.
    world.sql("", "select pg_terminate_backend(pid) from pg_stat_replication").await;
    world.official("test").await.ok();
    let uri = world.official("connect").await.ok();
    uri.prints("postgresql://testuser@pgset-master.default.svc:5432/userdb");
    world.official("up").await.ok().never_says("configured");
    world.stop().await;
}
