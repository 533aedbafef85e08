//! Pod Security: the checks of the level `restricted`, with the messages of the real server. The
//! other levels are not checked.

use serde_json::Value;

/// The label of a namespace that sets the required level.
pub(super) const LABEL: &str = "pod-security.kubernetes.io/enforce";
/// The only level that is checked.
pub(super) const RESTRICTED: &str = "restricted";

/// The allowed types of volumes.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Why a pod violates the level; none if it does not.
pub(super) fn violation(pod: &Value) -> Option<String> {
    let spec = &pod["spec"];
    let containers: Vec<&Value> = ["initContainers", "containers"]
        .iter()
        .flat_map(|list| spec[*list].as_array().into_iter().flatten())
        .collect();
    let those = |bad: &dyn Fn(&Value) -> bool| -> Vec<&str> {
        let bad = containers.iter().filter(|container| bad(&container["securityContext"]));
        bad.filter_map(|container| container["name"].as_str()).collect()
    };
    let own = &spec["securityContext"];
    // A container's own setting overrides the pod's.
    let lacks = |field: &'static str, good: fn(&Value) -> bool| {
        those(&move |context| {
            !good(if context[field].is_null() { &own[field] } else { &context[field] })
        })
    };
    let found = [
        all(
            &those(&|context| context["allowPrivilegeEscalation"] != false),
            "allowPrivilegeEscalation != false",
            "must set securityContext.allowPrivilegeEscalation=false",
        ),
        capabilities(&containers, &those(&|context| !drops_all(context))),
        volumes(spec),
        all_or_pod(
            &lacks("runAsNonRoot", |value| value == true),
            "runAsNonRoot != true",
            "must set securityContext.runAsNonRoot=true",
        ),
        root(own, &those(&|context| context["runAsUser"] == 0)),
        all_or_pod(
            &lacks("seccompProfile", |profile| {
                matches!(profile["type"].as_str(), Some("RuntimeDefault" | "Localhost"))
            }),
            "seccompProfile",
            "must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
        ),
    ];
    let found: Vec<String> = found.into_iter().flatten().collect();
    (!found.is_empty())
        .then(|| format!("violates PodSecurity \"{RESTRICTED}:latest\": {}", found.join(", ")))
}

fn drops_all(context: &Value) -> bool {
    let drops = context["capabilities"]["drop"].as_array();
    drops.is_some_and(|list| list.iter().any(|name| name == "ALL"))
}

fn capabilities(containers: &[&Value], keeping: &[&str]) -> Option<String> {
    let (mut adding, mut added) = (Vec::new(), Vec::new());
    for container in containers {
        let list = container["securityContext"]["capabilities"]["add"].as_array();
        let names = list.into_iter().flatten().filter_map(Value::as_str);
        let before = added.len();
        added.extend(names.filter(|name| *name != "NET_BIND_SERVICE"));
        if added.len() > before {
            adding.extend(container["name"].as_str());
        }
    }
    added.sort_unstable();
    added.dedup();
    let mut parts = Vec::new();
    if !keeping.is_empty() {
        let what = "must set securityContext.capabilities.drop=[\"ALL\"]";
        parts.push(format!("{} {what}", named("container", keeping)));
    }
    if !adding.is_empty() {
        let (which, what) = (named("container", &adding), quoted(&added));
        parts.push(format!("{which} must not include {what} in securityContext.capabilities.add"));
    }
    (!parts.is_empty()).then(|| format!("unrestricted capabilities ({})", parts.join("; ")))
}

fn volumes(spec: &Value) -> Option<String> {
    let (mut names, mut kinds) = (Vec::new(), Vec::new());
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let fields = volume.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
        for kind in fields.filter(|field| *field != "name" && !VOLUMES.contains(field)) {
            names.extend(volume["name"].as_str());
            kinds.push(kind);
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    let verb = if names.len() == 1 { "uses" } else { "use" };
    (!names.is_empty()).then(|| {
        let (which, what) = (named("volume", &names), named("restricted volume type", &kinds));
        format!("restricted volume types ({which} {verb} {what})")
    })
}

fn root(own: &Value, containers: &[&str]) -> Option<String> {
    let mut who = Vec::new();
    if own["runAsUser"] == 0 {
        who.push("pod".to_owned());
    }
    if !containers.is_empty() {
        who.push(named("container", containers));
    }
    (!who.is_empty())
        .then(|| format!("runAsUser=0 ({} must not set runAsUser=0)", who.join(" and ")))
}

fn all(names: &[&str], rule: &str, what: &str) -> Option<String> {
    (!names.is_empty()).then(|| format!("{rule} ({} {what})", named("container", names)))
}

fn all_or_pod(names: &[&str], rule: &str, what: &str) -> Option<String> {
    (!names.is_empty()).then(|| format!("{rule} (pod or {} {what})", named("container", names)))
}

/// `container "a"`, `containers "a", "b"`.
fn named(what: &str, names: &[&str]) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{what}{plural} {}", quoted(names))
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_real_server_s_words() {
        let bare = json!({"spec": {"containers": [{"name": "x"}]}});
        assert_eq!(
            violation(&bare).unwrap(),
            "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"x\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"x\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"x\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"x\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
        );
        let two = json!({"spec": {
            "securityContext": {"runAsUser": 0}, "initContainers": [{"name": "i"}],
            "containers": [{"name": "x"}],
            "volumes": [{"name": "h", "hostPath": {}}, {"name": "n", "nfs": {}}, {"name": "s", "secret": {}}],
        }});
        let said = violation(&two).unwrap();
        for part in [
            "(containers \"i\", \"x\" must set securityContext.allowPrivilegeEscalation=false)",
            "(volumes \"h\", \"n\" use restricted volume types \"hostPath\", \"nfs\")",
            "runAsUser=0 (pod must not set runAsUser=0)",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn a_pod_that_asks_for_little_is_let_in() {
        let good = json!({"spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "x", "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
            "volumes": [{"name": "p", "persistentVolumeClaim": {}}],
        }});
        assert_eq!(violation(&good), None);
        for (pointer, value) in [
            ("/spec/securityContext/runAsNonRoot", json!(false)),
            ("/spec/containers/0/securityContext/allowPrivilegeEscalation", json!(null)),
            (
                "/spec/containers/0/securityContext/capabilities",
                json!({"drop": ["ALL"], "add": ["X"]}),
            ),
            ("/spec/volumes/0", json!({"name": "p", "hostPath": {}})),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).unwrap() = value;
            assert!(violation(&bad).is_some(), "{pointer}");
        }
    }
}
