//! Invalid files: passwords, kubeconfigs, templates.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::O;
use crate::sandbox::World;
use crate::support::pgset::Pgset;

fn file(directory: &TempDir, name: &str, bytes: impl AsRef<[u8]>, mode: u32) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[tokio::test]
pub(in super::super) async fn files_with_passwords() {
    let world = World::quick().await;
    let home = TempDir::new().unwrap();
    let up = |path: &Path| O.of(world.pgset("up --no-wait --password-file").arg(path));
    for (name, bytes, mode, words) in [
        ("open", &b"s3ntinel\n"[..], 0o644, ["can be read by every user", "chmod 600"]),
        ("empty", b"\n", 0o600, ["--password-file", "empty"]),
        ("nul", b"s3nti\0nel\n", 0o600, ["--password-file", "control characters"]),
        ("latin", b"s3ntinel\xff\n", 0o600, ["latin", "UTF-8"]),
    ] {
        let path = file(&home, name, bytes, mode);
        world.refuses(up(&path), &words).await.never_says("s3nti");
    }
    world.refuses(up(Path::new("/nowhere/password")), &["/nowhere/password"]).await;
    let quoted = file(&home, "quoted", "s3nti'nel", 0o600);
    let article = world.pgset("up --no-wait --password-file").arg(&quoted);
    world.refuses(article, &["--password-file"]).await.never_says("s3nti");
    // One final newline does not belong to the password. A well-known password causes a warning.
    up(&file(&home, "good", "s3ntinel\n", 0o600)).run().await.ok();
    let key =
        pgset::sandbox::store::Key::new(&pgset::sandbox::kinds::SECRETS, "default", "pgset-auth");
    let secret = world.sandbox.registry.store.get(&key).unwrap();
    assert_eq!(secret["data"]["user-password"], "czNudGluZWw=");
    O.of(world.pgset("down --yes --delete-data")).run().await.ok();
    up(&file(&home, "known", "password\n", 0o600)).run().await.ok().mentions(&["warning"]);
    world.stop().await;
}

#[tokio::test]
pub(in super::super) async fn kubeconfigs() {
    let world = World::quick().await;
    let home = TempDir::new().unwrap();
    let good: serde_json::Value =
        serde_json::from_slice(&std::fs::read(world.kubeconfig()).unwrap()).unwrap();
    let up = || world.pgset("up");
    let missing = up().kubeconfig(Path::new("/nowhere/config"));
    world.refuses(missing, &["/nowhere/config", "does not exist"]).await;
    let flag = up().args("--kubeconfig /nowhere/config");
    world.refuses(flag, &["/nowhere/config"]).await;
    let context = up().args("--context nobody");
    world.refuses(context, &["nobody", "pgset-sandbox"]).await;
    let broken = file(&home, "broken", "clusters: [", 0o600);
    world.refuses(up().kubeconfig(&broken), &["broken"]).await;
    world.refuses(up().kubeconfig(home.path()), &[home.path().to_str().unwrap()]).await;
    let mut plugin = good.clone();
    plugin["users"][0]["user"] = serde_json::json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh",
        "args": ["-c", "echo s3ntinel; exit 3"], "interactiveMode": "Never"}});
    let plugin = file(&home, "plugin", plugin.to_string(), 0o600);
    // A credential plugin fails only when it is run.
    world.faults().record();
    let output = up().kubeconfig(&plugin).run().await;
    assert!(matches!(output.code, Some(2 | 3)), "{output}");
    output.says("credential plugin").says("/bin/sh").never_says("s3ntinel");
    assert_eq!(world.faults().seen(), []);
    world.stop().await;
}

/// A directory of templates: a built-in one with an edit.
struct Own<'a> {
    world: &'a World,
    home: TempDir,
}

impl Own<'_> {
    fn directory(&self) -> PathBuf {
        self.home.path().join("own/postgres")
    }

    fn new(world: &World) -> Own<'_> {
        let home = TempDir::new().unwrap();
        let own = Own { world, home };
        std::fs::create_dir_all(own.directory()).unwrap();
        own
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.directory().join(name), bytes).unwrap();
    }

    fn up(&self) -> Pgset {
        let templates = self.home.path().join("own");
        O.of(self.world.pgset("up --no-wait --templates").arg(templates))
    }
}

const ROLE: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ set.service_account }}
  labels: {{ labels.objects }}
rules: []
";

#[tokio::test]
pub(in super::super) async fn templates() {
    let world = World::quick().await;
    let binding =
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: x}\n";
    let elsewhere = ROLE.replace("metadata:", "metadata:\n  namespace: elsewhere");
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n";
    let deep = format!("{ROLE}x: {}{}\n", "[".repeat(10_000), "]".repeat(10_000));
    let large = vec![b'#'; 2 << 20];
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(ROLE.bytes().flat_map(|byte| [byte, 0])).collect();
    let with_bom = [&b"\xef\xbb\xbf"[..], ROLE.as_bytes()].concat();
    let cases: [(&[u8], &[&str]); 18] = [
        (b"a: {{ nothing }}\n", &["nothing", "line 1"]),
        (b"a: {{ set.nothing }}\n", &["nothing", "line 1"]),
        (b"{% include '../../../../etc/passwd' %}\n", &["etc/passwd"]),
        (b"{% include 'link.j2' %}\n", &["link.j2"]),
        (b"{% for i in range(1000000000) %}{{ i }}{% endfor %}\n", &["role.yaml.j2"]),
        (b"{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}\n", &["role.yaml.j2"]),
        (b"{% include 'role.yaml.j2' %}\n", &["role.yaml.j2"]),
        (b"{{ 'x' * 200000000 }}\n", &["role.yaml.j2"]),
        (b"a: 1\na: 2\n", &["duplicate", "a"]),
        (bomb.as_bytes(), &["role.yaml.j2"]),
        (deep.as_bytes(), &["role.yaml.j2"]),
        (&large, &["role.yaml.j2", "large"]),
        (ROLE.replace("rules:", "rulez:").leak().as_bytes(), &["rulez", "rules"]),
        (&with_bom, &["role.yaml.j2", "byte order mark"]),
        (&utf16, &["role.yaml.j2", "UTF-16"]),
        (b"a: \xff\xfe\xfd\n", &["role.yaml.j2", "UTF-8"]),
        (binding.as_bytes(), &["ClusterRoleBinding"]),
        (
            elsewhere.as_bytes(),
            &["role.yaml.j2", "metadata.namespace must be default", "leave it out"],
        ),
    ];
    for (bytes, words) in cases {
        let own = Own::new(&world);
        symlink("/etc/passwd", own.home.path().join("target")).unwrap();
        if bytes.starts_with(b"{% include 'link") {
            symlink("/etc/passwd", own.directory().join("link.j2")).unwrap();
        }
        own.write("role.yaml.j2", bytes);
        world
            .refuses(own.up(), words)
            .await
            .never_says("root:x")
            .within(crate::support::seconds(30));
    }
    let own = Own::new(&world);
    world.refuses(own.up(), &["template"]).await;
    own.write("role.yaml.j2", "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\n");
    world.refuses(own.up(), &["Deployment"]).await;
    world.stop().await;
}
