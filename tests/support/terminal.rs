//! Runs programs on a terminal.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};

use super::{eventually, seconds};

/// A terminal with a program on it, created by `script` of util-linux.
pub(crate) struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Runs a shell command on a terminal of 80 by 24; `None` if `script` is not installed.
    pub(crate) fn run(line: &str) -> Option<Self> {
        let line = format!("stty cols 80 rows 24; {line}");
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        let keys = child.stdin.take().unwrap();
        let mut out = child.stdout.take().unwrap();
        let screen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&screen);
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = out.read(&mut buffer).await {
                sink.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        Some(Self { child, keys, screen })
    }

    /// Types keys.
    pub(crate) async fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).await.unwrap();
        self.keys.flush().await.unwrap();
    }

    /// All that the terminal has shown.
    pub(crate) fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    /// Waits until the terminal shows `text`, after everything waited for before.
    pub(crate) async fn shows(&self, seen: &mut usize, text: &str) {
        let what = format!("the terminal shows {text:?}");
        let found = eventually(&what, seconds(60), async || {
            let screen = self.screen();
            let rest = screen.get(*seen..).unwrap_or_default();
            match rest.find(text) {
                Some(at) => Ok(*seen + at + text.len()),
                None => Err(format!("it shows {screen:?}")),
            }
        });
        *seen = found.await;
    }

    /// Waits until the program has ended. Returns its exit code.
    pub(crate) async fn ends(mut self) -> Option<i32> {
        let ended = tokio::time::timeout(seconds(30), self.child.wait()).await;
        ended.expect("it ends").unwrap().code()
    }
}
