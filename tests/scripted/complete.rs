//! Completion of values from the cluster, as a shell asks for it.

use http::Method;

use super::up;
use crate::support::pgset::Pgset;
use crate::support::seconds;
use crate::support::server::{Reply, Server};

/// The call of kubectl's completion for these words and the word under the cursor.
fn complete(server: &Server, words: &str, current: &str) -> Pgset {
    let call = Pgset::new("-- pgset").args(words).arg(current);
    call.kubeconfig(&server.kubeconfig()).env("COMPLETE", "kubectl").deadline(seconds(20))
}

#[tokio::test]
async fn names_are_completed_from_the_cluster() {
    let server = Server::start().await;
    up(&server).args("--name orders").env("CCP_IMAGE_TAG", "").run().await.ok();
    for (words, current, expected) in [
        ("status", "o", "orders\n:4\n"),
        ("--name", "", "orders\n:4\n"),
        ("up --namespace", "p", "pg\n:4\n"),
        ("status -n elsewhere", "o", ":4\n"),
        ("up --storage", "class:", "class:standard\n:4\n"),
        ("status --context", "", "test\n:4\n"),
    ] {
        let output = complete(&server, words, current).run().await.ok();
        assert_eq!(output.stdout, expected, "{words}: {output}");
        assert_eq!(output.stderr, "", "{words}");
    }
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_delays_a_completion_by_a_second() {
    let server = Server::start().await;
    server.script(Method::GET, "/", 0..usize::MAX, Reply::Hang);
    let output = complete(&server, "status -n", "").run().await.ok().within(seconds(5));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (":4\n", ""));
}

#[tokio::test]
async fn each_shell_gets_its_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell", "kubectl"] {
        let script = Pgset::new("").env("COMPLETE", shell).run().await.ok();
        assert!(script.stdout.contains("pgset") && script.stdout.contains("COMPLETE"), "{script}");
    }
    Pgset::new("").env("COMPLETE", "tcsh").run().await.exits(2).says("unknown shell `tcsh`");
}
