//! The next command to run, for each cause.

mod volume;

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::snapshot::{Logs, Snapshot};
use super::text::says;
use super::trouble::{Cause, Trouble};
use super::{lost, view};
use crate::manifest::Kind;
use crate::text::DAMAGE;

/// The default name of a set. Commands can omit it.
const DEFAULT_NAME: &str = "pgset";

/// What the pods' script says of a directory that has lost files. See `instead` in volume.sh.
const UNREADABLE: [&str; 2] =
    ["where a replica has the data, make it", "to keep it under another name, and to"];

/// A trouble and the objects it refers to.
#[derive(Clone, Copy)]
struct Case<'a> {
    trouble: &'a Trouble,
    snapshot: &'a Snapshot,
}

impl<'a> Case<'a> {
    fn name(self) -> &'a str {
        &self.trouble.object.name
    }

    fn pod(self) -> Option<&'a Pod> {
        let is = |pod: &&Pod| view::name(&pod.metadata) == self.name();
        self.snapshot.pods.iter().find(is).filter(|_| self.trouble.object.kind == Kind::Pod)
    }

    fn spec(self) -> Option<&'a PodSpec> {
        self.pod()?.spec.as_ref()
    }

    /// `node n1`, or `the node`.
    fn node(self) -> String {
        let name = self.spec().and_then(|spec| spec.node_name.as_deref());
        name.map_or_else(|| "the node".to_owned(), |name| format!("node {name}"))
    }

    fn namespace(self) -> Option<&'a str> {
        let set = self.snapshot.statefulset.as_ref();
        let of_set = || set.and_then(|set| set.metadata.namespace.as_deref());
        self.trouble.object.namespace.as_deref().or_else(of_set)
    }

    /// A kubectl command in the set's namespace.
    fn kubectl(self, command: &str) -> String {
        match self.namespace() {
            Some(namespace) => format!("kubectl -n {namespace} {command}"),
            None => format!("kubectl {command}"),
        }
    }

    /// A pgset command for the set.
    fn pgset(self, command: &str) -> String {
        let mut text = format!("pgset {command}");
        if let Some(namespace) = self.namespace() {
            text = format!("{text} -n {namespace}");
        }
        let set = self.snapshot.statefulset.as_ref().map(|set| view::name(&set.metadata));
        match set.filter(|name| *name != DEFAULT_NAME) {
            Some(name) => format!("{text} --name {name}"),
            None => text,
        }
    }

    /// Whether the pod has the label of the master.
    fn is_master(self) -> bool {
        let labels = self.pod().and_then(|pod| pod.metadata.labels.as_ref());
        let set = self.snapshot.statefulset.as_ref();
        let label = set.map(|set| format!("{}-master", view::name(&set.metadata)));
        labels.and_then(|labels| labels.get("name")) == label.as_ref() && label.is_some()
    }

    /// Another pod that runs.
    fn other_that_runs(self) -> Option<&'a str> {
        let pods = self.snapshot.pods.iter().filter(|pod| lost::is_running(pod));
        pods.map(|pod| view::name(&pod.metadata)).find(|name| *name != self.name())
    }

    fn describe(self) -> String {
        let kind = match self.trouble.object.kind {
            Kind::Pod => "pod",
            Kind::PersistentVolumeClaim => "pvc",
            Kind::PersistentVolume => "pv",
            _ => "statefulset",
        };
        self.kubectl(&format!("describe {kind} {}", self.name()))
    }
}

/// What to do about a trouble: the most likely advice. If it is no command, the first command that helps
/// follows: `node n1 can't reach the registry (kubectl -n pg describe pod pgset-0)`.
pub(super) fn hint(trouble: &Trouble, snapshot: &Snapshot, logs: &Logs) -> Option<String> {
    let hints = hints(trouble, snapshot, logs);
    let first = hints.first()?;
    let is_command = |hint: &&String| hint.starts_with("pgset ") || hint.starts_with("kubectl ");
    let commands = ["`", "kubectl ", "mkdir ", "chown ", "apt-get ", "pgset "];
    let holds_command = commands.iter().any(|command| first.contains(command));
    match hints.iter().find(is_command) {
        Some(command) if !is_command(&first) && !holds_command => {
            Some(format!("{first} ({command})"))
        }
        _ => Some(first.clone()),
    }
}

