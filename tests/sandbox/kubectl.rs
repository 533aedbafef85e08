//! kubectl with the sandbox. The expected output is that of a real cluster.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::World;
use crate::support::seconds;

/// kubectl with the sandbox's kubeconfig.
struct Kubectl<'a>(&'a World);

/// The result of a call.
struct Said {
    line: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Kubectl<'_> {
    /// None if kubectl is not installed; prints that these tests are skipped.
    async fn of(world: &World) -> Option<Kubectl<'_>> {
        let kubectl = Kubectl(world);
        match kubectl.spawn(&["version", "--client"]) {
            Ok(child) => {
                child.wait_with_output().await.unwrap();
                Some(kubectl)
            }
            Err(error) => {
                skipped(&format!("kubectl: {error}"));
                None
            }
        }
    }

    fn spawn(&self, arguments: &[&str]) -> std::io::Result<tokio::process::Child> {
        Command::new("kubectl")
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("KUBECONFIG", self.0.kubeconfig())
            .env("HOME", self.0.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    /// Splits `line` at white space.
    async fn with(&self, line: &str, input: &str) -> Said {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        self.call(&arguments, input).await
    }

    async fn call(&self, arguments: &[&str], input: &str) -> Said {
        let mut child = self.spawn(arguments).unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let ended = tokio::time::timeout(seconds(90), child.wait_with_output()).await;
        let line = arguments.join(" ");
        let output = ended.unwrap_or_else(|_| panic!("kubectl {line} does not end")).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Said { line, code: output.status.code(), stdout, stderr }
    }

    /// The call has to succeed and print this.
    async fn says(&self, line: &str, expected: &str) {
        self.with(line, "").await.ok().has(expected);
    }

    /// The call has to fail and print this.
    async fn fails(&self, line: &str, expected: &str) {
        let said = self.with(line, "").await;
        assert_ne!(said.code, Some(0), "{said}");
        said.has(expected);
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, code, stdout, stderr } = self;
        write!(f, "kubectl {line} ended with {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

impl Said {
    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    #[track_caller]
    fn has(self, expected: &str) -> Self {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let all = squeezed(&format!("{}\n{}", self.stdout, self.stderr));
        assert!(all.contains(expected), "lacks {expected:?}: {self}");
        self
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn a_set_is_seen_and_changed() {
    let world = World::start().await;
    let Some(kubectl) = Kubectl::of(&world).await else { return world.stop().await };
    world.pgset("up").run().await.ok();
    looked_at(&kubectl).await;
    read(&kubectl).await;
    run_in(&kubectl).await;
    watched(&kubectl).await;
    changed(&kubectl).await;
    world.stop().await;
}

/// Tables and descriptions.
async fn looked_at(kubectl: &Kubectl<'_>) {
    for (line, expected) in [
        ("get pods", "NAME READY STATUS RESTARTS AGE pgset-0 1/1 Running 0"),
        ("get pods -o wide", "AGE IP NODE NOMINATED NODE READINESS GATES"),
        ("get all", "pod/pgset-1 1/1 Running"),
        ("get sts -o wide", "NAME READY AGE CONTAINERS IMAGES pgset 2/2"),
        (
            "get svc pgset",
            "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE pgset ClusterIP None <none> 5432/TCP",
        ),
        ("get svc -o wide", "app=pgset,name=pgset-master"),
        ("get pvc", "pgdata-pgset-0 Bound pvc-"),
        ("get pv", "1Gi RWO Delete Bound default/pgdata-pgset-0 standard <unset>"),
        ("get storageclass", "standard (default) pgset.sandbox/directory Delete Immediate"),
        ("get controllerrevisions", "statefulset.apps/pgset 1"),
        ("get endpointslices", "IPv4 5432 127."),
        ("get rolebinding -o wide", "Role/pgset-sa"),
        ("get events --sort-by=.lastTimestamp", "LAST SEEN TYPE REASON OBJECT MESSAGE"),
        ("get events --field-selector involvedObject.name=pgset-1,reason=Started", "pod/pgset-1"),
        ("get pods -A --field-selector spec.nodeName=sandbox -o name", "pod/pgset-0 pod/pgset-1"),
        ("get pods -l name=pgset-master -o name", "pod/pgset-0"),
        ("get sts,svc -o name", "statefulset.apps/pgset service/pgset"),
        ("get pod pgset-0 -o yaml", "kind: Pod metadata:"),
        ("get pod pgset-0 -o jsonpath={.metadata.labels.name}", "pgset-master"),
        ("describe pod pgset-0", "Started container postgres"),
        ("describe sts pgset", "SuccessfulCreate"),
        ("describe svc pgset-master", "TargetPort: 5432/TCP Endpoints: 127."),
        ("describe pvc pgdata-pgset-1", "Used By: pgset-1"),
        ("describe pv", "Claim: default/pgdata-pgset-1"),
        ("describe node", "Non-terminated Pods: (2 in total)"),
        ("rollout history sts pgset", "REVISION CHANGE-CAUSE 1"),
        ("version", "Server Version: v1."),
        ("api-resources", "statefulsets sts apps/v1 true StatefulSet"),
        ("auth can-i create pods", "yes"),
    ] {
        kubectl.says(line, expected).await;
    }
    for (line, expected) in [
        ("get pod nobody", "pods \"nobody\" not found"),
        ("get deployments", "the server doesn't have a resource type"),
        ("get pods --field-selector spec.colour=red", "field label not supported: spec.colour"),
        ("get pods --as somebody", "impersonation is not supported by the sandbox"),
        ("attach pgset-0", "pods/attach is not supported by the sandbox"),
    ] {
        kubectl.fails(line, expected).await;
    }
}

/// Logs.
async fn read(kubectl: &Kubectl<'_>) {
    let last = kubectl.with("logs pgset-1 --tail=1", "").await.ok().stdout;
    assert_eq!(last.lines().count(), 1, "{last}");
    let timed = kubectl.with("logs pgset-1 --tail=1 --timestamps", "").await.ok().stdout;
    let (time, text) = timed.split_once(' ').unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok(), "{timed}");
    assert_eq!(text, last);
    kubectl.says("logs pgset-0 -c postgres --since=1h", "ready to accept connections").await;
    let since = kubectl.with("logs pgset-0 --since-time=2999-01-01T00:00:00Z", "").await.ok();
    assert_eq!(since.stdout, "");
    kubectl.fails("logs pgset-0 --previous", "previous terminated container \"postgres\"").await;
    kubectl.fails("logs pgset-0 -c nobody", "container nobody is not valid for pod pgset-0").await;
}

/// Commands in containers.
async fn run_in(kubectl: &Kubectl<'_>) {
    kubectl.says("exec pgset-0 -- psql -h /tmp -U postgres -Atc select(6*7)", "42").await;
    let standby = "select pg_is_in_recovery();";
    let line = "exec -i pgset-1 -c postgres -- psql -h /tmp -U postgres -At";
    assert_eq!(kubectl.with(line, standby).await.ok().stdout, "t\n");
    let failed =
        kubectl.call(&["exec", "pgset-0", "--", "sh", "-c", "echo a >&2; exit 3"], "").await;
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(3), ""), "{failed}");
    failed.has("a command terminated with exit code 3");
    kubectl.fails("exec pgset-0 -- nobody", "exec: \"nobody\": executable file not found").await;
    kubectl.fails("exec pgset-0 -c nobody -- ls", "container nobody is not valid").await;
    kubectl.fails("exec pgset-7 -- ls", "pods \"pgset-7\" not found").await;
}

/// Watches and followed logs.
async fn watched(kubectl: &Kubectl<'_>) {
    let follow = kubectl.spawn(&["logs", "-f", "pgset-1"]).unwrap();
    let mut watch = kubectl.spawn(&["get", "pods", "-w", "-o", "wide"]).unwrap();
    let mut shown = String::new();
    let mut table = watch.stdout.take().unwrap();
    let mut until = async |words: &str| {
        use tokio::io::AsyncReadExt as _;
        let mut buffer = [0; 4096];
        while !shown.contains(words) {
            let read = tokio::time::timeout(seconds(30), table.read(&mut buffer)).await;
            let length = read.unwrap_or_else(|_| panic!("no {words:?} in\n{shown}")).unwrap();
            assert_ne!(length, 0, "kubectl get -w ended before {words:?}:\n{shown}");
            shown += &String::from_utf8_lossy(&buffer[..length]);
        }
    };
    until("pgset-1").await;
    kubectl.says("delete pod pgset-1", "pod \"pgset-1\" deleted").await;
    kubectl
        .says("wait --for=condition=Ready pod --all --timeout=60s", "pod/pgset-1 condition met")
        .await;
    kubectl
        .says("wait --for=jsonpath={.status.readyReplicas}=2 sts/pgset --timeout=60s", "met")
        .await;
    until("Terminating").await;
    until("ContainerCreating").await;
    // The log of a deleted pod is complete.
    let ended =
        tokio::time::timeout(seconds(30), follow.wait_with_output()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success() && text.contains("database system is shut down"), "{text}");
}

async fn changed(kubectl: &Kubectl<'_>) {
    kubectl.says("label pod pgset-1 colour=blue", "labeled").await;
    kubectl.fails("label pod pgset-1 colour=red", "already has a value (blue)").await;
    kubectl.says("get pods -l colour=blue -o name", "pod/pgset-1").await;
    kubectl.says("annotate sts pgset seen=yes", "annotated").await;
    kubectl.says("scale sts pgset --replicas=1", "scaled").await;
    kubectl.says("wait --for=delete pod/pgset-1 --timeout=60s", "").await;
    kubectl
        .fails("scale sts pgset --replicas=2 --current-replicas=5", "Expected replicas to be 5")
        .await;
    kubectl.says("rollout restart sts pgset", "restarted").await;
    kubectl.says("get controllerrevisions", "statefulset.apps/pgset 2").await;
    kubectl.says("delete sts pgset --cascade=orphan", "deleted").await;
    kubectl.says("get pods", "pgset-0 1/1 Running").await;
    kubectl.says("delete pod pgset-0 --grace-period=1", "deleted").await;
    kubectl.says("get pods", "No resources found in default namespace.").await;
}

const MAP: &str = "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {a: b, c: d}}";
const SERVICE: &str = "{apiVersion: v1, kind: Service, metadata: {name: web}, \
    spec: {selector: {a: b}, ports: [{name: p, port: 80}, {name: q, port: 81}]}}";

#[tokio::test]
#[ignore = "needs PostgreSQL: PGSET_POSTGRES=1"]
async fn objects_are_made_and_applied() {
    let world = World::start().await;
    let Some(kubectl) = Kubectl::of(&world).await else { return world.stop().await };
    // kubectl sends objects that it generates itself in Protocol Buffers.
    kubectl.says("create namespace other", "namespace/other created").await;
    kubectl.fails("create namespace other", "namespaces \"other\" already exists").await;
    kubectl.says("create secret generic z -n other --from-literal=a=b", "secret/z created").await;
    kubectl.says("get secret z -n other -o jsonpath={.data.a}", "Yg==").await;
    let token = kubectl.with("create token default -n other", "").await.ok().stdout;
    let line = format!("get ns other --token {}", token.trim());
    kubectl.fails(&line, "\"system:serviceaccount:other:default\" cannot get resource").await;
    kubectl.says("delete namespace other", "deleted").await;
    kubectl.fails("create configmap x -n other --from-literal=a=b", "\"other\" not found").await;

    let server_side = "apply --server-side -f -";
    kubectl.with(server_side, MAP).await.ok().has("configmap/x serverside-applied");
    let changed = MAP.replace("a: b", "a: z");
    let other = "apply --server-side --field-manager=other -f -";
    let conflict = kubectl.with(other, &changed).await;
    conflict.has("Apply failed with 1 conflict: conflict with \"kubectl\": .data.a");
    let forced = format!("{other} --force-conflicts");
    kubectl.with(&format!("{forced} --dry-run=server"), &changed).await.ok();
    kubectl.says("get configmap x -o jsonpath={.data.a}", "b").await;
    kubectl.with(&forced, &changed).await.ok();
    kubectl.says("get configmap x -o jsonpath={.data.a}", "z").await;
    let unknown = kubectl.with(server_side, &MAP.replace("}, data:", "}, date:")).await;
    unknown.has(".date: field not declared in schema");
    kubectl.with(server_side, &MAP.replace("name: x", "name: X")).await.has("RFC 1123");

    // Without `--server-side`, kubectl computes the change and sends it as a strategic merge patch.
    kubectl.with("apply -f -", SERVICE).await.ok().has("service/web created");
    kubectl.with("apply -f -", SERVICE).await.ok().has("service/web unchanged");
    let changed = SERVICE.replace("port: 81", "port: 82");
    assert_eq!(kubectl.with("diff -f -", &changed).await.code, Some(1));
    kubectl.with("apply -f -", &changed).await.ok().has("service/web configured");
    kubectl.says("get svc web -o jsonpath={.spec.ports[*].port}", "80 82").await;
    kubectl.says("delete svc/web configmap/x --dry-run=server", "deleted").await;
    kubectl.says("delete svc/web configmap/x", "configmap \"x\" deleted").await;
    kubectl.fails("delete configmap x", "configmaps \"x\" not found").await;
    world.stop().await;
}

/// Prints why a part of the suite did not run.
#[expect(clippy::print_stderr, reason = "what was not tested has to be seen")]
pub(super) fn skipped(reason: &str) {
    eprintln!("skipped: {reason}");
}
