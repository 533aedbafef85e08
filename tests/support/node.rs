//! Access to the node, if it is this machine: what a test can do to a pod below Kubernetes.

use k8s_openapi::api::core::v1::Pod;

use super::space::Space;

/// The processes of a pod.
pub(crate) struct Below {
    uid: String,
    /// Whether the pod runs in a sandbox, where a container is only a group of processes.
    sandbox: bool,
}

impl Below {
    /// The processes of the current pod with this name. `None` if the node is not this machine.
    pub(crate) async fn of(space: &Space, pod: &str) -> Option<Self> {
        if !space.cluster.node_is_here() {
            return None;
        }
        let found = space.api::<Pod>().get(pod).await.expect("the pod is there");
        let uid = found.metadata.uid.expect("a pod has a UID");
        Some(Self { uid, sandbox: space.cluster.is_sandbox() })
    }

    /// Kills a container: sends SIGKILL to its first process, which has this name. This is impossible from
    /// inside the container, because the kernel protects the first process there from this signal.
    pub(crate) fn kill_container(&self, name: &str) {
        let first = self.processes(name).into_iter().find(|id| self.is_first(*id));
        let id = first.unwrap_or_else(|| panic!("pod {} has no container of {name}", self.uid));
        let mut ids = vec![id];
        // When the first process of a container ends, the kernel kills all other processes of the
        // container. In the sandbox, the kernel does not. There, the children of a server end by
        // themselves, unless they are stopped, so they are killed here.
        if self.sandbox {
            let children = processes().filter(|other| parent(*other) == Some(id));
            ids.extend(children);
        }
        signal("KILL", &ids);
    }

    /// Sends a signal to each process with this name. Returns their number.
    pub(crate) fn signal(&self, name: &str, signal_name: &str) -> usize {
        let ids = self.processes(name);
        signal(signal_name, &ids);
        ids.len()
    }

    /// The IDs of the running processes with this name.
    pub(crate) fn processes(&self, name: &str) -> Vec<u32> {
        processes().filter(|id| is_called(*id, name) && self.is_ours(*id)).collect()
    }

    /// Whether a process with this name has an argument that begins with `argument`.
    pub(crate) fn runs(&self, name: &str, argument: &str) -> bool {
        let has = |id: u32| {
            let line = read(id, "cmdline").unwrap_or_default();
            line.split('\0').skip(1).any(|own| own.starts_with(argument))
        };
        self.processes(name).into_iter().any(has)
    }

    fn is_ours(&self, id: u32) -> bool {
        if !self.sandbox {
            // The systemd cgroup driver writes a UID with underscores.
            return read(id, "cgroup")
                .is_some_and(|groups| groups.replace('_', "-").contains(&self.uid));
        }
        let mark = format!("/pods/{}/", self.uid.split('-').next().unwrap_or_default());
        let marked = |id: u32| {
            let environment = read(id, "environ").unwrap_or_default();
            let mut variables = environment.split('\0');
            variables.any(|v| v.starts_with("PGSET_SANDBOX=") && v.contains(&mark))
        };
        // The children of a server overwrite their environment, so check that of the parent.
        marked(id) || parent(id).is_some_and(marked)
    }

    /// Whether the process is the first process of its container.
    fn is_first(&self, id: u32) -> bool {
        if self.sandbox {
            return parent(id).is_some_and(|parent| is_called(parent, "pgset"));
        }
        let ids = status(id, "NSpid:").unwrap_or_default();
        ids.split_whitespace().last() == Some("1")
    }
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").expect("the node has processes");
    entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
}

fn is_called(id: u32, name: &str) -> bool {
    read(id, "comm").is_some_and(|comm| comm.trim_end() == name)
}

fn parent(id: u32) -> Option<u32> {
    status(id, "PPid:")?.trim().parse().ok()
}

fn status(id: u32, field: &str) -> Option<String> {
    let status = read(id, "status")?;
    status.lines().find_map(|line| Some(line.strip_prefix(field)?.to_owned()))
}

/// Reads a file in `/proc` as text. Invalid UTF-8 is replaced.
fn read(id: u32, name: &str) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{id}/{name}")).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn signal(name: &str, ids: &[u32]) {
    let mut kill = std::process::Command::new("/bin/kill");
    kill.arg(format!("-{name}")).args(ids.iter().map(u32::to_string));
    // The exit status is ignored, because a process may have ended in the meantime.
    kill.status().expect("there is a kill");
}
