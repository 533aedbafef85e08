//! A set of local pods: each has a directory as volume, a directory as memory volume, and a port.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use minijinja::context;
use pgset::certificate::Certificates;
use tempfile::TempDir;

use super::eventually;
use super::machine::{as_postgres, binaries, free_port, give, other_root, signal};

/// Passwords that must not appear in logs, command lines or environments. They contain characters that
/// need escaping.
pub(super) const PASSWORDS: [(&str, &str); 3] = [
    ("superuser-password", "Sentinel0super"),
    ("primary-password", r"Sentinel1:pri\mary"),
    ("user-password", "Sentinel2'us\"er $HOME"),
];

const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/postgres");

/// Renders a configuration file, with limits that a test reaches quickly.
fn render(template: &str, host: &str) -> String {
    let mut environment = minijinja::Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    let values = context! {
        postgres => context! {
            max_wal_senders => 10,
            max_wal_size => "1GB",
            max_slot_wal_keep_size => "32MB",
            wal_keep_size => "0MB",
        },
        credentials => context! { primary_user => "primaryuser" },
        computed => "",
        synchronous => false,
        parameters_marker => "# No settings of the user's.",
        parameters => "",
        tls => context! { host => host },
    };
    environment.render_str(template, values).unwrap()
}

/// A directory for everything; it is removed at the end.
pub(super) struct Set {
    directory: TempDir,
    master_port: u16,
    binaries: Option<PathBuf>,
}

impl Set {
    pub(super) fn new() -> Self {
        Self::with(Some(binaries()))
    }

    /// For tests of the steps before the script needs PostgreSQL's programs.
    pub(super) fn without_postgres() -> Self {
        Self::with(None)
    }

