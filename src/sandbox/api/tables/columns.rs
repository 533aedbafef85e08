//! The columns of each kind, as in the real server.

use serde_json::Value;

use super::Column;
use super::cells::{
    age, claim_of, class_name, containers, controller, count, data, endpoints, event_count,
    event_object, event_source, event_time, images, list, modes, node_address, node_status, number,
    of_binding, or_none, or_unset, pairs, pod_status, ports, quota, ready, restarts, text,
};

/// A column that is always shown.
const fn shown(name: &'static str, cell: fn(&Value) -> String) -> Column {
    Column { name, wide: false, cell }
}

/// A column that is shown only with `-o wide`.
const fn wide(name: &'static str, cell: fn(&Value) -> String) -> Column {
    Column { name, wide: true, cell }
}

const NAME: Column = shown("Name", |o| text(o, "/metadata/name"));
const AGE: Column = shown("Age", |o| age(&text(o, "/metadata/creationTimestamp")));

/// The columns of a kind.
pub(super) fn of(kind: &str) -> &'static [Column] {
    match kind {
        "Pod" => POD,
        "StatefulSet" => STATEFUL_SET,
        "ControllerRevision" => REVISION,
        "Service" => SERVICE,
        "EndpointSlice" => SLICE,
        "PersistentVolumeClaim" => CLAIM,
        "PersistentVolume" => VOLUME,
        "StorageClass" => CLASS,
        "Event" => EVENT,
        "Secret" => SECRET,
        "ConfigMap" => CONFIG_MAP,
        "Namespace" => NAMESPACE,
        "Node" => NODE,
        "Role" => ROLE,
        "RoleBinding" => BINDING,
        "NetworkPolicy" => POLICY,
        "PodDisruptionBudget" => BUDGET,
        "ResourceQuota" => QUOTA,
        _ => PLAIN,
    }
}

static POD: &[Column] = &[
    NAME,
    shown("Ready", ready),
    shown("Status", pod_status),
    shown("Restarts", restarts),
    AGE,
    wide("IP", |o| or_none(text(o, "/status/podIP"))),
    wide("Node", |o| or_none(text(o, "/spec/nodeName"))),
    wide("Nominated Node", |o| or_none(text(o, "/status/nominatedNodeName"))),
    wide("Readiness Gates", |_| or_none(String::new())),
];

static STATEFUL_SET: &[Column] = &[
    NAME,
    shown("Ready", |o| {
        format!("{}/{}", number(o, "/status/readyReplicas"), number(o, "/spec/replicas"))
    }),
    AGE,
    wide("Containers", containers),
    wide("Images", images),
];

static REVISION: &[Column] = &[
    NAME,
    shown("Controller", controller),
    shown("Revision", |o| number(o, "/revision").to_string()),
    AGE,
];

static SERVICE: &[Column] = &[
    NAME,
    shown("Type", |o| text(o, "/spec/type")),
    shown("Cluster-IP", |o| text(o, "/spec/clusterIP")),
    shown("External-IP", |_| or_none(String::new())),
    shown("Port(s)", ports),
    AGE,
    wide("Selector", |o| pairs(o, "/spec/selector")),
];

static SLICE: &[Column] = &[
    NAME,
    shown("AddressType", |o| text(o, "/addressType")),
    shown("Ports", |o| {
        or_unset(&list(o, "/ports").map(|p| number(p, "/port").to_string()).collect::<Vec<_>>())
    }),
    shown("Endpoints", endpoints),
    AGE,
];

static CLAIM: &[Column] = &[
    NAME,
    shown("Status", |o| {
        let gone = !o["metadata"]["deletionTimestamp"].is_null();
        if gone { "Terminating".to_owned() } else { text(o, "/status/phase") }
    }),
    shown("Volume", |o| text(o, "/spec/volumeName")),
    shown("Capacity", |o| text(o, "/status/capacity/storage")),
    shown("Access Modes", |o| modes(o, "/status/accessModes")),
    shown("StorageClass", class_name),
    shown("VolumeAttributesClass", |_| or_unset(&[])),
    AGE,
    wide("VolumeMode", |o| text(o, "/spec/volumeMode")),
];

