//! The texts of table cells.

use serde_json::Value;

pub(super) fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(super) fn number(object: &Value, pointer: &str) -> u64 {
    object.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// A map as `a=b,c=d`.
pub(super) fn pairs(object: &Value, pointer: &str) -> String {
    let map = object.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
    let pairs = map.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    or_none(pairs.collect::<Vec<_>>().join(","))
}

pub(super) fn or_none(text: String) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text }
}

pub(super) fn or_unset(all: &[String]) -> String {
    if all.is_empty() { "<unset>".to_owned() } else { all.join(",") }
}

/// A number, or a value that is either a number or a percentage.
pub(super) fn count(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer) {
        None | Some(Value::Null) => "N/A".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(number) => number.to_string(),
    }
}

pub(super) fn ready(pod: &Value) -> String {
    let ready = list(pod, "/status/containerStatuses").filter(|s| s["ready"] == true).count();
    format!("{ready}/{}", list(pod, "/spec/containers").count())
}

/// The pod's phase, or a more specific reason: `CrashLoopBackOff`, `Terminating`.
pub(super) fn pod_status(pod: &Value) -> String {
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return "Terminating".to_owned();
    }
    let inits = list(pod, "/spec/initContainers").count();
    for (index, status) in list(pod, "/status/initContainerStatuses").enumerate() {
        let state = &status["state"];
        if state["terminated"]["exitCode"] == 0 {
            continue;
        }
        return match trouble(state) {
            Some(reason) if reason != "PodInitializing" => format!("Init:{reason}"),
            _ => format!("Init:{index}/{inits}"),
        };
    }
    let mut statuses = list(pod, "/status/containerStatuses");
    statuses
        .find_map(|status| trouble(&status["state"]))
        .unwrap_or_else(|| text(pod, "/status/phase"))
}

/// Why a container does not run.
fn trouble(state: &Value) -> Option<String> {
    let reason = ["waiting", "terminated"].iter().find_map(|how| state[*how]["reason"].as_str());
    let ended = &state["terminated"];
    match (reason, ended["signal"].as_u64()) {
        (Some(reason), _) if !reason.is_empty() => Some(reason.to_owned()),
        (_, Some(signal)) => Some(format!("Signal:{signal}")),
        _ => ended["exitCode"].as_i64().map(|code| format!("ExitCode:{code}")),
    }
}

/// The number of restarts, and the age of the last one.
pub(super) fn restarts(pod: &Value) -> String {
    let all = list(pod, "/status/containerStatuses").map(|s| number(s, "/restartCount"));
    let all: u64 = all.sum();
    let ends =
        list(pod, "/status/containerStatuses").map(|s| text(s, "/lastState/terminated/finishedAt"));
    match ends.max().filter(|last| all > 0 && !last.is_empty()) {
        Some(last) => format!("{all} ({} ago)", age(&last)),
        None => all.to_string(),
    }
}

pub(super) fn ports(service: &Value) -> String {
    let one = |port: &Value| format!("{}/{}", number(port, "/port"), text(port, "/protocol"));
    or_none(list(service, "/spec/ports").map(one).collect::<Vec<_>>().join(","))
}

pub(super) fn modes(object: &Value, pointer: &str) -> String {
    let short = |mode: &Value| match mode.as_str() {
        Some("ReadWriteOnce") => "RWO",
        Some("ReadWriteMany") => "RWX",
        Some("ReadOnlyMany") => "ROX",
        Some("ReadWriteOncePod") => "RWOP",
        _ => "",
    };
    list(object, pointer).map(short).collect::<Vec<_>>().join(",")
}

pub(super) fn class_name(object: &Value) -> String {
    text(object, "/spec/storageClassName")
}

pub(super) fn claim_of(volume: &Value) -> String {
    let name = text(volume, "/spec/claimRef/name");
    if name.is_empty() {
        return name;
    }
    format!("{}/{name}", text(volume, "/spec/claimRef/namespace"))
}

pub(super) fn data(object: &Value) -> String {
    object["data"].as_object().map_or(0, serde_json::Map::len).to_string()
}

pub(super) fn endpoints(slice: &Value) -> String {
    let addresses: Vec<String> =
        list(slice, "/endpoints").map(|e| text(e, "/addresses/0")).collect();
    or_unset(&addresses)
}

fn of_containers(set: &Value, field: &str) -> String {
    let all = list(set, "/spec/template/spec/containers").map(|c| text(c, field));
    all.collect::<Vec<_>>().join(",")
}

pub(super) fn containers(set: &Value) -> String {
    of_containers(set, "/name")
}

