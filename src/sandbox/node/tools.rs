//! The programs and libraries of this machine that a node needs.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs that every PostgreSQL server package contains.
const PROGRAMS: [&str; 5] = ["postgres", "initdb", "pg_basebackup", "pg_isready", "psql"];
/// The supported major versions, the preferred one first.
const MAJORS: [u32; 6] = [18, 17, 16, 15, 14, 13];
const LIBRARY: &str = "libnss_wrapper.so";

/// The programs and libraries that were found.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The directory of PostgreSQL's programs.
    pub postgres: PathBuf,
    /// The path of libnss-wrapper.
    pub wrapper: PathBuf,
    /// The user that servers run as, if this process is root.
    pub user: Option<User>,
}

/// A user of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
}

/// A missing program or library.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sandbox needs {what}")]
pub struct MissingTool {
    what: String,
    package: &'static str,
}

impl MissingTool {
    /// Commands that install it.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        vec![format!("apt-get install {}  # Debian and Ubuntu", self.package)]
    }
}

impl Tools {
    /// Finds all tools.
    ///
    /// # Errors
    /// With the first missing tool and its package.
    pub fn find() -> Result<Self, MissingTool> {
        let missing = |what: &str, package| MissingTool { what: what.to_owned(), package };
        if !cfg!(target_os = "linux") {
            return Err(missing(
                "Linux: elsewhere, use a cluster of kind, minikube or Docker Desktop",
                "podman",
            ));
        }
        let postgres = postgres().ok_or_else(|| {
            missing(
                "PostgreSQL 13 to 18 on this machine, including the server programs",
                "postgresql",
            )
        })?;
        let wrapper = wrapper().ok_or_else(|| {
            missing("libnss_wrapper.so, for the host names of the pods", "libnss-wrapper")
        })?;
        let user = if rustix::process::geteuid().is_root() {
            Some(user("postgres").ok_or_else(|| {
                missing("a user called postgres: PostgreSQL does not run as root", "postgresql")
            })?)
        } else {
            None
        };
        Ok(Self { postgres, wrapper, user })
    }
}

fn postgres() -> Option<PathBuf> {
    let usual = MAJORS.iter().flat_map(|major| {
        [format!("/usr/lib/postgresql/{major}/bin"), format!("/usr/pgsql-{major}/bin")]
    });
    let complete = |directory: &PathBuf| PROGRAMS.iter().all(|p| directory.join(p).is_file());
    let mut found =
        usual.map(PathBuf::from).chain(["/usr/local/pgsql/bin".into(), "/usr/bin".into()]);
    found.find(complete).or_else(|| {
        let output = Command::new("pg_config").arg("--bindir").output().ok()?;
        let directory = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
        Some(directory).filter(complete)
    })
}

fn wrapper() -> Option<PathBuf> {
    let mut directories: Vec<PathBuf> =
        ["/usr/lib64", "/usr/lib", "/usr/local/lib"].map(PathBuf::from).to_vec();
    // Debian has a library directory for each architecture.
    let below = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    directories.extend(below.map(|entry| entry.path()).filter(|path| path.is_dir()));
    let own = std::env::consts::ARCH;
    directories.sort_by_key(|path| !path.to_string_lossy().contains(own));
    directories.into_iter().map(|directory| directory.join(LIBRARY)).find(|path| path.is_file())
}

fn user(name: &str) -> Option<User> {
    let users = std::fs::read_to_string(Path::new("/etc/passwd")).ok()?;
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some(User { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
}
