//! A sandbox for one test: a process of pgset, with a temporary directory.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// The sandbox process. It ends when its standard input is closed: when this value is dropped, or when the
/// test process ends for any reason.
pub(crate) struct Served {
    child: Child,
    directory: TempDir,
}

impl Served {
    pub(crate) async fn start() -> Self {
        let directory = directory();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pgset"))
            .args(["sandbox", "serve", "--directory"])
            .arg(directory.path().join("s"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(directory.path().join("log")).expect("a log"))
            .spawn()
            .expect("the program starts");
        let out = child.stdout.take().expect("standard output is piped");
        let out = tokio::process::ChildStdout::from_std(out).expect("a pipe");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).await.expect("the sandbox says something");
        let this = Self { child, directory };
        assert_eq!(line, "ready\n", "the sandbox did not start: {}", this.log());
        std::fs::create_dir(this.host_volumes()).expect("a directory of the node's");
        let open = std::fs::Permissions::from_mode(0o711);
        std::fs::set_permissions(this.host_volumes(), open).expect("its mode");
        this
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("s/kubeconfig")
    }

    /// The directory in which a test can create directories of the node.
    pub(crate) fn host_volumes(&self) -> PathBuf {
        self.directory.path().join("host")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

/// Creates a directory for a sandbox. Its mode lets the user that runs the servers traverse it.
pub(crate) fn directory() -> TempDir {
    let permissions = std::fs::Permissions::from_mode(0o711);
    let mut builder = tempfile::Builder::new();
    builder.prefix("pgset-").permissions(permissions).tempdir_in("/tmp").expect("a directory")
}