pub(super) fn images(set: &Value) -> String {
    of_containers(set, "/image")
}

/// `statefulset.apps/pgset`.
pub(super) fn controller(object: &Value) -> String {
    let owner = list(object, "/metadata/ownerReferences").find(|owner| owner["controller"] == true);
    let Some(owner) = owner else { return or_none(String::new()) };
    let group = text(owner, "/apiVersion");
    let group = group.split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
    format!("{}{group}/{}", text(owner, "/kind").to_lowercase(), text(owner, "/name"))
}

/// The subjects of a RoleBinding that are of this kind.
pub(super) fn of_binding(binding: &Value, kind: &str) -> String {
    let subjects = list(binding, "/subjects").filter(|subject| subject["kind"] == kind);
    let names = subjects.map(|subject| match text(subject, "/namespace") {
        namespace if namespace.is_empty() => text(subject, "/name"),
        namespace => format!("{namespace}/{}", text(subject, "/name")),
    });
    names.collect::<Vec<_>>().join(", ")
}

pub(super) fn event_time(event: &Value, pointer: &str) -> String {
    age(&text(event, pointer))
}

/// `pod/pgset-0`.
pub(super) fn event_object(event: &Value) -> String {
    let kind = text(event, "/involvedObject/kind").to_lowercase();
    format!("{kind}/{}", text(event, "/involvedObject/name"))
}

pub(super) fn event_source(event: &Value) -> String {
    let host = text(event, "/source/host");
    let component = text(event, "/source/component");
    if host.is_empty() { component } else { format!("{component}, {host}") }
}

pub(super) fn event_count(event: &Value) -> String {
    number(event, "/count").to_string()
}

pub(super) fn node_status(node: &Value) -> String {
    let ready = list(node, "/status/conditions").find(|c| c["type"] == "Ready");
    if ready.is_some_and(|c| c["status"] == "True") { "Ready" } else { "NotReady" }.to_owned()
}

pub(super) fn node_address(node: &Value) -> String {
    let address = list(node, "/status/addresses").find(|a| a["type"] == "InternalIP");
    or_none(address.map(|a| text(a, "/address")).unwrap_or_default())
}

/// `pods: 1/2`.
pub(super) fn quota(quota: &Value) -> String {
    let hard = quota["status"]["hard"].as_object().into_iter().flatten();
    let used = |name: &str| text(&quota["status"]["used"], &format!("/{name}"));
    let all = hard.map(|(name, hard)| {
        format!("{name}: {}/{}", used(name), hard.as_str().unwrap_or_default())
    });
    all.collect::<Vec<_>>().join(", ")
}

/// The age of a time, in kubectl's format.
pub(super) fn age(time: &str) -> String {
    let Ok(time) = time.parse::<jiff::Timestamp>() else { return "<unknown>".to_owned() };
    duration(jiff::Timestamp::now().duration_since(time).as_secs().max(0))
}

/// `119s`, `2m5s`, `12m`, `3h5m`, `12h`, `2d3h`, `9d`.
fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: String, small: i64, unit: &str| {
        if small == 0 { large } else { format!("{large}{small}{unit}") }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(format!("{minutes}m"), seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(format!("{hours}h"), minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(format!("{days}d"), hours % 24, "h"),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn durations() {
        for (seconds, expected) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (3600, "60m"),
            (10_860, "3h1m"),
            (30_000, "8h"),
            (180_000, "2d2h"),
            (900_000, "10d"),
        ] {
            assert_eq!(duration(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn what_a_pod_is_at() {
        let with = |status: Value| json!({"spec": {"initContainers": [{}, {}]}, "status": status});
        let waiting = json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}});
        let done = json!({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
        let killed = json!({"state": {"terminated": {"exitCode": 137, "signal": 9}}});
        for (status, expected) in [
            (json!({"phase": "Pending"}), "Pending"),
            (json!({"initContainerStatuses": [done, {"state": {"running": {}}}]}), "Init:1/2"),
            (json!({"initContainerStatuses": [waiting]}), "Init:CrashLoopBackOff"),
            (
                json!({"initContainerStatuses": [done, done], "containerStatuses": [waiting]}),
                "CrashLoopBackOff",
            ),
            (json!({"phase": "Running", "containerStatuses": [killed]}), "Signal:9"),
            (
                json!({"phase": "Running", "containerStatuses": [{"state": {"running": {}}}]}),
                "Running",
            ),
        ] {
            assert_eq!(pod_status(&with(status.clone())), expected, "{status}");
        }
    }
}
