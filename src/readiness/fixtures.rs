//! A healthy set, and patches that break it, for the tests of the rules.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Event, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    Assessment, Cause, Endpoint, Expectation, ObjectState, Phase, Snapshot, Streaming,
    StreamingReplica, Trouble, assess,
};
use crate::set::SetIdentity;

/// The time in all fixtures when the apply began.
pub(super) const APPLIED: &str = "2026-11-24T02:00:00Z";
/// A time after the apply.
pub(super) const LATER: &str = "2026-11-24T02:00:30Z";
/// A time before the apply.
pub(super) const EARLIER: &str = "2026-11-24T01:59:59Z";

/// Parses YAML into any type.
pub(super) fn yaml<T: DeserializeOwned>(text: &str) -> T {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// Patches an object: maps are merged, null deletes, other values are replaced.
pub(super) fn patch<T: Serialize + DeserializeOwned>(object: &mut T, text: &str) {
    let mut value = serde_json::to_value(&*object).unwrap();
    merge(&mut value, yaml(text));
    *object = serde_json::from_value(value).unwrap();
}

fn merge(value: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *value = patch;
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    let map = value.as_object_mut().unwrap();
    for (key, patch) in patch {
        if patch.is_null() {
            map.remove(&key);
        } else {
            merge(map.entry(key).or_insert(Value::Null), patch);
        }
    }
}

pub(super) struct World {
    pub(super) snapshot: Snapshot,
    pub(super) expected: Expectation,
}

/// A healthy set with `replicas` pods, which share one claim on a static volume.
pub(super) fn healthy(replicas: u32) -> World {
    let replica_pods: Vec<String> = (1..replicas).map(|n| format!("pgset-{n}")).collect();
    let all: Vec<String> = (0..replicas).map(|n| format!("pgset-{n}")).collect();
    let snapshot = Snapshot {
        statefulset: Some(statefulset(replicas)),
        pods: (0..replicas).map(pod).collect(),
        claims: vec![claim()],
        volumes: vec![volume("pv1")],
        storage_classes: Some(vec![class("standard", "rancher.io/local-path", "Immediate", true)]),
        events: Vec::new(),
        endpoints: [
            ("pgset".to_owned(), endpoints(&all)),
            ("pgset-master".to_owned(), endpoints(&all[..1])),
            ("pgset-replica".to_owned(), endpoints(&replica_pods)),
        ]
        .into(),
        streaming: Some(Streaming {
            replicas: replica_pods
                .iter()
                .map(|pod| StreamingReplica { pod: pod.clone(), state: "streaming".to_owned() })
                .collect(),
            ..Streaming::default()
        }),
    };
    let expected = Expectation {
        set: SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() },
        topology: crate::set::Topology::default(),
        replicas,
        statefulset_uid: Some("set-uid".to_owned()),
        statefulset_generation: Some(3),
        applied: None,
        began: None,
        not_before: Some(APPLIED.parse().unwrap()),
        configured: None,
        want_streaming: true,
        only: None,
        server_minor: 37,
    };
    World { snapshot, expected }
}

fn statefulset(replicas: u32) -> StatefulSet {
    yaml(&format!(
        "
metadata: {{name: pgset, namespace: pg, uid: set-uid, generation: 3}}
spec:
  replicas: {replicas}
  podManagementPolicy: OrderedReady
  updateStrategy: {{type: RollingUpdate, rollingUpdate: {{partition: 0}}}}
  selector: {{}}
  template:
    spec:
      containers: []
      volumes: [{{name: pgdata, persistentVolumeClaim: {{claimName: pgset-pvc}}}}]
status:
  observedGeneration: 3
  replicas: {replicas}
  readyReplicas: {replicas}
  availableReplicas: {replicas}
  updatedReplicas: {replicas}
  currentRevision: pgset-new
  updateRevision: pgset-new
"
    ))
}

pub(super) fn pod(ordinal: u32) -> Pod {
    let role = if ordinal == 0 { "pgset-master" } else { "pgset-replica" };
    yaml(&format!(
        "
metadata:
  name: pgset-{ordinal}
  namespace: pg
  uid: pod-{ordinal}-uid
  labels: {{name: {role}, controller-revision-hash: pgset-new}}
  ownerReferences:
  - {{apiVersion: apps/v1, kind: StatefulSet, name: pgset, uid: set-uid, controller: true}}
spec:
  nodeName: n1
  containers:
  - name: database
    readinessProbe: {{initialDelaySeconds: 5, periodSeconds: 10, failureThreshold: 3, timeoutSeconds: 5}}
  volumes: [{{name: pgdata, persistentVolumeClaim: {{claimName: pgset-pvc}}}}]
status:
  phase: Running
  podIP: 10.0.0.{ordinal}
  conditions:
  - {{type: PodScheduled, status: 'True'}}
  - {{type: Ready, status: 'True'}}
  containerStatuses:
  - name: database
    image: crunchydata/crunchy-postgres:centos7-9.5-1.2.6
    imageID: ''
    ready: true
    started: true
    restartCount: 0
    state: {{running: {{}}}}
"
    ))
}

