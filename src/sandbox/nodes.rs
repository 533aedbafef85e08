//! The nodes as objects: their names, and whether their power and their network are on.
//!
//! All nodes are this machine. A node that is stopped or frozen has an annotation that says so. The
//! simulated hardware (the kubelets, the Services' proxy, the API server's front) reads it; the
//! controllers and the scheduler see only the condition `Ready`, as in a cluster.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::kinds::NODES;
use super::registry::Registry;
use super::store::Key;
use crate::error::{Diagnose, Exit};

/// The name of the only node, and the beginning of the names of several ones.
pub const NODE: &str = "sandbox";
/// A node is not ready when its kubelet has been silent for this long. A real cluster waits for 40 s.
pub const NOT_READY_AFTER: Duration = Duration::from_secs(3);

/// The annotation of a node that is stopped or frozen.
const STATE: &str = "pgset.sandbox/state";
/// When it was stopped or frozen.
const SINCE: &str = "pgset.sandbox/since";

/// The names of this number of nodes.
#[must_use]
pub fn names(count: u8) -> Vec<String> {
    match count {
        0 | 1 => vec![NODE.to_owned()],
        count => (1..=count).map(|number| format!("{NODE}-{number}")).collect(),
    }
}

/// What works of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Everything.
    Running,
    /// Nothing: it has no power.
    Stopped,
    /// Its processes run, without a connection to the API server and to Services.
    Frozen,
}

impl NodeState {
    /// The state of a node object.
    #[must_use]
    pub fn of(node: &Value) -> Self {
        match node["metadata"]["annotations"][STATE].as_str() {
            Some("stopped") => Self::Stopped,
            Some("frozen") => Self::Frozen,
            _ => Self::Running,
        }
    }

    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Frozen => "frozen",
        }
    }
}

/// What can be done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeAction {
    /// Cut its power.
    Stop,
    /// Boot it.
    Start,
    /// Cut its connection to the API server and to Services.
    Freeze,
    /// Restore the connection.
    Thaw,
}

impl NodeAction {
    const ALL: [Self; 4] = [Self::Stop, Self::Start, Self::Freeze, Self::Thaw];

    /// The word on the command line and in the request.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Freeze => "freeze",
            Self::Thaw => "thaw",
        }
    }

    /// The action with this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }

    /// The state after the action. None if a node in this state can't do it.
    #[must_use]
    pub fn after(self, before: NodeState) -> Option<NodeState> {
        match (self, before) {
            (Self::Stop, NodeState::Running | NodeState::Frozen) => Some(NodeState::Stopped),
            (Self::Freeze, NodeState::Running) => Some(NodeState::Frozen),
            (Self::Start, NodeState::Stopped) | (Self::Thaw, NodeState::Frozen) => {
                Some(NodeState::Running)
            }
            _ => None,
        }
    }
}

/// Why a node does not change.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NodeError {
    /// No sandbox is running.
    #[error("no sandbox is running in {directory}")]
    NotRunning {
        /// Its directory.
        directory: String,
        /// The flag for this directory.
        flag: String,
    },
    /// There is no such node.
    #[error("the sandbox has no node {name:?}, only {}", known.join(", "))]
    Unknown {
        /// The name that was given.
        name: String,
        /// The names of the nodes.
        known: Vec<String>,
        /// What was to be done.
        action: NodeAction,
        /// The flag for the sandbox's directory.
        flag: String,
    },
    /// The node's state does not allow it.
    #[error("node {name} is {}", state.word())]
    State {
        /// The node.
        name: String,
        /// Its state.
        state: NodeState,
        /// The flag for the sandbox's directory.
        flag: String,
    },
    /// The sandbox did not answer as expected.
    #[error("the sandbox can't be asked for its nodes: {0}")]
    Asking(String),
}

