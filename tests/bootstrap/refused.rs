//! What the script refuses, with exit code, reason and advice. It must change nothing in these cases.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::code;
use super::machine::{as_postgres, give};
use super::set::{PASSWORDS, Pod, Set};

fn initialised(set: &Set) -> Pod {
    let pod = set.pod(0);
    pod.bootstrap().ok();
    pod
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn an_empty_volume_of_a_set_that_was_initialised() {
    let set = Set::new();
    let pod = initialised(&set);
    set.record(&pod.identifier());
    pod.bootstrap().ok();
    fs::remove_dir_all(pod.data()).unwrap();
    let words = ["the volume is empty, but this set was initialized", "the volume was lost"];
    pod.bootstrap().refuses(code::LOST, &words);
    assert!(!pod.data().exists() && !pod.beside("new").exists());
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn another_sets_volume() {
    let set = Set::new();
    let pod = initialised(&set);
    set.record("7000000000000000001\n");
    let words = [&pod.identifier(), "this set has 7000000000000000001", "mount the right one"];
    pod.bootstrap().refuses(code::STRANGER, &words);

    // A replica's data is compared with the recorded identifier or, without a record, with the master.
    let other = Set::new();
    let stranger = initialised(&other);
    let (master, _server) = {
        set.record(&pod.identifier());
        (set.pod(0), set.pod(0).serve_ready())
    };
    let replica = set.pod(1);
    fs::rename(stranger.data(), replica.data()).unwrap();
    fs::write(replica.data().join("standby.signal"), "").unwrap();
    give(&replica.data().join("standby.signal"));
    replica.bootstrap().refuses(code::STRANGER, &[&master.identifier(), &replica.identifier()]);
    set.record("");
    let words = [&master.identifier(), &replica.identifier(), "the master"];
    replica.is_refused(code::STRANGER, &words);
    assert!(!replica.beside("old").exists());

    // The script does not clone from another set's master.
    fs::remove_dir_all(replica.data()).unwrap();
    set.record("7000000000000000001");
    replica.bootstrap().refuses(code::STRANGER, &["another set's master", &master.identifier()]);
    assert!(!replica.data().exists());
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn another_major_version_and_no_data_directory() {
    let set = Set::new();
    let pod = initialised(&set);
    fs::write(pod.data().join("PG_VERSION"), "12\n").unwrap();
    pod.bootstrap().refuses(code::VERSION, &["was created by PostgreSQL 12", "use an image of 12"]);
    fs::remove_file(pod.data().join("PG_VERSION")).unwrap();
    pod.bootstrap().refuses(code::DIRECTORY, &["no PG_VERSION", "pgset failover"]);
    assert!(pod.data().join("global/pg_control").exists());
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_second_server_on_one_directory() {
    let set = Set::new();
    let (pod, _server) = set.master();
    let second = pod.clone().env("PGSET_LOCK_WAIT", 1);
    let words = ["another server runs on", "stop it first"];
    let waits = "waiting for the lock on";
    second.run(&["serve"]).refuses(code::LOCKED, &words).says(waits);
    second.bootstrap().refuses(code::LOCKED, &words).says(waits);
    assert_eq!(pod.sql("select pg_is_in_recovery()"), "f");
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn the_next_owner_waits_for_the_lock() {
    let set = Set::new();
    let (pod, server) = set.master();
    let mut next = pod.start(&[]);
    next.says("waiting for the lock on");
    server.stop().ok();
    next.end().ok();
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_volume_that_is_not_writable() {
    let set = Set::new();
    let pod = set.pod(0);
    let volume = set.path().join("volume");
    let mode = |bits| fs::set_permissions(&volume, fs::Permissions::from_mode(bits)).unwrap();
    mode(0o555);
    // Owned by root, like a new volume.
    let uid = String::from_utf8(as_postgres("id").arg("-u").output().unwrap().stdout).unwrap();
    let gid = String::from_utf8(as_postgres("id").arg("-g").output().unwrap().stdout).unwrap();
    let (uid, gid) = (uid.trim(), gid.trim());
    let fix = format!("chown {uid}:{gid} DIRECTORY && chmod 770 DIRECTORY");
    let words = [&format!("is not writable for uid {uid}, gid {gid}"), "mode 555", &fix, "fsGroup"];
    let outcome = pod.bootstrap().refuses(code::VOLUME, &words);

    // Run the suggested fix unchanged.
    let quoted =
        outcome.log.rsplit('`').nth(1).unwrap().replace("DIRECTORY", volume.to_str().unwrap());
    assert!(Command::new("sh").args(["-c", &quoted]).status().unwrap().success());
    pod.bootstrap().ok();
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_password_that_the_master_does_not_know() {
    let set = Set::new();
    let (_pod, _server) = set.master();
    fs::write(set.path().join("auth/primary-password"), "Sentinel wrong").unwrap();
    let replica = set.pod(1).env("PGSET_PASSWORD_WAIT", 1);
    let words = ["refuses the role primaryuser", "password authentication failed", "the Secret"];
    replica.bootstrap().refuses(code::PASSWORD, &words);
    assert!(!replica.data().exists());

    // A replica with data is not ready meanwhile: the master does answer.
    let right = PASSWORDS.iter().find(|(key, _)| *key == "primary-password").unwrap().1;
    fs::write(set.path().join("auth/primary-password"), right).unwrap();
    replica.bootstrap().ok();
    fs::write(set.path().join("auth/primary-password"), "Sentinel wrong").unwrap();
    let replica = replica.env("PGSET_MASTER_WAIT", 1).env("PGSET_PASSWORD_WAIT", 4);
    replica.bootstrap().ok();
    fs::remove_file(replica.run_file("cloned")).unwrap_or_default();
    replica.serve().end().refuses(code::PASSWORD, &words).does_not_say("ready, but not compared");
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn what_initdb_does_not_like() {
    let set = Set::new();
    let pod = set.pod(0).env("PGSET_LOCALE", "xx_XX.UTF-8");
    pod.bootstrap().refuses(code::INITDB, &["initdb failed", "locale"]);
    assert!(!pod.data().exists());
}