pub(super) fn claim() -> PersistentVolumeClaim {
    yaml(
        "
metadata: {name: pgset-pvc, namespace: pg, uid: claim-uid}
spec:
  storageClassName: pg.pgset.static
  accessModes: [ReadWriteMany]
  resources: {requests: {storage: 100M}}
  volumeName: pv1
status: {phase: Bound, capacity: {storage: 150M}}
",
    )
}

/// A static hostPath volume of the set, bound to its claim.
pub(super) fn volume(name: &str) -> PersistentVolume {
    yaml(&format!(
        "
metadata:
  name: {name}
  uid: {name}-uid
  labels: {{app.kubernetes.io/instance: pgset, pgset/namespace: pg}}
spec:
  storageClassName: pg.pgset.static
  accessModes: [ReadWriteMany]
  capacity: {{storage: 150M}}
  hostPath: {{path: /srv/pg data}}
  claimRef: {{namespace: pg, name: pgset-pvc, uid: claim-uid}}
status: {{phase: Bound}}
"
    ))
}

pub(super) fn class(name: &str, provisioner: &str, mode: &str, default: bool) -> StorageClass {
    yaml(&format!(
        "
metadata:
  name: {name}
  annotations: {{storageclass.kubernetes.io/is-default-class: '{default}'}}
provisioner: {provisioner}
volumeBindingMode: {mode}
"
    ))
}

pub(super) fn endpoints(pods: &[String]) -> Vec<Endpoint> {
    let endpoint = |pod: &String| Endpoint {
        pod: Some(pod.clone()),
        address: format!("address of {pod}"),
        ready: true,
    };
    pods.iter().map(endpoint).collect()
}

/// An event in the older form, with a count.
pub(super) fn event(uid: &str, reason: &str, count: i32, last: &str, message: &str) -> Event {
    let value = json!({
        "metadata": {},
        "involvedObject": {"uid": uid},
        "type": if ["Pulling", "Pulled", "WaitForFirstConsumer"].contains(&reason) { "Normal" } else { "Warning" },
        "reason": reason,
        "count": count,
        "firstTimestamp": last,
        "lastTimestamp": last,
        "message": message,
    });
    serde_json::from_value(value).unwrap()
}

impl World {
    pub(super) fn assess(&self) -> Assessment {
        assess(&self.snapshot, &self.expected)
    }

    pub(super) fn set(mut self, text: &str) -> Self {
        patch(self.snapshot.statefulset.as_mut().unwrap(), text);
        self
    }

    pub(super) fn pod(mut self, ordinal: usize, text: &str) -> Self {
        patch(&mut self.snapshot.pods[ordinal], text);
        self
    }

    /// Makes a pod not ready and patches its container's status with `text`.
    pub(super) fn container(self, ordinal: usize, text: &str) -> Self {
        let mut world = self.unready(ordinal);
        let status = world.snapshot.pods[ordinal].status.as_mut().unwrap();
        patch(&mut status.container_statuses.as_mut().unwrap()[0], text);
        world
    }

    pub(super) fn unready(mut self, ordinal: usize) -> Self {
        let text = "status: {conditions: [{type: PodScheduled, status: 'True'}, {type: Ready, status: 'False'}]}";
        patch(&mut self.snapshot.pods[ordinal], text);
        let status = self.snapshot.pods[ordinal].status.as_mut().unwrap();
        patch(&mut status.container_statuses.as_mut().unwrap()[0], "ready: false");
        self
    }

    pub(super) fn claim(mut self, text: &str) -> Self {
        patch(&mut self.snapshot.claims[0], text);
        self
    }

    pub(super) fn volume(mut self, text: &str) -> Self {
        patch(&mut self.snapshot.volumes[0], text);
        self
    }

    pub(super) fn event(mut self, event: Event) -> Self {
        self.snapshot.events.push(event);
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The state of an object, selected by its display name.
    pub(super) fn state(&self, object: &str) -> ObjectState {
        let states = self.assess().states;
        let found = states.iter().find(|state| state.object.to_string() == object);
        found.cloned().unwrap_or_else(|| panic!("no state of {object} in {states:?}"))
    }

    pub(super) fn assert_state(&self, object: &str, phase: Phase, state: &str) {
        let found = self.state(object);
        assert_eq!((found.phase, found.state.as_str()), (phase, state), "{object}");
    }

    /// Asserts that there is exactly one trouble, with this cause and grace period.
    pub(super) fn assert_trouble(&self, object: &str, cause: Cause, grace: u64) -> Trouble {
        let found = self.assess();
        assert!(!found.ready, "a set in trouble is not ready: {:?}", found.troubles);
        let [only] = found.troubles.as_slice() else {
            panic!("not one trouble: {:?}; {:?}", found.troubles, found.waiting_for)
        };
        let got = (only.object.to_string(), only.cause, only.grace.as_secs());
        assert_eq!(got, (object.to_owned(), cause, grace));
        only.clone()
    }

    /// Asserts that the set is not ready and has no troubles.
    pub(super) fn assert_waits(&self, line: &str) {
        let found = self.assess();
        assert_eq!(found.troubles, []);
        assert!(!found.ready);
        assert!(found.waiting_for.iter().any(|l| l == line), "{line} in {:?}", found.waiting_for);
    }

    pub(super) fn assert_ready(&self) {
        let found = self.assess();
        assert_eq!(found.waiting_for, Vec::<String>::new());
        assert_eq!(found.troubles, []);
        assert!(found.ready);
    }
}
