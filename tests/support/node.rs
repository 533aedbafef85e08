//! The node, where it is this machine: what can be done to a set from below Kubernetes.

use k8s_openapi::api::core::v1::Pod;

use super::space::Space;

/// `kill -9` of the first process of the pod's container `postgres`. Not possible from within a container:
/// its first process is safe from that signal. False where the node is not this machine.
pub(crate) async fn kill_container(space: &Space, pod: &str) -> bool {
    if !space.cluster.node_is_here() {
        return false;
    }
    let found = space.api::<Pod>().get(pod).await.expect("the pod is there");
    let uid = found.metadata.uid.expect("a pod has a UID");
    let first = processes().find(|id| is_first_of(*id, &uid));
    let id = first.unwrap_or_else(|| panic!("pod {pod} ({uid}) has no server"));
    let status = std::process::Command::new("/bin/kill").args(["-KILL", &id.to_string()]).status();
    assert!(status.expect("there is a kill").success(), "kill -KILL {id}");
    true
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").expect("the node has processes");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Whether a process is PostgreSQL's first in a container of this pod. What has ended meanwhile is not.
fn is_first_of(id: u32, pod: &str) -> bool {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{id}/{name}")).ok();
    let first = |status: String| {
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        Some(ids.split_whitespace().last()? == "1")
    };
    // The systemd driver spells a UID with underscores.
    let ours = |groups: String| groups.replace('_', "-").contains(pod);
    read("comm").is_some_and(|name| name.trim_end() == "postgres")
        && read("status").and_then(first) == Some(true)
        && read("cgroup").is_some_and(ours)
}
