//! Local resources of the tests: PostgreSQL's programs, a user to run them, free ports.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// The root file system of another Debian, if all programs of the pods run in one: `PGSET_POSTGRES_ROOT`. It contains
/// the tests' temporary directory, /proc and /dev at the same paths, see `tests/bootstrap-in.sh`.
#[expect(clippy::disallowed_methods, reason = "the tests' own switch, not a setting of pgset")]
pub(super) fn other_root() -> Option<PathBuf> {
    std::env::var_os("PGSET_POSTGRES_ROOT").map(PathBuf::from)
}

/// A command in the pods' root file system.
fn inside(program: &str) -> Command {
    let Some(root) = other_root() else { return Command::new(program) };
    let mut command = Command::new("/usr/sbin/chroot");
    command.arg(root).arg(program);
    command
}

/// The directory with the server programs of the newest PostgreSQL on this machine, or of the one in the other root.
pub(super) fn binaries() -> PathBuf {
    if let Some(root) = other_root() {
        let entries = std::fs::read_dir(root.join("usr/lib/postgresql")).unwrap();
        let mut found = entries.flatten().map(|entry| entry.path().join("bin"));
        let found = found.find(|directory| directory.join("initdb").exists());
        let found = found.expect("PostgreSQL's server programs in PGSET_POSTGRES_ROOT");
        return Path::new("/").join(found.strip_prefix(&root).unwrap());
    }
    let told = std::process::Command::new("pg_config").arg("--bindir").output();
    let mut found: Vec<PathBuf> = told
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|text| PathBuf::from(text.trim()))
        .into_iter()
        .collect();
    for parent in ["/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt"] {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        found.extend(entries.flatten().map(|entry| entry.path().join("bin")));
    }
    found.retain(|directory| directory.join("initdb").exists());
    found.sort();
    found.pop().expect("PostgreSQL's server programs (apt install postgresql)")
}

pub(super) fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// The user that runs the servers if the tests run as root, which PostgreSQL refuses.
fn postgres() -> Option<(u32, u32)> {
    let id = |flag| {
        let output = inside("/usr/bin/id").args([flag, "postgres"]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    if is_root() { Some((id("-u")?, id("-g")?)) } else { None }
}

/// A command that runs as the servers' user.
pub(super) fn as_postgres(program: &str) -> Command {
    let Some((uid, gid)) = postgres() else { return Command::new(program) };
    let mut command = inside("/usr/bin/setpriv");
    let user = [format!("--reuid={uid}"), format!("--regid={gid}")];
    command.args(user).args(["--init-groups", "--", program]);
    command
}

/// Gives a path to the servers' user.
pub(super) fn give(path: &Path) {
    if let Some((uid, gid)) = postgres() {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}

/// An unused port, below the range of outgoing connections.
pub(super) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Several runs of the tests may share the network. In PID namespaces their process ids are the same.
    static OFFSET: LazyLock<u16> = LazyLock::new(|| {
        let random = RandomState::new().hash_one(std::process::id());
        u16::try_from(random % 97).unwrap() * 100
    });
    (0..100)
        .map(|_| 20_000 + *OFFSET + NEXT.fetch_add(1, Ordering::Relaxed) % 1000)
        .find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok())
        .expect("a free port")
}

/// Sends a signal to a process, or with a leading dash to its process group.
pub(super) fn signal(name: &str, target: &str) {
    let status =
        Command::new("kill").args(["-s", name, "--", target]).stderr(Stdio::null()).status();
    assert!(status.is_ok(), "kill: {status:?}");
}

/// Creates a key and a self-signed certificate for a host: `NAME.key` and `NAME.crt`.
pub(super) fn certificate(directory: &Path, name: &str, host: &str) {
    let file = |ending: &str| directory.join(format!("{name}.{ending}"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", "/CN=pgset"])
        .args(["-addext", &format!("subjectAltName={host}")])
        .arg("-keyout")
        .arg(file("key"))
        .arg("-out")
        .arg(file("crt"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
