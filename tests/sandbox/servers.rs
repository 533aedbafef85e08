//! What commands report about servers that do not answer or do not start.

use super::quick::Profile;
use super::{World, official};
use crate::support::pgset::Output;

async fn run(world: &World, line: &str) -> Output {
    Profile::Official.of(world.pgset(line)).run().await
}

#[tokio::test]
async fn a_full_server_is_answered_with_its_limit() {
    let world = World::quick().await;
    run(&world, "up").await.ok();
    world.fill(true);
    run(&world, "status").await.exits(1).prints("every connection that max_connections allows");
    let test = run(&world, "test").await.exits(5);
    test.prints("max_connections").prints("0 passed, 1 failed");
    let psql = run(&world, "psql").await.exits(1);
    psql.says("pg_terminate_backend").says("pgset up --set max_connections=200");
    world.fill(false);
    run(&world, "status").await.ok();
    world.stop().await;
}

#[tokio::test]
async fn another_owner_of_the_data_is_refused() {
    let world = World::quick().await;
    run(&world, "up").await.ok();
    for line in ["up --image postgres:17-alpine", "up --user-id 70"] {
        run(&world, line).await.exits(4).says("belong to user ID 999").never_says("configured");
    }
    run(&world, "up").await.ok().says("nothing changed");
    run(&world, "down --yes").await.ok();
    run(&world, "up --user-id 70").await.exits(4).says("belong to user ID 999");
    world.stop().await;
}

/// The pod has not started again when the right setting is applied, and its last log is about the wrong one.
#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn a_corrected_setting_is_not_blamed_for_the_crash_before() {
    let world = World::start().await;
    let run = async |line: &str| official(world.pgset(line)).run().await;
    let wrong = run("up --set shared_preload_libraries=no_such_library").await.exits(1);
    wrong.says("could not access file \"no_such_library\"");
    let right = run("up --set shared_preload_libraries=").await.ok();
    right.never_says("no_such_library\": No such file").says("pgset is up");
    world.stop().await;
}
