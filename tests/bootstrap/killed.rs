//! Kills the script with all its processes, between its steps and inside the long ones. Afterwards the
//! data directory is either missing or complete, and the next start completes it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::code;
use super::eventually;
use super::lost::write_past_the_limit;
use super::set::{PASSWORDS, Pod, Server, Set};

/// Commands with counted calls. Polling commands are not counted: their number differs between runs.
const COUNTED: [&str; 12] = [
    "initdb",
    "postgres",
    "psql",
    "mv",
    "sync",
    "rm",
    "flock",
    "ls",
    "grep",
    "pg_basebackup",
    "pg_verifybackup",
    "pg_controldata",
];

/// A wrapper for each command. It kills its process group before or after the selected call.
const SHIM: &str = r#"#!/bin/bash
/usr/bin/tr '\0' ' ' </proc/$$/cmdline >>"$SHIM_CALLS.arguments"
/usr/bin/tr '\0' ' ' </proc/$$/environ >>"$SHIM_CALLS.arguments"
# Several run at once, and each has a number.
exec 8>"$SHIM_CALLS.lock"
/usr/bin/flock 8
printf '%s\n' "${0##*/}" >>"$SHIM_CALLS"
call=$(/usr/bin/wc -l <"$SHIM_CALLS")
exec 8>&-
PATH=${PATH#*:}
[ "$call:before" != "$SHIM_KILL" ] || kill -KILL 0
# The server gets the signals itself, so it is replaced and not waited for.
if [ "$call:after" = "$SHIM_KILL" ] && [ "${0##*/} $1" != "postgres -D" ]; then
  "${0##*/}" "$@"
  kill -KILL 0
fi
exec "${0##*/}" "$@"
"#;

/// A pod with counted commands.
struct Counted {
    pod: Pod,
    calls: std::path::PathBuf,
}

impl Counted {
    fn new(set: &Set, pod: &Pod) -> Self {
        let shims = set.make_directory("shims");
        for command in COUNTED {
            let path = shims.join(command);
            fs::write(&path, SHIM).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let calls = set.make_directory("calls").join("calls");
        let path = format!("{}:{}", shims.display(), pod.value("PATH"));
        Self { pod: pod.clone().env("PATH", path).env("SHIM_CALLS", calls.display()), calls }
    }

    /// Runs the script and kills it at this call; false if it ends before.
    fn killed_at(&self, call: usize, moment: &str) -> bool {
        let _ = fs::remove_file(&self.calls);
        let outcome = self.pod.clone().env("SHIM_KILL", format!("{call}:{moment}")).bootstrap();
        assert!([0, -1].contains(&outcome.code), "{}", outcome.log);
        outcome.code == -1
    }

    /// No secret was on a command line or in an environment.
    fn nothing_leaked(&self) {
        let text = fs::read_to_string(self.calls.with_extension("arguments")).unwrap();
        assert!(text.contains("initdb") || text.contains("pg_basebackup"));
        for (_, password) in PASSWORDS {
            assert!(!text.contains(password), "{password} was on a command line");
        }
    }
}

fn files_under(directory: &Path) -> usize {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .flatten()
        .map(|entry| if entry.path().is_dir() { files_under(&entry.path()) } else { 1 })
        .sum()
}

/// Kills the script when its unfinished directory contains `files` files; false if that never happens.
fn killed_with_files(pod: &Pod, files: usize) -> bool {
    let mut running = pod.start(&[]);
    let half = pod.beside("new");
    let reached = eventually("the half directory grows", || {
        if files_under(&half) >= files {
            return Ok(true);
        }
        if running.is_alive() { Err(running.log()) } else { Ok(false) }
    });
    if reached {
        running.kill();
    }
    reached
}

fn wipe(pod: &Pod) {
    for path in [pod.data(), pod.beside("new"), pod.beside("old")] {
        let _ = fs::remove_dir_all(path);
    }
}

/// After a kill there is either no data directory, or a complete one that the next start keeps. Then the
/// set works.
fn master_gets_whole(pod: &Pod) {
    let identifier = pod.data().exists().then(|| pod.identifier());
    pod.bootstrap().ok();
    assert!(!pod.beside("new").exists());
    if let Some(identifier) = identifier {
        assert_eq!(pod.identifier(), identifier);
    }
    let server = pod.serve_ready();
    let table = "create table t (a int); insert into t values (1); select count(*) from t";
    assert_eq!(pod.sql_as("testuser", "user-password", "userdb", table).unwrap(), "1");
    let superuser = pod.sql_as("postgres", "superuser-password", "postgres", "show data_checksums");
    assert_eq!(superuser.unwrap(), "on");
    server.stop().ok();
    wipe(pod);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn an_initdb_killed_between_its_steps_leaves_nothing_that_counts() {
    let set = Set::new();
    let pod = set.pod(0);
    let counted = Counted::new(&set, &pod);
    let mut points = 0;
    for moment in ["before", "after"] {
        for call in 1.. {
            if !counted.killed_at(call, moment) {
                // The server's call has no "after", so a run without a kill there does not mean that all
                // calls are done.
                if fs::read_to_string(&counted.calls).unwrap().lines().count() < call {
                    break;
                }
                continue;
            }
            points += 1;
            master_gets_whole(&pod);
        }
    }
    assert!(points >= 20, "killed at {points} points only");
    counted.nothing_leaked();
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn an_initdb_killed_inside_leaves_nothing_that_counts() {
    let set = Set::new();
    let pod = set.pod(0);
    let mut points = 0;
    for files in [1, 2, 10, 20, 50, 100, 250, 300, 400, 500, 600, 700, 800, 900] {
        if killed_with_files(&pod, files) {
            points += 1;
            assert!(!pod.data().exists());
            // PostgreSQL creates PG_VERSION early, so it does not prove that the directory is complete.
            assert!(points < 3 || pod.beside("new").join("PG_VERSION").exists());
            if points % 4 == 0 {
                master_gets_whole(&pod);
            }
        }
    }
    assert!(points >= 10, "killed at {points} points only");
    master_gets_whole(&pod);
}

/// Existing data starts as a standby or not at all; the next start of the script creates a streaming standby.
fn replica_gets_whole(master: &Pod, pod: &Pod) {
    if pod.data().exists() {
        assert!(pod.data().join("standby.signal").exists(), "a replica without standby.signal");
    }
    if pod.run_file("bootstrap.conf").exists() {
        // The server's container can clone, too.
        let server: Server = pod.serve_ready();
        assert_eq!(pod.sql("select pg_is_in_recovery()"), "t");
        let error = pod.try_sql("create table writable ()").unwrap_err();
        assert!(error.contains("read-only transaction"), "{error}");
        drop(server);
    } else {
        // Without the bootstrap's files the server does not start.
        pod.run(&["serve"]).refuses(code::UNPREPARED, &["the bootstrap has to run first"]);
    }
    pod.bootstrap().ok();
    assert!(!pod.beside("new").exists());
    let server = pod.serve_ready();
    pod.catches_up_with(master);
    drop(server);
    wipe(pod);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_clone_killed_between_its_steps_is_never_writable() {
    let set = Set::new();
    let (master, _server) = set.master();
    let pod = set.pod(1);
    let counted = Counted::new(&set, &pod);
    let mut points = 0;
    for moment in ["before", "after"] {
        for call in 1.. {
            if !counted.killed_at(call, moment) {
                break;
            }
            points += 1;
            replica_gets_whole(&master, &pod);
        }
    }
    assert!(points >= 20, "killed at {points} points only");
    counted.nothing_leaked();
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_base_backup_killed_inside_is_never_writable() {
    let set = Set::new();
    let (master, _server) = set.master();
    let pod = set.pod(1);
    let mut points = 0;
    for files in (1..=950).step_by(45) {
        if killed_with_files(&pod, files) {
            points += 1;
            assert!(!pod.data().exists());
            if points % 5 == 0 {
                replica_gets_whole(&master, &pod);
            }
        }
    }
    assert!(points >= 20, "killed at {points} points only");
    replica_gets_whole(&master, &pod);
}

/// A master with data asks its peers, and writes what it knows, before its server starts.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_master_killed_between_its_steps_serves_what_it_had() {
    let set = Set::new();
    let (master, server, replica, _standby) = set.pair_apart();
    master.sql("create table kept as select generate_series(1, 1000) a");
    replica.catches_up_with(&master);
    server.stop();
    let counted = Counted::new(&set, &master);
    let mut points = 0;
    for call in 1.. {
        if !counted.killed_at(call, "before") {
            break;
        }
        points += 1;
        master.bootstrap().ok();
        if points % 5 == 0 {
            let server = master.serve_ready();
            assert_eq!(master.sql("select count(*) from kept"), "1000");
            replica.catches_up_with(&master);
            server.stop();
        }
    }
    assert!(points >= 10, "killed at {points} points only");
}

/// A replica whose WAL is gone is cloned in the server's container. One good directory is there at any time.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_clone_beside_the_old_directory_killed_anywhere_keeps_one_that_is_good() {
    let set = Set::new();
    let (master, _server, replica, standby) = set.pair_apart();
    standby.stop();
    let counted = Counted::new(&set, &replica);
    let good = |directory: &Path| {
        directory.join("standby.signal").exists() && directory.join("global/pg_control").exists()
    };
    let (data, old) = (replica.data(), replica.beside("old"));
    let mut points = 0;
    for call in (1..).step_by(4) {
        write_past_the_limit(&master);
        replica.bootstrap().ok();
        let _ = fs::remove_file(&counted.calls);
        let dying = counted.pod.clone().env("SHIM_KILL", format!("{call}:before"));
        let mut running = dying.start(&["serve"]);
        let killed = eventually("the script is killed, or has cloned", || {
            assert!(good(&data) || good(&old), "no good directory at call {call}");
            if !running.is_alive() {
                return Ok(true);
            }
            let log = running.log();
            if log.contains("is deleted") { Ok(false) } else { Err(log) }
        });
        running.kill();
        assert!(good(&data) || good(&old), "no good directory after call {call}");
        replica.kill_servers();
        let standby = replica.serve_ready();
        replica.catches_up_with(&master);
        assert!(good(&data));
        // The next round would take its deletion for the end of a clone.
        eventually("the old directory is deleted", || {
            if old.exists() { Err("it is there".to_owned()) } else { Ok(()) }
        });
        standby.stop();
        if !killed {
            break;
        }
        points += 1;
    }
    assert!(points >= 8, "killed at {points} points only");
}
