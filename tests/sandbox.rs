//! Tests of the whole program in the sandbox. Most of them use stand-ins for PostgreSQL; those
//! marked as ignored use the PostgreSQL of this machine.
//!
//! `tests/run.sh` runs them, and so does `cargo test --test pgset -- --ignored sandbox::`. The
//! ignored ones need PostgreSQL's server programs (13 to 18) and libnss-wrapper. Root runs the
//! servers as the user `postgres`.

mod faults;
mod growth;
mod hostile;
mod inputs;
mod killed;
mod kubectl;
mod lease;
mod lives;
mod nodes;
mod objects;
mod passwords;
mod pipe;
mod pod_numbers;
mod quick;
mod recipe;
mod refusals;
mod restarts;
mod rights;
mod rotation;
mod servers;
mod settings;
mod stopped;
mod story;
mod strangers;
mod transitions;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgset::sandbox::Sandbox;
use pgset::sandbox::faults::Faults;
use pgset::sandbox::place::Place;
use tempfile::TempDir;

use crate::support::CRUNCHY_TAG;
use crate::support::pgset::Pgset;
use crate::support::served::directory;

/// A sandbox in the test's own process, so that the test can inject faults.
struct World {
    sandbox: Sandbox,
    directory: TempDir,
    /// The task that labels the pods, in a sandbox of stand-ins.
    roles: Option<tokio::task::JoinHandle<()>>,
}

impl World {
    async fn start() -> Self {
        let directory = directory();
        let place = Place::open(&directory.path().join("s")).unwrap();
        let sandbox = Sandbox::start(place).await.unwrap_or_else(|error| panic!("{error}"));
        Self { sandbox, directory, roles: None }
    }

    fn faults(&self) -> &Arc<Faults> {
        &self.sandbox.faults
    }

    fn kubeconfig(&self) -> PathBuf {
        self.sandbox.place().kubeconfig()
    }

    /// A call of pgset with the article's image and a claim for each pod.
    fn pgset(&self, line: &str) -> Pgset {
        pgset(line, &self.kubeconfig())
    }

    /// Stops the sandbox, and checks that no process is left, and that no two stand-ins of a set were ever writable at once.
    async fn stop(self) {
        assert_eq!(self.writable_twice(), "");
        let Self { sandbox, directory, roles } = self;
        let place = sandbox.place().directory().to_owned();
        sandbox.stop().await;
        roles.iter().for_each(tokio::task::JoinHandle::abort);
        assert_eq!(processes(&place), Vec::<String>::new(), "processes that were left behind");
        drop(directory);
    }
}

fn pgset(line: &str, kubeconfig: &Path) -> Pgset {
    Pgset::new(line)
        .kubeconfig(kubeconfig)
        .env("CCP_IMAGE_TAG", CRUNCHY_TAG)
        .env("PGSET_STORAGE", "class")
}

/// The same call with PostgreSQL's official image.
fn official(pgset: Pgset) -> Pgset {
    pgset.env("CCP_IMAGE_TAG", "").env("PGSET_IMAGE", "postgres:17")
}

/// The command lines of all processes in a sandbox's containers: processes with its mark, and
/// servers with data there, because these overwrite the mark with their titles.
fn processes(place: &Path) -> Vec<String> {
    let mark = format!("PGSET_SANDBOX={}/", place.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let marked = environment.split(|byte| *byte == 0).any(|t| t.starts_with(mark.as_bytes()));
        let works_in = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if marked || works_in.starts_with(place) {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push(String::from_utf8_lossy(&line).replace('\0', " "));
        }
    }
    found
}
