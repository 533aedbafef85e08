//! Asks the server whether it would admit a pod of a new template: the limits and the policies of the cluster
//! answer while every pod still runs.

use kube::core::Status;
use serde_json::{Value, json};

use super::quota::{self, Quota};
use crate::cluster::objects::Freshness;
use crate::cluster::{Cluster, ClusterError};
use crate::error::{Exit, Failure};
use crate::manifest::{Kind, Object};
use crate::procedure::{Work, live};
use crate::set::{SetIdentity, objects};

/// Where the ID of a StatefulSet that does not exist yet stands.
const NO_UID: &str = "00000000-0000-0000-0000-000000000000";

/// The StatefulSet whose pods are to be admitted.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    /// The desired StatefulSet.
    pub(crate) statefulset: &'a Value,
    /// The live one, if there is one.
    pub(crate) live: Option<&'a Value>,
    /// The desired number of pods.
    pub(crate) replicas: u32,
    /// Whether the service account of the pods exists.
    pub(crate) account_exists: bool,
}

/// Refuses a pod template whose pods the cluster would not admit. Nothing is written.
///
/// Whoever may not create pods is not asked for this right: then the StatefulSet's own events tell.
///
/// # Errors
/// When the cluster would not admit the pods, with its words; when it can't be reached.
pub(crate) async fn check(work: Work<'_>, new: Candidate<'_>) -> anyhow::Result<()> {
    let pod = pod(work.set, new);
    let dry_run = work.cluster.create(&pod, true);
    let quotas = async {
        // A new pod that uses more can exceed a quota that has room for the first of them.
        if uses_more(new) { quotas(work.cluster, work.set).await } else { Ok(Vec::new()) }
    };
    let (dry_run, quotas) = futures::join!(dry_run, quotas);
    let status = match dry_run {
        Ok(_) => None,
        Err(ClusterError::Refused { status, .. }) => Some(status),
        Err(error) => return Err(error.into()),
    };
    match status.as_deref().map_or(Answer::Admitted, Answer::of) {
        Answer::Admitted => within(work, new, quotas?, None).await,
        Answer::Quota => {
            let quotas = match quotas? {
                none if none.is_empty() => self::quotas(work.cluster, work.set).await?,
                some => some,
            };
            within(work, new, quotas, status.as_deref()).await
        }
        Answer::Unknown(why) => {
            work.context.detail(format!("not checked whether the cluster admits the pods: {why}"));
            Ok(())
        }
        Answer::Refused(why) => Err(refusal(work, new, why).into()),
    }
}

/// What the server said about the pod.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Admitted,
    /// It exceeds a quota, which may have room when the old pods are gone.
    Quota,
    /// It says nothing about pods of the StatefulSet.
    Unknown(String),
    Refused(String),
}

impl Answer {
    fn of(status: &Status) -> Self {
        let message = status.message.trim();
        let says = |words: &str| message.contains(words);
        if says("exceeded quota: ") {
            return Self::Quota;
        }
        let unknown = match status.code {
            // The account may not create pods.
            403 => says("cannot create resource") || says("error looking up service account"),
            400 => says("does not support dry run"),
            422 => false,
            // The credentials, the namespace, another pod of this name, or a webhook that fails now.
            _ => true,
        };
        let why = bare(message).to_owned();
        if unknown { Self::Unknown(why) } else { Self::Refused(why) }
    }
}

/// The reason without the name of the pod, which never exists: `pods "pgset-2" is forbidden: ...`.
fn bare(message: &str) -> &str {
    let rest = message.strip_prefix("pods \"").or_else(|| message.strip_prefix("Pod \""));
    let reason = rest.and_then(|rest| {
        let (_, reason) = rest.split_once("\" is ")?;
        let reason = reason.strip_prefix("forbidden: ").or(reason.strip_prefix("invalid: "))?;
        Some(reason.trim_start())
    });
    reason.unwrap_or(message)
}

fn refusal(work: Work<'_>, new: Candidate<'_>, why: String) -> Failure {
    let set = &work.set.name;
    let rest = match new.live {
        Some(_) => "nothing was changed, and no pod was stopped",
        None => "nothing was created",
    };
    let message = format!("the cluster would not admit the new pods of {set}; {rest}");
    Failure::new(Exit::Refused, message).details([why])
}

