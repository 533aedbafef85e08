//! Deleting the files of a set on storage that several pods share.
//!
//! A claim per pod goes with its volume, by the reclaim policy of its class. A shared volume (NFS,
//! host path, somebody's claim) is not deleted by Kubernetes: a pod that mounts it deletes the
//! directories of the set, and nothing else. Were they left, the next `up` would find a database that
//! none of its new passwords opens.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Work, sql};
use crate::cluster::task::{self, End};
use crate::interrupt::interrupted;
use crate::manifest::object::{LABEL_INSTANCE, LABEL_MANAGED_BY, MANAGER};
use crate::manifest::{Kind, Object, ObjectId};
use crate::set::{SetIdentity, objects};

/// Annotation of the Secret: the image that the set was made with.
const ANNOTATION_IMAGE: &str = "pgset/image";
/// Annotation of the Secret: the user that the image runs as, and that the files belong to.
const ANNOTATION_USER: &str = "pgset/user-id";
/// Annotation of the Secret: the claim that all pods of the set share.
const ANNOTATION_CLAIM: &str = "pgset/shared-claim";

/// The container of the pod that deletes.
const CONTAINER: &str = "erase";

/// The claim that the pods of the set share, and what else its Secret says about reaching the files.
/// None where each pod has a claim of its own.
pub(crate) fn shared<'a>(
    set: &SetIdentity,
    going: &'a BTreeMap<ObjectId, Value>,
) -> Option<(&'a str, &'a Value)> {
    let annotations = &going.get(&objects::passwords(set))?["metadata"]["annotations"];
    Some((annotations[ANNOTATION_CLAIM].as_str()?, annotations))
}

/// Deletes the directories of the set on its shared claim, if it has one. Why they stay, if they can't be
/// reached.
///
/// # Errors
/// When the cluster does not answer, or a person interrupts.
pub(crate) async fn erase(
    work: Work<'_>,
    going: &BTreeMap<ObjectId, Value>,
) -> anyhow::Result<Option<String>> {
    let set = work.set;
    let Some((claim, annotations)) = shared(set, going) else { return Ok(None) };
    let made_with = annotations[ANNOTATION_IMAGE].as_str();
    let user = annotations[ANNOTATION_USER].as_str().and_then(|user| user.parse().ok());
    let statefulset = going.get(&objects::statefulset(set));
    let Some(pod) = eraser(set, claim, made_with, user, statefulset) else {
        return Ok(Some("the image that could delete them is not known".to_owned()));
    };
    let claim_id = ObjectId::new(Kind::PersistentVolumeClaim, work.namespace(), claim);
    if work.cluster.get(&claim_id).await?.is_none() {
        return Ok(None);
    }
    let reason = tokio::select! {
        end = task::run(work.cluster, &pod) => match end? {
            End::Succeeded => None,
            End::Failed => {
                let log = work.cluster.logs(work.namespace(), &pod.id.name, CONTAINER, false, 5);
                let log = log.await.unwrap_or_else(|| "the pod failed".to_owned());
                Some(log.trim().replace('\n', "; "))
            }
            End::NotStarted(reason) => Some(reason),
        },
        exit = work.context.interrupt.wait() => {
            task::discard(work.cluster, &pod.id).await?;
            let done = "the pods are stopped, some files may be deleted already";
            return Err(interrupted(exit, done, &work.context.again).into());
        }
    };
    task::discard(work.cluster, &pod.id).await?;
    if reason.is_none() {
        work.context.note(format!("the files of {} on claim {claim} are deleted", set.name));
    }
    Ok(reason)
}

