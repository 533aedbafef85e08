//! Invalid inputs: each one ends with exit code 2 before the first request. The message names the
//! field, its source, and the fix.

pub(crate) mod files;

use pgset::sandbox::kinds::STATEFUL_SETS;
use pgset::sandbox::store::Key;

use super::World;
use super::quick::{PROFILES, Profile};
use crate::support::pgset::{Output, Pgset};

impl World {
    /// Runs a call that has to fail before the first request.
    async fn refuses(&self, call: Pgset, words: &[&str]) -> Output {
        self.faults().record();
        let output = call.run().await.exits(2).never_says("panicked");
        assert_eq!(self.faults().seen(), [], "{output}");
        assert!(output.stdout.is_empty(), "{output}");
        words.iter().fold(output, |output, word| output.says(word))
    }
}

/// The image, the command line, a variable, and the expected words: the field, its source, and the
/// fix if there is one.
type Case = (Profile, &'static str, (&'static str, &'static str), &'static [&'static str]);

const A: Profile = Profile::Article;
const O: Profile = Profile::Official;
const NONE: (&str, &str) = ("PGSET_YES", "");
const LONG: &str = "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefffffffffgggggg";

const CASES: &[Case] = &[
    (O, "up --replicas 0", NONE, &["number of pods \"0\"", "--replicas", "pgset stop"]),
    (O, "up --replicas -1", NONE, &["number of pods \"-1\"", "--replicas"]),
    (O, "up --replicas 1000000000", NONE, &["number of pods \"1000000000\"", "--replicas"]),
    (O, "up --replicas 2.5", NONE, &["number of pods \"2.5\"", "--replicas"]),
    (O, "up", ("PGSET_REPLICAS", "three"), &["number of pods \"three\"", "PGSET_REPLICAS"]),
    (O, "scale --replicas 0", NONE, &["replicas", "\"0\""]),
    (O, "scale", NONE, &["--replicas"]),
    (O, "up --name PgSet", NONE, &["set name \"PgSet\"", "--name", "did you mean pgset?"]),
    (O, "up", ("PGSET_NAME", "pg.set"), &["\"pg.set\"", "PGSET_NAME", "did you mean pg-set?"]),
    (
        O,
        "up --name aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefff",
        NONE,
        &["set name", "at most 52"],
    ),
    (A, "up --name my-set", NONE, &["must not have a dash", "--name", "did you mean myset?"]),
    (
        O,
        "up",
        ("PGSET_NAMESPACE", "kube-system"),
        &["kube-system", "PGSET_NAMESPACE", "--namespace kube-system"],
    ),
    (
        O,
        "down --yes",
        ("PGSET_NAMESPACE", "kube-system"),
        &["kube-system", "--namespace kube-system"],
    ),
    (O, "up -n Shop", NONE, &["namespace \"Shop\"", "did you mean shop?"]),
    (O, "up", ("PG_USER", "pg_x"), &["role \"pg_x\"", "PG_USER", "pg_"]),
    (O, "up", ("PG_DATABASE", "pg_x"), &["database \"pg_x\"", "PG_DATABASE", "pg_"]),
    (O, "up", ("PG_USER", LONG), &["PG_USER", "at most 63"]),
    (O, "up", ("PG_DATABASE", LONG), &["PG_DATABASE", "at most 63"]),
    (O, "up", ("PG_USER", "o'neil"), &["\"o'neil\"", "PG_USER", "did you mean oneil?"]),
    (O, "up", ("PG_DATABASE", "my\"db"), &["PG_DATABASE", "did you mean"]),
    (
        A,
        "up",
        ("PG_USER", "user"),
        &["a word that SQL reserves", "PG_USER", "did you mean user_1?"],
    ),
    (A, "up", ("PG_DATABASE", "order"), &["a word that SQL reserves", "did you mean order_1?"]),
    (O, "up", ("PG_PASSWORD", ""), &["PG_PASSWORD", "empty"]),
    (A, "up", ("PG_PASSWORD", "with'quote"), &["PG_PASSWORD"]),
    (A, "up", ("PG_ROOT_PASSWORD", "two\nlines"), &["PG_ROOT_PASSWORD"]),
    (O, "up --password s3ntinel", NONE, &["--password", "PG_PASSWORD"]),
    (O, "up --password=s3ntinel", NONE, &["--password", "PG_PASSWORD"]),
    (O, "up", ("PGSET_IMAGE", "a b"), &["image", "PGSET_IMAGE"]),
    (
        O,
        "up --profile crunchy",
        ("PGSET_IMAGE", "crunchydata/crunchy-postgres"),
        &["must have a tag", "crunchy-postgres:centos7"],
    ),
    (
        O,
        "up",
        ("PGSET_IMAGE", "postgres:9.6"),
        &["PostgreSQL 13 to 18", "PGSET_IMAGE", "postgres:17"],
    ),
    (A, "up", ("CCP_IMAGE_TAG", "centos7-11.1-4.7.0"), &["CCP_IMAGE_TAG", "1.2.6 to 2.4.2"]),
    (A, "up", ("CCP_IMAGE_TAG", "a b"), &["CCP_IMAGE_TAG"]),
    (O, "up --postgres-version 12", ("PGSET_IMAGE", ""), &["\"12\"", "--postgres-version"]),
    (O, "up --size 10GB?", NONE, &["size \"10GB?\"", "--size", "did you mean 10G?"]),
    (O, "up", ("PGSET_SIZE", "0"), &["size \"0\"", "PGSET_SIZE", "more than 0"]),
    (O, "up --storage nfs://server/a/../b", NONE, &["--storage", ".."]),
    (O, "up --storage nfs://server", NONE, &["--storage", "nfs://SERVER/PATH"]),
    (O, "up --storage hostpath:x", NONE, &["--storage", "did you mean hostpath:/x?"]),
    (O, "up --storage tape", NONE, &["--storage"]),
    (A, "up", ("CCP_NFS_IP", "10.0.0.5/x"), &["NFS server \"10.0.0.5/x\"", "CCP_NFS_IP"]),
    (O, "up --access-mode Sometimes", NONE, &["--access-mode"]),
    (O, "up --timeout soon", NONE, &["--timeout", "soon"]),
    (O, "up --synchronous 1 --replicas 1", NONE, &["--synchronous", "replica"]),
    (O, "up --set fsync", NONE, &["--set", "name=value"]),
    (O, "up --set wal_level=minimal", NONE, &["wal_level"]),
    (O, "up --templates /nowhere", NONE, &["--templates", "/nowhere", "templates export"]),
    (O, "up --no-such-flag", NONE, &["--no-such-flag"]),
    (O, "uo", NONE, &["uo", "Usage: pgset"]),
    (O, "down --delete-data", NONE, &["--yes", "set's name"]),
];

#[tokio::test]
pub(super) async fn bad_inputs_are_refused_before_any_request() {
    let world = World::quick().await;
    for (profile, line, (name, value), words) in CASES {
        let call = profile.of(world.pgset(line)).env(name, *value);
        let call = if line.contains("--storage") || name.starts_with("CCP_NFS") {
            call.env("PGSET_STORAGE", "")
        } else {
            call
        };
        world.refuses(call, words).await.never_says("s3ntinel");
    }
    // Two kinds of storage at once.
    let two = world.pgset("up").env("PGSET_STORAGE", "").env("CCP_NFS_IP", "a");
    let two = two.env("CCP_STORAGE_PATH", "/x").env("CCP_STORAGE_CLASS", "fast");
    world
        .refuses(two, &["storage class \"fast\"", "CCP_STORAGE_CLASS", "CCP_NFS_IP", "unset"])
        .await;
    for path in ["nfs", "/x/../y"] {
        let nfs = world.pgset("up").env("PGSET_STORAGE", "").env("CCP_NFS_IP", "a");
        world
            .refuses(nfs.env("CCP_STORAGE_PATH", path), &["NFS path", path, "CCP_STORAGE_PATH"])
            .await;
    }
    world.stop().await;
}

#[tokio::test]
pub(super) async fn a_size_that_shrinks_is_refused_before_any_write() {
    let world = World::quick().await;
    for profile in PROFILES {
        let up = |size: &str| profile.of(world.pgset("up --no-wait --size").arg(size));
        up("2Gi").run().await.ok();
        world.faults().record();
        up("1Gi").run().await.exits(4).says("2Gi").says("1Gi");
        assert_eq!(world.faults().writes(), []);
        profile.of(world.pgset("down --yes --delete-data")).run().await.ok();
    }
    world.stop().await;
}

#[tokio::test]
pub(super) async fn values_stay_the_texts_that_they_are() {
    let world = World::quick().await;
    let texts = ["yes", "1e3", "null", "0400", "~", "{a: b}", "'\"", "[x", "# x", "& x", "*x"];
    let mut call = O.of(world.pgset("up --no-wait"));
    for (at, text) in texts.iter().enumerate() {
        call = call.arg("--annotation").arg(format!("example.com/n{at}={text}"));
    }
    call.run().await.ok();
    let key = Key::new(&STATEFUL_SETS, "default", "pgset");
    let set = world.sandbox.registry.store.get(&key).unwrap();
    for (at, text) in texts.iter().enumerate() {
        for annotations in [&set["metadata"], &set["spec"]["template"]["metadata"]] {
            assert_eq!(annotations["annotations"][format!("example.com/n{at}")], *text);
        }
    }
    // A value that looks like a YAML document stays a text.
    let set =
        "log_line_prefix=x\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: stowaway}\n";
    let pods = |name: &String| !name.starts_with("Pod ") && !name.contains("Claim ");
    let names = |namespace: &str| world.objects(namespace).into_keys().filter(pods).collect();
    let before: Vec<String> = names("default");
    world.namespace("ns-other");
    O.of(world.pgset("up --no-wait -n ns-other --set").arg(set)).run().await.ok();
    let objects = world.objects("ns-other");
    let after: Vec<String> = names("ns-other");
    assert_eq!(after, before);
    let config = &objects["ConfigMap pgset-config"]["data"]["postgresql.conf"];
    assert!(config.as_str().unwrap().contains("stowaway"), "{config}");
    world.stop().await;
}

#[tokio::test]
pub(super) async fn a_question_that_nobody_can_answer_changes_nothing() {
    let world = World::quick().await;
    for profile in PROFILES {
        profile.of(world.pgset("up --no-wait")).run().await.ok();
        world.faults().record();
        // Standard input is closed or a pipe: it is never a terminal.
        for input in [None, Some("y\n"), Some("")] {
            let call = profile.of(world.pgset("down"));
            let output = match input {
                None => call.run().await,
                Some(input) => call.run_with(input).await,
            };
            output.exits(4).says("--yes");
        }
        assert_eq!(world.faults().writes(), []);
        profile.of(world.pgset("down --yes --delete-data")).run().await.ok();
    }
    world.stop().await;
}