    fn with(binaries: Option<PathBuf>) -> Self {
        let directory = tempfile::Builder::new().prefix("pgset-").tempdir().unwrap();
        let set = Self { directory, master_port: free_port(), binaries };
        give(set.path());
        for name in ["auth", "topology", "volume"] {
            set.make_directory(name);
        }
        for (key, password) in PASSWORDS {
            fs::write(set.path().join("auth").join(key), password).unwrap();
        }
        // The servers' user may lack the right to read the checkout, so copy the script and its parts.
        let scripts = set.make_directory("scripts");
        for file in fs::read_dir(TEMPLATES).unwrap().flatten() {
            if file.path().extension().is_some_and(|extension| extension == "sh") {
                let copy = scripts.join(file.file_name());
                fs::copy(file.path(), &copy).unwrap();
                give(&copy);
            }
        }
        set
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Creates a directory that the servers' user can write to.
    pub(super) fn make_directory(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(&path).unwrap();
        give(&path);
        path
    }

    /// Records the identifier, as `pgset up` does when the master is ready.
    pub(super) fn record(&self, identifier: &str) {
        fs::write(self.path().join("topology/system-identifier"), identifier).unwrap();
    }

    /// Names the master in the topology: a pod, or `none`.
    pub(super) fn name_master(&self, pod: &str) {
        fs::write(self.path().join("topology/master"), pod).unwrap();
    }

    /// The pod with this ordinal.
    pub(super) fn pod(&self, ordinal: u32) -> Pod {
        let name = format!("pgset-{ordinal}");
        let named = fs::read_to_string(self.path().join("topology/master"));
        let master = named.unwrap_or_else(|_| "pgset-0".to_owned());
        let port = if name == master.trim() { self.master_port } else { free_port() };
        // The configuration includes a file by a relative path, so both directories need the same layout
        // as in a pod.
        let run = self.make_directory(&format!("{ordinal}/run/pgset"));
        let etc = self.make_directory(&format!("{ordinal}/etc/pgset"));
        let sockets = self.make_directory(&format!("sockets-{ordinal}"));
        let temporary = self.make_directory(&format!("{ordinal}/tmp"));
        for file in ["postgresql.conf", "pg_hba.conf"] {
            let template = fs::read_to_string(format!("{TEMPLATES}/{file}.j2")).unwrap();
            fs::write(etc.join(file), render(&template, "host")).unwrap();
        }
        let root = self.path();
        let programs =
            self.binaries.as_ref().map_or(String::new(), |b| format!("{}:", b.display()));
        let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
        let environment = [
            ("PATH", format!("{programs}/usr/local/bin:/usr/bin:/bin")),
            ("PGSET_ETC", etc.to_str().unwrap().to_owned()),
            ("PGSET_RUN", run.to_str().unwrap().to_owned()),
            ("PGSET_AUTH", path("auth")),
            ("PGSET_TLS", path("tls")),
            ("PGSET_TOPOLOGY", path("topology")),
            ("PGSET_TOKEN", path("token")),
            ("PGSET_SOCKETS", sockets.to_str().unwrap().to_owned()),
            ("PGSET_TMP", temporary.to_str().unwrap().to_owned()),
            ("PGDATA", path(&format!("volume/{name}"))),
            ("PGPORT", port.to_string()),
            ("PGSET_LISTEN", "127.0.0.1".to_owned()),
            ("PGSET_MASTER_PORT", self.master_port.to_string()),
            ("PGSET_MASTER_HOST", "127.0.0.1".to_owned()),
            ("PGSET_MASTER_ADDRESSES", "127.0.0.1".to_owned()),
            ("PGSET_REPLICA_HOST", "pgset-replica".to_owned()),
            // None: a test that has some names them.
            ("PGSET_PEERS", " ".to_owned()),
            ("PGSET_NAME", "pgset".to_owned()),
            ("PGSET_NAMESPACE", "pg".to_owned()),
            ("PGSET_POD", name),
            ("PGSET_PRIMARY_USER", "primaryuser".to_owned()),
            ("PGSET_USER", "testuser".to_owned()),
            ("PGSET_DATABASE", "userdb".to_owned()),
        ];
        Pod {
            root: root.to_owned(),
            environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
            contained: false,
            volume: None,
        }
    }

    /// A pod whose volume is mounted at the same path as that of every other pod, in a mount namespace. Only root can
    /// make one.
    pub(super) fn pod_mounting(&self, ordinal: u32, volume: &str) -> Pod {
        let volume = self.make_directory(volume);
        let point = self.make_directory("pgdata");
        let data = point.join(format!("pgset-{ordinal}"));
        let pod = self.pod(ordinal).env("PGDATA", data.display());
        Pod { volume: Some((volume, point)), ..pod }
    }

    /// Mounts the files of the TLS Secret, except those in `without`.
    pub(super) fn certify(&self, made: &Certificates, without: &[&str]) {
        let tls = self.make_directory("tls");
        let Certificates { authorities, certificate, key, .. } = made;
        let files =
            [("ca.crt", &**authorities), ("tls.crt", certificate), ("tls.key", key.expose())];
        for (name, text) in files {
            let file = tls.join(name);
            if without.contains(&name) {
                fs::remove_file(&file).unwrap_or_default();
                continue;
            }
            // Atomically, like the kubelet.
            fs::write(tls.join("new"), text).unwrap();
            give(&tls.join("new"));
            fs::rename(tls.join("new"), file).unwrap();
        }
    }

    /// An initialised and running master.
    pub(super) fn master(&self) -> (Pod, Server) {
        let pod = self.pod(0);
        pod.bootstrap().ok();
        let server = pod.serve_ready();
        (pod, server)
    }

    /// A master and a streaming replica on volumes of their own, which know each other.
    pub(super) fn pair_apart(&self) -> (Pod, Server, Pod, Server) {
        let apart = |ordinal: u32| {
            let volume = self.make_directory(&format!("volume-{ordinal}"));
            self.pod(ordinal).env("PGDATA", volume.join(format!("pgset-{ordinal}")).display())
        };
        let (master, replica) = (apart(0), apart(1));
        let known = |pod: &Pod, peer: &Pod| pod.clone().env("PGSET_PEERS", addresses(&[peer]));
        let (master, replica) = (known(&master, &replica), known(&replica, &master));
        master.clone().env("PGSET_PEER_WAIT", 0).bootstrap().ok();
        let server = master.serve_ready();
        self.record(&master.identifier());
        replica.bootstrap().ok();
        let standby = replica.serve_ready();
        replica.catches_up_with(&master);
        (master, server, replica, standby)
    }

    /// A master and a streaming replica.
    pub(super) fn pair(&self) -> (Pod, Server, Pod, Server) {
        let (master, server) = self.master();
        let replica = self.pod(1);
        replica.bootstrap().ok();
        let standby = replica.serve_ready();
        replica.catches_up_with(&master);
        (master, server, replica, standby)
    }
}

/// One pod: the environment of the script.
#[derive(Clone)]
pub(super) struct Pod {
    root: PathBuf,
    environment: Vec<(String, String)>,
    /// Whether the server's script is process 1 of a namespace, as in a container.
    contained: bool,
    /// The directory that is its volume, and where it is mounted for its processes alone.
    volume: Option<(PathBuf, PathBuf)>,
}

impl Pod {
    /// The same pod, whose server runs in a PID namespace of its own. Only root can make one.
    pub(super) fn in_container(mut self) -> Self {
        self.contained = true;
        self
    }

