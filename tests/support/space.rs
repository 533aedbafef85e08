//! A namespace for each test. It is deleted with all its objects when the test ends, even if the test
//! fails.

use std::fmt::Debug;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, Pod};
use kube::api::{Api, AttachParams, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use super::cluster::Cluster;
use super::pgset::Pgset;
use super::{CRUNCHY_TAG, eventually, seconds, unique};

/// A tag of the article's image that pgset supports and that the node does not have. Its major version is that of
/// [`CRUNCHY_TAG`]: another one is refused.
pub(crate) const NO_SUCH_CRUNCHY_TAG: &str = "centos7-9.5-1.2.9";

/// A registry that can't exist, because `.invalid` is a reserved domain.
const NO_SUCH_REGISTRY: &str = "registry.invalid/crunchydata";

/// The image that the sets of a test run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Image {
    /// The article's image, set with its variable.
    Article,
    /// The official image, which is the default. The namespace enforces the Pod Security level
    /// "restricted".
    Official,
}

impl Image {
    /// The name of the image's profile.
    pub(crate) fn profile(self) -> &'static str {
        match self {
            Self::Article => "crunchy",
            Self::Official => "postgres",
        }
    }
}

/// The namespace of a test.
pub(crate) struct Space {
    pub(crate) image: Image,
    pub(crate) cluster: Cluster,
    pub(crate) name: String,
    /// A prefix for static volumes that only this namespace uses, because volume names are cluster-wide.
    pub(crate) prefix: String,
    pub(crate) kubeconfig: PathBuf,
    directory: TempDir,
    volumes: Option<PathBuf>,
}

impl Space {
    /// Creates the namespace `e2e-TITLE-xxxxxx`.
    pub(crate) async fn new(title: &str) -> Self {
        Self::in_cluster(Cluster::connect().await, title).await
    }

    /// Creates a namespace for sets with the given image.
    pub(crate) async fn of(image: Image, title: &str) -> Self {
        Self::made(Cluster::connect().await, title, image).await
    }

    /// Creates another namespace with an existing connection.
    pub(crate) async fn in_cluster(cluster: Cluster, title: &str) -> Self {
        Self::made(cluster, title, Image::Article).await
    }

    async fn made(cluster: Cluster, title: &str, image: Image) -> Self {
        let suffix = unique();
        let name = format!("e2e-{title}-{suffix}");
        let labels = match image {
            Image::Article => json!({}),
            Image::Official => json!({"pod-security.kubernetes.io/enforce": "restricted"}),
        };
        let namespace: Namespace = object(json!({"metadata": {"name": name, "labels": labels}}));
        let all: Api<Namespace> = Api::all(cluster.client.clone());
        all.create(&PostParams::default(), &namespace).await.expect("a namespace of our own");
        let directory = TempDir::new().expect("a directory for the kubeconfig");
        let kubeconfig = directory.path().join("config");
        write_private(&kubeconfig, &cluster.kubeconfig(&name));
        let space = Self {
            image,
            cluster,
            name,
            prefix: format!("pv-{suffix}-"),
            kubeconfig,
            directory,
            volumes: None,
        };
        // Kubernetes refuses pods until the default service account of the namespace exists.
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = space.api();
        eventually("the namespace's default service account", seconds(60), async || {
            accounts.get("default").await.map_err(|e| e.to_string())
        })
        .await;
        space
    }

    /// A call of pgset with the test's image, in this namespace.
    pub(crate) fn pgset(&self, line: &str) -> Pgset {
        let call = Pgset::new(line).kubeconfig(&self.kubeconfig);
        match self.image {
            Image::Article => call.env("CCP_IMAGE_TAG", CRUNCHY_TAG),
            Image::Official => call,
        }
    }

    /// Changes a call to use an image that the test's profile accepts but that no node has.
    pub(crate) fn without_image(&self, call: Pgset) -> Pgset {
        match self.image {
            Image::Article => call
                .env("CCP_IMAGE_PREFIX", NO_SUCH_REGISTRY)
                .env("CCP_IMAGE_TAG", NO_SUCH_CRUNCHY_TAG),
            Image::Official => call.env("PGSET_IMAGE", "registry.invalid/postgres:17.99-nowhere"),
        }
    }

    /// A call of pgset with another kubeconfig.
    pub(crate) fn pgset_through(&self, kubeconfig: &Path, line: &str) -> Pgset {
        self.pgset(line).kubeconfig(kubeconfig)
    }

