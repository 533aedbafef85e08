//! `psql` and `connect`: from this machine, with only a kubeconfig.

use std::path::Path;

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;

use super::{CLASS, skipped};
use crate::support::proxy::Proxy;
use crate::support::space::{Image, Space};
use crate::support::terminal::Terminal;
use crate::support::{eventually, seconds};

async fn up(image: Image, title: &str) -> Space {
    let space = Space::of(image, title).await;
    space.pgset("up --replicas 2").args(CLASS).run().await.ok();
    space
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn psql_on_a_pipe_with_the_articles_image() {
    psql_on_a_pipe(Image::Article).await;
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn psql_on_a_pipe_with_the_official_image() {
    psql_on_a_pipe(Image::Official).await;
}

async fn psql_on_a_pipe(image: Image) {
    let space = up(image, "psql").await;
    let psql = |line: &str| space.pgset("psql").args(line);

    // stdout contains only psql's output, stderr one line. A script without a final semicolon runs, too.
    let output = psql("-- -At").run_with("select pg_is_in_recovery(), current_database()").await;
    let output = output.ok();
    let place = "psql runs as postgres in pod pgset-0, the master, database userdb\n";
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("f|userdb\n", place));
    let replica = psql("--replica -d postgres -- -At");
    let output = replica.run_with("select pg_is_in_recovery(), current_database();").await.ok();
    assert_eq!(output.stdout, "t|postgres\n");
    let output = psql("--replica 1 -U testuser -- -At").run_with("select current_user").await.ok();
    assert_eq!(output.stdout, "testuser\n");

    // Any content works, in any amount.
    let rows: Vec<String> = (0..100_000).map(|i| format!("{i}\t'\\\\0\n")).collect();
    let rows = rows.concat();
    let script = format!(
        "create temp table t (i int, s text);\n\\copy t from pstdin\n{rows}\\.\n\
         select count(*), sum(i), max(length(s)) from t;\n"
    );
    let output = psql("-- -Atq").run_with(script).await.ok();
    assert_eq!(output.stdout, "100000|4999950000|3\n");

    // psql's exit codes: an error of a script, of a statement, of the connection.
    let script = "select 1/0;\nselect 2;\n";
    let output = psql("-- -At").run_with(script).await.exits(3);
    assert_eq!(output.stdout, "");
    let output = psql("--keep-going -- -At").run_with(script).await.ok();
    assert_eq!(output.stdout, "2\n");
    let output = psql("-- -c").arg("create table x (i int)").run().await.ok();
    output.prints("CREATE TABLE");
    let output = psql("--replica -- -c").arg("drop table x").run().await.exits(1);
    output.says("read-only transaction").never_says("hint");
    psql("-d nowhere").run_with("select 1").await.exits(2).says("nowhere");

    // The requested pod must exist, and must be a replica.
    let output = psql("--replica 0").run().await.exits(1);
    output.says("has no replica pgset-0").says("pgset-master").says("pgset status");
    psql("--replica 7").run().await.exits(1).says("has no replica pgset-7");
    psql("-- postgresql://joe:s3cret@pgset-master/userdb")
        .run()
        .await
        .exits(2)
        .never_says("s3cret");
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn a_load_that_is_cut_short_fails_and_commits_nothing() {
    let space = up(Image::Official, "load").await;
    let psql = |line: &str| space.pgset("psql").args(line);
    psql("-- -c").arg("create table loaded (i int)").run().await.ok();
    let rows: Vec<String> = (0..2_000_000).map(|i| format!("{i}\n")).collect();
    let rows = rows.concat();
    let load = |end: &str| format!("\\copy loaded from pstdin\n{rows}{end}");
    let count = async || psql("-- -Atc").arg("select count(*) from loaded").run().await.ok().stdout;

    // The bytes are exact, in both directions.
    psql("").run_with(load("\\.\n")).await.ok();
    assert_eq!(count().await, "2000000\n");
    let output = psql("-- -Atc").arg("select i from loaded order by i").run().await.ok();
    assert!(output.stdout == rows);
    psql("-- -c").arg("truncate loaded").run().await.ok();

    // pgset is killed in the middle: psql does not take that for the end of its input.
    let runs = async || {
        let query = "select count(*) from pg_stat_activity where query ilike 'copy%loaded%stdin%' and pid <> pg_backend_pid()";
        space.sql("pgset-0", "userdb", query).await
    };
    let loading = async || {
        let running = psql("").open_input(load("")).spawn();
        eventually("the load runs", seconds(60), async || match runs().await?.as_str() {
            "1" => Ok(()),
            other => Err(other.to_owned()),
        })
        .await;
        running
    };
    loading().await.kill().await;
    eventually("the load is ended", seconds(60), async || match runs().await?.as_str() {
        "0" => Ok(()),
        other => Err(other.to_owned()),
    })
    .await;
    assert_eq!(count().await, "0\n");
    // PostgreSQL's disk is full.
    let script = "copy (select generate_series(1, 100000)) to '/dev/full';";
    let full = psql("").run_with(script).await.exits(3);
    full.says("No space left on device");
    // The pod is deleted in the middle.
    let running = loading().await;
    let now = DeleteParams::default().grace_period(0);
    space.api::<Pod>().delete("pgset-0", &now).await.unwrap();
    let output = running.finish().await;
    assert!(output.code.is_some_and(|code| code != 0), "{output}");
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn connect_says_where_and_as_whom() {
    let space = up(Image::Official, "connect").await;
    let host = format!("pgset-master.{}.svc", space.name);
    let output = space.pgset("connect").run().await.ok();
    output.prints(&format!("postgresql://testuser@{host}:5432/userdb")).prints("read only  ");
    let document = space.pgset("connect -o json --show-password").run().await.ok().json();
    let password = space.pgset("password show").run().await.ok().stdout;
    assert_eq!(document["password"], password.trim_end());
    assert_eq!(
        space.pgset("connect -o json").run().await.ok().json()["password"],
        serde_json::Value::Null
    );

    // The printed URIs work unchanged in a pod of the cluster.
    for (side, recovers) in [("master", "f"), ("replica", "t")] {
        let uri = document[side]["uri"].as_str().unwrap();
        // Over stdin, because psql's arguments must not contain the password.
        let script = format!("\\connect {uri}\nselect pg_is_in_recovery(), current_user;\n");
        let output = space.pgset("psql -- -Atq").run_with(script).await.ok();
        assert_eq!(output.stdout, format!("{recovers}|testuser\n"), "{output}");
    }
    let lines = space.pgset("connect -o env").run().await.ok().stdout;
    assert_eq!(lines, format!("PGHOST={host}\nPGPORT=5432\nPGUSER=testuser\nPGDATABASE=userdb\n"));
    // With one pod there is no replica to read from.
    space.pgset("scale --replicas 1").run().await.ok();
    let document = space.pgset("connect -o json").run().await.ok().json();
    assert_eq!(document["replica"], serde_json::Value::Null);
    let other = space.pgset("connect --name other").run().await.exits(1);
    other.says("there is no set other");
}

/// Resizes a terminal, as a window manager does.
fn resize(terminal: &Path, columns: u16, rows: u16) {
    let (columns, rows) = (columns.to_string(), rows.to_string());
    let status = std::process::Command::new("stty")
        .arg("-F")
        .arg(terminal)
        .args(["cols", &columns, "rows", &rows])
        .status();
    assert!(status.expect("stty").success());
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn psql_on_a_terminal() {
    let space = up(Image::Official, "terminal").await;
    let directory = space.directory("terminal");
    let [tty, before, after] = ["tty", "before", "after"].map(|name| directory.join(name));
    let call = space.pgset("psql");
    let line = format!(
        "tty > {}; stty -g > {}; {}; code=$?; stty -g > {}; exit $code",
        tty.display(),
        before.display(),
        call.shell_line(),
        after.display()
    );
    let Some(mut terminal) = Terminal::run(&line) else {
        return skipped("there is no script(1), which makes a terminal");
    };
    let mut seen = 0;
    terminal.shows(&mut seen, "pgset-0, the master").await;
    terminal.shows(&mut seen, "userdb=#").await;
    terminal.types("\\! stty size\n").await;
    terminal.shows(&mut seen, "24 80").await;
    let path = std::fs::read_to_string(&tty).unwrap();
    resize(Path::new(path.trim()), 133, 41);
    // The resize is sent asynchronously, so psql's terminal is polled until it has the new size.
    eventually("the resize arrives", seconds(20), async || {
        let open = "select count(*) from pg_stat_activity where application_name = 'pgset psql'";
        space.sql("pgset-0", "postgres", open).await
    })
    .await;
    for _ in 0..20 {
        terminal.types("\\! stty size; echo end\n").await;
        terminal.shows(&mut seen, "\nend").await;
        if terminal.screen().contains("41 133") {
            break;
        }
    }
    assert!(terminal.screen().contains("41 133"));

    // psql handles Ctrl-C: it ends only the statement.
    terminal.types("select pg_sleep(600);\n").await;
    eventually("the statement runs", seconds(20), async || {
        let running = "select count(*) from pg_stat_activity where state = 'active' and query like 'select pg_sleep(600)%'";
        match space.sql("pgset-0", "postgres", running).await?.as_str() {
            "1" => Ok(()),
            other => Err(other.to_owned()),
        }
    })
    .await;
    terminal.types("\u{3}").await;
    terminal.shows(&mut seen, "canceling statement due to user request").await;
    terminal.types("select 6 * 7 as answer;\n").await;
    terminal.shows(&mut seen, "42").await;
    // An error in an interactive session does not change psql's exit code.
    terminal.types("\\q\n").await;
    assert_eq!(terminal.ends().await, Some(0));
    let modes = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_eq!(modes(&before), modes(&after), "the terminal's modes");
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn the_terminal_is_restored_however_psql_ends() {
    let space = up(Image::Official, "restored").await;
    let directory = space.directory("restored");
    for (way, expected) in [("TERM", 143), ("HUP", 129), ("connection", 1)] {
        let [pid, before, after] =
            ["pid", "before", "after"].map(|n| directory.join(format!("{way}-{n}")));
        // The proxy has its own runtime: dropping the runtime closes all connections at once.
        let between = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let cluster = space.cluster.another().await;
        let proxy = between.spawn(async move { Proxy::start(&cluster.another().await).await });
        let proxy = proxy.await.unwrap();
        let call = space.pgset_through(&proxy.kubeconfig(&space.name), "psql --replica");
        // The shell prints its PID and is then replaced by the program, which keeps the PID.
        let line = format!(
            "stty -g > {}; sh -c 'echo $$ > {}; exec \"$0\" \"$@\"' {}; code=$?; stty -g > {}; exit $code",
            before.display(),
            pid.display(),
            call.shell_line(),
            after.display()
        );
        let Some(terminal) = Terminal::run(&line) else {
            return skipped("there is no script(1), which makes a terminal");
        };
        let mut seen = 0;
        terminal.shows(&mut seen, "userdb=#").await;
        if way == "connection" {
            between.shutdown_background();
            terminal.shows(&mut seen, "the connection broke").await;
        } else {
            let pid = std::fs::read_to_string(&pid).unwrap();
            let kill = std::process::Command::new("kill").args(["-s", way, pid.trim()]).status();
            assert!(kill.unwrap().success());
            between.shutdown_background();
        }
        assert_eq!(terminal.ends().await, Some(expected), "{way}");
        let modes = |path: &Path| std::fs::read_to_string(path).unwrap();
        assert_eq!(modes(&before), modes(&after), "{way}: the terminal's modes");
    }
}
