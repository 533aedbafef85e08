//! Fault 32: a password never becomes visible. Every command runs at the highest verbosity, with
//! success and with every kind of failure. Both output streams, JSON output, the arguments of every
//! process on this machine, and all remaining files are searched, for the plain password and for
//! its base64 and URL forms.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use http::Method;
use pgset::sandbox::faults::{Fault, WatchFault};
use pgset::sandbox::refusal::Refusal;
use tempfile::TempDir;

use super::World;
use super::quick::Profile;
use crate::support::forms::{PASSWORDS, clean, leaks};
use crate::support::pgset::{Output, Pgset};

type Found = Arc<Mutex<BTreeSet<String>>>;

/// Checks the arguments of every process until it is dropped.
struct Watch {
    over: Arc<AtomicBool>,
    found: Found,
    looks: std::thread::JoinHandle<usize>,
}

impl Watch {
    fn start() -> Self {
        let (over, found) = (Arc::new(AtomicBool::new(false)), Found::default());
        let looks = std::thread::spawn({
            let (over, found) = (Arc::clone(&over), Arc::clone(&found));
            move || {
                let mut looks = 0;
                while !over.load(Ordering::Relaxed) {
                    looks += 1;
                    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
                        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                        let line = String::from_utf8_lossy(&line).replace('\0', " ");
                        // One call of these tests passes a password as an argument on purpose:
                        // pgset refuses it.
                        if leaks(&line).is_some() && !line.contains(" up --password ") {
                            found.lock().unwrap().insert(line);
                        }
                    }
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
                looks
            }
        });
        Self { over, found, looks }
    }

    fn stop(self) -> BTreeSet<String> {
        self.over.store(true, Ordering::Relaxed);
        assert!(self.looks.join().unwrap() > 10, "nobody looked");
        self.found.lock().unwrap().clone()
    }
}

/// The files that a call leaves in its home and in its temporary directory.
fn left_behind(directory: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(left_behind(&path));
        } else {
            clean(
                &path.display().to_string(),
                &String::from_utf8_lossy(&std::fs::read(&path).unwrap()),
            );
            files.push(path.display().to_string());
        }
    }
    files
}

struct Sentinel<'a> {
    world: &'a World,
    profile: Profile,
    home: TempDir,
    files: TempDir,
}

impl<'a> Sentinel<'a> {
    fn new(world: &'a World, profile: Profile) -> Self {
        Self { world, profile, home: TempDir::new().unwrap(), files: TempDir::new().unwrap() }
    }

    fn call(&self, line: &str) -> Pgset {
        let mut call = self.profile.of(self.world.pgset(line).args("-vvvv"));
        for (variable, password) in PASSWORDS {
            call = call.env(variable, password);
        }
        call.env("HOME", self.home.path()).env("TMPDIR", self.home.path())
    }

    async fn run(&self, line: &str) -> Output {
        self.check(line, self.call(line)).await
    }

    async fn check(&self, what: &str, call: Pgset) -> Output {
        let output = call.run().await;
        clean(what, &output.all());
        assert_eq!(left_behind(self.home.path()), Vec::<String>::new(), "{what}");
        output
    }

    /// A file that only its owner can read.
    fn file(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.files.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    }
}

async fn every_command_and_every_way_to_fail(profile: Profile) {
    let world = World::quick().await;
    let watch = Watch::start();
    let this = Sentinel::new(&world, profile);
    let faults = world.faults();
    faults.record();
    succeed(&this).await;
    be_refused(&this).await;
    meet_faults(&this).await;
    // Audit logs contain the paths of requests, and so the arguments of commands in containers.
    for seen in faults.seen() {
        clean("a request's path", &seen.path);
    }
    assert_eq!(watch.stop(), BTreeSet::new(), "arguments of processes");
    world.stop().await;
}

async fn succeed(this: &Sentinel<'_>) {
    let (_, user) = PASSWORDS[2];
    let file = this.file("password", &format!("{user}\n"));
    for line in [
        "render",
        "render --list",
        "env",
        "env -o json",
        "up --dry-run=client",
        "up --dry-run=server",
        "up",
        "up -o json",
        "diff",
        "status",
        "status -o json",
        "connect",
        "connect -o json",
        "connect -o env --replica",
        "scale --replicas 3",
        "scale --replicas 2 -o json",
        "password show --help",
        "templates list",
    ] {
        this.run(line).await;
    }
    this.run(&format!("up --password-file {file}")).await.ok();
    this.run("status").await.ok();
}