/// Everything that can be done about a trouble, the most likely first.
pub(super) fn hints(trouble: &Trouble, snapshot: &Snapshot, logs: &Logs) -> Vec<String> {
    let case = Case { trouble, snapshot };
    let mut hints = match trouble.cause {
        Cause::InvalidImageName | Cause::ImagePull => image(case),
        Cause::CrashLoop | Cause::ProbeFailing => log(case, logs),
        Cause::Unschedulable => unschedulable(case),
        Cause::FailedMount => volume::mount(case),
        Cause::FailedCreate => refused(case),
        Cause::CreateContainerConfig | Cause::Replaced | Cause::Deleted => {
            vec![again(" to restore it")]
        }
        Cause::Wedged => wedged(case),
        Cause::NoStorageClass => volume::classes(case),
        Cause::FailedBinding => volume::unbound(case),
        Cause::VolumeReleased => volume::released(case),
        Cause::VolumeClaimedByOther => volume::taken(case),
        Cause::ClaimLost => volume::lost(),
        Cause::CreateContainer
        | Cause::PodFailed
        | Cause::ProvisioningFailed
        | Cause::VolumeFailed => Vec::new(),
    };
    if !matches!(trouble.cause, Cause::Replaced | Cause::Deleted | Cause::FailedCreate) {
        hints.push(case.describe());
    }
    hints
}

/// The hint repeats no flags, because they are not known here; without them `pgset up` would apply other
/// settings.
fn again(what: &str) -> String {
    format!("run the same `pgset up` again{what}")
}

fn image(case: Case<'_>) -> Vec<String> {
    let message = &case.trouble.message;
    let mut hints = Vec::new();
    if says(message, &["dial tcp", "no such host", "i/o timeout", "connection refused"]) {
        return vec![format!("{} can't reach the registry", case.node())];
    } else if says(message, &["denied", "unauthorized", "authentication required", "forbidden"]) {
        hints.push(
            "the registry requires credentials: add a pull secret to the ServiceAccount's \
             imagePullSecrets"
                .to_owned(),
        );
    } else if says(message, &["never", "is not present"]) {
        hints.push(format!("load the image onto {}", case.node()));
    }
    hints.push(case.pgset("up --image NAME:TAG"));
    hints
}

fn log(case: Case<'_>, logs: &Logs) -> Vec<String> {
    let text: String = [&logs.previous, &logs.current]
        .into_iter()
        .flatten()
        .chain(std::iter::once(&case.trouble.message))
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("\n");
    let mut hints = Vec::new();
    if case.trouble.out_of_memory {
        hints.push(format!(
            "raise the memory limit of container {}",
            case.trouble.container.as_deref().unwrap_or_default()
        ));
    }
    if says(
        &text,
        &["permission denied", "operation not permitted", "could not change permissions"],
    ) {
        hints.extend(volume::owner(case));
    }
    if says(&text, &["read-only file system"]) {
        let mend = "the volume is mounted read-only: make it writable";
        hints.push(mend.to_owned() + &or_failover(case));
    }
    if let Some((_, user)) = text.split_once("could not look up effective user ID ") {
        let user: String = user.chars().take_while(char::is_ascii_digit).collect();
        hints.push(format!(
            "the image has no user with the ID {user}: {}  # in images based on Alpine; the image's /etc/passwd says which one PostgreSQL has",
            case.pgset("up --user-id 70")
        ));
    }
    if says(&text, &["no space left on device"]) {
        let mend = "the volume is full: free space on it, or use a larger volume";
        hints.push(mend.to_owned() + &or_failover(case));
    }
    if says(&text, &["password authentication failed"]) {
        hints.push(
            "the passwords of the data are not those in the set's Secret: they are set only when \
             the data directory is created; restore the Secret that was used then"
                .to_owned(),
        );
    }
    if says(&text, &["pods/status", "-topology"]) && says(&text, &["forbidden"]) {
        let up = case.pgset("up");
        hints.push(format!(
            "{up}  # gives the set's Role what the pod needs; `pgset scale` does this automatically"
        ));
    }
    hints.extend(peers(case, &text));
    if says(&text, &DAMAGE) || says(&text, &UNREADABLE) {
        hints.extend(damaged(case));
    }
    let container = case.trouble.container.as_deref();
    let container = container.map_or_else(String::new, |name| format!(" -c {name}"));
    let previous = if case.trouble.cause == Cause::CrashLoop { " --previous" } else { "" };
    hints.push(case.kubectl(&format!("logs {}{container}{previous}", case.name())));
    hints
}

