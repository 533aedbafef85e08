//! What kubectl gets to see.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::World;

/// Runs kubectl; standard output.
async fn kubectl(world: &World, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new("kubectl")
        .args(arguments)
        .env("KUBECONFIG", world.kubeconfig())
        .env("HOME", world.directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| e.to_string())?;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(format!("{:?}: {}", output.status.code(), text(&output.stderr)))
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn the_commands_that_the_readme_names() {
    let world = World::start().await;
    if kubectl(&world, &["version", "--client"], "").await.is_err() {
        skipped("there is no kubectl");
        return world.stop().await;
    }
    world.pgset("up").run().await.ok();
    let run = async |line: &str, input: &str| {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        kubectl(&world, &arguments, input).await
    };
    let says = async |line: &str, expected: &str| {
        let said = run(line, "").await.unwrap_or_else(|error| panic!("kubectl {line}: {error}"));
        assert!(said.contains(expected), "kubectl {line} lacks {expected:?}:\n{said}");
    };
    says("get pods", "pgset-0   1/1     Running").await;
    says("get sts,svc,pvc,pv", "statefulset.apps/pgset   2/2").await;
    says("get pod pgset-0 -o jsonpath={.metadata.labels.name}", "pgset-master").await;
    says("describe pod pgset-0", "Started container postgres").await;
    says("describe statefulset pgset", "SuccessfulCreate").await;
    says("logs pgset-0 --tail=5", "ready to accept connections").await;
    says("exec pgset-0 -- psql -h /tmp -U postgres -Atc select(6*7)", "42").await;
    let piped =
        run("exec -i pgset-1 -- psql -h /tmp -U postgres -At", "select pg_is_in_recovery();");
    assert_eq!(piped.await.unwrap(), "t\n");
    let failed = run("exec pgset-0 -- sh -c exit${IFS}3", "").await.unwrap_err();
    assert!(failed.starts_with("Some(3)"), "{failed}");
    says("wait --for=condition=Ready pod --all --timeout=30s", "pod/pgset-1 condition met").await;
    says("label pod pgset-1 colour=blue", "labeled").await;
    says("get pods -l colour=blue -o name", "pod/pgset-1").await;
    let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {a: b}}";
    run("apply --server-side -f -", map).await.unwrap();
    let unknown = map.replace("data: {a", "date: {a");
    assert!(run("apply --server-side -f -", &unknown).await.unwrap_err().contains("date"));
    says("get configmap x -o jsonpath={.data.a}", "b").await;
    says("scale sts pgset --replicas=1", "scaled").await;
    says("rollout status sts pgset --timeout=30s", "roll out complete").await;
    says("delete pod pgset-0", "deleted").await;
    says("rollout status sts pgset --timeout=60s", "complete").await;
    assert!(run("get deployments", "").await.unwrap_err().contains("the server doesn't have"));
    world.stop().await;
}

/// Says on standard error why a part of the suite did not run.
#[expect(clippy::print_stderr, reason = "what was not tested has to be seen")]
fn skipped(reason: &str) {
    eprintln!("skipped: {reason}");
}
