//! Reads the settings of a set back from its objects: for a set from before there were recipes, or one that was
//! created with `pgset render | kubectl apply`.

use serde_json::Value;

use super::pods::{Annotation, Label, is_users};
use super::{Recipe, Storage};
use crate::set::{SetIdentity, objects};

/// The objects that tell the settings.
#[derive(Clone, Copy, Debug)]
pub struct Objects<'a> {
    /// The StatefulSet.
    pub statefulset: &'a Value,
    /// The claim that all pods share, if they share one that pgset created.
    pub claim: Option<&'a Value>,
    /// The volume of that claim.
    pub volume: Option<&'a Value>,
    /// Whether the set has a NetworkPolicy.
    pub network_policy: bool,
}

/// The recipe that these objects tell, without what a running set always tells itself.
#[must_use]
pub fn recipe(set: &SetIdentity, objects: Objects<'_>) -> Recipe {
    let template = &objects.statefulset["spec"]["template"];
    let spec = &template["spec"];
    let mut recipe = Recipe::default();
    let mut record = |name, value: Option<String>| recipe.record(name, value);
    let text = |value: &Value| value.as_str().map(str::to_owned);

    let containers = list(&spec["containers"]);
    let server = containers.iter().find(|container| container["name"] == "postgres");
    record("image", server.and_then(|server| text(&server["image"])));
    record("profile", objects::profile(objects.statefulset).map(str::to_owned));
    storage(set, objects, &mut record);
    for (name, variables) in [
        ("user", ["PGSET_USER", "PG_USER"]),
        ("database", ["PGSET_DATABASE", "PG_DATABASE"]),
        ("primary-user", ["PGSET_PRIMARY_USER", "PG_PRIMARY_USER"]),
    ] {
        record(name, variables.iter().find_map(|variable| variable_of(spec, variable)));
    }
    let account = text(&spec["serviceAccountName"]);
    record("service-account", account.filter(|account| *account != set.service_account()));
    if !objects::capabilities(objects.statefulset).has_pod_settings {
        return recipe;
    }
    if let Some(server) = server {
        record("requests", Some(resources(&server["resources"]["requests"])));
        record("limits", Some(resources(&server["resources"]["limits"])));
    }
    record("node-selector", Some(pairs(&spec["nodeSelector"], ",", |_| true)));
    record("toleration", Some(tolerations(&spec["tolerations"])));
    let secrets = list(&spec["imagePullSecrets"]).iter().filter_map(|secret| text(&secret["name"]));
    record("image-pull-secret", Some(secrets.collect::<Vec<_>>().join(",")));
    let metadata = &template["metadata"];
    record("label", Some(pairs(&metadata["labels"], ",", is_users::<Label>)));
    record("annotation", Some(pairs(&metadata["annotations"], "\n", is_users::<Annotation>)));
    record("network-policy", Some(objects.network_policy.to_string()));
    let grace = spec["terminationGracePeriodSeconds"].as_u64();
    record("termination-grace-period", grace.map(|seconds| format!("{seconds}s")));
    recipe
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn storage(
    set: &SetIdentity,
    objects: Objects<'_>,
    record: &mut impl FnMut(&'static str, Option<String>),
) {
    let spec = &objects.statefulset["spec"];
    if let Some(template) = list(&spec["volumeClaimTemplates"]).first() {
        let name = template["spec"]["storageClassName"].as_str().map(str::to_owned);
        record("storage", Some(Storage::Class { name }.to_string()));
        return claim(template, record);
    }
    let volumes = list(&spec["template"]["spec"]["volumes"]);
    let name = volumes.iter().find_map(|v| v["persistentVolumeClaim"]["claimName"].as_str());
    match name {
        Some(name) if name != set.claim() => {
            let name = name.to_owned();
            record("storage", Some(Storage::Claim { name }.to_string()));
        }
        _ => {
            let (Some(shared), Some(volume)) = (objects.claim, objects.volume) else { return };
            record("storage", place(&volume["spec"]).map(|storage| storage.to_string()));
            let volume = volume["metadata"]["name"].as_str();
            let prefix = volume.map(|name| name.trim_end_matches(|c: char| c.is_ascii_digit()));
            record("volume-prefix", prefix.map(str::to_owned));
            claim(shared, record);
        }
    }
}

fn claim(claim: &Value, record: &mut impl FnMut(&'static str, Option<String>)) {
    let size = claim["spec"]["resources"]["requests"]["storage"].as_str();
    record("size", size.map(str::to_owned));
    record("access-mode", claim["spec"]["accessModes"][0].as_str().map(str::to_owned));
}

/// The storage of a volume that pgset created.
fn place(spec: &Value) -> Option<Storage> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let nfs = &spec["nfs"];
    match text(&nfs["server"]) {
        Some(server) => Some(Storage::Nfs { server, path: text(&nfs["path"])? }),
        None => Some(Storage::HostPath { path: text(&spec["hostPath"]["path"])? }),
    }
}

/// The value of a variable of any container.
fn variable_of(spec: &Value, name: &str) -> Option<String> {
    let containers = list(&spec["initContainers"]).iter().chain(list(&spec["containers"]));
    let mut variables = containers.flat_map(|container| list(&container["env"]));
    let variable = variables.find(|variable| variable["name"] == name)?;
    variable["value"].as_str().map(str::to_owned)
}

/// `cpu=500m,memory=none,ephemeral-storage=1Gi`.
fn resources(value: &Value) -> String {
    let one = |name| format!("{name}={}", value[name].as_str().unwrap_or("none"));
    ["cpu", "memory", "ephemeral-storage"].map(one).join(",")
}

fn pairs(map: &Value, separator: &str, is_users: impl Fn(&str) -> bool) -> String {
    let pairs = map.as_object().into_iter().flatten();
    let pairs = pairs.filter_map(|(key, value)| {
        let pair = format!("{key}={}", value.as_str()?);
        is_users(&pair).then_some(pair)
    });
    pairs.collect::<Vec<_>>().join(separator)
}

/// `dedicated=db:NoSchedule,spot:NoExecute`.
fn tolerations(value: &Value) -> String {
    let one = |toleration: &Value| {
        let key = toleration["key"].as_str().unwrap_or_default();
        let value = toleration["value"].as_str().map(|value| format!("={value}"));
        let effect = toleration["effect"].as_str().map(|effect| format!(":{effect}"));
        format!("{key}{}{}", value.unwrap_or_default(), effect.unwrap_or_default())
    };
    list(value).iter().map(one).collect::<Vec<_>>().join(",")
}
