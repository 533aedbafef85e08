//! Deletes a set's files on storage that several pods share.
//!
//! When each pod has its own claim, the claim's volume is deleted according to the reclaim policy of its
//! class. Kubernetes does not delete a shared volume (NFS, host path, a claim of the user's). So a pod that
//! mounts it deletes the set's directories, and nothing else. If they remained, the next `up` would find a
//! database that accepts none of its new passwords.

use std::collections::BTreeMap;

use serde_json::Value;

use super::data_pod::{self, DataTask};
use super::{Work, lease, sql};
use crate::cluster::task::{self, End};
use crate::interrupt::interrupted;
use crate::manifest::{Kind, Object, ObjectId};
use crate::set::{SetIdentity, objects};
use crate::settings::readback::{ANNOTATION_CLAIM, ANNOTATION_IMAGE, ANNOTATION_USER};

/// The container that deletes the files.
const CONTAINER: &str = "erase";

/// The claim that the set's pods share, and the annotations of the Secret that the deletion of the files
/// needs. `None` if each pod has its own claim.
pub(crate) fn shared<'a>(
    set: &SetIdentity,
    going: &'a BTreeMap<ObjectId, Value>,
) -> Option<(&'a str, &'a Value)> {
    let annotations = &going.get(&objects::passwords(set))?["metadata"]["annotations"];
    Some((annotations[ANNOTATION_CLAIM].as_str()?, annotations))
}

/// Deletes the set's directories on its shared claim, if it has one. Returns the reason if they could not be
/// deleted.
///
/// # Errors
/// When the cluster does not answer, or the user interrupts.
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
        return Ok(Some("the image or user to delete them with is not known".to_owned()));
    };
    let claim_id = ObjectId::new(Kind::PersistentVolumeClaim, work.namespace(), claim);
    if work.cluster.get(&claim_id).await?.is_none() {
        return Ok(None);
    }
    lease::still_ours(work).await?;
    let end = if let Some(refused) = task::start(work.cluster, &pod).await? {
        refused
    } else {
        tokio::select! {
            end = task::end(work.cluster, &pod.id) => end?,
            exit = work.context.interrupt.wait() => {
                task::discard(work.cluster, &pod.id).await?;
                let done = "the pods are stopped, some files may be deleted already";
                return Err(interrupted(exit, done, &work.context.again).into());
            }
        }
    };
    let reason = match end {
        End::Succeeded => None,
        End::Failed => {
            let log = work.cluster.logs(work.namespace(), &pod.id.name, CONTAINER, false, 5).await;
            let log = log.unwrap_or_else(|| "the pod failed".to_owned());
            Some(log.trim().replace('\n', "; "))
        }
        End::NotStarted(reason) => Some(reason),
    };
    task::discard(work.cluster, &pod.id).await?;
    if reason.is_none() {
        work.context.note(format!("the files of {} on claim {claim} are deleted", set.name));
    }
    Ok(reason)
}

/// The pod that deletes the files: it uses the set's image, user and claim, and runs `rm`. `None` if the
/// image or the user is not known.
///
/// The StatefulSet is the best source for image, user and scheduling. If an interrupted run has already
/// deleted it, the image and the user recorded in the Secret are used.
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
    // The shell expands the glob, but not the set's name: only NAME-0, NAME-1, ... are deleted.
    let variables = [("SET", set.name.as_str())];
    let mut pod = data_pod::pod(
        set,
        DataTask {
            name: CONTAINER,
            image,
            user,
            claim,
            read_only: false,
            variables: &variables,
            script: ERASE,
        },
    );
    for field in ["imagePullSecrets", "nodeSelector", "tolerations"] {
        if !template[field].is_null() {
            pod.value["spec"][field] = template[field].clone();
        }
    }
    Some(pod)
}

/// Deletes only SET-NUMBER and what the pods' script puts beside it (a lock, what the pod knew, an unfinished clone). Directories of other sets,
/// such as `SET-0-1` or `SET-other-0`, are kept. The name of a set never contains a dot.
const ERASE: &str = r#"
for path in /pgdata/"$SET"-*; do
  ordinal=${path#/pgdata/"$SET"-}
  beside=${ordinal#"${ordinal%%.*}"}
  case $beside in
    '' | .lock | .new | .old | .role | .role.new | .fence | .fence.new | .stopped | .stopped.new | .rejoined | .rejoined.new | .half | .old.tablespaces | \
      .diverged | .diverged.new | .diverged-* | .kept.tablespaces | .kept.tablespaces.* | .owner.* | .owner-*) ;;
    *) continue ;;
  esac
  case ${ordinal%%.*} in
    '' | *[!0-9]*) continue ;;
  esac
  rm -rf -- "$path"
done
"#;

#[cfg(test)]
mod tests {
    use serde_json::json;

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

    /// Runs the script itself, on a temporary directory.
    #[test]
    fn only_the_directories_of_the_set_go() {
        let volume = tempfile::tempdir().unwrap();
        let names = [
            "pgset-0",
            "pgset-0.lock",
            "pgset-1.new",
            "pgset-1.old",
            "pgset-1.role",
            "pgset-1.fence",
            "pgset-1.owner.12",
            "pgset-1.owner-41d7.new",
            "pgset-1.old.tablespaces",
            "pgset-1.kept.tablespaces",
            "pgset-1.kept.tablespaces.2",
            "pgset-1.half",
            "pgset-1.stopped",
            "pgset-1.rejoined",
            "pgset-1.diverged-2",
            "pgset-11",
            "pgset-",
            "pgset-0-1",
            "pgset-0-1.old",
            "pgset-b-0",
            "other-0",
            "pgset",
            "pgset-0.mine",
            "pgset-0.tablespaces",
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
                "pgset-0.mine",
                "pgset-0.tablespaces"
            ]
        );
    }
}
