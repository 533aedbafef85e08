//! Deleting the files of a set on storage that several pods share.
//!
//! A claim per pod goes with its volume, by the reclaim policy of its class. A shared volume (NFS,
//! host path, somebody's claim) is not deleted by Kubernetes: a pod that mounts it deletes the
//! directories of the set, and nothing else. Were they left, the next `up` would find a database that
//! none of its new passwords opens.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Context, live};
use crate::cluster::{Cluster, ClusterError};
use crate::manifest::object::{LABEL_INSTANCE, LABEL_MANAGED_BY, MANAGER};
use crate::manifest::{Kind, Object, ObjectId};
use crate::settings::SetIdentity;

/// Annotation of the Secret: the image that the set was made with.
pub const ANNOTATION_IMAGE: &str = "pgset/image";
/// Annotation of the Secret: the user that the image runs as, and that the files belong to.
pub const ANNOTATION_USER: &str = "pgset/user-id";
/// Annotation of the Secret: the claim that all pods of the set share.
pub const ANNOTATION_CLAIM: &str = "pgset/shared-claim";

/// How long the pod may take to start: past that the volume can't be mounted.
const START_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// The claim that the pods of the set share, and image and user to reach its files with; by the Secret,
/// which goes last. None where each pod has a claim of its own.
pub(crate) fn shared<'a>(
    set: &SetIdentity,
    going: &'a BTreeMap<ObjectId, Value>,
) -> Option<(&'a str, &'a str, u32)> {
    let annotations = &going.get(&super::desired::secret_id(set))?["metadata"]["annotations"];
    let user = annotations[ANNOTATION_USER].as_str()?.parse().ok()?;
    Some((annotations[ANNOTATION_CLAIM].as_str()?, annotations[ANNOTATION_IMAGE].as_str()?, user))
}

/// Deletes the set's directories on its shared claim, if it has one.
///
/// # Errors
/// When the cluster refuses. Files that can't be reached stay, with a warning that says where.
pub async fn erase(
    context: &Context,
    cluster: &Cluster,
    set: &SetIdentity,
    going: &BTreeMap<ObjectId, Value>,
) -> anyhow::Result<()> {
    let Some((claim, image, user)) = shared(set, going) else { return Ok(()) };
    let claim_id = ObjectId::new(Kind::PersistentVolumeClaim, set.namespace.as_str(), claim);
    if cluster.get(&claim_id).await?.is_none() {
        return Ok(());
    }
    let pod = eraser(set, claim, image, user);
    // What an interrupted run left.
    discard(cluster, &pod.id).await?;
    cluster.create(&pod, false).await?;
    let end = watch(cluster, &pod.id).await;
    let reason = match end? {
        End::Succeeded => None,
        End::Failed => {
            let namespace = set.namespace.as_str();
            let log = cluster.logs(namespace, &pod.id.name, "erase", false, 5).await;
            Some(log.unwrap_or_else(|| "the pod failed".to_owned()).trim().replace('\n', "; "))
        }
        End::NotStarted(reason) => Some(reason),
    };
    discard(cluster, &pod.id).await?;
    match reason {
        None => context.note(format!("the files of {} on claim {claim} are deleted", set.name)),
        Some(reason) => context.warn(format!(
            "the files of {} on claim {claim} could not be deleted and stay where they are: {reason}",
            set.name
        )),
    }
    Ok(())
}

enum End {
    Succeeded,
    Failed,
    NotStarted(String),
}

async fn watch(cluster: &Cluster, id: &ObjectId) -> Result<End, ClusterError> {
    let until = (Instant::now() + START_WITHIN).min(cluster.deadline.at());
    loop {
        let pod = cluster.get(id).await?.unwrap_or_default();
        match pod["status"]["phase"].as_str() {
            Some("Succeeded") => return Ok(End::Succeeded),
            Some("Failed") => return Ok(End::Failed),
            // It deletes as long as it takes.
            Some("Running") if Instant::now() < cluster.deadline.at() => {}
            phase if Instant::now() >= until => {
                let phase = phase.unwrap_or("gone");
                return Ok(End::NotStarted(format!(
                    "pod {} did not start within {} s ({phase}): can the volume be mounted?",
                    id.name,
                    START_WITHIN.as_secs()
                )));
            }
            _ => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn discard(cluster: &Cluster, id: &ObjectId) -> Result<(), ClusterError> {
    while let Some(pod) = cluster.get(id).await? {
        cluster.delete(id, live::uid_of(&pod)).await?;
        if cluster.deadline.remaining().is_zero() {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// The pod: the set's own image and user, the claim, and one `rm`.
fn eraser(set: &SetIdentity, claim: &str, image: &str, user: u32) -> Object {
    let name = format!("{}-erase", set.name);
    let value = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
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
                "name": "erase",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                // The glob is the shell's, the name is not: only NAME-0, NAME-1, ... go.
                "command": ["/bin/sh", "-ec", ERASE],
                "env": [{ "name": "SET", "value": set.name.as_str() }],
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": { "drop": ["ALL"] },
                },
                "volumeMounts": [{ "name": "pgdata", "mountPath": "/pgdata" }],
            }],
            "volumes": [{ "name": "pgdata", "persistentVolumeClaim": { "claimName": claim } }],
        },
    });
    let id = ObjectId::new(Kind::Pod, set.namespace.as_str(), &name);
    Object { id, value, template: "the eraser".to_owned() }
}

/// Only directories named SET-NUMBER: another set's `SET-0-1` or `SET-other-0` stays.
const ERASE: &str = r#"
for path in /pgdata/"$SET"-*; do
  ordinal=${path#/pgdata/"$SET"-}
  case $ordinal in
    '' | *[!0-9]*) continue ;;
  esac
  rm -rf -- "$path"
done
"#;
