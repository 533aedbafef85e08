//! The commands of the README in order, with each image and each kind of storage.

use super::{World, official};
use crate::support::pgset::Pgset;

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn the_article_s_image_by_class() {
    let world = World::start().await;
    story(&world, |pgset| pgset).await;
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn the_article_s_image_by_host_path() {
    let world = World::start().await;
    let shared = world.directory.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let storage = format!("hostpath:{}", shared.display());
    story(&world, |pgset| pgset.env("PGSET_STORAGE", &storage)).await;
    let left: Vec<_> = std::fs::read_dir(&shared).unwrap().flatten().collect();
    assert!(left.is_empty(), "down --delete-data left {left:?}");
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn the_article_s_image_by_nfs() {
    let world = World::start().await;
    story(&world, |pgset| pgset.env("PGSET_STORAGE", "nfs://nfs.example/export")).await;
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn the_official_image_by_class() {
    let world = World::start().await;
    story(&world, official).await;
    world.stop().await;
}

async fn story(world: &World, with: impl Fn(Pgset) -> Pgset) {
    let run = async |line: &str| with(world.pgset(line)).run().await.ok();
    run("up").await.says("1 replica streaming");
    let again = run("up").await.says("nothing changed");
    again.never_says("configured").never_says("created");
    run("diff").await;
    from_test_on(world, &with).await;
    // The data outlives the pods.
    run("down --yes").await;
    run("up").await.says("streaming (");
    run("test").await.prints(" passed, 0 failed");
    run("down --yes --delete-data").await;
    run("down --yes").await.says("there is no set pgset");
}

async fn from_test_on(world: &World, with: &impl Fn(Pgset) -> Pgset) {
    let run = async |line: &str| with(world.pgset(line)).run().await.ok();
    run("test").await.prints(" passed, 0 failed");
    run("scale --replicas 3").await.says("2 replicas streaming");
    run("test").await.prints(" passed, 0 failed");
    run("status").await.prints("is healthy");
}