/// Refuses pods that do not fit into the quotas of the namespace. `refused` is the server's refusal of one more
/// pod, which it sends although the old pod makes room.
async fn within(
    work: Work<'_>,
    new: Candidate<'_>,
    quotas: Vec<Value>,
    refused: Option<&Status>,
) -> anyhow::Result<()> {
    if quotas.is_empty() && refused.is_none() {
        return Ok(());
    }
    let selector = work.set.selector();
    let listed =
        work.cluster.list(Kind::Pod, work.namespace(), &selector, Freshness::Latest).await?;
    let of_set = listed.iter().filter(|pod| {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let phase = pod["status"]["phase"].as_str();
        work.set.ordinal(name).is_some() && !matches!(phase, Some("Succeeded" | "Failed"))
    });
    let old = quota::sum(of_set.map(|pod| quota::of_pod(&pod["spec"])));
    let mut usage = quota::of_pod(&new.statefulset["spec"]["template"]["spec"]);
    let mut all: Vec<Quota> = quotas.iter().filter_map(Quota::read).collect();
    // The server knows whether a quota with a scope counts the pod, and which defaults the pod gets.
    if let Some((named, requested)) = refused.and_then(|s| Quota::of_refusal(&s.message)) {
        usage.extend(requested);
        all.retain(|quota| !quota.is_named_as(&named));
        all.push(named);
    }
    // A new set has no pod that could be lost: the server's answer about the first pod is enough.
    let pods = if new.live.is_some() { new.replicas } else { 1 };
    let excess = quota::excess(&all, &old, &usage, pods);
    if excess.is_empty() {
        return Ok(());
    }
    let failure = refusal(work, new, excess.join("; "));
    Err(failure.hint("request less (--requests, --limits), or ask for a larger quota").into())
}

/// Whether a pod of the new template uses more than one of the old template.
fn uses_more(new: Candidate<'_>) -> bool {
    let usage = |statefulset: &Value| quota::of_pod(&statefulset["spec"]["template"]["spec"]);
    let Some(old) = new.live.map(usage) else { return false };
    usage(new.statefulset).iter().any(|(resource, amount)| old.get(resource) < Some(amount))
}

/// The quotas of the namespace. None if this account may not read them: then only the server's refusal of a pod
/// tells about them.
async fn quotas(cluster: &Cluster, set: &SetIdentity) -> Result<Vec<Value>, ClusterError> {
    let namespace = set.namespace.as_str();
    match cluster.list(Kind::ResourceQuota, namespace, "", Freshness::Latest).await {
        Err(error) if error.is_forbidden() || error.is_not_found() => Ok(Vec::new()),
        found => found,
    }
}

