//! Faults of servers, volumes and nodes, injected into pods. The tests of the bootstrap script run each
//! fault locally, at more points; these tests check the behaviour of Kubernetes and the messages.

use std::path::Path;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams, LogParams, PostParams};
use serde_json::json;

use super::{CLASS, NOT_THIS_MACHINE, pods_are_ready, skipped};
use crate::support::mount::Mount;
use crate::support::node::Below;
use crate::support::space::{Image, Space};
use crate::support::{eventually, seconds};

/// The volume of the replica while it runs, with nothing of a clone beside it.
const WHOLE: &str = "pgset-1 pgset-1.lock pgset-1.owner.1 pgset-1.role";

/// Waits until the pod runs `process` with one of these arguments, then kills its container `bootstrap`.
async fn kill_the_bootstrap_in(space: &Space, pod: &str, process: &str, arguments: &[&str]) {
    eventually(&format!("{pod} runs {process}"), seconds(60), async || {
        let found = space.api::<Pod>().get_opt(pod).await.map_err(|e| e.to_string())?;
        found.ok_or("it is not there")?;
        let below = Below::of(space, pod).await.ok_or("not this machine")?;
        let runs = arguments.iter().any(|argument| below.runs(process, argument));
        if runs { Ok(below) } else { Err("it does not".to_owned()) }
    })
    .await
    .kill_container("bash");
}

/// The log of the last run of the container `bootstrap`, and its number of restarts.
async fn bootstrap_of(space: &Space, pod: &str) -> (String, i32) {
    let params = LogParams { container: Some("bootstrap".to_owned()), ..LogParams::default() };
    let log = space.api::<Pod>().logs(pod, &params).await.expect("it has a log");
    let status = space.api::<Pod>().get(pod).await.unwrap().status.unwrap();
    let containers = status.init_container_statuses.unwrap_or_default();
    (log, containers.iter().map(|container| container.restart_count).sum())
}

/// The files on the pod's volume.
async fn volume_of(space: &Space, pod: &str) -> String {
    space.exec(pod, &["ls", "-A", "/pgdata"]).await.unwrap().replace('\n', " ")
}