    /// Writes a file that is deleted with the namespace.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        write_private(&path, text);
        path
    }

    /// Creates a directory that is deleted with the namespace.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        path
    }

    /// Creates a directory on the node with this mode. Returns `--storage` and `--volume-prefix` flags for
    /// it, or `None` if the cluster's node is not this machine.
    pub(crate) fn host_storage(&mut self, mode: u32) -> Option<String> {
        let path = self.cluster.host_volumes()?.join(&self.name);
        std::fs::create_dir_all(&path).expect("a directory of the node's");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode");
        let flags =
            format!("--storage hostpath:{} --volume-prefix {}", path.display(), self.prefix);
        self.volumes = Some(path);
        Some(flags)
    }

    /// The directory that [`Self::host_storage`] created.
    pub(crate) fn host_directory(&self) -> &Path {
        self.volumes.as_deref().expect("host_storage has been called")
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.cluster.client.clone(), &self.name)
    }

    /// Creates an object like `kubectl create`.
    pub(crate) async fn create<K>(&self, value: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug,
        K::DynamicType: Default,
    {
        let params = PostParams { field_manager: Some("kubectl-create".into()), dry_run: false };
        let object = object(value);
        // In a new namespace without a service account, servers answer with status 500.
        eventually("the object is made", seconds(20), async || {
            self.api::<K>().create(&params, &object).await.map_err(|e| e.to_string())
        })
        .await
    }

    pub(crate) async fn stateful_set(&self, name: &str) -> StatefulSet {
        self.api::<StatefulSet>().get(name).await.expect("the StatefulSet is there")
    }

    /// Scales a StatefulSet like `kubectl scale`.
    pub(crate) async fn kubectl_scale(&self, name: &str, replicas: u32) {
        let patch = json!({"spec": {"replicas": replicas}});
        let params =
            PatchParams { field_manager: Some("kubectl".into()), ..PatchParams::default() };
        self.api::<StatefulSet>()
            .patch_scale(name, &params, &Patch::Merge(patch))
            .await
            .expect("the set can be scaled");
    }

    /// The names of all ready pods of sets, sorted.
    pub(crate) async fn ready_pods(&self) -> Vec<String> {
        let all_but_clients = ListParams::default().labels("e2e!=client");
        let pods = self.api::<Pod>().list(&all_but_clients).await.expect("pods can be listed");
        let mut names: Vec<_> =
            pods.items.iter().filter(|p| ready(p)).map(ResourceExt::name_any).collect();
        names.sort();
        names
    }

    /// Runs SQL in a pod as `postgres`, through the server's Unix socket. Returns the rows as text.
    pub(crate) async fn sql(&self, pod: &str, database: &str, sql: &str) -> Result<String, String> {
        let socket = match self.image {
            Image::Article => "/tmp",
            Image::Official => "/var/run/postgresql",
        };
        let command = ["psql", "-h", socket, "-U", "postgres", "-d", database, "-Atqc", sql];
        self.exec(pod, &command).await
    }

    /// Runs a command in the first container of a pod. Returns its standard output.
    pub(crate) async fn exec(&self, pod: &str, command: &[&str]) -> Result<String, String> {
        let params = AttachParams::default().stdin(false).stdout(true).stderr(true);
        let pods = self.api::<Pod>();
        let mut process =
            pods.exec(pod, command.to_vec(), &params).await.map_err(|e| e.to_string())?;
        let (mut out, mut err) = (String::new(), String::new());
        let mut stdout = process.stdout().ok_or("no stdout")?;
        let mut stderr = process.stderr().ok_or("no stderr")?;
        let status = process.take_status().ok_or("no status")?;
        let (a, b, status) =
            tokio::join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err), status);
        a.and(b).map_err(|e| e.to_string())?;
        match status.and_then(|s| s.status).as_deref() {
            Some("Success") => Ok(out.trim_end().to_owned()),
            other => Err(format!("{other:?}: {err}")),
        }
    }

    /// Repeats a query until it returns `expected`.
    pub(crate) async fn sql_yields(&self, pod: &str, database: &str, sql: &str, expected: &str) {
        eventually(&format!("{sql:?} on {pod}"), seconds(60), async || {
            match self.sql(pod, database, sql).await {
                Ok(rows) if rows == expected => Ok(()),
                other => Err(format!("{other:?}, not {expected:?}")),
            }
        })
        .await;
    }

    /// The static volumes of the sets in this namespace.
    pub(crate) async fn volumes(&self) -> Vec<PersistentVolume> {
        volumes(&self.cluster, &self.name).await
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let (cluster, name) = (self.cluster.clone(), self.name.clone());
        let volumes = self.volumes.take();
        // The cleanup uses a new runtime, because the test's runtime may be shutting down or unwinding.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime to clean up on").block_on(clean(cluster, name, volumes));
        });
        cleaning.join().ok();
    }
}

/// Deletes the namespace. If a directory of the node must be deleted, too, first waits until no pod writes
/// to it.
async fn clean(cluster: Cluster, name: String, directory: Option<PathBuf>) {
    let cluster = cluster.another().await;
    let client = cluster.client.clone();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &name);
    let all: Api<Namespace> = Api::all(client.clone());
    all.delete(&name, &DeleteParams::default()).await.ok();
    let at_once = DeleteParams::default().grace_period(1);
    pods.delete_collection(&at_once, &ListParams::default()).await.ok();
    let leaves = |pods: Vec<Pod>| if pods.is_empty() { Some(()) } else { None };
    let wait = if directory.is_some() { seconds(60) } else { Duration::ZERO };
    let start = std::time::Instant::now();
    while start.elapsed() < wait {
        let list = pods.list(&ListParams::default()).await;
        if list.ok().and_then(|l| leaves(l.items)).is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let all: Api<PersistentVolume> = Api::all(client);
    for volume in volumes(&cluster, &name).await {
        all.delete(&volume.name_any(), &DeleteParams::default()).await.ok();
    }
    if let Some(directory) = directory {
        std::fs::remove_dir_all(directory).ok();
    }
}

async fn volumes(cluster: &Cluster, namespace: &str) -> Vec<PersistentVolume> {
    let ours = ListParams::default().labels(&format!("pgset/namespace={namespace}"));
    let all: Api<PersistentVolume> = Api::all(cluster.client.clone());
    all.list(&ours).await.map(|list| list.items).unwrap_or_default()
}

/// Whether a pod is ready and not being deleted.
pub(crate) fn ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True")
}

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).expect("the test's object has the kind's form")
}

fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).expect("the file can be written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("its mode");
}
