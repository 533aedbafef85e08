//! The status of a pod: the states of its containers, and what the kubelet reports of them.

use serde_json::{Value, json};

use super::super::controllers::with_condition;

/// The state of a container.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The container in the pod's spec.
    pub(super) spec: Value,
    /// Whether it is an init container.
    pub(super) init: bool,
    /// The current state, as in the pod's status: `{"running": ..}`.
    pub(super) now: Value,
    /// The state in which its last run ended.
    pub(super) last: Value,
    /// The number of restarts.
    pub(super) restarts: u64,
    /// Whether the startup probe has succeeded.
    pub(super) started: bool,
    /// Whether the readiness probe succeeds.
    pub(super) ready: bool,
}

impl State {
    pub(super) fn name(&self) -> &str {
        self.spec["name"].as_str().unwrap_or_default()
    }
}

/// The state of a container before it starts.
pub(super) fn first_state(spec: &Value, init: bool, before: Option<&Value>) -> State {
    let reason = if init { "PodInitializing" } else { "ContainerCreating" };
    let mut state = State {
        spec: spec.clone(),
        init,
        now: json!({"waiting": {"reason": reason}}),
        last: json!({}),
        restarts: 0,
        started: false,
        ready: false,
    };
    // The container ran when the sandbox or its node was stopped or killed.
    if let Some(before) = before {
        state.restarts = before["restartCount"].as_u64().unwrap_or(0);
        if before["state"]["running"].is_object() {
            state.restarts += 1;
            state.last = json!({"terminated": {
                "exitCode": 137, "reason": "Error", "startedAt": before["state"]["running"]["startedAt"],
                "finishedAt": super::super::now(), "containerID": before["containerID"],
            }});
        }
    }
    state
}

/// Sets the status of a pod from the states of its containers.
pub(super) fn describe(pod: &mut Value, states: &[State], restart: &str) {
    let of = |init| states.iter().filter(move |state| state.init == init);
    let done = |state: &State| state.now["terminated"]["exitCode"] == 0;
    let initialized = of(true).all(done);
    let all_ready = of(false).all(|state| state.ready);
    let ended = |state: &State| state.now["terminated"].is_object();
    let begun = |state: &State| {
        state.now["running"].is_object() || ended(state) || state.last["terminated"].is_object()
    };
    let failed = |state: &State| ended(state) && !done(state);
    let phase = if restart != "Always" && of(false).all(done) {
        "Succeeded"
    } else if restart == "Never" && (of(true).any(failed) || of(false).all(ended)) {
        "Failed"
    } else if initialized && of(false).any(begun) {
        "Running"
    } else {
        "Pending"
    };
    let uid = pod["metadata"]["uid"].clone();
    let list = |init| -> Value { of(init).map(|state| status(state, &uid)).collect() };
    let (inits, mains) = (list(true), list(false));
    let unready: Vec<&str> = of(false).filter(|s| !s.ready).map(State::name).collect();
    let (reason, message) = if all_ready {
        ("", String::new())
    } else {
        ("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" ")))
    };
    let written = &mut pod["status"];
    written["phase"] = json!(phase);
    if inits != json!([]) {
        written["initContainerStatuses"] = inits;
    }
    written["containerStatuses"] = mains;
    for (kind, holds, reason, message) in [
        ("Initialized", initialized, "", ""),
        ("ContainersReady", all_ready, reason, message.as_str()),
        ("Ready", all_ready && initialized, reason, message.as_str()),
    ] {
        written["conditions"] =
            with_condition(&written["conditions"], kind, holds, reason, message);
    }
}

fn status(state: &State, uid: &Value) -> Value {
    let id = format!("process://{}-{}", uid.as_str().unwrap_or_default(), state.restarts);
    let begun = state.now["running"].is_object() || state.now["terminated"].is_object();
    json!({
        "name": state.name(), "image": state.spec["image"], "imageID": "",
        "state": state.now, "lastState": state.last, "restartCount": state.restarts,
        "started": state.started, "ready": state.ready || (state.init && state.now["terminated"]["exitCode"] == 0),
        "containerID": if begun { id } else { String::new() },
    })
}