impl Diagnose for NodeError {
    fn exit(&self) -> Exit {
        match self {
            Self::NotRunning { .. } => Exit::NoCluster,
            Self::Unknown { .. } => Exit::Usage,
            Self::State { .. } => Exit::Refused,
            Self::Asking(_) => Exit::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        let node = |action: &str, name: &str, flag: &str| {
            format!("pgset sandbox node {action} {name}{flag}")
        };
        match self {
            Self::NotRunning { flag, .. } => vec![format!("pgset sandbox start{flag}")],
            Self::Unknown { known, action, flag, .. } => {
                known.iter().map(|name| node(action.word(), name, flag)).collect()
            }
            Self::State { name, state, flag } => NodeAction::ALL
                .into_iter()
                .filter(|action| action.after(*state).is_some())
                .map(|action| node(action.word(), name, flag))
                .collect(),
            Self::Asking(_) => Vec::new(),
        }
    }
}

/// A node object that is ready.
pub(super) fn object(name: &str, capacity: &Value) -> Value {
    let mut node = json!({
        "metadata": {"labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "status": {
            "capacity": capacity, "allocatable": capacity,
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {"kubeletVersion": concat!("pgset-", env!("CARGO_PKG_VERSION")),
                "kubeProxyVersion": "", "containerRuntimeVersion": "processes://1",
                "operatingSystem": "linux", "osImage": "", "kernelVersion": "", "architecture": "",
                "bootID": "", "machineID": "", "systemUUID": ""},
        },
    });
    set_ready(&mut node, "True", "KubeletReady", "the sandbox runs");
    node
}

/// Sets the condition `Ready` of a node, its only one.
pub(super) fn set_ready(node: &mut Value, status: &str, reason: &str, message: &str) {
    let now = super::now();
    node["status"]["conditions"] = json!([{
        "type": "Ready", "status": status, "reason": reason, "message": message,
        "lastHeartbeatTime": now, "lastTransitionTime": now,
    }]);
}

/// Changes the state of a node object. A node that runs again is ready at once.
pub(super) fn set_state(node: &mut Value, state: NodeState) {
    if state != NodeState::Running {
        // A frozen node that is stopped has been silent since it was frozen.
        if node["metadata"]["annotations"][SINCE].is_null() {
            node["metadata"]["annotations"][SINCE] = json!(Timestamp::now().to_string());
        }
        node["metadata"]["annotations"][STATE] = json!(state.word());
        return;
    }
    if let Some(annotations) = node["metadata"]["annotations"].as_object_mut() {
        annotations.remove(STATE);
        annotations.remove(SINCE);
    }
    set_ready(node, "True", "KubeletReady", "the sandbox runs");
}

/// The time until a silent node is not ready; none if its kubelet reports.
pub(super) fn time_until_not_ready(node: &Value, now: Timestamp) -> Option<Duration> {
    if NodeState::of(node) == NodeState::Running {
        return None;
    }
    let since = node["metadata"]["annotations"][SINCE].as_str();
    let since: Option<Timestamp> = since.and_then(|since| since.parse().ok());
    let silent = since.map_or(SignedDuration::MAX, |since| now.duration_since(since));
    Some(NOT_READY_AFTER.saturating_sub(silent.try_into().unwrap_or_default()))
}

/// Whether a node has no connection. A node without an object has one: pods may name any node.
pub(super) fn is_cut_off(registry: &Registry, name: &str) -> bool {
    let node = registry.store.get(&Key::new(&NODES, "", name));
    node.is_some_and(|node| NodeState::of(&node) != NodeState::Running)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_has_no_number() {
        assert_eq!(names(1), ["sandbox"]);
        assert_eq!(names(3), ["sandbox-1", "sandbox-2", "sandbox-3"]);
    }

    #[test]
    fn a_node_does_only_what_its_state_allows() {
        use NodeAction::{Freeze, Start, Stop, Thaw};
        use NodeState::{Frozen, Running, Stopped};
        for (action, [running, stopped, frozen]) in [
            (Stop, [Some(Stopped), None, Some(Stopped)]),
            (Start, [None, Some(Running), None]),
            (Freeze, [Some(Frozen), None, None]),
            (Thaw, [None, None, Some(Running)]),
        ] {
            assert_eq!(action.after(Running), running, "{action:?}");
            assert_eq!(action.after(Stopped), stopped, "{action:?}");
            assert_eq!(action.after(Frozen), frozen, "{action:?}");
            assert_eq!(NodeAction::named(action.word()), Some(action));
        }
        assert_eq!(NodeAction::named("reboot"), None);
    }

    #[test]
    fn a_state_is_kept_in_the_object() {
        let mut node = object("sandbox", &json!({}));
        assert_eq!(NodeState::of(&node), NodeState::Running);
        assert_eq!(time_until_not_ready(&node, Timestamp::now()), None);
        for state in [NodeState::Frozen, NodeState::Stopped] {
            set_state(&mut node, state);
            assert_eq!(NodeState::of(&node), state);
        }
        let began: Timestamp =
            node["metadata"]["annotations"][SINCE].as_str().unwrap().parse().unwrap();
        let after = |seconds| began + SignedDuration::from_secs(seconds);
        assert_eq!(time_until_not_ready(&node, after(1)), Some(Duration::from_secs(2)));
        assert_eq!(time_until_not_ready(&node, after(4)), Some(Duration::ZERO));
        set_state(&mut node, NodeState::Running);
        assert_eq!(NodeState::of(&node), NodeState::Running);
        assert_eq!(node["metadata"]["annotations"], json!({}));
    }

    #[test]
    fn a_refusal_names_what_to_type() {
        let state =
            |state| NodeError::State { name: "sandbox-2".into(), state, flag: String::new() };
        let stopped = state(NodeState::Stopped);
        assert_eq!(stopped.to_string(), "node sandbox-2 is stopped");
        assert_eq!(stopped.hints(), ["pgset sandbox node start sandbox-2"]);
        assert_eq!(
            state(NodeState::Frozen).hints(),
            ["pgset sandbox node stop sandbox-2", "pgset sandbox node thaw sandbox-2"]
        );
    }
}
