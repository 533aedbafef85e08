//! The next command to run for problems with volumes, claims and StorageClasses.

use k8s_openapi::api::core::v1::{HostPathVolumeSource, NFSVolumeSource, Pod};

use super::super::snapshot::Snapshot;
use super::super::text::says;
use super::super::view;
use super::Case;
use crate::text::shell_word;

/// The uid and gid of the Crunchy images, used if the pod does not set them.
const DEFAULT_USER: i64 = 26;
/// The maximum number of StorageClasses that a hint lists.
const CLASSES: usize = 5;

/// Where a pod's data is stored outside the cluster.
enum Place<'a> {
    HostPath(&'a HostPathVolumeSource),
    Nfs(&'a NFSVolumeSource),
}

/// The host paths and NFS exports that a pod mounts, through its claims or directly.
fn places<'a>(snapshot: &'a Snapshot, pod: &'a Pod) -> Vec<Place<'a>> {
    let mut places = Vec::new();
    for name in Snapshot::claims_of(pod) {
        let claim = snapshot.claim(name).and_then(|claim| claim.spec.as_ref());
        let volume = claim.and_then(|claim| claim.volume_name.as_deref());
        let Some(spec) = volume.and_then(|v| snapshot.volume(v)).and_then(|v| v.spec.as_ref())
        else {
            continue;
        };
        places.extend(spec.host_path.as_ref().map(Place::HostPath));
        places.extend(spec.nfs.as_ref().map(Place::Nfs));
    }
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        places.extend(volume.host_path.as_ref().map(Place::HostPath));
        places.extend(volume.nfs.as_ref().map(Place::Nfs));
    }
    places
}

/// The uid and gid that must own the data: `26:26`.
fn user(pod: &Pod, container: Option<&str>) -> String {
    let spec = pod.spec.as_ref();
    let own = spec
        .and_then(|spec| {
            let mut all = spec.init_containers.iter().flatten().chain(&spec.containers);
            all.find(|c| Some(c.name.as_str()) == container)
        })
        .and_then(|container| container.security_context.as_ref());
    let of_pod = spec.and_then(|spec| spec.security_context.as_ref());
    let user = (own.and_then(|context| context.run_as_user))
        .or(of_pod.and_then(|context| context.run_as_user));
    let group = (own.and_then(|context| context.run_as_group))
        .or(of_pod.and_then(|context| context.run_as_group.or(context.fs_group)));
    let user = user.or(group).unwrap_or(DEFAULT_USER);
    format!("{user}:{}", group.unwrap_or(user))
}

/// Who must own the data, and where.
pub(super) fn owner(case: Case<'_>) -> Vec<String> {
    let Some(pod) = case.pod() else { return Vec::new() };
    let user = user(pod, case.trouble.container.as_deref());
    let hints: Vec<String> = places(case.snapshot, pod)
        .into_iter()
        .map(|place| match place {
            Place::HostPath(path) => {
                format!("on {}: chown {user} {}", case.node(), shell_word(&path.path))
            }
            Place::Nfs(nfs) => {
                format!("on the NFS server {}: chown {user} {}", nfs.server, shell_word(&nfs.path))
            }
        })
        .collect();
    if hints.is_empty() {
        return vec![format!("the volume must be writable for {user}")];
    }
    hints
}

/// Hints for a volume that can't be mounted.
pub(super) fn mount(case: Case<'_>) -> Vec<String> {
    let message = &case.trouble.message;
    let node = case.node();
    if says(message, &["helper program", "/sbin/mount.nfs", "unknown filesystem type 'nfs'"]) {
        return vec![format!(
            "{node} has no NFS client: install nfs-common (Debian, Ubuntu) or nfs-utils (Fedora, \
             RHEL) on it"
        )];
    }
    let places = case.pod().map(|pod| places(case.snapshot, pod)).unwrap_or_default();
    places
        .into_iter()
        .map(|place| match place {
            Place::HostPath(path) => format!("on {node}: mkdir -p {}", shell_word(&path.path)),
            Place::Nfs(nfs) => format!(
                "on {node}: showmount -e {} (it must export {} to the node)",
                nfs.server, nfs.path
            ),
        })
        .collect()
}

/// Hints that list the existing StorageClasses.
pub(super) fn classes(case: Case<'_>) -> Vec<String> {
    let Some(classes) = case.snapshot.storage_classes.as_deref() else {
        return vec![case.pgset("up --storage class:NAME"), "kubectl get storageclass".to_owned()];
    };
    if classes.is_empty() {
        return vec![
            "the cluster has no StorageClass: use a static volume".to_owned(),
            case.pgset("up --storage hostpath:/PATH"),
            case.pgset("up --storage nfs://SERVER/PATH"),
        ];
    }
    let mut names: Vec<&str> = classes.iter().map(|class| view::name(&class.metadata)).collect();
    names.sort_unstable();
    let shown = names.into_iter().take(CLASSES);
    shown.map(|name| case.pgset(&format!("up --storage class:{name}"))).collect()
}

/// Hints for a claim that no volume fits.
pub(super) fn unbound(case: Case<'_>) -> Vec<String> {
    let message = &case.trouble.message;
    if says(message, &["no storage class is set"]) {
        return classes(case);
    }
    let mut hints = vec!["kubectl get pv".to_owned()];
    if says(message, &["is released"]) {
        let released = case.snapshot.volumes.iter().filter(|volume| {
            let status = volume.status.as_ref();
            status.and_then(|status| status.phase.as_deref()) == Some("Released")
                && message.contains(&format!("{} is Released", view::name(&volume.metadata)))
        });
        hints.extend(released.flat_map(|volume| free(view::name(&volume.metadata))));
    }
    hints
}

/// How to make a Released volume Available again.
fn free(volume: &str) -> Vec<String> {
    vec![format!(
        "kubectl patch pv {volume} --type=json -p \
         '[{{\"op\":\"remove\",\"path\":\"/spec/claimRef\"}}]' (keeps the data; the next claim can \
         bind the volume)"
    )]
}

pub(super) fn released(case: Case<'_>) -> Vec<String> {
    free(case.name())
}

/// Hints for a volume that is bound to a claim of another owner.
pub(super) fn taken(case: Case<'_>) -> Vec<String> {
    vec![case.pgset("up --volume-prefix PREFIX")]
}

/// Hints for a claim that has lost its volume.
pub(super) fn lost() -> Vec<String> {
    vec![
        "create the PersistentVolume again with the same name, or delete the claim and start \
         without data"
            .to_owned(),
    ]
}
