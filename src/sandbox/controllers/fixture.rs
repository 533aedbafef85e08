//! A cluster for tests of the controllers: a store without an API server and without a node. A test
//! runs the controllers pass by pass and acts as the kubelet, so nothing depends on time.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::faults::Faults;
use super::super::journal::Journal;
use super::super::kinds::{PODS, Resource, STATEFUL_SETS};
use super::super::network::Network;
use super::super::refusal::Answer;
use super::super::registry::{Delete, Registry};
use super::super::store::{Key, Store};
use super::{STATUS, WRITER, condition, deleted, furnish, pass, text};

/// The namespace of every object in these tests.
pub(super) const NAMESPACE: &str = "default";

pub(super) struct Cluster {
    pub(super) registry: Registry,
    pub(super) faults: Faults,
}

impl Cluster {
    pub(super) fn new() -> Self {
        Self::with_nodes(1)
    }

    pub(super) fn with_nodes(nodes: u8) -> Self {
        let store = Store::new(Journal::none(), Vec::new(), 0);
        let network = Network::beside(Ipv4Addr::new(127, 1, 2, 1));
        let registry = Registry::new(store, network, PathBuf::from("/nonexistent"));
        furnish(&registry, nodes);
        Self { registry, faults: Faults::default() }
    }

    pub(super) fn key(resource: &'static Resource, name: &str) -> Key {
        Key::new(resource, NAMESPACE, name)
    }

    pub(super) fn create(&self, resource: &'static Resource, name: &str, object: Value) {
        self.registry.create(&Self::key(resource, name), object, "kubectl", false).unwrap();
    }

    pub(super) fn get(&self, resource: &'static Resource, name: &str) -> Option<Arc<Value>> {
        self.registry.store.get(&Self::key(resource, name))
    }

    /// Changes an object, as `kubectl edit` does.
    pub(super) fn edit(
        &self,
        resource: &'static Resource,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Answer<Arc<Value>> {
        self.registry.update(&Self::key(resource, name), WRITER, false, |object| {
            change(object);
            Ok(())
        })
    }

    /// Deletes an object, as `kubectl delete` does. A pod that is assigned to a node stays until
    /// [`Self::end`].
    pub(super) fn delete(&self, resource: &'static Resource, name: &str) {
        self.registry.delete(&Self::key(resource, name), &Delete::default()).unwrap();
    }

    /// Creates the StatefulSet `db` with this policy, this update strategy and this number of pods.
    pub(super) fn create_set(&self, policy: &str, strategy: &Value, replicas: u64) {
        let labels = json!({"app": "db"});
        let set = json!({"spec": {
            "replicas": replicas, "serviceName": "db", "podManagementPolicy": policy,
            "updateStrategy": strategy, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "db", "image": "postgres:1"}]},
            },
        }});
        self.create(&STATEFUL_SETS, "db", set);
    }

    /// Gives the set a template with another image. This creates a new revision.
    pub(super) fn set_image(&self, image: &str) {
        self.edit(&STATEFUL_SETS, "db", |set| {
            set["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        })
        .unwrap();
    }

    pub(super) fn status(&self) -> Value {
        self.get(&STATEFUL_SETS, "db").unwrap()["status"].clone()
    }

    /// The image of a pod; none if the pod does not exist.
    pub(super) fn image(&self, pod: &str) -> Option<String> {
        let pod = self.get(&PODS, pod)?;
        Some(text(&pod, "/spec/containers/0/image").to_owned())
    }

    /// Runs the controllers until they write nothing more.
    pub(super) fn sync(&self) {
        for _ in 0..100 {
            let before = self.registry.store.list(&PODS, None).1;
            pass(&self.registry, &self.faults);
            if self.registry.store.list(&PODS, None).1 == before {
                return;
            }
        }
        panic!("the controllers write without an end");
    }

    /// Acts as the kubelet: the pod runs and is ready.
    pub(super) fn start(&self, pod: &str) {
        self.report_pod(pod, "Running", true);
    }

    /// Acts as the kubelet: sets the pod's phase and its condition `Ready`.
    pub(super) fn report_pod(&self, pod: &str, phase: &str, ready: bool) {
        let ready = if ready { "True" } else { "False" };
        let status = json!({"phase": phase, "conditions": [{"type": "Ready", "status": ready}]});
        self.registry
            .update(&Self::key(&PODS, pod), STATUS, false, |pod| {
                pod["status"] = status;
                Ok(())
            })
            .unwrap();
    }

    /// Acts as the kubelet: the processes of a deleted pod have ended, and the pod is removed.
    pub(super) fn end(&self, pod: &str) {
        let how = Delete { grace: Some(0), ..Delete::default() };
        self.registry.delete(&Self::key(&PODS, pod), &how).unwrap();
    }

    fn pods(&self, test: impl Fn(&Value) -> bool) -> BTreeSet<String> {
        let pods = self.registry.store.list(&PODS, Some(NAMESPACE)).0;
        let pods = pods.iter().filter(|pod| test(pod));
        pods.map(|pod| text(pod, "/metadata/name").to_owned()).collect()
    }

    pub(super) fn terminating(&self) -> BTreeSet<String> {
        self.pods(deleted)
    }

    /// The pods that run, are ready, and are not terminating.
    pub(super) fn available(&self) -> BTreeSet<String> {
        self.pods(|pod| condition(pod, "Ready") == Some(true) && !deleted(pod))
    }

    /// Acts as the kubelet until all pods are available. Returns the unavailable pods after each
    /// step.
    pub(super) fn settle(&self, replicas: u64) -> Vec<BTreeSet<String>> {
        let wanted: BTreeSet<String> = (0..replicas).map(|n| format!("db-{n}")).collect();
        let mut steps = Vec::new();
        for _ in 0..100 {
            self.sync();
            let available = self.available();
            steps.push(wanted.difference(&available).cloned().collect());
            if let Some(pod) = self.terminating().first() {
                self.end(pod);
            } else if let Some(pod) = self.pods(|_| true).difference(&available).next() {
                self.start(pod);
            } else {
                return steps;
            }
        }
        panic!("the set never settles: {steps:?}");
    }
}
