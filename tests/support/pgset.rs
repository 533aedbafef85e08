//! Runs the built binary as a child process, in its own environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::{eventually, seconds};

/// A call of pgset, built step by step. It does not inherit the environment of the test process.
#[derive(Clone)]
pub(crate) struct Pgset {
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    home: Arc<TempDir>,
    deadline: Duration,
    /// The text for its standard input. `None` closes the standard input.
    input: Option<Vec<u8>>,
    /// Whether the standard input stays open after the text.
    open: bool,
    /// The file at its standard input.
    file: Option<PathBuf>,
}

impl Pgset {
    /// Creates a call. `line` is split at white space: `up --replicas 2`.
    pub(crate) fn new(line: &str) -> Self {
        let home = Arc::new(TempDir::new().expect("a directory for HOME"));
        let mut env = BTreeMap::new();
        env.insert("HOME".into(), home.path().into());
        env.insert("PATH".into(), "/usr/bin:/bin".into());
        let args = line.split_whitespace().map(OsString::from).collect();
        Self { args, env, home, deadline: seconds(240), input: None, open: false, file: None }
    }

    /// Adds one argument without splitting it.
    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments, split at white space.
    pub(crate) fn args(mut self, line: &str) -> Self {
        self.args.extend(line.split_whitespace().map(OsString::from));
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets the kubeconfig with the variable `KUBECONFIG`.
    pub(crate) fn kubeconfig(self, path: &Path) -> Self {
        self.env("KUBECONFIG", path)
    }

    /// Sets the time after which the program is killed and the test fails. This is not pgset's own
    /// `--timeout`.
    pub(crate) fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Formats the call with its environment as a line for a shell, to run it on a terminal. Do not drop
    /// the call while the program runs.
    pub(crate) fn shell_line(&self) -> String {
        let quoted =
            |word: &OsString| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"));
        let variables = self
            .env
            .iter()
            .map(|(name, value)| format!("{}={}", name.to_string_lossy(), quoted(value)));
        let words = std::iter::once(quoted(&env!("CARGO_BIN_EXE_pgset").into()));
        let line = variables.chain(words).chain(self.args.iter().map(quoted));
        format!("env -i {}", line.collect::<Vec<_>>().join(" "))
    }

    /// Runs the program with this standard input, and waits until it ends.
    pub(crate) async fn run_with(mut self, input: impl Into<Vec<u8>>) -> Output {
        self.input = Some(input.into());
        self.run().await
    }

    /// Runs the program with this file as its standard input, and waits until it ends.
    #[cfg(feature = "sandbox")]
    pub(crate) async fn run_with_file(mut self, file: &Path) -> Output {
        self.file = Some(file.to_owned());
        self.run().await
    }

    /// Adds standard input that has no end.
    pub(crate) fn open_input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self.open = true;
        self
    }

    /// Runs the program, and waits until it ends.
    pub(crate) async fn run(self) -> Output {
        self.spawn().finish().await
    }

    /// Starts the program.
    pub(crate) fn spawn(self) -> Running {
        let shown = self.args.iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let mut child = Command::new(env!("CARGO_BIN_EXE_pgset"))
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .current_dir(self.home.path())
            .stdin(match &self.file {
                Some(file) => std::fs::File::open(file).expect("the file is there").into(),
                None if self.input.is_some() => Stdio::piped(),
                None => Stdio::null(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        if let (Some(input), Some(mut stdin)) = (self.input, child.stdin.take()) {
            // An error is ignored: a program that ends before it has read everything reports the reason
            // itself.
            tokio::spawn(async move {
                stdin.write_all(&input).await.ok();
                if self.open {
                    std::future::pending::<()>().await;
                }
            });
        }
        let stdout = Stream::read(child.stdout.take().expect("standard output is piped"));
        let stderr = Stream::read(child.stderr.take().expect("standard error is piped"));
        Running {
            command: format!("pgset {shown}"),
            child,
            stdout,
            stderr,
            start: Instant::now(),
            deadline: self.deadline,
            _home: self.home,
        }
    }
}

/// Collects the output of a stream.
struct Stream {
    text: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Stream {
    fn read(mut pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&text);
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; 8192];
            while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
                sink.lock().expect("no reader panics").extend_from_slice(&buffer[..n]);
            }
        });
        Self { text, reader }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().expect("no reader panics")).into_owned()
    }
}

