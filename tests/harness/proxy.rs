//! Tests the proxy with a real cluster: plain calls, a watch, an exec, and each kind of fault.

use std::time::Duration;

use futures::StreamExt;
use http::Method;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

use crate::support::http::status;
use crate::support::proxy::{Fault, Proxy};
use crate::support::space::{Space, ready};
use crate::support::{eventually, seconds};

async fn client(proxy: &Proxy, namespace: &str) -> Client {
    let config = Kubeconfig::read_from(proxy.kubeconfig(namespace)).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(config, &options).await.unwrap();
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn passes_calls_and_watches_on() {
    let space = Space::new("proxy").await;
    let proxy = Proxy::start(&space.cluster).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&proxy, &space.name).await);
    let listed = maps.list(&ListParams::default()).await.unwrap();
    let version = listed.metadata.resource_version.unwrap();
    let mut events = maps.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    maps.create(&PostParams::default(), &config_map("one")).await.unwrap();
    let event = tokio::time::timeout(seconds(10), events.next()).await.unwrap().unwrap().unwrap();
    assert!(matches!(event, WatchEvent::Added(map) if map.metadata.name.as_deref() == Some("one")));
    maps.delete("one", &DeleteParams::default()).await.unwrap();
    let methods: Vec<_> = proxy.requests().into_iter().map(|r| r.method).collect();
    assert_eq!(methods, [Method::GET, Method::GET, Method::POST, Method::DELETE]);
    assert_eq!(proxy.writes().len(), 2);
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn passes_an_exec_on() {
    let mut space = Space::new("proxy").await;
    let pod = json!({
        "metadata": {"name": "shell"},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{
            "name": "shell", "image": "crunchydata/crunchy-postgres:centos7-9.5-1.2.6",
            "imagePullPolicy": "IfNotPresent", "command": ["sleep", "300"],
        }]},
    });
    space.create::<Pod>(pod).await;
    let pods = space.api::<Pod>();
    eventually("the pod is ready", seconds(60), async || {
        let pod = pods.get("shell").await.map_err(|e| e.to_string())?;
        ready(&pod).then_some(()).ok_or_else(|| format!("{:?}", pod.status))
    })
    .await;
    let proxy = Proxy::start(&space.cluster).await;
    space.cluster.client = client(&proxy, &space.name).await;
    // No PostgreSQL server runs in the pod. The proxy must return psql's own error message.
    let said = space.sql("shell", "postgres", "select 1").await.unwrap_err();
    assert!(said.contains("/tmp/.s.PGSQL.5432"), "{said}");
    assert!(proxy.requests()[0].path.contains("/exec?"), "{:?}", proxy.requests());
}

#[tokio::test]
#[ignore = "needs a cluster: PGSET_E2E=1"]
async fn misbehaves_as_told() {
    let space = Space::new("proxy").await;
    let proxy = Proxy::start(&space.cluster).await;
    let client = client(&proxy, &space.name).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let posts = |seen: &crate::support::proxy::Seen| seen.method == Method::POST;
    let create =
        async |name: &str| maps.create(&PostParams::default(), &config_map(name)).await.map(drop);
    let there = async |name: &str| space.api::<ConfigMap>().get_opt(name).await.unwrap().is_some();

    let busy = status(429, "TooManyRequests", "busy").to_string();
    proxy.fault(1, posts, &Fault::Answer(429, busy, Some(1)));
    assert!(create("answered").await.unwrap_err().to_string().contains("busy"));
    assert!(!there("answered").await);

    proxy.fault(1, posts, &Fault::DropBefore);
    create("before").await.unwrap_err();
    assert!(!there("before").await);

    proxy.fault(1, posts, &Fault::DropAfter);
    create("after").await.unwrap_err();
    assert!(there("after").await);

    proxy.fault(1, posts, &Fault::Delay(Duration::from_millis(300)));
    let start = std::time::Instant::now();
    create("late").await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));

    // The first request passes. The second is held and never reaches the server.
    proxy.hold_after(1);
    create("passes").await.unwrap();
    let held = create("held");
    tokio::select! {
        done = held => panic!("the gate was closed: {done:?}"),
        () = proxy.held() => {}
    }
    proxy.reset();
    assert!(there("passes").await);
    assert!(!there("held").await);
    create("later").await.unwrap();
}
