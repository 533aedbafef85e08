//! Invalid inputs end with exit code 2 before any request. The error names the field.

use crate::support::pgset::Pgset;
use crate::support::server::Server;

/// A command line, a variable, and the text that the error must contain.
type Case = (&'static str, Option<(&'static str, &'static str)>, &'static str);

const CASES: &[Case] = &[
    ("up --replicas 0", None, "replicas"),
    ("up --replicas -1", None, "replicas"),
    ("up --replicas 1000000000", None, "replicas"),
    ("up --replicas 2.5", None, "replicas"),
    ("up --replicas three", None, "replicas"),
    ("up --name Pg", None, "--name"),
    ("up --name pg.set", None, "--name"),
    ("up --name a-b", None, "--name"),
    ("up --name aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefff", None, "--name"),
    ("up -n UPPER", None, "namespace"),
    ("up --size 10GB?", None, "--size"),
    ("up --size 0", None, "--size"),
    ("up --storage nfs://server/a/../b", None, "--storage"),
    ("up --storage nfs://server", None, "--storage"),
    ("up --storage hostpath:relative", None, "--storage"),
    ("up --storage tape", None, "--storage"),
    ("up --access-mode Sometimes", None, "--access-mode"),
    ("up --timeout soon", None, "--timeout"),
    ("up", Some(("PG_USER", "pg_x")), "PG_USER"),
    ("up", Some(("PG_USER", "select")), "PG_USER"),
    ("up", Some(("PG_USER", "o'brien")), "PG_USER"),
    ("up", Some(("PG_DATABASE", "Upper Case")), "PG_DATABASE"),
    ("up", Some(("PG_PASSWORD", "")), "PG_PASSWORD"),
    ("up", Some(("PG_PASSWORD", "with'quote")), "PG_PASSWORD"),
    ("up", Some(("CCP_IMAGE_TAG", "centos7-9.5-1.2.5")), "1.2.5"),
    ("up", Some(("CCP_IMAGE_TAG", "centos7-11.1-4.4.0")), "4.4.0"),
    ("up", Some(("CCP_IMAGE_TAG", "a b")), "CCP_IMAGE_TAG"),
    ("up", Some(("PGSET_REPLICAS", "two")), "PGSET_REPLICAS"),
    ("scale --replicas 0", None, "replicas"),
    ("scale", None, "--replicas"),
    ("up --no-such-flag", None, "--no-such-flag"),
    ("uo", None, "uo"),
];

#[tokio::test]
async fn bad_inputs_are_refused_before_any_request() {
    let server = Server::start().await;
    for (line, variable, named) in CASES {
        let mut call = super::pgset(&server, line);
        if !line.contains("--storage") && line.starts_with("up") {
            call = call.args("--storage class");
        }
        if let Some((name, value)) = variable {
            call = call.env(name, *value);
        }
        let output = call.run().await;
        let what = format!("{line:?} with {variable:?}");
        assert_eq!(output.code, Some(2), "{what}: {output}");
        assert!(output.stderr.contains(named), "{what}: {named:?} is not named: {output}");
        assert!(output.stdout.is_empty(), "{what}: {output}");
        assert_eq!(server.requests(), [], "{what}");
    }
}

#[tokio::test]
async fn a_kubeconfig_that_is_of_no_use() {
    let server = Server::start().await;
    let good = super::up(&server);
    let output = good.clone().env("KUBECONFIG", "/nonexistent/config").run().await.exits(2);
    output.says("/nonexistent/config");
    let output = good.clone().args("--context nobody").run().await.exits(2).says("nobody");
    output.says("test");
    let broken = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(broken.path(), "clusters: [").unwrap();
    good.kubeconfig(broken.path()).run().await.exits(2).never_says("panicked");
    assert_eq!(server.requests(), []);
}

#[tokio::test]
async fn without_a_cluster_every_command_says_how_to_get_one() {
    for line in [
        "up",
        "up --dry-run=server",
        "test",
        "scale --replicas 3",
        "status",
        "stop",
        "start",
        "down",
        "diff",
        "psql",
        "connect",
        "password show",
        "password rotate",
    ] {
        let output = Pgset::new(line).run().await.exits(3);
        let output = output.says("no kubeconfig was found").says("--kubeconfig");
        if cfg!(all(feature = "sandbox", target_os = "linux")) {
            output.says("pgset sandbox start");
        }
    }
    // The kubeconfig of a sandbox that was stopped or deleted no longer exists.
    let stopped = tempfile::TempDir::new().unwrap().path().join("kubeconfig");
    let up = Pgset::new("up").kubeconfig(&stopped).run().await.exits(2);
    up.says("does not exist").says("unset KUBECONFIG");
}