/// A pod as the StatefulSet's controller would create it, with a name that no pod of the set has.
fn pod(set: &SetIdentity, new: Candidate<'_>) -> Object {
    let Candidate { statefulset, live, replicas, .. } = new;
    let name = set.pod(live.map_or(0, objects::replicas).max(replicas));
    let spec = &statefulset["spec"];
    let template = &spec["template"];
    let mut labels = template["metadata"]["labels"].clone();
    labels["statefulset.kubernetes.io/pod-name"] = json!(name);
    let mut pod = template["spec"].clone();
    pod["hostname"] = json!(name);
    pod["subdomain"] = spec["serviceName"].clone();
    if !new.account_exists {
        // The server refuses a pod whose account does not exist. This one exists in every namespace.
        pod["serviceAccountName"] = json!("default");
    }
    let mut volumes = pod["volumes"].as_array().cloned().unwrap_or_default();
    for claim in spec["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let volume = claim["metadata"]["name"].as_str().unwrap_or_default();
        let claim = json!({ "claimName": format!("{volume}-{name}") });
        volumes.push(json!({ "name": volume, "persistentVolumeClaim": claim }));
    }
    pod["volumes"] = json!(volumes);
    let mut metadata = json!({
        "name": name,
        "namespace": set.namespace.as_str(),
        "labels": labels,
        // Some policies refuse pods without an owner. `blockOwnerDeletion` would need another right.
        "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "StatefulSet", "name": set.name.as_str(),
            "uid": live.map_or(NO_UID, live::uid_of), "controller": true,
        }],
    });
    if !template["metadata"]["annotations"].is_null() {
        metadata["annotations"] = template["metadata"]["annotations"].clone();
    }
    let value = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod});
    Object { id: objects::pod(set, &name), value, template: "the dry run of a pod".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, message: &str) -> Status {
        let mut status = Status::failure(message, "");
        status.code = code;
        status
    }

    #[test]
    fn answers_of_the_server() {
        let refused = |why: &str| Answer::Refused(why.to_owned());
        let unknown = |why: &str| Answer::Unknown(why.to_owned());
        for (code, message, answer) in [
            (
                403,
                "pods \"pgset-2\" is forbidden: maximum cpu usage per Container is 1, but limit is 2",
                refused("maximum cpu usage per Container is 1, but limit is 2"),
            ),
            (
                403,
                "pods \"pgset-2\" is forbidden: violates PodSecurity \"restricted:latest\": seccompProfile",
                refused("violates PodSecurity \"restricted:latest\": seccompProfile"),
            ),
            (
                422,
                "Pod \"pgset-2\" is invalid: spec.containers[0].image: Required value",
                refused("spec.containers[0].image: Required value"),
            ),
            (
                400,
                "admission webhook \"x.example\" denied the request: no",
                refused("admission webhook \"x.example\" denied the request: no"),
            ),
            (
                403,
                "pods \"pgset-2\" is forbidden: failed quota: q: must specify limits.cpu for: postgres",
                refused("failed quota: q: must specify limits.cpu for: postgres"),
            ),
            (
                403,
                "pods \"pgset-2\" is forbidden: exceeded quota: q, requested: ...",
                Answer::Quota,
            ),
            (
                403,
                "pods is forbidden: User \"ann\" cannot create resource \"pods\" in API group \"\" in the namespace \"x\"",
                unknown(
                    "pods is forbidden: User \"ann\" cannot create resource \"pods\" in API group \"\" in the namespace \"x\"",
                ),
            ),
            (
                403,
                "pods \"pgset-2\" is forbidden: error looking up service account pg/default: serviceaccount \"default\" not found",
                unknown(
                    "error looking up service account pg/default: serviceaccount \"default\" not found",
                ),
            ),
            (
                400,
                "admission webhook \"x.example\" does not support dry run",
                unknown("admission webhook \"x.example\" does not support dry run"),
            ),
            (
                500,
                "Internal error occurred: failed calling webhook \"x.example\": connection refused",
                unknown(
                    "Internal error occurred: failed calling webhook \"x.example\": connection refused",
                ),
            ),
            (409, "pods \"pgset-2\" already exists", unknown("pods \"pgset-2\" already exists")),
        ] {
            assert_eq!(Answer::of(&status(code, message)), answer, "{message}");
        }
    }

    #[test]
    fn the_pod_is_the_one_that_the_controller_would_create() {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let statefulset = json!({
            "metadata": {"uid": "u"},
            "spec": {
                "replicas": 2, "serviceName": "pgset",
                "template": {
                    "metadata": {"labels": {"app": "pgset"}, "annotations": {"a": "b"}},
                    "spec": {"serviceAccountName": "pgset-sa", "volumes": [{"name": "tmp"}]},
                },
                "volumeClaimTemplates": [{"metadata": {"name": "pgdata"}}],
            },
        });
        let mut new = Candidate {
            statefulset: &statefulset,
            live: Some(&statefulset),
            replicas: 2,
            account_exists: true,
        };
        let made = pod(&set, new);
        assert_eq!(made.id.name, "pgset-2");
        let value = made.value;
        assert_eq!(value["spec"]["hostname"], "pgset-2");
        assert_eq!(value["spec"]["subdomain"], "pgset");
        assert_eq!(value["spec"]["serviceAccountName"], "pgset-sa");
        assert_eq!(value["metadata"]["ownerReferences"][0]["uid"], "u");
        assert_eq!(value["metadata"]["annotations"], json!({"a": "b"}));
        assert_eq!(
            value["spec"]["volumes"],
            json!([{"name": "tmp"}, {"name": "pgdata", "persistentVolumeClaim": {"claimName": "pgdata-pgset-2"}}])
        );
        new = Candidate { live: None, account_exists: false, ..new };
        let value = pod(&set, new).value;
        assert_eq!(value["spec"]["serviceAccountName"], "default");
        assert_eq!(value["metadata"]["ownerReferences"][0]["uid"], NO_UID);
    }
}
