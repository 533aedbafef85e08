//! The node, where it is this machine: what can be done to a pod from below Kubernetes.

use k8s_openapi::api::core::v1::Pod;

use super::space::Space;

/// The processes of a pod.
pub(crate) struct Below {
    uid: String,
}

impl Below {
    /// Those of the pod that there is now; none where the node is not this machine.
    pub(crate) async fn of(space: &Space, pod: &str) -> Option<Self> {
        if !space.cluster.node_is_here() {
            return None;
        }
        let found = space.api::<Pod>().get(pod).await.expect("the pod is there");
        Some(Self { uid: found.metadata.uid.expect("a pod has a UID") })
    }

    /// `kill -9` of a container by its first process, of this name. Not possible from within: there the
    /// first process is safe from that signal.
    pub(crate) fn kill_container(&self, name: &str) {
        let first = self.processes(name).into_iter().find(|id| is_first(*id));
        let id = first.unwrap_or_else(|| panic!("pod {} has no container of {name}", self.uid));
        signal("KILL", &[id]);
    }

    /// Sends a signal to each process of this name; to how many.
    pub(crate) fn signal(&self, name: &str, signal_name: &str) -> usize {
        let ids = self.processes(name);
        signal(signal_name, &ids);
        ids.len()
    }

    /// The processes of this name. What has ended meanwhile is none of them.
    pub(crate) fn processes(&self, name: &str) -> Vec<u32> {
        let entries = std::fs::read_dir("/proc").expect("the node has processes");
        let ids = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u32>().ok());
        ids.filter(|id| {
            // The systemd driver spells a UID with underscores.
            let ours = |groups: String| groups.replace('_', "-").contains(&self.uid);
            read(*id, "comm").is_some_and(|comm| comm.trim_end() == name)
                && read(*id, "cgroup").is_some_and(ours)
        })
        .collect()
    }
}

/// Whether it is the first process of its container.
fn is_first(id: u32) -> bool {
    let status = read(id, "status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    ids.and_then(|ids| ids.split_whitespace().last()) == Some("1")
}

fn read(id: u32, name: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{id}/{name}")).ok()
}

fn signal(name: &str, ids: &[u32]) {
    let mut kill = std::process::Command::new("/bin/kill");
    kill.arg(format!("-{name}")).args(ids.iter().map(u32::to_string));
    // One of many may have ended meanwhile.
    kill.status().expect("there is a kill");
}
