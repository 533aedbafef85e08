//! Admission: validates objects before they are stored, and sets the fields that depend on the
//! state of the cluster.

mod resources;
mod security;

use serde_json::{Value, json};

use super::controllers::claims::quantity;
use super::controllers::quotas;
use super::kinds::{NAMESPACES, PODS, Resource, SERVICE_ACCOUNTS, SERVICES, STORAGE_CLASSES};
use super::refusal::{Answer, Refusal};
use super::registry::Registry;
use super::store::Key;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const STATEFUL_SET_FIELDS: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
const CLAIM_FIELDS: &str = "Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
const NO_EXPANSION: &str = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";

/// The annotation of the default StorageClass, which claims without a class get.
pub(super) const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// Validates the name of a new object.
pub(super) fn name(resource: &'static Resource, name: &str) -> Answer<()> {
    let (most, label, rule) = match resource.kind {
        "Service" => (63, true, LABEL_1035),
        _ => (253, false, SUBDOMAIN),
    };
    // The names of Roles and RoleBindings are almost unrestricted.
    if resource.group == "rbac.authorization.k8s.io" {
        return Ok(());
    }
    let good = |part: &str| {
        let edge =
            |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().last())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    let right = if label { good(name) && begins } else { name.split('.').all(good) };
    if right && name.len() <= most {
        return Ok(());
    }
    let what = format!("Invalid value: {name:?}: {rule}");
    Err(Refusal::invalid(resource, name, "metadata.name", &what))
}