static VOLUME: &[Column] = &[
    NAME,
    shown("Capacity", |o| text(o, "/spec/capacity/storage")),
    shown("Access Modes", |o| modes(o, "/spec/accessModes")),
    shown("Reclaim Policy", |o| text(o, "/spec/persistentVolumeReclaimPolicy")),
    shown("Status", |o| {
        let gone = !o["metadata"]["deletionTimestamp"].is_null();
        if gone { "Terminating".to_owned() } else { text(o, "/status/phase") }
    }),
    shown("Claim", claim_of),
    shown("StorageClass", class_name),
    shown("VolumeAttributesClass", |_| or_unset(&[])),
    shown("Reason", |o| text(o, "/status/reason")),
    AGE,
    wide("VolumeMode", |o| text(o, "/spec/volumeMode")),
];

static CLASS: &[Column] = &[
    shown("Name", |o| {
        let default =
            o["metadata"]["annotations"][crate::sandbox::admission::DEFAULT_CLASS] == "true";
        text(o, "/metadata/name") + if default { " (default)" } else { "" }
    }),
    shown("Provisioner", |o| text(o, "/provisioner")),
    shown("ReclaimPolicy", |o| text(o, "/reclaimPolicy")),
    shown("VolumeBindingMode", |o| text(o, "/volumeBindingMode")),
    shown("AllowVolumeExpansion", |o| (o["allowVolumeExpansion"] == true).to_string()),
    AGE,
];

static EVENT: &[Column] = &[
    shown("Last Seen", |o| event_time(o, "/lastTimestamp")),
    shown("Type", |o| text(o, "/type")),
    shown("Reason", |o| text(o, "/reason")),
    shown("Object", event_object),
    wide("Subobject", |o| text(o, "/involvedObject/fieldPath")),
    wide("Source", event_source),
    shown("Message", |o| text(o, "/message").trim().to_owned()),
    wide("First Seen", |o| event_time(o, "/firstTimestamp")),
    wide("Count", event_count),
    wide("Name", |o| text(o, "/metadata/name")),
];

static NODE: &[Column] = &[
    NAME,
    shown("Status", node_status),
    shown("Roles", |_| or_none(String::new())),
    AGE,
    shown("Version", |o| text(o, "/status/nodeInfo/kubeletVersion")),
    wide("Internal-IP", node_address),
    wide("External-IP", |_| or_none(String::new())),
    wide("OS-Image", |o| text(o, "/status/nodeInfo/osImage")),
    wide("Kernel-Version", |o| text(o, "/status/nodeInfo/kernelVersion")),
    wide("Container-Runtime", |o| text(o, "/status/nodeInfo/containerRuntimeVersion")),
];

static BINDING: &[Column] = &[
    NAME,
    shown("Role", |o| format!("{}/{}", text(o, "/roleRef/kind"), text(o, "/roleRef/name"))),
    AGE,
    wide("Users", |o| of_binding(o, "User")),
    wide("Groups", |o| of_binding(o, "Group")),
    wide("ServiceAccounts", |o| of_binding(o, "ServiceAccount")),
];

static BUDGET: &[Column] = &[
    NAME,
    shown("Min Available", |o| count(o, "/spec/minAvailable")),
    shown("Max Unavailable", |o| count(o, "/spec/maxUnavailable")),
    shown("Allowed Disruptions", |o| number(o, "/status/disruptionsAllowed").to_string()),
    AGE,
];

static PLAIN: &[Column] = &[NAME, AGE];
static SECRET: &[Column] = &[NAME, shown("Type", |o| text(o, "/type")), shown("Data", data), AGE];
static CONFIG_MAP: &[Column] = &[NAME, shown("Data", data), AGE];
static NAMESPACE: &[Column] = &[NAME, shown("Status", |o| text(o, "/status/phase")), AGE];
static ROLE: &[Column] = &[NAME, shown("Created At", |o| text(o, "/metadata/creationTimestamp"))];
static POLICY: &[Column] =
    &[NAME, shown("Pod-Selector", |o| pairs(o, "/spec/podSelector/matchLabels")), AGE];
static QUOTA: &[Column] = &[NAME, shown("Request", quota), shown("Limit", |_| String::new()), AGE];
