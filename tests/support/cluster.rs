//! The cluster of a test, as `PGSET_E2E` says: `1` is the one that `KUBECONFIG` points to, `sandbox` is a
//! sandbox of the test's own. The scenarios do not know which.

use std::path::PathBuf;
use std::sync::Arc;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_yaml::Value;

use super::served::Served;

/// Where the node of the real test cluster, which is this machine, keeps host-path volumes.
const HOST_VOLUMES: &str = "/tmp/kube-cluster/volumes";

/// What the tests were called for. Panics where no cluster was asked for: these tests are `#[ignore]`d, so
/// that somebody who runs them meant to.
#[expect(clippy::disallowed_methods, reason = "the tests' own switch, not a setting of pgset")]
fn asked() -> Option<PathBuf> {
    let asked = std::env::var("PGSET_E2E").unwrap_or_default();
    let path = std::env::var("KUBECONFIG").unwrap_or_default();
    match asked.as_str() {
        "sandbox" => None,
        "1" if !path.is_empty() => Some(PathBuf::from(path.split(':').next().unwrap_or_default())),
        _ => panic!(
            "the end-to-end tests change a cluster: set PGSET_E2E=1 and KUBECONFIG to say which, or \
             PGSET_E2E=sandbox for sandboxes of their own"
        ),
    }
}

/// A way into the cluster with the tests' own rights.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// The kubeconfig's text, to be written out with another namespace or another user.
    config: Value,
    /// The sandbox that it is; it ends with the last who holds it.
    sandbox: Option<Arc<Served>>,
}

impl Cluster {
    pub(crate) async fn connect() -> Self {
        let (sandbox, path) = if let Some(path) = asked() {
            (None, path)
        } else {
            let sandbox = Served::start().await;
            let path = sandbox.kubeconfig();
            (Some(Arc::new(sandbox)), path)
        };
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("KUBECONFIG={}: {e}", path.display()));
        let config: Value = serde_yaml::from_str(&text).expect("the kubeconfig is YAML");
        let client = Self::client(&text).await;
        Self { client, config, sandbox }
    }

    /// Where directories of the node can be made; none where the cluster's node is not this machine.
    pub(crate) fn host_volumes(&self) -> Option<PathBuf> {
        match &self.sandbox {
            Some(sandbox) => Some(sandbox.host_volumes()),
            None => Some(PathBuf::from(HOST_VOLUMES)).filter(|path| path.is_dir()),
        }
    }

    /// Whether this machine is the node, and what runs in its containers are processes here.
    pub(crate) fn node_is_here(&self) -> bool {
        self.host_volumes().is_some()
    }

    /// Whether it is a sandbox. For what is below Kubernetes; a scenario asks for what it needs instead.
    pub(crate) fn is_sandbox(&self) -> bool {
        self.sandbox.is_some()
    }

    /// Why a volume's owner does not matter; none where a container runs as the user that its pod names.
    pub(crate) fn runs_all_as_one_user(&self) -> Option<&'static str> {
        let why = "a volume of another user: the sandbox runs every container as one user of this machine";
        self.sandbox.is_some().then_some(why)
    }

    /// Why a share of NFS that no server exports can be mounted; none where its mount fails.
    pub(crate) fn mounts_any_nfs(&self) -> Option<&'static str> {
        self.sandbox
            .is_some()
            .then_some("a mount that fails: the sandbox makes a directory of every NFS share")
    }

    async fn client(text: &str) -> Client {
        let parsed = Kubeconfig::from_yaml(text).expect("the kubeconfig can be read");
        let mut config = Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
            .await
            .expect("the kubeconfig names a cluster");
        // A proxy that repeats requests by itself would hide what it is there to show.
        config.default_retry = false;
        Client::try_from(config).expect("a client of the cluster")
    }

    /// A connection of its own: one that belongs to the runtime it is made on.
    pub(crate) async fn another(&self) -> Self {
        let (config, sandbox) = (self.config.clone(), self.sandbox.clone());
        Self { client: Self::client(&self.text()).await, config, sandbox }
    }

    fn text(&self) -> String {
        serde_yaml::to_string(&self.config).expect("what was read can be written")
    }

    /// The kubeconfig with another namespace as the current context's.
    pub(crate) fn kubeconfig(&self, namespace: &str) -> String {
        let mut config = self.config.clone();
        self.context(&mut config).insert("namespace".into(), namespace.into());
        serde_yaml::to_string(&config).expect("what was read can be written")
    }

    /// The same, as somebody who has nothing but a token.
    pub(crate) fn kubeconfig_of_token(&self, namespace: &str, token: &str) -> String {
        let mut config = self.config.clone();
        let context = self.context(&mut config);
        context.insert("namespace".into(), namespace.into());
        context.insert("user".into(), "token".into());
        config["users"] = serde_yaml::from_str(&format!(
            "[{{name: token, user: {{token: {}}}}}]",
            serde_json::Value::from(token)
        ))
        .expect("a list of one user");
        serde_yaml::to_string(&config).expect("what was read can be written")
    }

    /// The current context of a kubeconfig.
    fn context<'a>(&self, config: &'a mut Value) -> &'a mut serde_yaml::Mapping {
        let current = self.config["current-context"].clone();
        config["contexts"]
            .as_sequence_mut()
            .and_then(|all| all.iter_mut().find(|c| c["name"] == current))
            .and_then(|c| c["context"].as_mapping_mut())
            .expect("the kubeconfig has its current context")
    }
}
