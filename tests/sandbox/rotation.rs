//! Password rotation with PostgreSQL: what the server gets and logs, and when the replicas and the Secret have it.

use std::time::Duration;

use http::Method;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, LogParams};
use pgset::sandbox::faults::Fault;
use pgset::sandbox::kinds::PODS;
use pgset::sandbox::refusal::Refusal;
use pgset::sandbox::registry::Delete;
use pgset::sandbox::store::Key;

use super::{World, official};
use crate::support::pgset::{Output, Pgset, Running};
use crate::support::{eventually, seconds};

const SECRETS: &str = "/secrets/";
/// The statistics and the plans of every statement are recorded.
const RECORDED: [&str; 8] = [
    "shared_preload_libraries=pg_stat_statements,auto_explain",
    "log_statement=all",
    "log_min_duration_statement=0",
    "log_duration=on",
    "debug_print_parse=on",
    "pg_stat_statements.track=all",
    "auto_explain.log_min_duration=0",
    "auto_explain.log_nested_statements=on",
];
/// Passwords that clients prepare before they use them, and passwords that they can't prepare.
const PASSWORDS: [&str; 8] = [
    "p\u{e4}ssw\u{f6}rd",
    "I\u{ad}X",
    "\u{2168}",
    "a\u{a0}b",
    "\u{627}\u{628}",
    "\u{627}1",
    "a\u{221}b",
    "it's \\ $1 \u{1f512}",
];

/// A set of the official image.
struct Set {
    world: World,
    pods: Api<Pod>,
    secrets: Api<Secret>,
}

impl Set {
    async fn up(settings: &[&str], line: &str) -> Self {
        let world = World::start().await;
        let config = kube::Config::from_custom_kubeconfig(
            kube::config::Kubeconfig::read_from(world.kubeconfig()).unwrap(),
            &kube::config::KubeConfigOptions::default(),
        )
        .await;
        let client = kube::Client::try_from(config.unwrap()).unwrap();
        let (pods, secrets) =
            (Api::default_namespaced(client.clone()), Api::default_namespaced(client));
        let set = Self { world, pods, secrets };
        let up = settings.iter().fold(set.call(line), |up, given| up.arg("--set").arg(*given));
        up.run().await.ok();
        set
    }

    fn call(&self, line: &str) -> Pgset {
        official(self.world.pgset(line))
    }

    async fn sql(&self, sql: &str) -> Output {
        self.call("psql -- -d postgres -XAtc").arg(sql).run().await.ok()
    }

    async fn on_replica(&self, sql: &str) {
        self.call("psql --replica 1 -- -d postgres -XAtc").arg(sql).run().await.ok();
    }

    /// A value in the Secret with the passwords.
    async fn stored(&self, key: &str) -> Option<String> {
        let secret = self.secrets.get("pgset-auth").await.unwrap();
        let value = secret.data.unwrap_or_default().remove(key)?;
        Some(String::from_utf8(value.0).unwrap())
    }

    async fn password(&self) -> String {
        self.stored("user-password").await.unwrap()
    }

    /// Logs in as the application, through a Service. The password has letters and digits only.
    async fn logs_in(&self, service: &str, password: &str) -> Result<(), String> {
        let script =
            format!("\\connect postgresql://testuser:{password}@{service}/userdb\nselect 1;\n");
        let output = self.call("psql -- -v ON_ERROR_STOP=1").run_with(script).await;
        if output.code == Some(0) { Ok(()) } else { Err(output.to_string()) }
    }

    async fn eventually_logs_in(&self, service: &str, password: &str) {
        let what = format!("a login through {service}");
        eventually(&what, seconds(30), async || self.logs_in(service, password).await).await;
    }

    async fn log(&self) -> String {
        let container = Some("postgres".to_owned());
        let of_the_server = LogParams { container, ..LogParams::default() };
        self.pods.logs("pgset-0", &of_the_server).await.unwrap()
    }

    /// Refuses every write of the Secret, until the faults are cleared.
    fn hold_the_secret(&self) {
        let later = Refusal::new(503, "ServiceUnavailable", "not now");
        let fault = Fault::Status(later, Some(seconds(1)));
        self.world.faults().request(Method::PATCH, SECRETS, 0..usize::MAX, fault);
        self.world.faults().record();
    }

    /// A rotation that waits for a replica: replay stops after the rotation has begun. Returns the new password,
    /// which the master has.
    async fn rotation_with_replay_paused(&self) -> (Running, String) {
        self.hold_the_secret();
        let rotate = self.call("password rotate").spawn();
        self.arrived(1, Method::PATCH, SECRETS).await;
        self.on_replica("select pg_wal_replay_pause()").await;
        self.world.faults().clear();
        let new = eventually("the new password is stored", seconds(30), async || {
            self.stored("next-user-password").await.ok_or_else(|| rotate.so_far())
        })
        .await;
        self.eventually_logs_in("pgset-master", &new).await;
        self.world.faults().record();
        // The replica has been asked and has answered.
        self.arrived(2, Method::GET, "/pods/pgset-1/exec").await;
        (rotate, new)
    }

    /// Waits until this number of requests has arrived.
    async fn arrived(&self, count: usize, method: Method, path: &str) {
        eventually(path, seconds(60), async || {
            let seen = self.world.faults().seen();
            let found = seen.iter().filter(|r| r.method == method && r.path.contains(path)).count();
            if found >= count { Ok(()) } else { Err(format!("{found} of {count}")) }
        })
        .await;
    }
}