/// Validates an object that is about to be stored, and completes it.
pub(super) fn admit(
    registry: &Registry,
    key: &Key,
    before: Option<&Value>,
    object: &mut Value,
) -> Answer<()> {
    match (key.resource.kind, before) {
        ("StatefulSet", before) => stateful_set(key, before, object),
        ("Service", before) => service(registry, key, before, object),
        ("PersistentVolumeClaim", None) => {
            add_finalizer(object, "kubernetes.io/pvc-protection");
            if object["spec"].get("storageClassName").is_none()
                && let Some(class) = default_class(registry)
            {
                object["spec"]["storageClassName"] = json!(class);
            }
            required(key, object, "spec.accessModes")
        }
        ("PersistentVolumeClaim", Some(before)) => claim_update(registry, key, before, object),
        ("PersistentVolume", None) => {
            add_finalizer(object, "kubernetes.io/pv-protection");
            required(key, object, "spec.accessModes")
        }
        ("PersistentVolume", Some(before)) => volume_update(key, before, object),
        ("RoleBinding", Some(before)) if before["roleRef"] != object["roleRef"] => {
            Err(Refusal::invalid(
                key.resource,
                &key.name,
                "roleRef",
                "Invalid value: cannot change roleRef",
            ))
        }
        ("Pod", None) => {
            if object["spec"].get("serviceAccountName").is_none() {
                object["spec"]["serviceAccountName"] = json!("default");
            }
            account(registry, key, object)?;
            resources::limit(registry, key, object)?;
            secure(registry, key, object)?;
            resources::within_quota(registry, key, object)?;
            object["status"]["phase"] = json!("Pending");
            object["status"]["qosClass"] = json!("BestEffort");
            required(key, object, "spec.containers")
        }
        ("ResourceQuota", _) => {
            let hard = object["spec"]["hard"].as_object().into_iter().flatten();
            match hard.map(|(name, _)| name).find(|name| !quotas::counts(name)) {
                None => Ok(()),
                Some(name) => Err(Refusal::left_out(&format!("a quota for {name}"))),
            }
        }
        ("Namespace", None) => {
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(key.name);
            object["spec"]["finalizers"] = json!(["kubernetes"]);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn required(key: &Key, object: &Value, field: &str) -> Answer<()> {
    let pointer = format!("/{}", field.replace('.', "/"));
    let there = object.pointer(&pointer).and_then(Value::as_array).is_some_and(|l| !l.is_empty());
    if there {
        return Ok(());
    }
    Err(Refusal::invalid(key.resource, &key.name, field, "Required value"))
}

fn add_finalizer(object: &mut Value, name: &str) {
    let finalizers = &mut object["metadata"]["finalizers"];
    match finalizers.as_array_mut() {
        Some(list) if list.iter().any(|f| f == name) => {}
        Some(list) => list.push(json!(name)),
        None => *finalizers = json!([name]),
    }
}

/// Checks that a pod complies with the Pod Security level of its namespace.
fn secure(registry: &Registry, key: &Key, pod: &Value) -> Answer<()> {
    let namespace = registry.get(&Key::new(&NAMESPACES, "", &key.namespace))?;
    if namespace["metadata"]["labels"][security::LABEL] != security::RESTRICTED {
        return Ok(());
    }
    let violation = security::violation(pod);
    violation.map_or(Ok(()), |why| Err(Refusal::forbidden(key.resource, &key.name, &why)))
}

/// Checks that the pod's service account exists.
fn account(registry: &Registry, key: &Key, pod: &Value) -> Answer<()> {
    let name = pod["spec"]["serviceAccountName"].as_str().unwrap_or_default();
    if registry.store.get(&Key::new(&SERVICE_ACCOUNTS, &key.namespace, name)).is_some() {
        return Ok(());
    }
    let why = format!(
        "error looking up service account {}/{name}: serviceaccount {name:?} not found",
        key.namespace
    );
    Err(Refusal::forbidden(key.resource, &key.name, &why))
}

/// The name of the default StorageClass.
pub(super) fn default_class(registry: &Registry) -> Option<String> {
    let classes = registry.store.all(&STORAGE_CLASSES);
    let is = |c: &&std::sync::Arc<Value>| c["metadata"]["annotations"][DEFAULT_CLASS] == "true";
    Some(classes.iter().find(is)?["metadata"]["name"].as_str()?.to_owned())
}

fn stateful_set(key: &Key, before: Option<&Value>, object: &Value) -> Answer<()> {
    let invalid =
        |field: &str, what: &str| Err(Refusal::invalid(key.resource, &key.name, field, what));
    if object["spec"]["replicas"].as_i64().is_some_and(|n| n < 0) {
        let what = "Invalid value: must be greater than or equal to 0";
        return invalid("spec.replicas", what);
    }
    update_strategy(key, &object["spec"]["updateStrategy"])?;
    if let Some(before) = before {
        let fixed = |set: &Value| {
            let mut spec = set["spec"].clone();
            for field in [
                "replicas",
                "ordinals",
                "template",
                "updateStrategy",
                "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy",
                "minReadySeconds",
            ] {
                spec.as_object_mut().map(|spec| spec.remove(field));
            }
            spec
        };
        if fixed(before) != fixed(object) {
            return invalid("spec", &format!("Forbidden: {STATEFUL_SET_FIELDS}"));
        }
    }
    let labels = &object["spec"]["template"]["metadata"]["labels"];
    let wanted = object["spec"]["selector"]["matchLabels"].as_object();
    if wanted.is_none_or(serde_json::Map::is_empty) {
        return invalid(
            "spec.selector",
            "Invalid value: empty selector is invalid for statefulset",
        );
    }
    if wanted.into_iter().flatten().any(|(label, value)| labels[label] != *value) {
        let what = format!("Invalid value: {labels}: `selector` does not match template `labels`");
        return invalid("spec.template.metadata.labels", &what);
    }
    required(key, object, "spec.template.spec.containers")
}

fn update_strategy(key: &Key, strategy: &Value) -> Answer<()> {
    // The server shows its internal structures here: their field names differ from the API's.
    let rolling = &strategy["rollingUpdate"];
    let shown = match rolling.as_object() {
        None => "null".to_owned(),
        Some(_) => format!(
            "{{\"Partition\":{},\"MaxUnavailable\":{}}}",
            rolling["partition"], rolling["maxUnavailable"]
        ),
    };
    let (field, what) = match strategy["type"].as_str() {
        Some("RollingUpdate") => return Ok(()),
        Some("OnDelete") if rolling.is_null() => return Ok(()),
        Some("OnDelete") => {
            let field = "spec.updateStrategy.rollingUpdate";
            (field, format!("{shown}: only allowed for updateStrategy 'RollingUpdate'"))
        }
        _ => {
            let shown = format!("{{\"Type\":{},\"RollingUpdate\":{shown}}}", strategy["type"]);
            ("spec.updateStrategy", format!("{shown}: must be 'RollingUpdate' or 'OnDelete'"))
        }
    };
    Err(Refusal::invalid(key.resource, &key.name, field, &format!("Invalid value: {what}")))
}

fn service(
    registry: &Registry,
    key: &Key,
    before: Option<&Value>,
    object: &mut Value,
) -> Answer<()> {
    if object["spec"]["type"] != "ClusterIP" {
        let what = "Unsupported value: the sandbox supports only Services of type ClusterIP";
        return Err(Refusal::invalid(key.resource, &key.name, "spec.type", what));
    }
    if let Some(before) = before {
        let (old, new) = (&before["spec"]["clusterIP"], &object["spec"]["clusterIP"]);
        if !new.is_null() && !old.is_null() && old != new {
            let what = format!("Invalid value: {}: field is immutable", json!([new]));
            return Err(Refusal::invalid(key.resource, &key.name, "spec.clusterIPs[0]", &what));
        }
        object["spec"]["clusterIP"] = old.clone();
    }
    if object["spec"]["clusterIP"].is_null() {
        let address = free_address(registry).ok_or_else(|| {
            Refusal::new(500, "InternalError", "failed to allocate an IP: the range is full")
        })?;
        object["spec"]["clusterIP"] = json!(address);
    }
    object["spec"]["clusterIPs"] = json!([object["spec"]["clusterIP"]]);
    Ok(())
}

/// An address that no Service and no pod uses.
pub(super) fn free_address(registry: &Registry) -> Option<String> {
    let services = registry.store.all(&SERVICES);
    let pods = registry.store.all(&PODS);
    registry.network.take(|address| {
        services.iter().any(|s| s["spec"]["clusterIP"] == address)
            || pods.iter().any(|p| p["status"]["podIP"] == address)
    })
}

fn claim_update(registry: &Registry, key: &Key, before: &Value, object: &Value) -> Answer<()> {
    let text = |claim: &Value, at: &str| {
        claim.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let requested = |claim: &Value| quantity(&text(claim, "/spec/resources/requests/storage"));
    let is_bound = before["status"]["phase"] == "Bound";
    let fixed = |claim: &Value| {
        let mut spec = claim["spec"].clone();
        spec["resources"]["requests"]["storage"] =
            if is_bound { Value::Null } else { json!(requested(claim)) };
        // `volumeName` is set once, when the claim is bound.
        if before["spec"].get("volumeName").is_none() {
            spec.as_object_mut().map(|spec| spec.remove("volumeName"));
        }
        spec
    };
    let invalid =
        |field: &str, what: &str| Err(Refusal::invalid(key.resource, &key.name, field, what));
    if fixed(before) != fixed(object) {
        return invalid("spec", CLAIM_FIELDS);
    }
    let (old, new) = (requested(before), requested(object));
    // A request that the volume does not meet yet may be reduced, but only to more than the volume
    // has.
    if new < old && new <= quantity(&text(before, "/status/capacity/storage")) {
        let what = "Forbidden: field can not be less than status.capacity";
        return invalid("spec.resources.requests.storage", what);
    }
    let class = Key::new(&STORAGE_CLASSES, "", &text(object, "/spec/storageClassName"));
    let expands =
        registry.store.get(&class).is_some_and(|class| class["allowVolumeExpansion"] == true);
    if new > old && !expands {
        return Err(Refusal::forbidden(key.resource, &key.name, NO_EXPANSION));
    }
    Ok(())
}

fn volume_update(key: &Key, before: &Value, object: &Value) -> Answer<()> {
    let sources = ["nfs", "hostPath", "local", "csi"];
    if sources.iter().all(|source| before["spec"][source] == object["spec"][source]) {
        return Ok(());
    }
    let what = "Forbidden: spec.persistentvolumesource is immutable after creation";
    Err(Refusal::invalid(key.resource, &key.name, "spec.persistentvolumesource", what))
}
