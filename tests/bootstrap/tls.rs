//! Certificates are added, removed and renewed on running servers, and replicas keep streaming.

use std::process::{Command, Stdio};

use jiff::Timestamp;
use pgset::certificate::{Certificates, Renewal, renew};

use super::machine::as_postgres;
use super::set::{Pod, Set};
use super::{code, eventually};

/// Certificates for these host names. With one more name, `renew` generates new ones.
pub(super) fn made(there: Option<&Certificates>, names: &[&str]) -> Certificates {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    match renew(there, &names, Timestamp::now()).unwrap() {
        Renewal::Renewed { certificates, .. } => certificates,
        Renewal::Keep => panic!("kept"),
    }
}

/// Asserts that every replica streams, with TLS if `encrypted`, otherwise without.
fn streams(master: &Pod, replica: &Pod, encrypted: bool) {
    replica.catches_up_with(master);
    let wanted = if encrypted { "t" } else { "f" };
    let sql = "select bool_and(ssl) from pg_stat_ssl join pg_stat_replication using (pid)";
    eventually("the replica has reconnected", || match master.sql(sql).as_str() {
        seen if seen == wanted => Ok(()),
        other => Err(other.to_owned()),
    });
}

fn starts(pods: &[&Pod]) -> Vec<String> {
    pods.iter().map(|pod| pod.sql("select pg_postmaster_start_time()")).collect()
}

fn by(pod: &Pod, mode: &str) -> Result<String, String> {
    pod.sql_by(mode, "testuser", "user-password", "userdb", "select 'in'")
}

/// The certificate that a server presents, in PEM.
fn shown(pod: &Pod) -> String {
    let address = format!("127.0.0.1:{}", pod.value("PGPORT"));
    let output = Command::new("openssl")
        .args(["s_client", "-starttls", "postgres", "-connect", &address])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let start = text.find("-----BEGIN").unwrap_or_else(|| panic!("{text}"));
    let end = text.find("-----END CERTIFICATE-----").unwrap();
    text[start..end].to_owned()
}