/// Failures before and after the first request.
async fn be_refused(this: &Sentinel<'_>) {
    let (_, user) = PASSWORDS[2];
    for line in [
        "up --replicas 0",
        "scale --replicas 99",
        "up --templates /nowhere",
        "down --delete-data",
        "psql --replica 9",
    ] {
        let output = this.run(line).await;
        assert_ne!(output.code, Some(0), "{output}");
    }
    this.run(&format!("up --password {user}")).await.exits(2);
    let open = this.file("open", user);
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    this.run(&format!("up --password-file {open}")).await.exits(2);
    let other = this.file("other", "another0password\n");
    this.run(&format!("up --password-file {other}")).await.exits(4);
    let own = this.files.path().join("own").join(if this.profile == Profile::Official {
        "postgres"
    } else {
        "crunchy"
    });
    std::fs::create_dir_all(&own).unwrap();
    for text in [
        "a: {{ passwords.superuser ~ nothing.at.all }}\n",
        "a: {{ passwords.superuser ~ '\n'\n",
        "{{ passwords.user }}: [\n",
    ] {
        std::fs::write(own.join("secret.yaml.j2"), text).unwrap();
        let templates = this.files.path().join("own").display().to_string();
        this.run(&format!("up --templates {templates}")).await.exits(2);
    }
}

/// Failures of the server in every request, and failures of pods.
async fn meet_faults(this: &Sentinel<'_>) {
    let faults = this.world.faults();
    let no = |code, reason, words: &str| Fault::Status(Refusal::new(code, reason, words), None);
    for fault in [
        no(401, "Unauthorized", "Unauthorized"),
        no(403, "Forbidden", "you may not"),
        no(409, "Conflict", "conflict with \"kubectl\" using v1: .data.superuser-password"),
        no(422, "Invalid", "Secret \"pgset-auth\" is invalid: data: Invalid value"),
        no(503, "ServiceUnavailable", "not now"),
        Fault::Page(200, "{\"kind\":".to_owned()),
        Fault::Reset,
        Fault::ResetAfter,
        Fault::Cut,
        Fault::Hang,
    ] {
        faults.clear();
        faults.request(Method::GET, "/namespaces/", 0..usize::MAX, fault.clone());
        for line in ["up --timeout 1s", "status --timeout 1s", "scale --replicas 3 --timeout 1s"] {
            this.run(line).await;
        }
        faults.clear();
        for method in [Method::POST, Method::PATCH] {
            faults.request(method, "/namespaces/", 0..usize::MAX, fault.clone());
        }
        this.run("up --timeout 1s").await;
    }
    faults.clear();
    faults.request(Method::GET, "watch=true", 0..usize::MAX, Fault::Watch(WatchFault::Bookmarks));
    this.run("up --timeout 2s").await;
    faults.clear();
    // A pod that does not start: its events, specification and log are printed.
    this.run("down --yes --delete-data").await.ok();
    faults.fail("create pods", "exceeded quota: pods");
    this.run("up --timeout 3s").await;
    faults.mend("create pods");
    this.run("down --yes --delete-data -o json").await.ok();
}

#[tokio::test]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn the_article_s_passwords_show_nowhere() {
    every_command_and_every_way_to_fail(Profile::Article).await;
}

#[tokio::test]
#[ignore = "takes its time: PGSET_POSTGRES=1"]
pub(super) async fn the_official_image_s_passwords_show_nowhere() {
    every_command_and_every_way_to_fail(Profile::Official).await;
}

/// With PostgreSQL: commands that log in, and commands that change passwords.
async fn with_postgres(profile: Profile) {
    let world = World::start().await;
    let watch = Watch::start();
    let this = Sentinel::new(&world, profile);
    this.run("up").await.ok();
    this.run("test").await.ok();
    this.run("test -o json").await.ok();
    this.check("psql", this.call("psql -U testuser --replica").arg("--").args("-l")).await.ok();
    let (_, user) = PASSWORDS[2];
    let file = this.file("password", &format!("{user}\n"));
    this.run(&format!("password rotate --password-file {file}")).await.ok();
    let (_, replication) = PASSWORDS[1];
    let file = this.file("replication", &format!("{replication}\n"));
    let rotated = this.run(&format!("password rotate replication --password-file {file}")).await;
    // The replicas of the article's image keep their passwords.
    rotated.exits(if profile == Profile::Official { 0 } else { 4 });
    this.run("up").await.ok();
    this.run("test").await.ok();
    this.run("down --yes --delete-data").await.ok();
    assert_eq!(watch.stop(), BTreeSet::new(), "arguments of processes");
    world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
pub(super) async fn the_article_s_passwords_show_nowhere_with_postgres() {
    with_postgres(Profile::Article).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
pub(super) async fn the_official_image_s_passwords_show_nowhere_with_postgres() {
    with_postgres(Profile::Official).await;
}

#[test]
fn a_password_that_shows_is_found() {
    for text in [
        "SentinelRootXq7Zk2",
        "xU2VudGluZWxSb290WHE3WmsyCg==",
        "%53%65%6E%74%69%6E%65%6C%52%6F%6F%74%58%71%37%5A%6B%32",
    ] {
        assert!(leaks(&format!("a {text} b")).is_some(), "{text}");
    }
    assert!(leaks("Sentinel").is_none());
}