/// The running program.
pub(crate) struct Running {
    command: String,
    child: Child,
    stdout: Stream,
    stderr: Stream,
    start: Instant,
    deadline: Duration,
    _home: Arc<TempDir>,
}

impl Running {
    /// The process ID.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("the child has not been waited for")
    }

    /// Sends a signal by its name: `INT`, `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = std::process::Command::new("/bin/sh")
            .args(["-c", &format!("kill -{name} {}", self.id())])
            .status()
            .expect("a shell to send the signal with");
        assert!(status.success(), "{}: kill -{name} failed", self.command);
    }

    /// Sends SIGKILL, and waits until the program ends.
    pub(crate) async fn kill(mut self) -> Output {
        // The program may have ended in the meantime.
        self.child.start_kill().ok();
        self.finish().await
    }

    /// Waits until standard error contains `text`.
    pub(crate) async fn says(&self, text: &str) {
        eventually(&format!("`{}` says {text:?}", self.command), seconds(120), async || {
            let said = self.stderr.so_far();
            if said.contains(text) { Ok(()) } else { Err(format!("stderr: {said}")) }
        })
        .await;
    }

    /// The standard error so far.
    #[cfg(feature = "sandbox")]
    pub(crate) fn so_far(&self) -> String {
        self.stderr.so_far()
    }

    /// Closes the test's end of the standard output.
    pub(crate) fn close_stdout(&mut self) {
        self.stdout.reader.abort();
    }

    /// Waits until the program has ended by itself.
    pub(crate) async fn ended(&mut self) {
        self.child.wait().await.expect("the child can be waited for");
    }

    /// Waits until the program has ended, and returns its output. Panics at the deadline.
    pub(crate) async fn finish(mut self) -> Output {
        let left = self.deadline.saturating_sub(self.start.elapsed());
        let Ok(status) = tokio::time::timeout(left, self.child.wait()).await else {
            panic!(
                "`{}` still runs after {:?}\n--- stdout\n{}\n--- stderr\n{}",
                self.command,
                self.deadline,
                self.stdout.so_far(),
                self.stderr.so_far()
            )
        };
        let status = status.expect("the child can be waited for");
        let took = self.start.elapsed();
        (&mut self.stdout.reader).await.ok();
        (&mut self.stderr.reader).await.ok();
        Output {
            command: self.command.clone(),
            stdout: self.stdout.so_far(),
            stderr: self.stderr.so_far(),
            code: status.code(),
            signal: status.signal(),
            took,
        }
    }
}

/// The result of a call. A failed assertion prints all of it. A successful one returns it, so that
/// assertions can be chained.
pub(crate) struct Output {
    pub(crate) command: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) took: Duration,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` ended with {:?} (signal {:?}) after {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.code, self.signal, self.took, self.stdout, self.stderr
        )
    }
}

impl Output {
    /// Standard output and standard error together.
    pub(crate) fn all(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code: expected {code}; {self}");
        self
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.exits(0)
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "stderr lacks {text:?}; {self}");
        self
    }

    /// Asserts that standard output or standard error contains at least one of the texts, ignoring case.
    #[track_caller]
    pub(crate) fn mentions(self, texts: &[&str]) -> Self {
        let all = self.all().to_lowercase();
        let found = texts.iter().any(|t| all.contains(&t.to_lowercase()));
        assert!(found, "says none of {texts:?}; {self}");
        self
    }

    #[track_caller]
    pub(crate) fn never_says(self, text: &str) -> Self {
        assert!(!self.all().contains(text), "says {text:?}; {self}");
        self
    }

    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "stdout lacks {text:?}; {self}");
        self
    }

    #[track_caller]
    pub(crate) fn within(self, limit: Duration) -> Self {
        assert!(self.took < limit, "took longer than {limit:?}; {self}");
        self
    }

    /// Parses standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("stdout is no JSON document ({error}); {self}"),
        }
    }
}
