//! Starting, stopping, killing, and starting again.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{pgset, processes};
use crate::support::pgset::Pgset;
use crate::support::served::directory;
use crate::support::{eventually, seconds};

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
    sandbox("start", &place).run().await.exits(4).says("runs already");
    pgset("up", &kubeconfig).run().await.ok();

    // Stopped: the set is there again, and its servers were shut down in good order.
    sandbox("stop", &place).run().await.ok();
    assert_eq!(processes(&place), Vec::<String>::new());
    sandbox("status", &place).run().await.exits(1);
    sandbox("start", &place).run().await.ok();
    pgset("up", &kubeconfig).run().await.ok().says("statefulset/pgset unchanged");
    pgset("test", &kubeconfig).run().await.ok();

    // Killed: what it leaves is ended by the next start.
    let status = sandbox("status", &place).run().await.ok();
    let pid = status.stdout.split_whitespace().nth(2).unwrap().to_owned();
    kill(&pid);
    eventually("the process is gone", seconds(10), async || {
        let gone = sandbox("status", &place).run().await.code == Some(1);
        if gone { Ok(()) } else { Err("it is still there".to_owned()) }
    })
    .await;
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
async fn a_directory_that_is_not_a_sandbox_s_is_left_alone() {
    let parent = directory();
    std::fs::write(parent.path().join("letters"), "dear").unwrap();
    for line in ["start", "stop --delete", "logs"] {
        sandbox(line, parent.path()).run().await.exits(1).says("are no sandbox's");
    }
    assert!(parent.path().join("letters").exists());
}

fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().unwrap().permissions().mode() & 0o777 == 0o600
}

fn kill(pid: &str) {
    let status =
        std::process::Command::new("/bin/sh").args(["-c", &format!("kill -KILL {pid}")]).status();
    assert!(status.unwrap().success());
}