/// What to do when files of a server are missing or damaged.
fn damaged(case: Case<'_>) -> Option<String> {
    let name = case.name();
    if !case.is_master() {
        let rejoin = case.pgset(&format!("rejoin {name} --clone"));
        return Some(format!("{rejoin}  # keeps its directory, and clones it"));
    }
    case.other_that_runs()?;
    let failover = case.pgset("failover");
    Some(format!("{failover}  # stops {name}, and makes a replica the master"))
}

/// What else helps a master with a replica.
fn or_failover(case: Case<'_>) -> String {
    if !case.is_master() || case.other_that_runs().is_none() {
        return String::new();
    }
    format!("; or a replica becomes the master: {}", case.pgset("failover"))
}

/// What to do when the master's volume is empty. While a replica has the data, nothing may suggest to delete it.
fn lost_volume(case: Case<'_>) -> String {
    match case.other_that_runs() {
        Some(name) => {
            let failover = case.pgset("failover");
            format!(
                "{failover}  # if the volume is lost: a replica, such as {name}, becomes the master"
            )
        }
        None => "mount the right volume, or restore it from a backup".to_owned(),
    }
}

/// What the log of a pod tells about the topology and the data of the others.
fn peers(case: Case<'_>, text: &str) -> Option<String> {
    if says(text, &["the volume is empty, but"]) {
        Some(lost_volume(case))
    } else if says(text, &["it was promoted and has newer data", "does not have the wal that"]) {
        let failover = case.pgset("failover");
        Some(format!(
            "{failover}  # if {} has an older copy: a replica becomes the master",
            case.name()
        ))
    } else if says(text, &["has diverged from the master"]) {
        let rejoin = case.pgset(&format!("rejoin {}", case.name()));
        Some(format!("{rejoin}  # keeps its directory under another name, and clones it again"))
    } else if says(text, &["it was replaced by an earlier one", "and is not followed"]) {
        Some(format!("{}  # records the topology that the pods know", case.pgset("up")))
    } else {
        None
    }
}

/// The pod's requests for a resource, of all containers as written: `cpu 100`.
fn asked(spec: &PodSpec, resource: &str) -> Option<String> {
    let requests: Vec<&str> = spec
        .containers
        .iter()
        .filter_map(|container| container.resources.as_ref()?.requests.as_ref()?.get(resource))
        .map(|quantity| quantity.0.as_str())
        .collect();
    (!requests.is_empty()).then(|| requests.join(" + "))
}