/// Stops the sender of a running base backup, except process `other_than`. Returns its PID.
async fn hold_the_clone(space: &Space, other_than: &str) -> String {
    let script = r#"
        PATH=$(dirname /usr/lib/postgresql/*/bin/psql):$PATH
        sql="select pid from pg_stat_progress_basebackup where backup_streamed > 10000000 and pid <> $1"
        for ((i = 0; i < 1000; i++)); do
          pid=$(psql -h /var/run/postgresql -U postgres -d postgres -XAtc "$sql" 2>/dev/null)
          [ -z "$pid" ] || { kill -STOP $pid; echo $pid; exit 0; }
          sleep 0.02
        done
        exit 1"#;
    let command = ["bash", "-c", script, "hold", other_than];
    space.exec("pgset-0", &command).await.expect("a base backup is under way")
}

/// Faults 19, 20 and 21.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn what_is_killed_while_data_is_made_is_made_anew() {
    let space = Space::of(Image::Official, "kills").await;
    let up = space.pgset("up -v --replicas 1").args(CLASS).spawn();
    up.says("statefulset/pgset ").await;
    if !space.cluster.node_is_here() {
        return skipped(NOT_THIS_MACHINE);
    }
    // The processes that initdb starts after it has created the directory.
    let steps = ["--check", "--boot", "--single"];
    kill_the_bootstrap_in(&space, "pgset-0", "postgres", &steps).await;
    up.finish().await.ok();
    let (log, restarts) = bootstrap_of(&space, "pgset-0").await;
    assert_eq!(restarts, 1, "{log}");
    assert!(log.contains("deleting /pgdata/pgset-0.new, which is incomplete"), "{log}");
    assert!(log.contains("is initialized"), "{log}");
    let filler = "create table filler as select repeat(md5(i::text), 60) as text from generate_series(1, 80000) i";
    space.sql("pgset-0", "userdb", filler).await.unwrap();

    let scale = space.pgset("scale --replicas 2").spawn();
    let sender = hold_the_clone(&space, "0").await;
    kill_the_bootstrap_in(&space, "pgset-1", "pg_basebackup", &["-D"]).await;
    space.exec("pgset-0", &["kill", "-CONT", &sender]).await.ok();
    // Stop the next clone, too, and kill the master during it.
    hold_the_clone(&space, &sender).await;
    Below::of(&space, "pgset-0").await.unwrap().kill_container("bash");
    scale.finish().await.ok().says("2 pods ready, 1 replica streaming");
    let (log, restarts) = bootstrap_of(&space, "pgset-1").await;
    assert_eq!(restarts, 1, "{log}");
    assert!(log.contains("deleting /pgdata/pgset-1.new, which is incomplete"), "{log}");
    assert!(log.contains("clone failed: ") && log.contains("cloned in "), "{log}");
    assert_eq!(volume_of(&space, "pgset-1").await, WHOLE);
    space.sql_yields("pgset-1", "userdb", "select count(*) from filler", "80000").await;
    space.sql_yields("pgset-1", "userdb", "select pg_is_in_recovery()", "t").await;
}

/// A separate pod with the set's script and one of its claims, which runs `script`. Returns exit code and
/// log.
async fn beside_the_set(space: &Space, claim: &str, script: &str) -> (i32, String) {
    let name = "beside";
    let template = space.api::<StatefulSet>().get("pgset").await.unwrap().spec.unwrap().template;
    let mut volumes = template.spec.unwrap().volumes.unwrap().into_iter();
    let scripts = volumes.find(|volume| volume.name == "scripts");
    let object = json!({
        "metadata": {"name": name, "labels": {"e2e": "client"}},
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 999, "runAsGroup": 999, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": name, "image": "postgres:17", "imagePullPolicy": "IfNotPresent",
                "command": ["bash", "-c", format!("PATH=$(dirname /usr/lib/postgresql/*/bin/initdb):$PATH; {script}")],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [
                    {"name": "pgdata", "mountPath": "/pgdata"}, {"name": "config", "mountPath": "/etc/pgset"},
                    {"name": "scripts", "mountPath": "/etc/pgset-scripts"},
                    {"name": "run", "mountPath": "/run/pgset"},
                ],
            }],
            "volumes": [
                {"name": "pgdata", "persistentVolumeClaim": {"claimName": claim}},
                {"name": "config", "configMap": {"name": "pgset-config"}},
                scripts,
                {"name": "run", "emptyDir": {}},
            ],
        },
    });
    space.create::<Pod>(object).await;
    let pods = space.api::<Pod>();
    let code = eventually("the pod beside the set ends", seconds(60), async || {
        let status = pods.get(name).await.map_err(|e| e.to_string())?.status.unwrap_or_default();
        let state = status.container_statuses.unwrap_or_default().pop().and_then(|c| c.state);
        let ended = state.and_then(|state| state.terminated);
        ended.map(|ended| ended.exit_code).ok_or(format!("{:?}", status.phase))
    })
    .await;
    let log = pods.logs(name, &LogParams::default()).await.unwrap();
    pods.delete(name, &DeleteParams::default()).await.unwrap();
    eventually("the pod beside the set is gone", seconds(60), async || {
        let there = pods.get_opt(name).await.map_err(|e| e.to_string())?;
        there.map_or(Ok(()), |_| Err("it is there".to_owned()))
    })
    .await;
    (code, log)
}

/// Faults 26, 27, 22 and 23.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn servers_and_volumes_that_are_not_as_they_were() {
    let space = Space::of(Image::Official, "volumes").await;
    space.pgset("up --replicas 2").args(CLASS).run().await.ok();
    let table = "create table kept (word text); insert into kept values ('one')";
    space.sql("pgset-0", "userdb", table).await.unwrap();
    a_master_that_is_stopped(&space).await;
    a_second_server_on_one_directory(&space).await;
    wal_that_went_while_the_replica_was_away(&space).await;
    a_volume_of_another_set(&space).await;
    space.sql_yields("pgset-1", "userdb", "select string_agg(word, ',') from kept", "one").await;
    space.pgset("test").run().await.ok();
}