    /// Runs a command of the shell in the server's container, as a probe does.
    pub(super) fn exec(&self, command: &str) -> std::process::ExitStatus {
        let target = format!("--target={}", self.postmaster());
        // The server's process may have another root than the tests.
        let entered = ["--pid", "--mount", "--root", "--wd", &target];
        let entered = entered.into_iter().chain(["--", "bash", "-c", command]);
        Command::new("nsenter").args(entered).stdin(Stdio::null()).status().unwrap()
    }

    /// The process of the running server, as this machine counts.
    pub(super) fn postmaster(&self) -> String {
        let servers = self.servers().into_iter().filter(|process| {
            let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
            name.trim() == "postgres"
        });
        servers.min().expect("the server runs").to_string()
    }

    /// The processes that work in the data directory.
    fn servers(&self) -> Vec<u32> {
        let file = |path: PathBuf| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
        let Some(data) = file(self.data()) else { return Vec::new() };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        // By device and inode, because the path of a process in another root is a different one.
        let here = processes.filter(|process| file(process.path().join("cwd")) == Some(data));
        here.filter_map(|process| process.file_name().to_str()?.parse().ok()).collect()
    }

    /// Kills what is left of a server.
    pub(super) fn kill_servers(&self) {
        self.servers().iter().for_each(|process| signal("KILL", &process.to_string()));
    }

    /// The same pod with another value for a variable.
    #[expect(clippy::needless_pass_by_value, reason = "numbers and texts are given as they are")]
    pub(super) fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.retain(|(other, _)| other != name);
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    pub(super) fn value(&self, name: &str) -> &str {
        &self.environment.iter().find(|(other, _)| other == name).unwrap().1
    }

    /// Sets the TLS stage, as in the ConfigMap.
    pub(super) fn tls(&self, stage: &str) {
        let etc = Path::new(self.value("PGSET_ETC"));
        let line = etc.join("tls");
        match stage {
            "off" => fs::remove_file(line).unwrap(),
            stage => fs::write(line, format!("{stage} made pgset-tls\n")).unwrap(),
        }
        let template = fs::read_to_string(format!("{TEMPLATES}/pg_hba.conf.j2")).unwrap();
        let host = if stage == "required" { "hostssl" } else { "host" };
        fs::write(etc.join("pg_hba.conf"), render(&template, host)).unwrap();
    }

    /// A file of the mounted configuration.
    pub(super) fn in_etc(&self, name: &str) -> PathBuf {
        Path::new(self.value("PGSET_ETC")).join(name)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.value("PGDATA").into()
    }

    /// `/volume/pgset-1.new`, `.old`, `.lock`.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        format!("{}.{suffix}", self.value("PGDATA")).into()
    }

    /// A path in its volume, as this machine sees it.
    pub(super) fn in_volume(&self, name: &str) -> PathBuf {
        self.volume.as_ref().unwrap().0.join(name)
    }

    /// Where its volume is mounted, as the pod sees it.
    pub(super) fn mounted(&self, name: &str) -> String {
        self.volume.as_ref().unwrap().1.join(name).to_str().unwrap().to_owned()
    }

    /// The file that the server's configuration includes.
    pub(super) fn bootstrap_conf(&self) -> String {
        fs::read_to_string(self.run_file("bootstrap.conf")).unwrap()
    }

    /// A file in memory that the containers of the pod share.
    pub(super) fn run_file(&self, name: &str) -> PathBuf {
        Path::new(self.value("PGSET_RUN")).join(name)
    }

