//! Which directory may serve as the master's, by what its peers have. Each pod has a volume of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::machine::free_port;
use super::set::{Pod, Server, Set};
use super::{code, eventually};

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// A copy of the directory of a running server, as a snapshot of its volume makes one.
fn snapshot(pod: &Pod, name: &str) -> PathBuf {
    let copied = pod.beside(name);
    copy(&pod.data(), &copied);
    let _ = fs::remove_file(copied.join("postmaster.pid"));
    copied
}

fn put_back(pod: &Pod, copied: &Path) {
    fs::remove_dir_all(pod.data()).unwrap();
    copy(copied, &pod.data());
}

fn write(master: &Pod, table: &str) {
    master.sql(&format!("create table {table} as select generate_series(1, 1000) a"));
}

/// Stops the master, and returns a copy of its directory from before its last write, and one of what it has now.
fn older_and_right(master: &Pod, server: Server, replica: &Pod) -> (PathBuf, PathBuf) {
    let older = snapshot(master, "older");
    write(master, "later");
    replica.catches_up_with(master);
    server.stop();
    (older, snapshot(master, "right"))
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_master_that_has_all_that_its_replica_has_serves() {
    let set = Set::new();
    let (master, server, replica, standby) = set.pair_apart();
    write(&master, "one");
    replica.catches_up_with(&master);
    // The replica was away, and the master has written more; then the master stops.
    standby.stop();
    write(&master, "two");
    server.stop();
    let standby = replica.serve();
    eventually("the replica answers", || replica.try_sql("select 1"));
    master.bootstrap().ok();
    let server = master.serve_ready();
    replica.catches_up_with(&master);
    drop(standby);

    // What the replica has is long gone on the master.
    let away = replica.clone().env("PGSET_MASTER_PORT", 1).env("PGSET_MASTER_WAIT", 1);
    let standby = away.serve();
    for _ in 0..4 {
        master.sql("select pg_switch_wal()");
        master.sql("checkpoint");
    }
    server.stop().does_not_say("waiting for the answer");
    eventually("the replica answers", || replica.try_sql("select 1"));
    master.bootstrap().ok();
    master.serve_ready().stop();
    drop(standby);

    // No peer answers: not at all, or in time.
    let started = Instant::now();
    let alone = master.clone().env("PGSET_PEER_WAIT", 1);
    alone.bootstrap().ok();
    alone.serve_ready().stop().says("no answer from 127.0.0.1:");
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn an_older_copy_of_the_master_s_directory_is_refused() {
    let set = Set::new();
    let (master, server, replica, standby) = set.pair_apart();
    master.sql("checkpoint");
    let (older, right) = older_and_right(&master, server, &replica);
    put_back(&master, &older);
    let words = [
        "does not have the WAL that the pod at 127.0.0.1:",
        "nothing was changed",
        "pgset failover",
    ];
    master.is_refused(code::BEHIND, &words);
    assert_eq!(replica.sql("select count(*) from later"), "1000");

    // It may go its own way only while no peer answers. Then the bytes differ, not the length.
    let hasty = master.clone().env("PGSET_PEERS", " ");
    hasty.bootstrap().ok();
    standby.stop();
    let server = hasty.serve_ready();
    master.sql("create table elsewhere as select generate_series(1, 50000) a");
    server.stop();
    let standby = replica.clone().env("PGSET_MASTER_PORT", 1).serve();
    eventually("the replica answers", || replica.try_sql("select 1"));
    master.is_refused(code::BEHIND, &words);

    // With the right directory all is well.
    put_back(&master, &right);
    master.bootstrap().ok();
    drop(standby);
    let _server = master.serve_ready();
    let _standby = replica.comes_back("continues as a standby");
    replica.catches_up_with(&master);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_peer_that_was_promoted_has_newer_data() {
    let set = Set::new();
    let (master, server, replica, _standby) = set.pair_apart();
    server.stop();
    replica.sql("select pg_promote(true, 30)");
    let words = ["is on timeline 1 and the pod at 127.0.0.1:", "on 2, which begins there"];
    master.is_refused(code::BEHIND, &words);
}

/// The directories of the peers on a shared volume tell as much as their servers.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn directories_on_a_shared_volume_are_compared_while_no_server_runs() {
    let set = Set::new();
    let (master, server, replica, standby) = set.pair();
    let older = snapshot(&master, "older");
    write(&master, "later");
    replica.catches_up_with(&master);
    standby.stop();
    server.stop();
    let right = snapshot(&master, "right");
    master.bootstrap().ok();
    put_back(&master, &older);
    let words = ["does not have the WAL that ", "/volume/pgset-1 has before"];
    master.bootstrap().refuses(code::BEHIND, &words);
    put_back(&master, &right);
    master.bootstrap().ok();
    // A replica that was promoted.
    let promoted = replica.serve_ready();
    replica.sql("select pg_promote(true, 30)");
    promoted.stop();
    let words = ["is on timeline 1 and ", "/volume/pgset-1 on 2, which begins there"];
    master.bootstrap().refuses(code::BEHIND, &words);
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_master_that_was_killed_under_load_always_serves_again() {
    let set = Set::new();
    let (master, mut server, replica, _standby) = set.pair_apart();
    let set_for = |pod: &Pod, setting: &str| {
        let conf = pod.in_etc("postgresql.conf");
        let text = fs::read_to_string(&conf).unwrap();
        fs::write(&conf, format!("{text}\n{setting}\n")).unwrap();
        pod.sql("select pg_reload_conf()");
    };
    // Enough for all that is written: this test is about the master.
    set_for(&master, "max_slot_wal_keep_size = -1");
    // The replica receives again as soon as the master has started.
    set_for(&replica, "wal_retrieve_retry_interval = '100ms'");
    master.sql("create table load (a int)");
    for round in 0..20 {
        // Each client writes until the server is gone.
        let insert = "do $$ begin for i in 1..100000 loop insert into load values (i); commit; end loop; end $$";
        let clients: Vec<_> = (0..2).map(|_| master.start_sql(insert)).collect();
        let before = master.sql("select pg_current_wal_lsn()");
        let size = 100_000 * (round % 5 + 1);
        let sql = format!("select pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '{before}')");
        eventually("the clients write", || match replica.sql(&sql).parse::<i64>() {
            Ok(received) if received > size => Ok(()),
            other => Err(format!("round {round}: {other:?} of {size} bytes")),
        });
        server.kill();
        // The server's processes have process groups of their own, and would write until their clients' work is done.
        master.kill_servers();
        for mut client in clients {
            client.wait().unwrap();
        }
        master.bootstrap().ok();
        server = master.serve_ready();
    }
    replica.catches_up_with(&master);
    assert_eq!(replica.sql("select count(*) from load"), master.sql("select count(*) from load"));
}

/// A standby whose last checkpoint was in a transaction with many subtransactions accepts no connection before it has
/// received more WAL, which only the master can write.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_standby_that_needs_its_master_does_not_stop_it_for_ever() {
    let set = Set::new();
    let (master, server, replica, standby) = set.pair_apart();
    master.sql("create table t (a int)");
    let many = "do $$ begin for i in 1..200 loop begin insert into t values (i); exception when others then null; end; end loop; perform pg_sleep(60); end $$";
    let mut client = master.start_sql(many);
    let written = "select count(*) > 0 from pg_locks where locktype = 'transactionid'";
    eventually("the transaction writes", || match master.sql(written).as_str() {
        "t" => Ok(()),
        other => Err(other.to_owned()),
    });
    std::thread::sleep(std::time::Duration::from_millis(500));
    master.sql("checkpoint");
    replica.catches_up_with(&master);
    replica.sql("checkpoint");
    standby.kill();
    server.kill();
    client.kill().unwrap();
    client.wait().unwrap();
    let alone = replica.clone().env("PGSET_MASTER_WAIT", 600);
    alone.bootstrap().ok();
    let mut standby = alone.serve();
    standby.running().says("entering standby mode");
    let impatient = master.clone().env("PGSET_BUSY_WAIT", 3);
    impatient.bootstrap().ok();
    let mut server = impatient.serve();
    server.running().says("continuing without the answer of another pod after ");
    master.becomes_ready(&mut server);
    replica.catches_up_with(&master);
}

/// Where the identifier is on record, the server's container asks, before its first start.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn the_server_s_container_asks_before_its_first_start() {
    let set = Set::new();
    let (master, server, replica, _standby) = set.pair_apart();
    let (older, right) = older_and_right(&master, server, &replica);
    put_back(&master, &older);
    for _ in 0..2 {
        let words = ["does not have the WAL that the pod at 127.0.0.1:"];
        master.is_refused(code::BEHIND, &words);
    }

    // It may be told to stop meanwhile. The next pod need not wait for the owner.
    put_back(&master, &right);
    let nobody = format!("127.0.0.1:{}", free_port());
    let alone = master.clone().env("PGSET_PEERS", nobody).env("PGSET_PEER_WAIT", 600);
    alone.bootstrap().ok();
    let mut waiting = alone.serve();
    waiting.running().says("waiting for the answer of the other pods");
    waiting.stop().does_not_say("starting PostgreSQL");
    let without_locks = alone.clone().env("PGSET_LOCK", "off");
    without_locks.clone().env("PGSET_POD_UID", "another").bootstrap().ok().does_not_say("waiting");

    // A container that restarts has the directory that was compared.
    master.bootstrap().ok();
    master.serve_ready().stop();
    let server = alone.serve_ready();
    assert_eq!(master.sql("select count(*) from later"), "1000");
    server.stop();
}

/// All pods start at once, without the others' help.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_whole_set_that_lost_power_starts_with_the_right_directory_only() {
    let set = Set::new();
    let (master, server, replica, standby) = set.pair_apart();
    let older = snapshot(&master, "older");
    write(&master, "later");
    replica.catches_up_with(&master);
    server.kill();
    standby.kill();
    let right = snapshot(&master, "right");
    let patient = replica.clone().env("PGSET_MASTER_WAIT", 2);
    for refused in [true, false] {
        put_back(&master, if refused { &older } else { &right });
        let started = Instant::now();
        let masters = master.start(&[]);
        patient.bootstrap().ok();
        masters.end().ok();
        let mut server = master.serve();
        let mut standby = patient.serve();
        if refused {
            server.end().refuses(code::BEHIND, &["does not have the WAL"]);
            // The replicas serve reads, and keep what they have.
            standby.running().says("ready, but not compared");
            eventually("the replica is ready", || {
                let probe = replica.run(&["ready"]);
                if probe.code == 0 { Ok(()) } else { Err(probe.log) }
            });
            standby.kill();
        } else {
            master.becomes_ready(&mut server);
            replica.catches_up_with(&master);
            assert!(started.elapsed().as_secs() < 15, "{:?}", started.elapsed());
            assert_eq!(replica.sql("select count(*) from later"), "1000");
        }
    }
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_peer_that_still_replays_its_wal_is_asked_again() {
    let set = Set::new();
    let (master, server, replica, standby) = set.pair_apart();
    write(&master, "later");
    replica.catches_up_with(&master);
    server.stop();
    standby.stop();
    // A standby that says less than it has.
    let replica = replica.env("PGSET_MASTER_PORT", 1);
    replica.bootstrap().ok();
    let standby = replica.serve();
    eventually("the replica answers", || replica.try_sql("select 1"));
    let conf = replica.run_file("bootstrap.conf");
    let text = fs::read_to_string(&conf).unwrap();
    assert!(text.contains("pgset.epoch = 1\n") && text.contains("pgset.wal_end = '0/"), "{text}");
    let end = |position: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("pgset.wal_end"));
        let lines = lines.collect::<Vec<_>>().join("\n");
        fs::write(&conf, format!("{lines}\npgset.wal_end = '{position}'\n")).unwrap();
        replica.sql("select pg_reload_conf()");
        eventually("the server shows it", || match replica.sql("show pgset.wal_end") {
            shown if shown == position => Ok(()),
            other => Err(other),
        });
    };
    end("F/0");
    master.bootstrap().ok();
    let mut waiting = master.serve();
    waiting.running().says("still replays its WAL: it is at 0/");
    end("0/1");
    master.becomes_ready(&mut waiting);
    drop(standby);
}
