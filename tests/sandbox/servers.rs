//! What commands report about servers that do not answer or do not start.

use pgset::sandbox::kinds::CONFIG_MAPS;
use serde_json::json;

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

/// The files that the pods of a set of two have beside their data.
fn write_role_files(world: &World, files: [&str; 2]) {
    for (ordinal, (volume, text)) in world.volumes("default").iter().zip(files).enumerate() {
        std::fs::write(volume.join(format!("pgset-{ordinal}.role")), text).unwrap();
    }
}

#[tokio::test]
async fn a_lost_topology_is_recorded_from_what_the_pods_know() {
    let world = World::quick().await;
    run(&world, "up --replicas 2").await.ok();
    let id = World::key(&CONFIG_MAPS, "pgset-topology");
    let know = "7000000000000000001 2 pgset-0";
    let other = "7000000000000000002 1 pgset-0";
    write_role_files(&world, [know, other]);
    world.delete(&id);
    let refused = run(&world, "up").await.exits(4).says("pgset status");
    refused.says(
        "pgset-0 has the system identifier 7000000000000000001, and pgset-1 has 7000000000000000002",
    );
    assert_eq!(world.object(&id), None);

    write_role_files(&world, [know, "7000000000000000001 1 pgset-0"]);
    let words = "does not exist, and pgset-0 knows epoch 2, master pgset-0";
    run(&world, "up --dry-run").await.ok().says(words);
    assert_eq!(world.object(&id), None);
    run(&world, "up").await.ok().says(words).says("pgset is up");
    let data = |key: &str| world.object(&id).unwrap()["data"][key].clone();
    assert_eq!((data("epoch"), data("master")), (json!("2"), json!("pgset-0")));
    assert_eq!(data("most-pods"), "2");
    assert_eq!(data("system-identifier"), "7000000000000000001");

    // An earlier one, of a set that is healthy: `up` asks its servers for their configuration anyway.
    run(&world, "up").await.ok().says("nothing changed");
    run(&world, "status").await.ok().prints("pgset-0 is the master (epoch 2)");
    world.edit(&id, |topology| topology["data"]["epoch"] = json!("1"));
    // Both know it now.
    let words = "knows epoch 2, master pgset-0";
    run(&world, "status").await.exits(1).prints(words).prints("pgset up");
    run(&world, "up").await.ok().says(words);
    assert_eq!(data("epoch"), "2");
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
