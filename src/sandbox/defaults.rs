//! Default values of fields, as the API server sets them.

use serde_json::{Map, Value, json};

/// Sets the default values of an object of this kind.
pub(super) fn fill(kind: &str, object: &mut Value) {
    match kind {
        "StatefulSet" => stateful_set(object),
        "Pod" => pod(&mut object["spec"]),
        "Service" => service(object),
        "PersistentVolumeClaim" => claim(object),
        "PersistentVolume" => {
            set(&mut object["spec"], "volumeMode", json!("Filesystem"));
            set(&mut object["spec"], "persistentVolumeReclaimPolicy", json!("Retain"));
            set_at(object, "/status/phase", json!("Pending"));
            if let Some(Value::Object(host)) = object.pointer_mut("/spec/hostPath") {
                host.entry("type").or_insert(json!(""));
            }
        }
        "Secret" => secret(object),
        "Namespace" => set_at(object, "/status/phase", json!("Active")),
        "StorageClass" => {
            set(object, "reclaimPolicy", json!("Delete"));
            set(object, "volumeBindingMode", json!("Immediate"));
        }
        _ => {}
    }
}

fn set(object: &mut Value, field: &str, value: Value) {
    if object.is_null() {
        *object = json!({});
    }
    if let Some(map) = object.as_object_mut()
        && map.get(field).is_none_or(Value::is_null)
    {
        map.insert(field.to_owned(), value);
    }
}

fn set_at(object: &mut Value, path: &str, value: Value) {
    let mut at = object;
    for segment in path.split('/').skip(1) {
        at = &mut at[segment];
    }
    if at.is_null() {
        *at = value;
    }
}

fn items<'a>(object: &'a mut Value, path: &str) -> impl Iterator<Item = &'a mut Value> {
    object.pointer_mut(path).and_then(Value::as_array_mut).into_iter().flatten()
}

fn stateful_set(object: &mut Value) {
    let spec = &mut object["spec"];
    set(spec, "replicas", json!(1));
    set(spec, "podManagementPolicy", json!("OrderedReady"));
    set(spec, "revisionHistoryLimit", json!(10));
    set(spec, "updateStrategy", json!({"type": "RollingUpdate"}));
    if spec["updateStrategy"]["type"] == "RollingUpdate" {
        set(&mut spec["updateStrategy"], "rollingUpdate", json!({"partition": 0}));
    }
    set(spec, "persistentVolumeClaimRetentionPolicy", json!({}));
    set(&mut spec["persistentVolumeClaimRetentionPolicy"], "whenDeleted", json!("Retain"));
    set(&mut spec["persistentVolumeClaimRetentionPolicy"], "whenScaled", json!("Retain"));
    pod(&mut spec["template"]["spec"]);
    for template in items(spec, "/volumeClaimTemplates") {
        set(template, "apiVersion", json!("v1"));
        set(template, "kind", json!("PersistentVolumeClaim"));
        claim(template);
    }
    set_at(object, "/status/replicas", json!(0));
    set_at(object, "/status/availableReplicas", json!(0));
}

fn claim(object: &mut Value) {
    set(&mut object["spec"], "volumeMode", json!("Filesystem"));
    set_at(object, "/status/phase", json!("Pending"));
}

fn service(object: &mut Value) {
    let spec = &mut object["spec"];
    set(spec, "type", json!("ClusterIP"));
    set(spec, "sessionAffinity", json!("None"));
    set(spec, "internalTrafficPolicy", json!("Cluster"));
    set(spec, "ipFamilyPolicy", json!("SingleStack"));
    set(spec, "ipFamilies", json!(["IPv4"]));
    for port in items(spec, "/ports") {
        set(port, "protocol", json!("TCP"));
        let target = port["port"].clone();
        set(port, "targetPort", target);
    }
    set_at(object, "/status/loadBalancer", json!({}));
}

/// Moves `stringData` of a Secret to `data`, as the server does.
pub(super) fn secret(object: &mut Value) {
    use base64::Engine as _;
    set(object, "type", json!("Opaque"));
    let plain = object.as_object_mut().and_then(|o| o.remove("stringData"));
    if let Some(Value::Object(plain)) = plain {
        for (key, text) in plain {
            let text = text.as_str().unwrap_or_default();
            object["data"][key] = base64::engine::general_purpose::STANDARD.encode(text).into();
        }
    }
}

fn pod(spec: &mut Value) {
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "schedulerName", json!("default-scheduler"));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    set(spec, "securityContext", json!({}));
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        set(spec, "serviceAccount", account);
    }
    for list in ["/initContainers", "/containers"] {
        items(spec, list).for_each(container);
    }
    for volume in items(spec, "/volumes") {
        for source in ["secret", "configMap", "projected"] {
            if volume.get(source).is_some() {
                set(&mut volume[source], "defaultMode", json!(420));
            }
        }
        if let Some(Value::Object(path)) = volume.get_mut("hostPath") {
            path.entry("type").or_insert(json!(""));
        }
    }
}

fn container(container: &mut Value) {
    set(container, "terminationMessagePath", json!("/dev/termination-log"));
    set(container, "terminationMessagePolicy", json!("File"));
    set(container, "resources", json!({}));
    let image = container["image"].as_str().unwrap_or_default();
    let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
    let policy = if matches!(tag, None | Some("latest")) { "Always" } else { "IfNotPresent" };
    set(container, "imagePullPolicy", json!(policy));
    for port in items(container, "/ports") {
        set(port, "protocol", json!("TCP"));
    }
    for variable in items(container, "/env") {
        if let Some(Value::Object(reference)) = variable.pointer_mut("/valueFrom/fieldRef") {
            reference.entry("apiVersion").or_insert(json!("v1"));
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(Value::Object(probe)) = container.get_mut(probe) {
            fill_probe(probe);
        }
    }
}

fn fill_probe(probe: &mut Map<String, Value>) {
    for (field, value) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ] {
        probe.entry(field).or_insert(json!(value));
    }
}