/// The pod: the set's own image and user, the claim, and one `rm`. None when these are not known.
///
/// The StatefulSet knows best which image can be pulled, by whom it runs and where. Once it is gone
/// (an earlier run was interrupted) there is the image that the set was made with.
fn eraser(
    set: &SetIdentity,
    claim: &str,
    made_with: Option<&str>,
    user: Option<i64>,
    statefulset: Option<&Value>,
) -> Option<Object> {
    let template = statefulset.map_or(&Value::Null, |set| &set["spec"]["template"]["spec"]);
    let image = sql::container(&template["containers"])
        .and_then(|it| it["image"].as_str())
        .or(made_with)?;
    let user = template["securityContext"]["runAsUser"].as_i64().or(user)?;
    let name = format!("{}-erase", set.name);
    let mut value = json!({
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
                "name": CONTAINER,
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
    for field in ["imagePullSecrets", "nodeSelector", "tolerations"] {
        if !template[field].is_null() {
            value["spec"][field] = template[field].clone();
        }
    }
    let id = ObjectId::new(Kind::Pod, set.namespace.as_str(), &name);
    Some(Object { id, value, template: "the eraser".to_owned() })
}

/// Only what is named SET-NUMBER, and what lies beside it (a lock, a clone that is not finished): another
/// set's `SET-0-1` or `SET-other-0` stays, and no set's name has a dot.
const ERASE: &str = r#"
for path in /pgdata/"$SET"-*; do
  ordinal=${path#/pgdata/"$SET"-}
  ordinal=${ordinal%.lock}
  ordinal=${ordinal%.new}
  ordinal=${ordinal%.old}
  case $ordinal in
    '' | *[!0-9]*) continue ;;
  esac
  rm -rf -- "$path"
done
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> SetIdentity {
        SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() }
    }

    #[test]
    fn the_pod_runs_what_the_set_runs() {
        let statefulset = json!({"spec": {"template": {"spec": {
            "containers": [{"name": "postgres", "image": "registry.example/mine/pg:1"}],
            "securityContext": {"runAsUser": 26, "runAsGroup": 26, "fsGroup": 26},
            "imagePullSecrets": [{"name": "login"}],
        }}}});
        let bad = Some("mine/pg:no-such-tag");
        let pod = eraser(&set(), "data", bad, Some(999), Some(&statefulset)).unwrap().value;
        assert_eq!(pod["spec"]["containers"][0]["image"], "registry.example/mine/pg:1");
        assert_eq!(pod["spec"]["securityContext"]["runAsUser"], 26);
        assert_eq!(pod["spec"]["imagePullSecrets"], json!([{"name": "login"}]));
        assert_eq!(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "data");
    }

    #[test]
    fn once_the_set_is_gone_it_runs_what_the_set_was_made_with() {
        let pod = eraser(&set(), "data", Some("postgres:17"), Some(999), None).unwrap().value;
        assert_eq!(pod["spec"]["containers"][0]["image"], "postgres:17");
        assert_eq!(pod["spec"]["securityContext"]["fsGroup"], 999);
        assert!(eraser(&set(), "data", None, Some(999), None).is_none());
        assert!(eraser(&set(), "data", Some("postgres:17"), None, None).is_none());
    }

    /// The script itself, on a directory of the test's own.
    #[test]
    fn only_the_directories_of_the_set_go() {
        let volume = tempfile::tempdir().unwrap();
        let names = [
            "pgset-0",
            "pgset-0.lock",
            "pgset-1.new",
            "pgset-1.old",
            "pgset-11",
            "pgset-",
            "pgset-0-1",
            "pgset-0-1.old",
            "pgset-b-0",
            "other-0",
            "pgset",
            "pgset-0.mine",
        ];
        for name in names {
            std::fs::create_dir_all(volume.path().join(name).join("base")).unwrap();
        }
        let script = ERASE.replace("/pgdata/", &format!("{}/", volume.path().display()));
        let ended = std::process::Command::new("/bin/sh")
            .args(["-ec", &script])
            .env("SET", "pgset")
            .status()
            .unwrap();
        assert!(ended.success());
        let stays = |name: &&str| volume.path().join(name).exists();
        let left: Vec<&str> = names.into_iter().filter(stays).collect();
        assert_eq!(
            left,
            [
                "pgset-",
                "pgset-0-1",
                "pgset-0-1.old",
                "pgset-b-0",
                "other-0",
                "pgset",
                "pgset-0.mine"
            ]
        );
    }
}
