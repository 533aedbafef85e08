//! What a user sees: the commands of a day in a sandbox, in terminals of several widths, in a pipe, and with the
//! flags about output. The transcripts are files in `tests/golden/transcripts`; numbers that change from run to
//! run are replaced by letters. `PGSET_UPDATE=1 cargo test -- --ignored transcripts::` writes them, and
//! `docs/terminal.svg`, the picture in the README.

pub(crate) mod redaction;
mod screen;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::support::served::Served;
use crate::support::updates;
use redaction::redacted;

/// The commands of a day.
const DAY: [&str; 6] = ["up", "up", "status", "test", "scale --replicas 3", "down --yes"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Compares a text with a golden file, or writes the file.
fn golden(name: &str, text: &str) {
    let file = root().join("tests/golden/transcripts").join(name);
    if updates() {
        std::fs::write(&file, text).expect("the file can be written");
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    snapbox::assert_data_eq!(text.to_owned(), snapbox::Data::text(expected).raw());
}

/// A place where commands run: a namespace of a sandbox, and the variables of the process.
struct Shell<'a> {
    sandbox: &'a Served,
    home: tempfile::TempDir,
    namespace: &'static str,
    variables: &'a [(&'a str, &'a str)],
}

impl<'a> Shell<'a> {
    async fn open(
        sandbox: &'a Served,
        namespace: &'static str,
        variables: &'a [(&'a str, &'a str)],
    ) -> Self {
        let home = tempfile::TempDir::new().expect("a directory for HOME");
        let this = Self { sandbox, home, namespace, variables };
        let output = this.run("bash", &["-c", "cp \"$KUBECONFIG\" config"]).await;
        assert!(output.status.success(), "{output:?}");
        this
    }

    async fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let directory = Path::new(env!("CARGO_BIN_EXE_pgset")).parent().expect("a directory");
        Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", directory.display()))
            .env("HOME", self.home.path())
            .env("TERM", "xterm-256color")
            .env("KUBECONFIG", self.sandbox.kubeconfig())
            .env("PGSET_NAMESPACE", self.namespace)
            .envs(self.variables.iter().copied())
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the program runs")
    }

    /// The commands in a pipe. The result holds standard error, then standard output.
    async fn piped(&self, flags: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for command in DAY {
            let line = format!("pgset {flags}{command}");
            let output = self.run("bash", &["-c", &format!("{line} {}", self.more(command))]).await;
            assert!(output.status.success(), "$ {line}\n{output:?}");
            let err = String::from_utf8_lossy(&output.stderr).into_owned();
            texts.push(format!("$ {line}\n{err}{}", String::from_utf8_lossy(&output.stdout)));
        }
        texts
    }

    /// The commands in a terminal with this many columns. The result is what stands on the screen after each.
    async fn in_terminal(&self, columns: u16) -> Vec<String> {
        let mut texts = Vec::new();
        for command in DAY {
            let line =
                format!("stty cols {columns} rows 60; pgset {command} {}", self.more(command));
            let output = self.run("script", &["-qefc", &line, "/dev/null"]).await;
            assert!(output.status.success(), "$ pgset {command}\n{output:?}");
            let screen = screen::after(&output.stdout, columns);
            // An address is never broken, so that it can be copied.
            for line in screen.lines().filter(|line| !line.contains("postgresql://")) {
                let too_wide = console::measure_text_width(line) > usize::from(columns);
                assert!(!too_wide, "wider than {columns} columns: {line}");
            }
            texts.push(format!("$ pgset {command}\n{screen}"));
        }
        texts
    }

    /// The first command creates the namespace.
    fn more(&self, command: &str) -> &'static str {
        if command == "up" && self.namespace != "default" { "--create-namespace" } else { "" }
    }
}

fn without_breaks(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ") + "\n"
}

