//! psql on a pipe: with both versions of the exec protocol, and with connections that break. The stand-in of psql runs
//! the command after `\!`.

use std::path::Path;

use http::Method;
use pgset::sandbox::faults::{ExecFault, Fault, Part};

use super::World;
use super::quick::Profile;
use crate::support::pgset::Pgset;
use crate::support::{eventually, seconds};

/// More than the buffers between pgset and the program.
const MUCH: usize = 6 << 20;

/// The requests for a user's psql.
const PSQL: &str = "PGAPPNAME%3Dpgset+psql";

impl World {
    /// psql, which runs this command.
    fn psql(&self, command: &str) -> Pgset {
        let psql = Profile::Official.of(self.pgset("psql -- -c"));
        psql.arg(format!(r"\! {command}"))
    }

    /// The next connections of psql have this fault.
    fn spoil(&self, fault: ExecFault) {
        self.faults().clear();
        self.faults().request(Method::GET, PSQL, 0..usize::MAX, Fault::Exec(fault));
    }
}

async fn up() -> World {
    let world = World::quick().await;
    Profile::Official.of(world.pgset("up --replicas 1")).run().await.ok();
    world
}

/// Bytes that look like frames, ends and numbers of streams, too.
fn bytes() -> Vec<u8> {
    let binary = (0..=255).cycle().take(1000);
    binary.chain(*b"\n0\n").cycle().take(MUCH).collect()
}

#[tokio::test]
async fn input_and_output_are_exact_with_both_protocols() {
    let world = up().await;
    let digest = ring::digest::digest(&ring::digest::SHA256, &bytes());
    let sum: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let sum = sum.concat();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes()).unwrap();
    for only_v4 in [false, true] {
        world.spoil(ExecFault { only_v4, breaks: None });
        let output = world.psql("sha256sum").run_with(bytes()).await.ok();
        assert_eq!(output.stdout, format!("{sum}  -\n"), "{only_v4} {output}");
        output.says("psql runs as postgres in pod pgset-0, the master, database userdb\n");
        let output = world.psql("sha256sum").run_with_file(file.path()).await.ok();
        assert_eq!(output.stdout, format!("{sum}  -\n"), "{only_v4} {output}");
        // Output that is written while input is read: neither waits for the other.
        let lines: Vec<String> = (1..400_000).map(|line| format!("{line}\n")).collect();
        let lines = lines.concat();
        let output = world.psql("cat").run_with(lines.clone()).await.ok();
        assert!(output.stdout == lines, "{only_v4}");
        let output = world.psql("cat; echo no >&2; exit 3").run_with("a").await.exits(3);
        assert_eq!(output.stdout, "a");
        output.says("no\n");
        // A program that ends without reading its input.
        world.psql("exit 4").run_with(bytes()).await.exits(4);
        // Killed from outside, and together with the shell that connects it.
        world.psql("kill -KILL $$").run().await.exits(137).says("was ended by signal 9");
        world.psql("kill -KILL $PPID").run().await.exits(137).says("was ended by signal 9");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_end() {
    let world = up().await;
    // The commands run in a directory of this machine.
    let directory = world.psql("pwd").run().await.ok().stdout;
    let [ended, committed] =
        ["ended", "committed"].map(|name| Path::new(directory.trim_end()).join(name));
    let script = "trap 'touch ended; exit' TERM; cat >/dev/null; touch committed";
    for only_v4 in [false, true] {
        for part in [Part::Client, Part::Runtime] {
            let what = format!("{only_v4} {part:?}");
            world.spoil(ExecFault { only_v4, breaks: Some((MUCH / 2, part)) });
            let output = world.psql(script).run_with(bytes()).await.exits(1);
            output.says("running a command in pod pgset-0: the connection broke");
            // The program does not mistake the break for the end of its input: psql would commit.
            eventually("the program is ended", seconds(30), async || {
                std::fs::remove_file(&ended).map_err(|e| format!("{what}: {e}"))
            })
            .await;
            assert!(!committed.exists(), "{what}");

            let output = world.psql("seq 1000000").run().await.exits(1);
            output.says("the connection broke").prints("1\n2\n3\n");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn output_that_is_not_read_is_no_success() {
    let world = up().await;
    let mut running = world.psql("seq 10000000").spawn();
    running.close_stdout();
    running.finish().await.exits(141).never_says("roken");
    world.stop().await;
}
