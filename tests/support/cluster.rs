//! The cluster of a test. `PGSET_E2E` selects it: `1` is the cluster in `KUBECONFIG`, `sandbox` is a
//! sandbox for each test. The scenarios are the same for both.

use std::path::PathBuf;
use std::sync::Arc;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_yaml::Value;

use super::served::Served;

/// The directory for host-path volumes on the node of the real test cluster. The node is this machine.
const HOST_VOLUMES: &str = "/tmp/kube-cluster/volumes";

/// Returns the kubeconfig of the selected cluster, or `None` for a sandbox. Panics if no cluster is
/// selected: these tests are `#[ignore]`d, so they run only when someone asks for them.
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

/// A connection to the cluster with the rights of the tests.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// The kubeconfig. Tests write it out with another namespace or another user.
    config: Value,
    /// The sandbox, if the cluster is one. It ends when its last user is dropped.
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

    /// The directory in which a test can create directories of the node. `None` if the cluster's node is
    /// not this machine.
    pub(crate) fn host_volumes(&self) -> Option<PathBuf> {
        match &self.sandbox {
            Some(sandbox) => Some(sandbox.host_volumes()),
            None => Some(PathBuf::from(HOST_VOLUMES)).filter(|path| path.is_dir()),
        }
    }

    /// Whether this machine is the node, so that the containers' processes are processes of this machine.
    pub(crate) fn node_is_here(&self) -> bool {
        self.host_volumes().is_some()
    }

    /// Whether the cluster is a sandbox. Only for code that works below Kubernetes. A scenario asks for the
    /// feature that it needs instead.
    pub(crate) fn is_sandbox(&self) -> bool {
        self.sandbox.is_some()
    }

    /// The reason why the owner of a volume has no effect. `None` if a container runs as the user in its
    /// pod's specification.
    pub(crate) fn runs_all_as_one_user(&self) -> Option<&'static str> {
        let why = "a volume of another user: the sandbox runs every container as one user of this machine";
        self.sandbox.is_some().then_some(why)
    }

    /// The reason why mounting an NFS share that no server exports succeeds. `None` if the mount fails.
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
        // With retries in the client, a test would not see the faults that a proxy injects.
        config.default_retry = false;
        Client::try_from(config).expect("a client of the cluster")
    }

    /// Opens another connection, which belongs to the current async runtime.
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

    /// The same kubeconfig with only a token as credentials.
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
