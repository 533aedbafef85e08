//! Nodes that lose their power or their connection, and pods that spread over nodes.

use std::path::PathBuf;

use pgset::sandbox::kinds::{NODES, PODS, SERVICES, SLICES};
use pgset::sandbox::registry::Delete;
use pgset::sandbox::store::Key;
use serde_json::{Value, json};

use super::World;
use crate::support::pgset::{Output, Pgset};
use crate::support::{eventually, seconds};

impl World {
    /// Runs `pgset sandbox` for this sandbox.
    async fn sandbox(&self, line: &str) -> Output {
        let directory = self.sandbox.place().directory();
        Pgset::new(&format!("sandbox {line}")).arg("--directory").arg(directory).run().await
    }

    /// The state of a node's condition `Ready`.
    fn node_ready(&self, name: &str) -> Value {
        let node = self.sandbox.registry.store.get(&Key::new(&NODES, "", name)).unwrap();
        node["status"]["conditions"][0]["status"].clone()
    }

    fn pod(&self, name: &str) -> Value {
        self.object(&Self::key(&PODS, name)).unwrap_or_default()
    }

    fn host(&self, pod: &str) -> String {
        self.pod(pod)["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()
    }

    fn is_ready(&self, pod: &str) -> bool {
        let pod = self.pod(pod);
        let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    }

    async fn until_ready(&self, pod: &str) {
        eventually(&format!("{pod} is ready"), seconds(30), async || {
            if self.is_ready(pod) { Ok(()) } else { Err(self.pod(pod).to_string()) }
        })
        .await;
    }

    async fn until_silent(&self, node: &str) {
        eventually(&format!("{node} is not ready"), seconds(30), async || {
            let ready = self.node_ready(node);
            if ready == "Unknown" { Ok(()) } else { Err(ready.to_string()) }
        })
        .await;
    }

    /// The directory of a pod's files.
    fn directory(&self, pod: &Value) -> PathBuf {
        let uid = pod["metadata"]["uid"].as_str().unwrap();
        self.sandbox.place().directory().join("pods").join(uid.split('-').next().unwrap())
    }

    /// A file in a volume of a pod; empty if it does not exist.
    fn volume(&self, pod: &Value, file: &str) -> String {
        std::fs::read_to_string(self.directory(pod).join("v").join(file)).unwrap_or_default()
    }

    /// The ids of a pod's processes.
    fn processes_of(&self, pod: &Value) -> Vec<String> {
        let mark = format!("PGSET_SANDBOX={}/", self.directory(pod).display());
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let mut entries = environment.split(|byte| *byte == 0);
            if entries.any(|text| text.starts_with(mark.as_bytes())) {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        found.sort();
        found
    }

    /// Creates a pod that runs a script, on a node.
    fn run_on(&self, node: &str, name: &str, init: &str, script: &str) {
        let mounts = json!([
            {"name": "disk", "mountPath": "/disk"}, {"name": "memory", "mountPath": "/memory"},
        ]);
        let container = |name: &str, script: &str| {
            json!({"name": name, "image": "postgres:17", "volumeMounts": mounts,
                "command": ["/bin/bash", "-c", script]})
        };
        let pod = json!({
            "metadata": {"labels": {"run": name}},
            "spec": {
                "nodeName": node, "terminationGracePeriodSeconds": 1,
                "initContainers": [container("init", init)],
                "containers": [container("main", script)],
                "volumes": [
                    {"name": "disk", "emptyDir": {}},
                    {"name": "memory", "emptyDir": {"medium": "Memory"}},
                ],
            },
        });
        let key = Self::key(&PODS, name);
        self.sandbox.registry.create(&key, pod, "kubectl", false).unwrap();
    }

    fn remove(&self, pod: &str, grace: Option<u64>) {
        let how = Delete { grace, ..Delete::default() };
        self.sandbox.registry.delete(&Self::key(&PODS, pod), &how).unwrap();
    }

    /// The addresses that a Service forwards to.
    fn endpoints(&self, service: &str) -> Vec<Value> {
        let slices = self.sandbox.registry.store.list(&SLICES, Some("default")).0;
        let of = slices
            .iter()
            .filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == service);
        let endpoints = of.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
        let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] == true);
        ready.map(|endpoint| endpoint["targetRef"]["name"].clone()).collect()
    }

    /// Creates a Service for the pods of [`World::run_on`] with this name, and returns its address.
    fn serve(&self, name: &str) -> String {
        let key = Self::key(&SERVICES, name);
        let spec = json!({"selector": {"run": name}, "ports": [{"port": 5432}]});
        let service = self.sandbox.registry.create(&key, json!({"spec": spec}), "kubectl", false);
        service.unwrap()["spec"]["clusterIP"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn pods_spread_over_the_nodes_that_are_ready() {
    let world = World::quick_with_nodes(3).await;
    world.sandbox("node freeze sandbox-2").await.ok().says("node sandbox-2 is frozen");
    world.until_silent("sandbox-2").await;
    world.pgset("up --replicas 3").run().await.ok();
    let hosts = ["pgset-0", "pgset-1", "pgset-2"].map(|pod| world.host(pod));
    assert_eq!(hosts, ["sandbox-1", "sandbox-3", "sandbox-1"]);

    let status = world.sandbox("status").await.ok();
    for line in ["sandbox-1   Ready\n", "sandbox-2   NotReady, frozen\n", "sandbox-3   Ready\n"] {
        assert!(status.stdout.contains(line), "{status}");
    }
    world.sandbox("node thaw sandbox-2").await.ok();
    assert_eq!(world.node_ready("sandbox-2"), "True");
    world.pgset("scale --replicas 4").run().await.ok();
    assert_eq!(world.host("pgset-3"), "sandbox-2");
    world.stop().await;
}

#[tokio::test]
async fn a_power_cut_kills_all_and_a_boot_starts_it_again() {
    let world = World::quick_with_nodes(2).await;
    let init = "echo >>/disk/runs; echo >>/memory/runs";
    world.run_on("sandbox-1", "left", init, "sleep 3600");
    world.run_on("sandbox-2", "right", init, "sleep 3600 & wait");
    world.serve("right");
    world.until_ready("left").await;
    world.until_ready("right").await;
    let (left, right) = (world.pod("left"), world.pod("right"));
    assert!(!world.processes_of(&right).is_empty());
    let others = world.processes_of(&left);

    world.sandbox("node stop sandbox-2").await.ok().says("node sandbox-2 is stopped");
    assert_eq!(world.processes_of(&right), Vec::<String>::new());
    assert_eq!(world.processes_of(&left), others);
    world.until_silent("sandbox-2").await;
    eventually("the Service leaves the pod out", seconds(10), async || {
        let endpoints = world.endpoints("right");
        if endpoints.is_empty() { Ok(()) } else { Err(format!("{endpoints:?}")) }
    })
    .await;
    let dead = world.pod("right");
    assert_eq!(dead["status"]["containerStatuses"], right["status"]["containerStatuses"]);
    assert!(world.is_ready("left") && !world.is_ready("right"));

    world.sandbox("node start sandbox-2").await.ok().says("node sandbox-2 is ready");
    assert_eq!(world.node_ready("sandbox-2"), "True");
    world.until_ready("right").await;
    let again = world.pod("right");
    assert_eq!(again["metadata"]["uid"], right["metadata"]["uid"]);
    assert_eq!(again["status"]["containerStatuses"][0]["restartCount"], 1);
    assert_eq!(world.volume(&again, "disk/runs"), "\n\n", "the init container runs again");
    assert_eq!(world.volume(&again, "memory/runs"), "\n", "memory does not outlive a boot");
    assert_eq!(world.endpoints("right"), ["right"]);
    world.stop().await;
}

#[tokio::test]
async fn a_pod_that_is_deleted_while_its_node_is_off_stays_until_the_node_is_back() {
    let world = World::quick_with_nodes(2).await;
    world.pgset("up").run().await.ok();
    let before = world.pod("pgset-1");
    assert_eq!(world.host("pgset-1"), "sandbox-2");
    let first = || {
        let volumes = world.sandbox.place().directory().join("volumes");
        let entries = std::fs::read_dir(volumes).unwrap().flatten();
        let mut files = entries.map(|volume| volume.path().join("pgset-1/first"));
        std::fs::read_to_string(files.find(|file| file.exists()).unwrap()).unwrap()
    };
    let data = first();

    world.sandbox("node stop sandbox-2").await.ok();
    world.remove("pgset-1", None);
    world.until_silent("sandbox-2").await;
    assert_eq!(world.pod("pgset-1")["metadata"]["uid"], before["metadata"]["uid"]);
    assert!(world.pod("pgset-1")["metadata"]["deletionTimestamp"].is_string());
    world.sandbox("node start sandbox-2").await.ok();
    let replaced = async |before: &Value| {
        eventually("the pod is created again", seconds(30), async || {
            let pod = world.pod("pgset-1");
            let other = pod["metadata"]["uid"] != before["metadata"]["uid"];
            if other && world.is_ready("pgset-1") { Ok(pod) } else { Err(pod.to_string()) }
        })
        .await
    };
    let second = replaced(&before).await;
    assert_eq!(second["spec"]["nodeName"], "sandbox-2");
    eventually("the files of the deleted pod are deleted", seconds(10), async || {
        let directory = world.directory(&before);
        if directory.exists() { Err(directory.display().to_string()) } else { Ok(()) }
    })
    .await;

    // Deleted by force, the pod starts on the other node, and its volume follows.
    world.sandbox("node stop sandbox-2").await.ok();
    world.until_silent("sandbox-2").await;
    world.remove("pgset-1", Some(0));
    let third = replaced(&second).await;
    assert_eq!(third["spec"]["nodeName"], "sandbox-1");
    assert_eq!(first(), data);
    world.sandbox("node start sandbox-2").await.ok();
    assert!(!world.directory(&second).exists());
    assert_eq!(world.pod("pgset-1")["metadata"]["uid"], third["metadata"]["uid"]);
    world.stop().await;
}

#[tokio::test]
async fn a_frozen_node_runs_on_and_reports_when_it_is_thawed() {
    let world = World::quick_with_nodes(2).await;
    // The container ends when a file appears.
    let until = "while [ ! -e /disk/end ]; do sleep 0.1; done; rm /disk/end";
    world.run_on("sandbox-2", "cut", "true", until);
    world.run_on("sandbox-2", "forced", "true", "sleep 3600");
    world.serve("cut");
    for pod in ["cut", "forced"] {
        world.until_ready(pod).await;
    }
    let (before, forced) = (world.pod("cut"), world.pod("forced"));
    let there = world.processes_of(&forced);
    world.sandbox("node freeze sandbox-2").await.ok();
    let logs = world.kubelet_says("cut").await.unwrap_err().to_string();
    assert!(logs.contains("no route to host"), "{logs}");

    // A restart is not reported.
    std::fs::write(world.directory(&before).join("v/disk/end"), "").unwrap();
    eventually("the container has ended", seconds(10), async || {
        let there = world.volume(&before, "disk/end");
        let exists = world.directory(&before).join("v/disk/end").exists();
        if exists { Err(there) } else { Ok(()) }
    })
    .await;
    world.until_silent("sandbox-2").await;
    eventually("the Service leaves the pod out", seconds(10), async || {
        let endpoints = world.endpoints("cut");
        if endpoints.is_empty() { Ok(()) } else { Err(format!("{endpoints:?}")) }
    })
    .await;
    assert!(!world.is_ready("cut"));
    assert_eq!(world.pod("cut")["status"]["containerStatuses"][0]["restartCount"], 0);

    // A pod that is deleted by force runs on.
    world.remove("forced", Some(0));
    assert_eq!(world.pod("forced"), Value::Null);
    assert_eq!(world.processes_of(&forced), there);

    world.sandbox("node thaw sandbox-2").await.ok().says("node sandbox-2 is ready");
    eventually("the pod that was deleted ends", seconds(10), async || {
        let left = world.processes_of(&forced);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    eventually("the restart is reported", seconds(10), async || {
        let status = world.pod("cut")["status"]["containerStatuses"][0].clone();
        let reported = status["restartCount"] == 1 && world.is_ready("cut");
        if reported { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    world.kubelet_says("cut").await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn requests_of_a_frozen_node_s_pods_are_answered_when_it_is_thawed() {
    let world = World::quick_with_nodes(2).await;
    world.run_on("sandbox-1", "free", "true", "sleep 3600");
    world.run_on("sandbox-2", "cut", "true", "sleep 3600");
    for pod in ["free", "cut"] {
        world.until_ready(pod).await;
    }
    let of = async |pod: &str| world.client_of(&world.pod(pod)).await;
    let (free, cut) = (of("free").await, of("cut").await);
    // Both pods are refused, which is an answer, too.
    let ask = async |client: &kube::Client| {
        let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
            kube::Api::namespaced(client.clone(), "default");
        pods.get("cut").await.unwrap_err().to_string()
    };
    assert!(ask(&cut).await.contains("forbidden"));
    world.sandbox("node freeze sandbox-2").await.ok();
    assert!(ask(&free).await.contains("forbidden"));
    let asking = ask(&cut);
    tokio::pin!(asking);
    let early = tokio::time::timeout(seconds(1), &mut asking).await;
    assert!(early.is_err(), "{early:?}");
    world.sandbox("node thaw sandbox-2").await.ok();
    assert!(asking.await.contains("forbidden"));
    world.stop().await;
}

#[tokio::test]
async fn a_frozen_node_has_no_connections_through_services() {
    let world = World::quick_with_nodes(2).await;
    let near = world.serve("near");
    let far = world.serve("far");
    // A connection lasts until it is cut: the servers accept, and send nothing.
    let connect = |address: &str| {
        format!(
            "while :; do exec 3<>/dev/tcp/{address}/5432 && {{ echo >>/disk/opened; read -r x <&3; echo >>/disk/closed; }}; exec 3>&-; sleep 0.1; done"
        )
    };
    world.run_on("sandbox-1", "near", "true", &connect(&far));
    world.run_on("sandbox-2", "far", "true", &connect(&near));
    world.run_on("sandbox-2", "deleted", "true", &connect(&near));
    for pod in ["near", "far", "deleted"] {
        world.until_ready(pod).await;
    }
    let (near, far, deleted) = (world.pod("near"), world.pod("far"), world.pod("deleted"));
    let count = |pod: &Value, file: &str| world.volume(pod, &format!("disk/{file}")).len();
    for pod in [&near, &far, &deleted] {
        eventually("the pods are connected", seconds(10), async || {
            let (opened, closed) = (count(pod, "opened"), count(pod, "closed"));
            if opened == closed + 1 { Ok(()) } else { Err(format!("{opened}, {closed}")) }
        })
        .await;
    }
    world.sandbox("node freeze sandbox-2").await.ok();
    world.remove("deleted", Some(0));
    eventually("connections to the node are closed", seconds(10), async || {
        let closed = count(&near, "closed");
        if closed > 0 { Ok(()) } else { Err("it is open".to_owned()) }
    })
    .await;
    for pod in [&far, &deleted] {
        let before = count(pod, "closed");
        eventually("connections of the node are closed at once", seconds(20), async || {
            let closed = count(pod, "closed");
            if closed > before + 2 { Ok(()) } else { Err(format!("{closed}")) }
        })
        .await;
    }
    world.sandbox("node thaw sandbox-2").await.ok();
    let mut last = Vec::new();
    eventually("the pods are connected again", seconds(20), async || {
        last.push([&near, &far].map(|pod| (count(pod, "opened"), count(pod, "closed"))));
        // A connection that is cut lasts for less than the time of this many attempts.
        let stays = last.len() > 6 && last[last.len() - 6..].windows(2).all(|two| two[0] == two[1]);
        if stays { Ok(()) } else { Err(format!("{last:?}")) }
    })
    .await;
    world.stop().await;
}

#[tokio::test]
async fn a_node_command_that_can_t_be_done_names_what_can() {
    let world = World::quick_with_nodes(2).await;
    let directory = world.sandbox.place().directory().display().to_string();
    let unknown = world.sandbox("node stop sandbox-3").await.exits(2);
    unknown
        .says("the sandbox has no node \"sandbox-3\", only sandbox-1, sandbox-2")
        .says(&format!("pgset sandbox node stop sandbox-1 --directory {directory}"));
    world.sandbox("node start sandbox-1").await.exits(4).says("node sandbox-1 is running");
    let running = world.sandbox("node thaw sandbox-1").await.exits(4);
    running.says("node sandbox-1 is running").says("pgset sandbox node freeze sandbox-1");
    world.sandbox("node freeze sandbox-1").await.ok();
    let frozen = world.sandbox("node freeze sandbox-1").await.exits(4);
    frozen.says("node sandbox-1 is frozen").says("pgset sandbox node thaw sandbox-1");
    // The power of a node can fail after its network.
    world.sandbox("node stop sandbox-1").await.ok();
    let stopped = world.sandbox("node stop sandbox-1").await.exits(4);
    stopped.says("node sandbox-1 is stopped").says("pgset sandbox node start sandbox-1");
    world.sandbox("node stop").await.exits(2);

    let other = world.sandbox("start --nodes 3").await.exits(4);
    other.says("has 2 nodes, not 3").says("pgset sandbox stop --delete");
    for number in ["0", "10", "three"] {
        let start = world.sandbox(&format!("start --nodes {number}")).await.exits(2);
        start.says("--nodes").says(number);
    }
    let nowhere = world.directory.path().join("nowhere");
    let call = Pgset::new("sandbox node stop sandbox --directory").arg(&nowhere).run().await;
    call.exits(3).says("no sandbox is running in").says("pgset sandbox start");
    assert!(!nowhere.exists());
    world.stop().await;
}

impl World {
    async fn client_with(&self, token: Option<String>) -> kube::Client {
        let kubeconfig = kube::config::Kubeconfig::read_from(self.kubeconfig()).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.unwrap();
        if let Some(token) = token {
            config.auth_info.token = Some(token.into());
        }
        kube::Client::try_from(config).unwrap()
    }

    /// A client with the token of a pod.
    async fn client_of(&self, pod: &Value) -> kube::Client {
        let account = "main/var/run/secrets/kubernetes.io/serviceaccount/token";
        let token = std::fs::read_to_string(self.directory(pod).join(account)).unwrap();
        self.client_with(Some(token)).await
    }

    /// The log of a pod, which only its node has.
    async fn kubelet_says(&self, pod: &str) -> Result<String, kube::Error> {
        let client = self.client_with(None).await;
        let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
            kube::Api::namespaced(client, "default");
        let of_main =
            kube::api::LogParams { container: Some("main".to_owned()), ..Default::default() };
        pods.logs(pod, &of_main).await
    }
}