fn unschedulable(case: Case<'_>) -> Vec<String> {
    let message = &case.trouble.message;
    if says(message, &["persistentvolumeclaim", "persistent volumes to bind"]) {
        let claims = case.pod().map(Snapshot::claims_of).unwrap_or_default();
        let describe = |claim| case.kubectl(&format!("describe pvc {claim}"));
        return claims.into_iter().map(describe).collect();
    }
    let mut hints = Vec::new();
    for resource in ["cpu", "memory", "ephemeral-storage"] {
        if !says(message, &[&format!("insufficient {resource}")]) {
            continue;
        }
        let asks = case.spec().and_then(|spec| asked(spec, resource));
        let asks = asks.map_or_else(String::new, |asks| format!(": the pod requests {asks}"));
        hints
            .push(format!("no node has enough {resource} left{asks}; request less, or add a node"));
    }
    for (needle, sentence) in [
        ("too many pods", "every node has its maximum number of pods: add a node"),
        ("taint", "a node has a taint: add a toleration to the pod, or remove the taint"),
        ("node affinity", "no node has the labels that the pod or its volume requires"),
        ("node selector", "no node has the labels that the pod requires"),
        ("anti-affinity", "each pod must run on a different node: add a node"),
        ("unschedulable", "a node is cordoned: `kubectl uncordon NODE`"),
    ] {
        if says(message, &[needle]) && !hints.iter().any(|hint| hint == sentence) {
            hints.push(sentence.to_owned());
        }
    }
    hints.push("kubectl describe nodes".to_owned());
    hints
}

/// The word after `marker`, without surrounding punctuation.
fn word_after<'a>(text: &'a str, marker: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(marker)?;
    let word = rest.split([',', ' ', '"', ';']).find(|word| !word.is_empty())?;
    Some(word.trim_end_matches(':')).filter(|word| !word.is_empty())
}

/// One part of a quota message: `used: pods=2,secrets=1`.
fn part<'a>(text: &'a str, marker: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(marker)?;
    Some(rest.split(", ").next().unwrap_or(rest).trim())
}

fn refused(case: Case<'_>) -> Vec<String> {
    let message = &case.trouble.message;
    let namespace = case.namespace().unwrap_or("NAMESPACE");
    if let Some(quota) = word_after(message, "exceeded quota: ") {
        let (asked, used, limit) =
            (part(message, "requested: "), part(message, "used: "), part(message, "limited: "));
        let mut hints = Vec::new();
        if let (Some(asked), Some(used), Some(limit)) = (asked, used, limit) {
            hints.push(format!(
                "ResourceQuota {quota} allows {limit}; {used} is used, {asked} more is requested"
            ));
        }
        hints.push(case.kubectl(&format!("describe resourcequota {quota}")));
        return hints;
    }
    if let Some(quota) = word_after(message, "failed quota: ") {
        let missing = message.split_once("must specify ").map_or("resources", |(_, rest)| rest);
        return vec![
            format!("ResourceQuota {quota} requires every container to specify {missing}"),
            case.kubectl(&format!("describe resourcequota {quota}")),
        ];
    }
    if says(message, &["podsecurity"]) {
        return vec![
            format!(
                "the Pod Security level of the namespace does not allow the pod; an administrator \
                 can lower it: kubectl label --overwrite namespace {namespace} \
                 pod-security.kubernetes.io/enforce=baseline"
            ),
            format!("kubectl get namespace {namespace} --show-labels"),
        ];
    }
    if let Some(account) = word_after(message, "error looking up service account ") {
        let account = account.rsplit('/').next().unwrap_or(account);
        return vec![
            format!(
                "ServiceAccount {account} does not exist: {}; one of --service-account must be \
                 created by an administrator",
                again(" to create it")
            ),
            case.kubectl("get serviceaccounts"),
        ];
    }
    if let Some((_, webhook)) = message.split_once("admission webhook \"") {
        let webhook = webhook.split('"').next().unwrap_or(webhook);
        return vec![format!("the admission webhook {webhook} refuses the pod"), case.describe()];
    }
    vec![case.kubectl("get events --field-selector reason=FailedCreate"), case.describe()]
}

fn wedged(case: Case<'_>) -> Vec<String> {
    vec![
        again(" with --yes: it deletes the pod and keeps its claim"),
        case.kubectl(&format!("delete pod {}", case.name())),
    ]
}
