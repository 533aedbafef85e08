//! A pod that works on the data of a set, on one claim, and ends.

use serde_json::{Value, json};

use crate::manifest::object::{LABEL_INSTANCE, LABEL_MANAGED_BY, MANAGER};
use crate::manifest::{Kind, Object, ObjectId};
use crate::set::SetIdentity;

/// What such a pod does.
#[derive(Clone, Copy)]
pub(super) struct DataTask<'a> {
    /// The name of the container, and of the pod after the set's name.
    pub(super) name: &'a str,
    /// The image of the set.
    pub(super) image: &'a str,
    /// The user ID that owns the files.
    pub(super) user: i64,
    /// The claim with the data, mounted at `/pgdata`.
    pub(super) claim: &'a str,
    /// Whether the data can't be changed.
    pub(super) read_only: bool,
    /// Environment variables of the script.
    pub(super) variables: &'a [(&'a str, &'a str)],
    /// The shell script to run.
    pub(super) script: &'a str,
}

/// The pod. It satisfies Pod Security "restricted", and the labels of the set mark it as pgset's.
pub(super) fn pod(set: &SetIdentity, task: DataTask<'_>) -> Object {
    let DataTask { name, image, user, claim, read_only, variables, script } = task;
    let variables: Vec<Value> =
        variables.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let id = ObjectId::new(Kind::Pod, set.namespace.as_str(), &format!("{}-{name}", set.name));
    let value = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": id.name,
            "namespace": set.namespace.as_str(),
            "labels": { LABEL_MANAGED_BY: MANAGER, LABEL_INSTANCE: set.name.as_str() },
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsUser": user, "runAsGroup": user, "fsGroup": user, "runAsNonRoot": true,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "containers": [{
                "name": name,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["/bin/sh", "-ec", script],
                "env": variables,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": { "drop": ["ALL"] },
                },
                "volumeMounts": [
                    { "name": "pgdata", "mountPath": "/pgdata", "readOnly": read_only },
                ],
            }],
            "volumes": [{ "name": "pgdata", "persistentVolumeClaim": { "claimName": claim } }],
        },
    });
    Object { id, value, template: format!("the pod {}-{name}", set.name) }
}
