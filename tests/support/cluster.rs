//! The real cluster: whatever `KUBECONFIG` points to, when `PGSET_E2E=1` asks for it.

use std::path::PathBuf;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_yaml::Value;

/// The kubeconfig that the tests were called with. Panics where the cluster was not asked for: these
/// tests are `#[ignore]`d, so that somebody who runs them meant to.
#[expect(clippy::disallowed_methods, reason = "the tests' own switch, not a setting of pgset")]
fn kubeconfig() -> PathBuf {
    let asked = std::env::var("PGSET_E2E").is_ok_and(|v| v == "1");
    let path = std::env::var("KUBECONFIG").unwrap_or_default();
    assert!(
        asked && !path.is_empty(),
        "the end-to-end tests change a cluster: set PGSET_E2E=1 and KUBECONFIG to say which"
    );
    PathBuf::from(path.split(':').next().unwrap_or_default())
}

/// A way into the cluster with the tests' own rights.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// The kubeconfig's text, to be written out with another namespace or another user.
    config: Value,
}

impl Cluster {
    pub(crate) async fn connect() -> Self {
        let path = kubeconfig();
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("KUBECONFIG={}: {e}", path.display()));
        let config: Value = serde_yaml::from_str(&text).expect("the kubeconfig is YAML");
        let client = Self::client(&text).await;
        Self { client, config }
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
        Self { client: Self::client(&self.text()).await, config: self.config.clone() }
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
