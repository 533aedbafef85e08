//! The walk of `docs/failover.md`: its commands run in their order, as a person types them, and say what the page shows.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::served::directory;
use crate::support::{eventually, seconds};
use crate::transcripts::redaction::redacted;

/// Where the page has the sandbox.
const ON_THE_PAGE: &str = "/tmp/pgset-sandbox-1000";

/// A command of the page, and the lines that it shows.
struct Step {
    command: String,
    shown: Vec<String>,
}

impl Step {
    /// Whether it only looks: then a person types it again until the cluster has noticed what happened.
    fn looks(&self) -> bool {
        ["pgset status", "pgset test"].iter().any(|command| self.command.starts_with(command))
    }

    /// Its exit code, as what it shows implies.
    fn code(&self) -> i32 {
        let shows = |text: &str| self.shown.iter().any(|line| line.contains(text));
        match (shows("error: "), shows(" is down") || shows(" is degraded")) {
            (true, _) => 4,
            (false, true) => 1,
            (false, false) => 0,
        }
    }

    /// The first line of the page that this output lacks, or the exit code that it lacks.
    fn lacks(&self, output: &Output) -> Option<String> {
        let all = [&*output.stderr, &*output.stdout].concat();
        let text = String::from_utf8_lossy(&all).into_owned();
        let printed = redacted(&text);
        let mut lines = printed.lines();
        let missing = self.shown.iter().find(|shown| {
            let shown = redacted(shown);
            !lines.any(|line| is_like(line, shown.trim_end()))
        });
        let code = (output.status.code() != Some(self.code()))
            .then(|| format!("the exit code {}", self.code()));
        let lacking = missing.cloned().or(code)?;
        Some(format!("$ {}\nlacks: {lacking}\n{:?}\n{text}", self.command, output.status))
    }
}

/// Whether a line is one of the page, where `...` stands for any text.
fn is_like(line: &str, shown: &str) -> bool {
    let mut parts = shown.split("...");
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut open = false;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        open = part.is_empty();
    }
    open || rest.is_empty()
}

/// The steps of the page's walk.
fn steps() -> Vec<Step> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/failover.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, walk) = page.split_once("## A walk of ten minutes\n").expect("there is a walk");
    let walk = walk.split("\n## ").next().unwrap();
    let mut steps: Vec<Step> = Vec::new();
    let mut console = false;
    for line in walk.lines() {
        if line.starts_with("```") {
            console = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| console) {
            steps.push(Step { command: command.to_owned(), shown: Vec::new() });
        } else if console {
            steps.last_mut().unwrap().shown.push(line.to_owned());
        }
    }
    steps
}

/// A shell in which the sandbox is in a directory of the test. The sandbox ends with it.
struct Shell {
    place: PathBuf,
    home: tempfile::TempDir,
    /// What was exported.
    exports: String,
}

impl Shell {
    fn bash(&self, script: &str) -> Output {
        let programs = Path::new(env!("CARGO_BIN_EXE_pgset")).parent().unwrap();
        let place = self.place.display();
        let pgset = format!(
            "pgset() {{ if [ \"$1\" = sandbox ]; then command pgset \"$@\" --directory {place}; else command pgset \"$@\"; fi; }}"
        );
        Command::new("bash")
            .arg("-c")
            .arg(
                format!("{pgset}\n{}{script}", self.exports)
                    .replace(ON_THE_PAGE, &place.to_string()),
            )
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin:/usr/local/bin", programs.display()))
            .env("HOME", self.home.path())
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .output()
            .expect("bash runs")
    }

    async fn run(&mut self, step: &Step) {
        let limit = if step.looks() { seconds(60) } else { seconds(0) };
        eventually("the walk", limit, async || {
            step.lacks(&self.bash(&step.command)).map_or(Ok(()), Err)
        })
        .await;
        if step.command.starts_with("export ") {
            self.exports = [&*self.exports, &*step.command, "\n"].concat();
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if self.place.exists() {
            self.bash("pgset sandbox stop --delete");
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn the_walk_of_the_page_about_failover() {
    let above = directory();
    let place = above.path().join("s");
    let mut shell =
        Shell { place, home: tempfile::TempDir::new().unwrap(), exports: String::new() };
    if !shell.bash("command -v kubectl").status.success() {
        super::kubectl::skipped("kubectl: it is not installed");
        return;
    }
    let steps = steps();
    assert!(steps.len() > 15, "{} steps", steps.len());
    for step in steps {
        shell.run(&step).await;
    }
    assert!(!shell.place.exists(), "the walk deletes its sandbox");
}

#[test]
fn dots_stand_for_any_text() {
    for (line, shown, like) in [
        ("a b", "a b", true),
        ("a b c", "a b", false),
        ("a b c", "a ... c", true),
        ("a b c", "a b...", true),
        ("a b c", "...b...", true),
        ("a b c", "...b", false),
        ("a b c", "a ... d", false),
    ] {
        assert_eq!(is_like(line, shown), like, "{line}: {shown}");
    }
}
