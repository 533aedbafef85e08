//! A specified password appears nowhere in the output: every command, at the highest verbosity, on success
//! and on failure.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{LogParams, Patch, PatchParams};
use serde_json::json;

use super::{CLASS, own_template};
use crate::support::forms::{PASSWORDS, clean, forms};
use crate::support::pgset::{Output, Pgset};
use crate::support::proxy::Proxy;
use crate::support::space::{Image, Space};

fn with_passwords(mut call: Pgset) -> Pgset {
    for (variable, password) in PASSWORDS {
        call = call.env(variable, password);
    }
    call
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn passwords_show_nowhere() {
    of(Image::Article).await;
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn passwords_of_the_official_image_show_nowhere() {
    of(Image::Official).await;
}

/// Reads the pod's processes and their children: PostgreSQL overwrites the environment of its children. If
/// pods share the machine's processes, those of other pods are ignored.
const LOOK: &str = r#"
own() { grep -qsz "^PGSET_NAMESPACE=$PGSET_NAMESPACE\$" "/proc/$1/environ"; }
for process in /proc/[0-9]*; do
  parent=$(sed -n 's/^PPid:\t//p' "$process/status" 2>/dev/null)
  if own "${process#/proc/}" || own "$parent"; then cat "$process/environ" "$process/cmdline" 2>/dev/null; fi
done
cat /etc/pgset/* /etc/pgset-scripts/* "$PGDATA"/*.conf
"#;

/// Everything visible in the pods of the official image: no password may be in the environment or the
/// arguments of a process, in the configuration or in a log.
async fn in_the_pods(space: &Space) -> String {
    let mut all = String::new();
    for pod in ["pgset-0", "pgset-1"] {
        let seen = space.exec(pod, &["bash", "-c", LOOK]).await.unwrap();
        assert!(seen.contains("PGSET_MASTER_HOST"), "nothing was seen");
        clean(&format!("inside {pod}"), &seen);
        all.push_str(&seen);
        for container in ["bootstrap", "postgres"] {
            let container = Some(container.to_owned());
            let params = LogParams { container, ..LogParams::default() };
            let log = space.api::<Pod>().logs(pod, &params).await.unwrap();
            assert!(!log.is_empty());
            clean(&format!("a log of {pod}"), &log);
            all.push_str(&log);
        }
    }
    all
}

/// The private keys of the set's certificates, in PEM.
async fn private_keys(space: &Space) -> Vec<String> {
    let secret = space.api::<Secret>().get("pgset-tls").await.unwrap();
    let data = secret.data.unwrap_or_default();
    let key = |name: &str| String::from_utf8(data[name].0.clone()).unwrap();
    vec![key("tls.key"), key("ca.key")]
}

/// Creates a user's Secret with a valid certificate and this key.
async fn other_key(space: &Space, key: &str) {
    let secret = space.api::<Secret>().get("pgset-tls").await.unwrap();
    let data = secret.data.unwrap_or_default();
    let text = |name: &str| String::from_utf8(data[name].0.clone()).unwrap();
    let mine = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine"},
        "stringData": {"ca.crt": text("ca.crt"), "tls.crt": text("tls.crt"), "tls.key": key}});
    space.create::<Secret>(mine).await;
}

/// No line of a key may be in the output in any form, nor its base64 form from the Secret.
fn no_key_is_in(keys: &[String], printed: &str) {
    assert!(printed.contains("pgset-tls"), "nothing was printed");
    assert!(!printed.contains("PRIVATE KEY"), "a private key shows");
    for key in keys {
        let lines: Vec<&str> = key.lines().filter(|line| !line.starts_with("-----")).collect();
        assert!(lines.len() >= 2, "it is a key");
        let whole = STANDARD.encode(key);
        for line in lines.into_iter().filter(|line| line.len() > 20) {
            for form in forms(line) {
                assert!(!printed.contains(&form), "a private key shows as {form:?}");
            }
        }
        // The middle of the base64 text is found even if the text is split into lines.
        assert!(!printed.contains(&whole[60..120]), "a private key shows in base64");
    }
}

async fn of(image: Image) {
    let space = Space::of(image, "secrets").await;
    let proxy = Proxy::start(&space.cluster).await;
    let through = proxy.kubeconfig(&space.name);
    // The private keys are generated during the test, so the output is kept and searched at the end.
    let printed = RefCell::new(String::new());
    let run = async |line: &str| -> Output {
        let call = with_passwords(space.pgset_through(&through, line));
        let output = call.run().await;
        clean(line, &output.all());
        printed.borrow_mut().push_str(&output.all());
        output
    };
    run(&format!("up -vvvv {CLASS}")).await.ok();
    let mut keys = Vec::new();
    if image == Image::Official {
        run(&format!("up -vvvv -o json --tls {CLASS}")).await.ok();
        run(&format!("render -vvvv --tls {CLASS}")).await.ok();
        run(&format!("diff -vvvv --tls=false {CLASS}")).await;
        run("connect -vvvv --ca-certificate").await.ok();
        run(&format!("up -vvvv --tls-secret nowhere {CLASS}")).await.exits(4);
        keys.extend(private_keys(&space).await);
        // A key that does not belong to the certificate is read, refused, and never printed.
        let (own, other) = (keys[0].clone(), keys[1].clone());
        assert_ne!(own, other);
        other_key(&space, &other).await;
        run(&format!("up -vvvv --tls-secret mine {CLASS}")).await.exits(4).says("not the key");
        // A broken key is generated again.
        let patch = Patch::Merge(json!({"stringData": {"tls.key": other}}));
        let secrets = space.api::<Secret>();
        secrets.patch("pgset-tls", &PatchParams::default(), &patch).await.unwrap();
        run(&format!("diff -vvvv {CLASS}")).await.exits(1).prints("*** (changed)");
        run(&format!("up -vvvv {CLASS}")).await.ok().says("not the key of tls.crt");
        keys.extend(private_keys(&space).await);
        let seen = in_the_pods(&space).await;
        printed.borrow_mut().push_str(&seen);
    }
    run("test -vvv").await.ok();
    run("test -vvvv -o json").await.ok();
    run("status -vvv").await.ok();
    run("status -vvvv -o json").await.ok();
    run("scale -vvvv --replicas 3").await.ok();
    run(&format!("up -vvvv -o json {CLASS}")).await.ok();
    run(&format!("up -vvvv --dry-run=server {CLASS}")).await.ok();
    run(&format!("diff -vvvv {CLASS}")).await.ok();
    run(&format!("render -vvvv {CLASS}")).await.ok();
    run(&format!("render -vvvv --list {CLASS}")).await.ok();
    run(&format!("env -vvvv {CLASS}")).await.ok();
    run(&format!("env -vvvv -o json {CLASS}")).await.ok();
    run("connect -vvv").await.ok();
    run("connect -vvvv -o json").await.ok();
    run("connect -vvvv -o env --replica").await.ok();
    run("psql -vvvv -- -l").await.ok();
    run("psql -vvvv -U testuser --replica").await.ok();
    let (_, password) = PASSWORDS[2];
    let file = space.file("password", &format!("{password}\n"));
    run(&format!("password rotate -vvvv --password-file {}", file.display())).await.ok();
    let (_, password) = PASSWORDS[1];
    let replication = space.file("replication-password", &format!("{password}\n"));
    let rotate =
        format!("password rotate -vvvv replication --password-file {}", replication.display());
    // The replicas of the article's image keep their password, because it can't be changed.
    run(&rotate).await.exits(if image == Image::Official { 0 } else { 4 });
    run("password rotate -vvvv superuser --password-file /nowhere").await.exits(2);
    run(&format!("up -vvvv {CLASS} --password-file {}", file.display())).await.ok();
    run("scale -vvvv --replicas 99").await.exits(2);
    run("up -vvvv --replicas 0").await.exits(2);
    run("up -vvvv --storage class:golden --name other").await.exits(1);
    run("down -vvv").await.exits(4);
    // For a pod that does not become ready, events, specification and logs are printed.
    let call = space.pgset_through(&through, "up -vvv --yes").args(CLASS);
    let output = with_passwords(space.without_image(call)).run().await.exits(1);
    clean("a failing up", &output.all());
    run("down -vvvv --yes --delete-data").await.ok();
    if image == Image::Official {
        no_key_is_in(&keys, &printed.borrow());
    }
    // The command line of an exec is part of the request URL, which audit logs record.
    for request in proxy.requests() {
        clean("a request's path", &request.path);
    }
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn passwords_that_are_asked_for_are_shown() {
    let space = Space::new("secrets").await;
    let call = space.pgset("render --show-secrets").args(CLASS);
    let output = with_passwords(call).run().await.ok();
    for (variable, password) in PASSWORDS {
        let shown = forms(password).iter().any(|form| output.stdout.contains(form));
        assert!(shown, "{variable} is not shown: {output}");
    }
    // An error in a template does not print the values.
    let broken = "a: {{ passwords.superuser ~ nothing.at.all }}\n";
    let own = own_template(&space, "secret.yaml.j2", |_| broken.to_owned()).await;
    let call = space.pgset("render -vvv").args(CLASS).arg("--templates").arg(&own);
    let output = with_passwords(call).run().await;
    assert_ne!(output.code, Some(0), "{output}");
    clean("a broken template", &output.all());
}