    /// A command with only the pod's environment.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = as_postgres(program);
        if let Some((volume, point)) = &self.volume {
            let inner = command;
            command = Command::new("unshare");
            let mount = r#"/bin/mount --bind "$0" "$1" && shift && exec "$@""#;
            command.args(["--mount", "--", "/bin/bash", "-c", mount]).arg(volume).arg(point);
            command.arg(inner.get_program()).args(inner.get_args());
        }
        // `setpriv` looks up the user's groups first; the script gets only the pod's environment.
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).current_dir("/");
        command
    }

    /// The shell as process 1 of a PID namespace.
    fn contained_bash(&self) -> Command {
        let mut command = Command::new("unshare");
        let inner = self.command("bash");
        let root = other_root().unwrap_or_else(|| "/".into());
        let processes = format!("--mount-proc={}", root.join("proc").display());
        command.args(["--pid", "--fork", "--kill-child", &processes, "--"]);
        command.arg(inner.get_program()).args(inner.get_args());
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).current_dir("/");
        command
    }

    /// Starts the script in its own process group, so that all its processes can be killed at once.
    pub(super) fn start(&self, arguments: &[&str]) -> Running {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let log = self.root.join(format!("log-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let output = fs::File::create(&log).unwrap();
        let mut command = if self.contained && arguments == ["serve"] {
            self.contained_bash()
        } else {
            self.command("bash")
        };
        command.arg(self.root.join("scripts/bootstrap.sh")).args(arguments).process_group(0);
        command.stdout(output.try_clone().unwrap()).stderr(output);
        let child = command.spawn().unwrap();
        let contained = self.contained && arguments == ["serve"];
        let script = if contained { child_of(child.id()) } else { child.id() };
        Running { child, script, log }
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Outcome {
        self.start(arguments).end()
    }

    pub(super) fn bootstrap(&self) -> Outcome {
        self.run(&[])
    }

    /// Runs what the main container runs.
    pub(super) fn serve(&self) -> Server {
        Server { running: Some(self.start(&["serve"])) }
    }

    /// The same, and waits until the readiness probe succeeds.
    pub(super) fn serve_ready(&self) -> Server {
        let mut server = self.serve();
        self.becomes_ready(&mut server);
        server
    }

    pub(super) fn becomes_ready(&self, server: &mut Server) {
        eventually("the server is ready", || {
            let running = server.running();
            let ended = running.child.try_wait().unwrap();
            assert_eq!(ended, None, "the server ended:\n{}", running.log());
            let probe = self.run(&["ready"]);
            if probe.code == 0 { Ok(()) } else { Err(probe.log) }
        });
    }

    /// Starts a replica that has a directory, and waits until the script says `text`.
    pub(super) fn comes_back(&self, text: &str) -> Server {
        self.bootstrap().ok();
        let mut standby = self.serve();
        standby.running().says(text);
        standby
    }

    /// The pod starts, and its server's container fails.
    pub(super) fn is_refused(&self, code: i32, words: &[&str]) -> Outcome {
        self.bootstrap().ok();
        self.serve().end().refuses(code, words)
    }

    /// Runs SQL as the superuser. Returns the result or the error.
    pub(super) fn try_sql(&self, sql: &str) -> Result<String, String> {
        let mut command = self.command("psql");
        command.args([
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-d",
            "postgres",
            "-c",
            sql,
        ]);
        let output = command.args(["-h", self.value("PGSET_SOCKETS")]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// A client that runs SQL as the superuser.
    pub(super) fn start_sql(&self, sql: &str) -> Child {
        let mut command = self.command("psql");
        command.args(["-Xqw", "-U", "postgres", "-d", "postgres", "-c", sql]);
        command.args(["-h", self.value("PGSET_SOCKETS")]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    pub(super) fn sql(&self, sql: &str) -> String {
        self.try_sql(sql).unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// Connects over TCP with a password, like an application.
    pub(super) fn sql_as(
        &self,
        user: &str,
        key: &str,
        database: &str,
        sql: &str,
    ) -> Result<String, String> {
        self.sql_by("prefer", user, key, database, sql)
    }

    /// The same with an `sslmode`, and with the mounted CA.
    pub(super) fn sql_by(
        &self,
        mode: &str,
        user: &str,
        key: &str,
        database: &str,
        sql: &str,
    ) -> Result<String, String> {
        let password = PASSWORDS.iter().find(|(other, _)| *other == key).unwrap().1;
        let mut command = self.command("psql");
        command.args(["-XAtq", "-h", "127.0.0.1", "-U", user, "-d", database, "-c", sql]);
        command.env("PGSSLMODE", mode);
        if mode.starts_with("verify") {
            command.env("PGSSLROOTCERT", format!("{}/ca.crt", self.value("PGSET_TLS")));
        }
        let output = command.env("PGPASSWORD", password).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// The data directory's system identifier.
    pub(super) fn identifier(&self) -> String {
        let output = self.command("pg_controldata").arg("-D").arg(self.data()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find(|line| line.starts_with("Database system identifier:"));
        line.unwrap_or_else(|| panic!("{text}")).rsplit(' ').next().unwrap().to_owned()
    }

    /// Waits until this replica streams and has replayed everything that the master has written so far.
    pub(super) fn catches_up_with(&self, master: &Pod) {
        let position = master.sql("select pg_current_wal_lsn()");
        eventually("the replica streams and catches up", || {
            let status = self.try_sql("select status from pg_stat_wal_receiver")?;
            let sql = format!("select pg_last_wal_replay_lsn() >= '{position}'");
            let replayed = self.try_sql(&sql)?;
            if status == "streaming" && replayed == "t" {
                Ok(())
            } else {
                Err(format!("{status:?}, {replayed}"))
            }
        });
        assert_eq!(self.sql("select pg_is_in_recovery()"), "t");
    }
}

/// Where the servers of pods listen, as in `PGSET_PEERS`.
pub(super) fn addresses(pods: &[&Pod]) -> String {
    let address = |pod: &&Pod| format!("127.0.0.1:{}", pod.value("PGPORT"));
    pods.iter().map(address).collect::<Vec<_>>().join(" ")
}

/// The only child of a process, once it has one.
fn child_of(process: u32) -> u32 {
    eventually("the process has a child", || {
        let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
        children.unwrap_or_default().trim().parse().map_err(|_| "no child".to_owned())
    })
}

/// The running script.
pub(super) struct Running {
    child: Child,
    /// The process of the script: the child, or the child's child in a PID namespace.
    script: u32,
    log: PathBuf,
}

impl Running {
    pub(super) fn log(&self) -> String {
        let log = String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned();
        assert!(!log.contains("Sentinel"), "a password is in the log:\n{log}");
        log
    }

    pub(super) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(super) fn id(&self) -> u32 {
        self.script
    }

    /// Waits until the log contains `text`.
    pub(super) fn says(&mut self, text: &str) {
        eventually(&format!("the script says {text:?}"), || {
            let log = self.log();
            if log.contains(text) {
                return Ok(());
            }
            assert!(self.is_alive(), "the script ended without {text:?}:\n{log}");
            Err(log)
        });
    }

    /// Kills all processes of the script at once, like a power failure of the node.
    pub(super) fn kill(mut self) {
        signal("KILL", &format!("-{}", self.child.id()));
        self.child.wait().unwrap();
    }

    pub(super) fn end(mut self) -> Outcome {
        let status = eventually("the script ends", || {
            self.child.try_wait().unwrap().ok_or_else(|| self.log())
        });
        Outcome { code: status.code().unwrap_or(-1), log: self.log() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_alive() {
            signal("KILL", &format!("-{}", self.child.id()));
            self.child.wait().unwrap();
        }
    }
}

/// The result of the script. The code is -1 if a signal ended it.
pub(super) struct Outcome {
    pub(super) code: i32,
    pub(super) log: String,
}

impl Outcome {
    pub(super) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.log);
        self
    }

    /// Asserts that the script failed with this code and that the last line contains `words`.
    pub(super) fn refuses(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{}", self.log);
        let last = self.log.lines().last().unwrap();
        assert!(last.starts_with("bootstrap: error: "), "{}", self.log);
        for word in words {
            assert!(last.contains(word), "{word:?} is not in the last line of\n{}", self.log);
        }
        self
    }

    pub(super) fn says(self, text: &str) -> Self {
        assert!(self.log.contains(text), "{text:?} is not in\n{}", self.log);
        self
    }

    pub(super) fn does_not_say(self, text: &str) -> Self {
        assert!(!self.log.contains(text), "{text:?} is in\n{}", self.log);
        self
    }
}

/// A running server. It is stopped when it goes out of scope.
pub(super) struct Server {
    running: Option<Running>,
}

impl Server {
    pub(super) fn running(&mut self) -> &mut Running {
        self.running.as_mut().unwrap()
    }

    /// Stops the server with a fast shutdown.
    pub(super) fn stop(mut self) -> Outcome {
        let running = self.running.take().unwrap();
        signal("INT", &running.id().to_string());
        running.end()
    }

    /// Kills all processes of the pod at once, like a power failure of its node.
    pub(super) fn kill(mut self) {
        self.running.take().unwrap().kill();
    }

    /// Waits for a server that ends by itself.
    pub(super) fn end(mut self) -> Outcome {
        self.running.take().unwrap().end()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            // An immediate shutdown waits for the server's child processes.
            signal("QUIT", &running.id().to_string());
            if !std::thread::panicking() {
                eventually("the server ends", || {
                    if running.is_alive() { Err(running.log()) } else { Ok(()) }
                });
            }
        }
    }
}