fn is_shown(pod: &Pod, made: &Certificates) -> bool {
    made.certificate.contains(&shown(pod))
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn with_certificates_replication_verifies_in_full() {
    let set = Set::new();
    set.certify(&made(None, &["127.0.0.1"]), &[]);
    let (master, replica) = (set.pod(0), set.pod(1));
    for pod in [&master, &replica] {
        pod.tls("required");
    }
    master.bootstrap().ok();
    let server = master.serve_ready();
    replica.bootstrap().ok();
    let standby = replica.serve_ready();
    streams(&master, &replica, true);
    assert!(by(&master, "disable").unwrap_err().contains("no pg_hba.conf entry"));
    assert_eq!(by(&master, "verify-full").unwrap(), "in");
    drop(standby);
    drop(server);

    // A replica does not connect to a server with a certificate for another host.
    set.certify(&made(None, &["elsewhere"]), &[]);
    master.bootstrap().ok();
    let _server = master.serve_ready();
    let _standby = replica.comes_back("does not match host name");
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn tls_comes_and_goes_while_the_servers_run() {
    let set = Set::new();
    let (master, _server, replica, _standby) = set.pair();
    let pods = [&master, &replica];
    let before = starts(&pods);
    let certificates = made(None, &["127.0.0.1"]);
    set.certify(&certificates, &[]);
    // Each stage is compatible with the next one: one pod has changed, the other has not yet.
    for (stage, encrypted, plain) in [
        ("offered", true, true),
        ("required", true, false),
        ("leaving", true, true),
        ("off", false, true),
        ("offered", true, true),
    ] {
        for pod in pods {
            pod.tls(stage);
            let outcome = pod.run(&["tls"]).ok();
            if stage != "off" {
                outcome.says(&format!("{stage} made pgset-tls\n{}", certificates.authorities));
            }
            assert_eq!(master.run(&["alive"]).code, 0);
            replica.catches_up_with(&master);
        }
        // Existing connections stay; new ones follow the stage.
        master.sql("select pg_terminate_backend(pid) from pg_stat_replication");
        streams(&master, &replica, encrypted);
        for pod in pods {
            assert_eq!(by(pod, "disable").is_ok(), plain, "{stage}");
            assert_eq!(by(pod, "verify-full").is_ok(), encrypted, "{stage}");
        }
    }
    assert_eq!(starts(&pods), before, "no server was restarted");
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_renewed_certificate_is_taken_without_anybodys_doing() {
    let set = Set::new();
    let first = made(None, &["127.0.0.1"]);
    set.certify(&first, &[]);
    let (master, replica) = (set.pod(0), set.pod(1));
    for pod in [&master, &replica] {
        pod.tls("required");
    }
    master.bootstrap().ok();
    let mut server = master.serve_ready();
    replica.bootstrap().ok();
    let _standby = replica.serve_ready();
    streams(&master, &replica, true);
    assert!(is_shown(&master, &first));
    let sender = master.sql("select pid from pg_stat_replication");

    // The liveness probe installs the new certificate.
    // Before PostgreSQL 15, libpq does not compare addresses, and takes the common name only if no host name is there.
    let second = made(Some(&first), &["127.0.0.1", "127.0.0.2"]);
    set.certify(&second, &[]);
    assert_eq!(master.run(&["alive"]).code, 0);
    eventually("the server shows it", || {
        if is_shown(&master, &second) { Ok(()) } else { Err("the old one".to_owned()) }
    });
    assert_eq!(master.sql("select pid from pg_stat_replication"), sender, "nobody was cut off");

    // A wrong key is not installed, and a restarted container keeps the previous certificate.
    let third = made(Some(&first), &["127.0.0.1", "127.0.0.3"]);
    set.certify(&Certificates { key: first.key.clone(), ..third.clone() }, &[]);
    master.run(&["tls"]).refuses(code::TLS, &["not the key of tls.crt in Secret pgset-tls"]);
    assert_eq!(master.run(&["alive"]).code, 0);
    let id = server.running().id().to_string();
    super::machine::signal("INT", &id);
    server.end().ok();
    let _server = master.serve_ready();
    assert!(is_shown(&master, &second));
    replica.catches_up_with(&master);
    // A new pod has no previous certificate, so it fails with an error.
    let another = set.pod(2);
    another.tls("required");
    another.bootstrap().refuses(code::TLS, &["not the key of tls.crt in Secret pgset-tls"]);
    // The stages that end TLS are not blocked by it.
    for stage in ["leaving", "off", "offered"] {
        master.tls(stage);
        let ended = master.run(&["tls"]);
        assert_eq!(ended.code, if stage == "offered" { code::TLS } else { 0 }, "{stage}");
    }
    master.tls("required");
    set.certify(&third, &[]);
    master.run(&["tls"]).ok();
    assert!(is_shown(&master, &third));
}

/// Killed after the files changed and before the server was signalled: the next run signals it.
#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_server_that_was_not_told_is_told_later() {
    let set = Set::new();
    let first = made(None, &["127.0.0.1"]);
    set.certify(&first, &[]);
    let master = set.pod(0);
    master.tls("required");
    master.bootstrap().ok();
    let _server = master.serve_ready();
    let second = made(Some(&first), &["127.0.0.1", "a"]);
    set.certify(&second, &[]);
    // Everything but the signal: with another PGDATA the script finds no server.
    let data = set.make_directory("nowhere");
    std::fs::remove_file(master.run_file("server")).unwrap();
    let blind = master.clone().env("PGDATA", data.to_str().unwrap());
    assert_eq!(blind.run(&["alive"]).code, 0);
    assert!(is_shown(&master, &first));
    assert_eq!(master.run(&["alive"]).code, 0);
    eventually("the server shows it", || {
        if is_shown(&master, &second) { Ok(()) } else { Err("the old one".to_owned()) }
    });
}

#[test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
fn a_certificate_that_is_not_there_yet_is_waited_for() {
    let set = Set::new();
    let certificates = made(None, &["127.0.0.1"]);
    set.certify(&certificates, &["tls.key"]);
    let master = set.pod(0);
    master.tls("required");
    master
        .clone()
        .env("PGSET_TLS_WAIT", 1)
        .bootstrap()
        .refuses(code::TLS, &["Secret pgset-tls has no ca.crt, tls.crt and tls.key", "pgset up"]);
    let mut waiting = master.start(&[]);
    waiting.says("waiting for ca.crt, tls.crt and tls.key of Secret pgset-tls");
    set.certify(&certificates, &[]);
    waiting.end().ok();
    let _server = master.serve_ready();
    assert_eq!(by(&master, "verify-full").unwrap(), "in");
    // In stage `offered` the certificate is not required.
    let other = Set::new();
    let plain = other.pod(0);
    plain.tls("offered");
    plain.bootstrap().ok();
    let _server = plain.serve_ready();
    assert_eq!(by(&plain, "disable").unwrap(), "in");
    // Only the server's user can read the key.
    let mut stat = as_postgres("stat");
    let key = format!("{}/tls/tls.key", master.value("PGSET_RUN"));
    let output = stat.args(["-L", "-c", "%a", &key]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "600");
}