/// The parts of a verifier that must stay secret.
fn keys(verifier: &str) -> Vec<String> {
    let rest = verifier.strip_prefix("SCRAM-SHA-256$4096:").expect(verifier);
    rest.split(['$', ':']).skip(1).map(str::to_owned).collect()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn neither_a_password_nor_its_verifier_is_recorded() {
    let set = Set::up(&RECORDED, "up").await;
    set.sql("create extension pg_stat_statements").await;
    // A server that got a password in a session of the superuser's would hash it with MD5.
    set.sql("alter role postgres set password_encryption = 'md5'").await;
    let verifiers = async || {
        let roles = "select rolpassword from pg_authid where rolpassword is not null";
        let verifiers: Vec<String> =
            set.sql(roles).await.stdout.lines().map(str::to_owned).collect();
        assert_eq!(verifiers.len(), 3);
        verifiers
    };
    let mut secrets: Vec<String> = Vec::new();
    set.call("password rotate superuser replication user").run().await.ok();
    secrets.extend(verifiers().await.iter().flat_map(|verifier| keys(verifier)));
    for key in ["superuser-password", "primary-password", "user-password"] {
        secrets.push(set.stored(key).await.unwrap());
    }
    set.eventually_logs_in("pgset-replica", &set.password().await).await;
    // The rotation logs in with libpq, which prepares the password as PostgreSQL does.
    for password in PASSWORDS {
        let rotate = set.call("password rotate --password-file -");
        rotate.run_with(password).await.ok();
        assert_eq!(set.password().await, password);
        secrets.extend(verifiers().await.iter().flat_map(|verifier| keys(verifier)));
        secrets.push(password.to_owned());
    }
    let refused = set.call("password rotate --password-file -").run_with("\u{ad}").await.exits(2);
    refused.says("must contain a visible character");

    set.sql("comment on role testuser is 'recorded'").await;
    let statements = set.sql("select query from pg_stat_statements").await.stdout;
    for (what, text) in [("the log", set.log().await), ("pg_stat_statements", statements)] {
        assert!(text.contains("is 'recorded'"), "{what} does not record: {text}");
        // The names are in statements of this test.
        let text = text.replace("rolpassword", "");
        assert!(!text.contains("alter role \"testuser\""), "{what}: {text}");
        assert!(!text.contains("SCRAM-SHA-256$"), "{what}: {text}");
        for secret in &secrets {
            assert!(!text.contains(secret), "{what} contains {secret:?}: {text}");
        }
    }
    set.world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn the_replicas_have_the_new_password_before_the_secret() {
    let set = Set::up(&[], "up").await;
    let old = set.password().await;

    // Nothing is changed as long as a replica can't replay.
    set.on_replica("select pg_wal_replay_pause()").await;
    set.sql("create table not_replayed ()").await;
    let rotate = set.call("password rotate --timeout 3s").run().await.exits(70);
    rotate.says("the password is not changed").says("pgset-1 has not replayed");
    assert_eq!((set.password().await, set.stored("next-user-password").await), (old.clone(), None));
    set.eventually_logs_in("pgset-master", &old).await;
    set.on_replica("select pg_wal_replay_resume()").await;

    let (rotate, new) = set.rotation_with_replay_paused().await;
    assert_eq!(set.password().await, old, "the replica does not have the new password");
    set.logs_in("pgset-replica", &new).await.expect_err("the replica has not replayed it");

    // The Secret is written once the replica has replayed the change.
    set.hold_the_secret();
    set.on_replica("select pg_wal_replay_resume()").await;
    set.arrived(1, Method::PATCH, SECRETS).await;
    for service in ["pgset-master", "pgset-replica"] {
        set.logs_in(service, &new).await.unwrap();
    }
    assert_eq!(set.password().await, old);
    set.world.faults().clear();
    rotate.finish().await.ok();
    assert_eq!((set.password().await, set.stored("next-user-password").await), (new, None));

    // Ctrl-C ends the wait: clients of the master need the new password.
    let (rotate, new) = set.rotation_with_replay_paused().await;
    rotate.signal("INT");
    rotate.finish().await.ok().says("can't log in there until the new password is replayed");
    assert_eq!(set.password().await, new);
    set.on_replica("select pg_wal_replay_resume()").await;
    set.eventually_logs_in("pgset-replica", &new).await;
    set.world.stop().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn a_rotation_does_not_wait_for_a_synchronous_replica_that_is_away() {
    let set = Set::up(&[], "up --synchronous 1").await;
    set.world.faults().fail("create pods", "exceeded quota: pods");
    let key = Key::new(&PODS, "default", "pgset-1");
    set.world.sandbox.registry.delete(&key, &Delete::default()).unwrap();
    eventually("the replica is gone", seconds(60), async || {
        let left = set.sql("select count(*) from pg_stat_replication").await.stdout;
        if left.trim() == "0" { Ok(()) } else { Err(left) }
    })
    .await;
    let commit = set.call("psql -- -d postgres -c").arg("create table waits ()").spawn();
    let cancel = "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'";
    eventually("a commit waits", seconds(30), async || {
        let canceled = set.sql(cancel).await.stdout;
        if canceled.trim() == "t" { Ok(()) } else { Err(canceled) }
    })
    .await;
    commit.finish().await.ok().says("canceling wait for synchronous replication");

    let rotate = set.call("password rotate superuser replication user").run().await.ok();
    rotate.within(Duration::from_secs(30)).says("not streaming: pgset-1");
    let new = set.password().await;
    set.logs_in("pgset-master", &new).await.unwrap();

    set.world.faults().mend("create pods");
    set.call("up").run().await.ok();
    set.eventually_logs_in("pgset-replica", &new).await;
    set.world.stop().await;
}