fn transcript(name: &str, texts: &[String]) {
    golden(name, &texts.iter().map(|text| redacted(text)).collect::<String>());
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn a_day_in_terminals() {
    let sandbox = Served::start().await;
    for (columns, namespace) in [(40, "narrow"), (80, "usual"), (200, "broad")] {
        let shell = Shell::open(&sandbox, namespace, &[]).await;
        let mut texts = shell.in_terminal(columns).await;
        if columns == 40 {
            // Where such lines break depends on how many digits a time has.
            for text in &mut texts {
                *text = without_breaks(text);
            }
        }
        transcript(&format!("terminal-{columns}.txt"), &texts);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn a_day_in_pipes() {
    let sandbox = Served::start().await;
    let shell = Shell::open(&sandbox, "plain", &[]).await;
    transcript("piped.txt", &shell.piped("").await);
    let shell = Shell::open(&sandbox, "quiet", &[]).await;
    transcript("quiet.txt", &shell.piped("-q ").await);
    let ci = [("CI", "true")];
    let shell = Shell::open(&sandbox, "build", &ci).await;
    transcript("ci.txt", &shell.in_terminal(80).await);
}

/// How many lines an `up` may print, from the promise: 12 for a new set, 4 for one that is unchanged. The transcript
/// is compared with the program above.
#[test]
fn a_summary_is_short() {
    let file = root().join("tests/golden/transcripts/piped.txt");
    let text = std::fs::read_to_string(file).expect("there is a transcript");
    let lines: Vec<usize> =
        text.split("$ pgset ").skip(1).map(|part| part.lines().count() - 1).collect();
    assert!(lines[0] <= 12 && lines[1] <= 4, "{lines:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn details_only_where_they_are_asked_for() {
    let sandbox = Served::start().await;
    let shell = Shell::open(&sandbox, "verbose", &[]).await;
    let texts = shell.piped("-v ").await;
    for said in ["service/pgset-master created", "pod/pgset-1 Ready, streaming"] {
        assert!(texts[0].contains(said), "{}", texts[0]);
    }
    assert!(!texts[0].contains("method=GET"), "a log of requests: {}", texts[0]);
    let shell = Shell::open(&sandbox, "json", &[]).await;
    let output = shell.run("pgset", &["up", "-o", "json", "--create-namespace"]).await;
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let last = events.last().expect("there is an event");
    assert_eq!(last["event"], "finished");
    assert_eq!(last["read_write"], "postgresql://testuser@pgset-master.json.svc:5432/userdb");
    assert_eq!((&last["database"], &last["user"]), (&"userdb".into(), &"testuser".into()));
    assert_eq!(last["secret"], "pgset-auth");
    assert!(events.iter().any(|event| event["event"] == "milestone"), "{text}");
}

/// The picture in the README shows what the program prints.
#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn the_picture_of_a_terminal() {
    let sandbox = Served::start().await;
    let colored = [("CLICOLOR_FORCE", "1")];
    let shell = Shell::open(&sandbox, "default", &colored).await;
    let mut text = String::new();
    for line in ["pgset up", "pgset test"] {
        let output = shell.run("bash", &["-c", &format!("{line} 2>&1")]).await;
        assert!(output.status.success(), "$ {line}\n{output:?}");
        let printed = String::from_utf8_lossy(&output.stdout);
        text = [&text, "\u{1b}[1m$ ", line, "\u{1b}[0m\n", &printed].concat();
    }
    let file = root().join("docs/terminal.svg");
    if updates() {
        let svg = anstyle_svg::Term::new().min_width_px(740).render_svg(&text);
        std::fs::write(&file, svg).expect("the file can be written");
    }
    let svg = std::fs::read_to_string(&file).unwrap_or_default();
    let shown = redacted(&screen::text_of_svg(&svg));
    let plain = redacted(&console::strip_ansi_codes(&text));
    assert!(
        shown == plain,
        "docs/terminal.svg is out of date:\n{shown}\n--- the program:\n{plain}"
    );
}
