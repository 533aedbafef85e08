//! Tests that the scripted server answers like an API server, and that chosen calls get the scripted
//! answers.

use http::Method;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::support::server::{Reply, Server};

async fn maps(server: &Server) -> Api<ConfigMap> {
    let config = Kubeconfig::read_from(server.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(config, &options).await.unwrap();
    config.default_retry = false;
    Api::default_namespaced(Client::try_from(config).unwrap())
}

fn map(name: &str) -> Value {
    let labels = json!({"app.kubernetes.io/instance": name});
    json!({"apiVersion": "v1", "kind": "ConfigMap",
           "metadata": {"name": name, "labels": labels}, "data": {"key": "value"}})
}

#[tokio::test]
async fn objects_are_stored_listed_and_deleted() {
    let server = Server::start().await;
    let maps = maps(&server).await;
    let apply = PatchParams::apply("pgset");
    let first = maps.patch("one", &apply, &Patch::Apply(map("one"))).await.unwrap();
    let again = maps.patch("one", &apply, &Patch::Apply(map("one"))).await.unwrap();
    assert_eq!(first.metadata.uid, again.metadata.uid);
    let managed = &again.metadata.managed_fields.unwrap()[0];
    assert_eq!(managed.manager.as_deref(), Some("pgset"));
    let owned = &managed.fields_v1.as_ref().unwrap().0;
    assert_eq!(owned["f:data"], json!({"f:key": {}}));
    assert_eq!(owned["f:metadata"]["f:labels"], json!({"f:app.kubernetes.io/instance": {}}));

    let two: ConfigMap = serde_json::from_value(map("two")).unwrap();
    maps.create(&PostParams::default(), &two).await.unwrap();
    let error = maps.create(&PostParams::default(), &two).await.unwrap_err();
    assert!(error.to_string().contains("already exists"), "{error}");
    let selected = ListParams::default().labels("app.kubernetes.io/instance=two");
    assert_eq!(maps.list(&selected).await.unwrap().items.len(), 1);
    assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 2);

    let dry = PatchParams { dry_run: true, ..PatchParams::apply("pgset") };
    maps.patch("three", &dry, &Patch::Apply(map("three"))).await.unwrap();
    assert!(maps.get_opt("three").await.unwrap().is_none());
    maps.delete("one", &DeleteParams::default()).await.unwrap();
    assert!(maps.get_opt("one").await.unwrap().is_none());
    // Two applies, one create that succeeded, one that was refused, and one delete. The dry run does not
    // count.
    assert_eq!(server.writes().len(), 5);
}

#[tokio::test]
async fn chosen_calls_are_answered_by_the_script() {
    let server = Server::start().await;
    let maps = maps(&server).await;
    let path = "/configmaps/one";
    server.put("/api/v1/namespaces/pg/configmaps/one", map("one"));
    server.script(Method::GET, path, 1..2, Reply::status(503, "ServiceUnavailable", "not now"));
    server.script(Method::GET, path, 2..3, Reply::Close);
    server.script(Method::GET, path, 3..4, Reply::Broken("{"));
    maps.get("one").await.unwrap();
    assert!(maps.get("one").await.unwrap_err().to_string().contains("not now"));
    maps.get("one").await.unwrap_err();
    maps.get("one").await.unwrap_err();
    maps.get("one").await.unwrap();
    assert_eq!(server.requests().len(), 5);
}
