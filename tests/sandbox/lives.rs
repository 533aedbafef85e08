//! Starting, stopping and killing a sandbox, and starting it again.

use std::path::Path;
use std::time::{Duration, Instant};

use pgset::sandbox::kinds::PODS;
use pgset::sandbox::registry::Delete;
use pgset::sandbox::store::Key;
use serde_json::json;

use super::{World, pgset, processes};
use crate::support::pgset::Pgset;
use crate::support::served::directory;
use crate::support::{eventually, eventually_seen, seconds};

fn sandbox(line: &str, directory: &Path) -> Pgset {
    Pgset::new(&format!("sandbox {line}")).arg("--directory").arg(directory)
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn a_set_outlives_its_sandbox() {
    let parent = directory();
    let place = parent.path().join("s");
    let kubeconfig = place.join("kubeconfig");
    sandbox("status", &place).run().await.exits(1);
    sandbox("start", &place)
        .run()
        .await
        .ok()
        .prints(&format!("export KUBECONFIG={}", kubeconfig.display()));
    assert!(is_private(&kubeconfig));
    sandbox("start", &place).run().await.exits(4).says("is already running");
    pgset("up", &kubeconfig).run().await.ok();

    // After `stop` the set is restored, and its servers were shut down cleanly.
    sandbox("stop", &place).run().await.ok();
    assert_eq!(processes(&place), Vec::<String>::new());
    sandbox("status", &place).run().await.exits(1);
    sandbox("start", &place).run().await.ok();
    pgset("up", &kubeconfig).run().await.ok().says("nothing changed");
    pgset("test", &kubeconfig).run().await.ok();

    // After a kill the next start ends the remaining processes.
    let status = sandbox("status", &place).run().await.ok();
    let pid = status.stdout.split_whitespace().nth(2).unwrap().to_owned();
    kill(&pid).await;
    sandbox("status", &place).run().await.exits(1);
    sandbox("start", &place).run().await.ok();
    pgset("up", &kubeconfig).run().await.ok();
    eventually("the replica streams again", seconds(30), async || {
        let test = pgset("test", &kubeconfig).run().await;
        if test.code == Some(0) { Ok(()) } else { Err(test.to_string()) }
    })
    .await;
    sandbox("stop --delete", &place).run().await.ok();
    assert_eq!(processes(&place), Vec::<String>::new());
    assert!(!place.exists());
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn a_command_runs_in_a_sandbox_of_its_own() {
    let parent = directory();
    let place = parent.path().join("s");
    let run = |script: &str| sandbox("run", &place).args("-- sh -c").arg(script);
    run("test -s \"$KUBECONFIG\"").run().await.ok();
    run("exit 7").run().await.exits(7);
    sandbox("run", &place).args("-- /no/such/program").run().await.exits(2).says("can't be run");
    sandbox("status", &place).run().await.exits(1);

    let running = run("echo runs >&2; exec sleep 60").spawn();
    running.says("runs").await;
    let began = Instant::now();
    running.signal("TERM");
    running.finish().await.exits(143);
    assert!(began.elapsed() < Duration::from_secs(15), "it took {:?}", began.elapsed());
    sandbox("status", &place).run().await.exits(1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn a_deleted_pod_stays_as_long_as_a_kubelet_takes_to_hear_of_its_end() {
    let world = World::start().await;
    let registry = &world.sandbox.registry;
    let key = Key::new(&PODS, "default", "brief");
    let container = json!({"name": "c", "image": "postgres:17", "command": ["sleep", "60"]});
    let pod = json!({"metadata": {"name": "brief"}, "spec": {"containers": [container]}});
    registry.create(&key, pod, "kubectl-create", false).unwrap();
    eventually("the pod runs", seconds(30), async || match registry.store.get(&key) {
        Some(pod) if pod["status"]["phase"] == "Running" => Ok(()),
        pod => Err(format!("{pod:?}")),
    })
    .await;
    let began = Instant::now();
    // The default grace period is much longer than the time that is measured here.
    registry.delete(&key, &Delete::default()).unwrap();
    eventually("the pod is gone", seconds(30), async || match registry.store.get(&key) {
        None => Ok(()),
        Some(pod) => Err(pod.to_string()),
    })
    .await;
    // `kubectl delete` asks twice. It waits forever if the pod was created again in between.
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    world.stop().await;
}

/// Whether one of the sandbox's volumes contains this file.
fn has(volumes: &Path, file: &str) -> bool {
    let volumes = std::fs::read_dir(volumes).into_iter().flatten().flatten();
    volumes.map(|volume| volume.path().join(file)).any(|path| path.exists())
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn a_sandbox_that_is_killed_in_the_middle_goes_on() {
    let parent = directory();
    let place = parent.path().join("s");
    let kubeconfig = place.join("kubeconfig");
    let official = |line: &str| super::official(pgset(line, &kubeconfig));
    let volumes = place.join("volumes");
    for moment in ["pgset-0.new/base/1", "pgset-0/PG_VERSION", "pgset-1.new/base"] {
        sandbox("start", &place).run().await.ok();
        let server = file(&place, "lock");
        let up = official("up").spawn();
        eventually_seen(moment, seconds(60), async || {
            if has(&volumes, moment) { Ok(()) } else { Err(up.so_far()) }
        })
        .await;
        kill(&server).await;
        up.kill().await;

        sandbox("start", &place).run().await.ok();
        official("up").run().await.ok().says("1 replica streaming");
        official("test").run().await.ok();
        official("down --yes --delete-data").run().await.ok();
        let address: std::net::SocketAddr = file(&place, "address").parse().unwrap();
        sandbox("stop", &place).run().await.ok();
        assert_eq!(processes(&place), Vec::<String>::new(), "killed at {moment}");
        std::net::TcpListener::bind(address).expect("the port is free");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn a_run_that_is_killed_leaves_nothing() {
    // The command outlives a killed `run`, and must not keep its output open.
    let script = "echo $KUBECONFIG >&2; $0 up && echo is up >&2 && exec sleep 30 >/dev/null 2>&1";
    let run = || {
        let run = Pgset::new("sandbox run -- sh -c").arg(script);
        run.arg(env!("CARGO_BIN_EXE_pgset")).spawn()
    };
    let place_of = |said: &str| -> std::path::PathBuf {
        Path::new(said.lines().next().unwrap()).parent().unwrap().to_owned()
    };
    // Only `run` is killed: its sandbox notices it and ends.
    let running = run();
    running.says("is up").await;
    let killed = running.kill().await;
    let place = place_of(&killed.stderr);
    eventually("its sandbox is gone", seconds(30), async || {
        let (left, there) = (processes(&place), place.exists());
        if left.is_empty() && !there { Ok(()) } else { Err(format!("{there}, {left:?}")) }
    })
    .await;

    // `run` and its sandbox are killed: the next call cleans up.
    let running = run();
    running.says("is up").await;
    let place = place_of(&running.so_far());
    kill(&file(&place, "lock")).await;
    running.kill().await;
    assert!(!processes(&place).is_empty());
    let next = Pgset::new("sandbox run -- true").run().await.ok();
    next.says(&format!("{} is deleted", place.display()));
    assert_eq!(processes(&place), Vec::<String>::new());
    assert!(!place.exists());
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn a_plain_user_needs_nothing_more() {
    use std::os::unix::fs::MetadataExt as _;
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        // The other tests have already shown it, because they run as a plain user.
        return;
    }
    let parent = directory();
    let program = parent.path().join("pgset");
    // The built program may be in a directory that only root can read.
    std::fs::copy(env!("CARGO_BIN_EXE_pgset"), &program).unwrap();
    let story = "\"$0\" up && \"$0\" test && \"$0\" up --set work_mem=5MB";
    let run = tokio::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--"])
        .arg(&program)
        .args(["sandbox", "run", "--", "sh", "-c", story])
        .arg(&program)
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("HOME", "/tmp")])
        .current_dir("/")
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(seconds(120), run).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{:?}\n{said}", output.status);
    assert!(said.contains("1 replica streaming"), "{said}");
}

/// The peak memory of a process in kilobytes, and its processor time in hundredths of a second.
fn cost(pid: &str) -> (u64, u64) {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    let status = read("status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let stat = read("stat");
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let number = |text: &str| text.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
    (number(peak), number(fields[11]) + number(fields[12]))
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn it_starts_at_once_and_costs_little() {
    const IDLE: Duration = Duration::from_secs(5);
    let parent = directory();
    let place = parent.path().join("s");
    let mut starts = Vec::new();
    for _ in 0..3 {
        starts.push(sandbox("start", &place).run().await.ok().took);
        sandbox("stop", &place).run().await.ok();
    }
    // On a busy machine some starts are slow, but not all.
    assert!(starts.iter().min() <= Some(&Duration::from_millis(300)), "{starts:?}");

    sandbox("start", &place).run().await.ok();
    let up = super::official(pgset("up", &place.join("kubeconfig"))).run().await.ok();
    let pid = file(&place, "lock");
    let (_, before) = cost(&pid);
    // This is the time over which the processor time is measured.
    tokio::time::sleep(IDLE).await;
    let (kilobytes, after) = cost(&pid);
    assert!(kilobytes <= 60 << 10, "{kilobytes} kB");
    assert!(after - before <= IDLE.as_secs(), "{} ms in {IDLE:?}", 10 * (after - before));
    sandbox("stop --delete", &place).run().await.ok();
    // The README promises six seconds on an idle machine, which this one may not be.
    up.within(seconds(60));
}

#[tokio::test]
async fn a_directory_that_is_not_a_sandbox_s_is_left_alone() {
    let parent = directory();
    std::fs::write(parent.path().join("letters"), "dear").unwrap();
    for line in ["start", "stop --delete", "logs"] {
        sandbox(line, parent.path()).run().await.exits(1).says("a sandbox did not create");
    }
    assert!(parent.path().join("letters").exists());
}

/// The content of a small file in the sandbox's directory.
fn file(place: &Path, name: &str) -> String {
    std::fs::read_to_string(place.join(name)).unwrap().trim().to_owned()
}

fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().unwrap().permissions().mode() & 0o777 == 0o600
}

/// Kills a process, and waits until it is gone.
async fn kill(pid: &str) {
    let status =
        std::process::Command::new("/bin/sh").args(["-c", &format!("kill -KILL {pid}")]).status();
    assert!(status.unwrap().success());
    let process = format!("/proc/{pid}/fd");
    // A zombie has no open files.
    eventually("the process is gone", seconds(10), async || {
        let files = std::fs::read_dir(&process).map_or(0, std::iter::Iterator::count);
        if files == 0 { Ok(()) } else { Err(format!("it has {files} files")) }
    })
    .await;
}