async fn a_master_that_is_stopped(space: &Space) {
    let Some(below) = Below::of(space, "pgset-0").await else {
        return skipped(NOT_THIS_MACHINE);
    };
    assert_ne!(below.signal("postgres", "STOP"), 0);
    let (status, test) = tokio::join!(space.pgset("status").run(), space.pgset("test").run());
    below.signal("postgres", "CONT");
    let status = status.exits(1).within(seconds(25));
    status
        .prints("Pod pgset-0 cannot be queried (pg_is_in_recovery() failed): ")
        .prints("timeout expired");
    let test = test.exits(5).within(seconds(100));
    // The error comes from pgset's time limit or from libpq's, whichever is first.
    test.prints("the master pgset-0 does not answer: ")
        .prints("0 passed, 1 failed")
        .mentions(&["did not end within", "timeout expired"]);
    // If Kubernetes has restarted the server meanwhile, wait for it.
    pods_are_ready(space, &["pgset-0", "pgset-1"]).await;
    eventually("it goes on", seconds(60), async || {
        let status = space.pgset("status").run().await;
        if status.code == Some(0) { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

async fn a_second_server_on_one_directory(space: &Space) {
    let script = "echo '# anything' >/run/pgset/bootstrap.conf; echo master >/run/pgset/role
        export PGSET_NAME=pgset PGSET_POD=pgset-0 PGDATA=/pgdata/pgset-0 PGSET_LOCK_WAIT=2
        bash /etc/pgset-scripts/bootstrap.sh serve";
    let (code, log) = beside_the_set(space, "pgdata-pgset-0", script).await;
    assert_eq!(code, 13, "{log}");
    assert!(log.contains("another server runs on /pgdata/pgset-0; stop it first"), "{log}");
    space.sql_yields("pgset-0", "userdb", "select pg_is_in_recovery()", "f").await;
}

/// Removes the replica, and writes more WAL than `wal_keep_size` retains.
async fn wal_goes_while_the_replica_is_away(space: &Space) {
    space.pgset("scale -v --replicas 1").run().await.ok().says("replication slot pgset_1 dropped");
    let segments = "select setting::int / 16 from pg_settings where name = 'wal_keep_size'";
    let segments = space.sql("pgset-0", "postgres", segments).await.unwrap();
    for _ in 0..segments.parse::<usize>().unwrap() + 4 {
        let next =
            "create table if not exists next (i int); drop table next; select pg_switch_wal()";
        space.sql("pgset-0", "postgres", next).await.unwrap();
    }
    space.sql("pgset-0", "postgres", "checkpoint").await.unwrap();
}

async fn only_the_new_one_is_left(space: &Space) {
    eventually("the old directory goes", seconds(60), async || {
        let there = volume_of(space, "pgset-1").await;
        if there == WHOLE { Ok(()) } else { Err(there) }
    })
    .await;
}

async fn wal_that_went_while_the_replica_was_away(space: &Space) {
    wal_goes_while_the_replica_is_away(space).await;
    space.pgset("scale --replicas 2").run().await.ok().says("1 replica streaming");
    let params = LogParams { container: Some("postgres".to_owned()), ..LogParams::default() };
    let log = space.api::<Pod>().logs("pgset-1", &params).await.unwrap();
    assert!(log.contains("the master no longer has the WAL from"), "{log}");
    assert!(log.contains("cloned in "), "{log}");
    only_the_new_one_is_left(space).await;
}

async fn a_volume_of_another_set(space: &Space) {
    space.pgset("scale --replicas 1").run().await.ok();
    let other = "mv /pgdata/pgset-1 /pgdata/aside && initdb -D /pgdata/pgset-1 >/dev/null";
    let (code, log) = beside_the_set(space, "pgdata-pgset-1", other).await;
    assert_eq!(code, 0, "{log}");
    let refused = space.pgset("scale --replicas 2").run().await.exits(1).within(seconds(90));
    let refused = refused.says("pgset-1").says("exit code 15").says("has the system identifier");
    refused.says("it is another set's volume; mount the right one");
    space.pgset("scale --replicas 1").run().await.ok();
    let back = "rm -r /pgdata/pgset-1 && mv /pgdata/aside /pgdata/pgset-1";
    assert_eq!(beside_the_set(space, "pgdata-pgset-1", back).await.0, 0);
    space.pgset("scale --replicas 2").run().await.ok();
}

/// The replicas have all that the master wrote, up to its shutdown checkpoint, which is the last record.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_set_that_stops_leaves_its_replicas_with_everything() {
    let space = Space::of(Image::Official, "ends").await;
    space.pgset("up --replicas 2").args(CLASS).run().await.ok();
    for (stop, start) in [("stop -v --yes", "start"), ("down -v --yes", "up")] {
        let sql = "create table if not exists last (i int); insert into last select generate_series(1, 10000)";
        space.sql("pgset-0", "userdb", sql).await.unwrap();
        let stopped = space.pgset(stop).run().await.ok();
        stopped.says("pgset-0 has stopped, and its replicas have all of its WAL");
        if start == "start" {
            let mut ends = Vec::new();
            for pod in ["pgset-0", "pgset-1"] {
                let script = format!("pg_controldata /pgdata/{pod}");
                let claim = format!("pgdata-{pod}");
                let (code, log) = beside_the_set(&space, &claim, &script).await;
                assert_eq!(code, 0, "{log}");
                let wanted = |line: &&str| line.starts_with("Latest checkpoint location:");
                ends.push(log.lines().find(wanted).expect("a checkpoint").to_owned());
            }
            assert_eq!(ends[0], ends[1], "the replica has replayed the shutdown checkpoint");
        }
        space.pgset(start).run().await.ok();
    }
    space.sql_yields("pgset-1", "userdb", "select count(*) from last", "20000").await;
}

/// Fault 28.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_volume_that_is_roots() {
    let mut space = Space::of(Image::Official, "roots").await;
    if let Some(reason) = space.cluster.runs_all_as_one_user() {
        return skipped(reason);
    }
    let Some(storage) = space.host_storage(0o755) else { return skipped(NOT_THIS_MACHINE) };
    let up = || space.pgset("up --replicas 1").args(&storage);
    let refused = up().run().await.exits(1).within(seconds(90));
    let refused = refused.says("exit code 12").says("is not writable for uid 999, gid 999");
    let fix = "chown 999:999 DIRECTORY && chmod 770 DIRECTORY";
    refused.says(&format!("`{fix}`"));
    space.pgset("down --yes").run().await.ok();
    // Run the suggested fix unchanged.
    let fix = fix.replace("DIRECTORY", space.host_directory().to_str().unwrap());
    assert!(std::process::Command::new("sh").args(["-c", &fix]).status().unwrap().success());
    up().run().await.ok();
}

/// A volume with this directory of the node, reserved for the claim of `pgset-1`.
async fn volume_for_the_replica(space: &Space, directory: &Path) {
    let claims = space.api::<PersistentVolumeClaim>();
    let class = claims.get("pgdata-pgset-0").await.unwrap().spec.unwrap().storage_class_name;
    let volume = serde_json::from_value(json!({
        // The cleanup of the namespace deletes volumes with this label.
        "metadata": {"name": format!("{}small", space.prefix), "labels": {"pgset/namespace": space.name}},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": directory},
            "claimRef": {"namespace": space.name, "name": "pgdata-pgset-1"},
        },
    }));
    let volumes: Api<PersistentVolume> = Api::all(space.cluster.client.clone());
    volumes.create(&PostParams::default(), &volume.unwrap()).await.unwrap();
}

/// Fault 25.
#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_volume_that_is_full() {
    let mut space = Space::of(Image::Official, "full").await;
    if space.host_storage(0o755).is_none() {
        return skipped(NOT_THIS_MACHINE);
    }
    let small = space.host_directory().join("small");
    std::fs::create_dir(&small).unwrap();
    let Some(mount) = Mount::new(small.clone(), "size=20m,mode=770,uid=999,gid=999") else {
        return skipped("a full disk: mounting a small file system needs root");
    };
    space.pgset("up --replicas 1").args(CLASS).run().await.ok();
    let table = "create table kept (word text); insert into kept values ('one')";
    space.sql("pgset-0", "userdb", table).await.unwrap();

    volume_for_the_replica(&space, &small).await;
    let full = space.pgset("scale --replicas 2").run().await.exits(1).within(seconds(90));
    full.says("pgset-1").says("exit code 22").says("clone: the volume at /pgdata is full");
    space.pgset("scale --replicas 1").run().await.ok();
    assert!(!small.join("pgset-1").exists() && !small.join("pgset-1.new").exists());
    mount.resize("size=200m");
    space.pgset("scale --replicas 2").run().await.ok().says("1 replica streaming");
    space.sql_yields("pgset-1", "userdb", "select word from kept", "one").await;

    // The volume is full again during another clone: the replica's old data stays until the new clone
    // streams.
    wal_goes_while_the_replica_is_away(&space).await;
    mount.resize(&format!("size={}k", mount.used() + 15_000));
    let full = space.pgset("scale --replicas 2").run().await.exits(1).within(seconds(90));
    full.says("exit code 22").says("/pgdata/pgset-1.old is kept until the clone streams");
    space.pgset("scale --replicas 1").run().await.ok();
    assert!(small.join("pgset-1.old/global/pg_control").exists());
    mount.resize("size=400m");
    space.pgset("scale --replicas 2").run().await.ok();
    only_the_new_one_is_left(&space).await;
    space.sql_yields("pgset-1", "userdb", "select word from kept", "one").await;
}
