//! Reads the settings of a set back from its objects: for a set from before there were recipes, or one that was
//! created with `pgset render | kubectl apply`.

use serde_json::Value;

use super::pods::{Annotation, Label, is_users};
use super::{Recipe, Storage};
use crate::image::{ImageReference, Profile, ProfileName};
use crate::set::{SetIdentity, objects, passwords};
use crate::values::quantity;

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
    let user = spec["securityContext"]["runAsUser"].as_u64();
    let image = server.and_then(|server| server["image"].as_str());
    let profile = ProfileName::of_set(objects::profile(objects.statefulset));
    record("user-id", image.zip(user).and_then(|(image, user)| user_id(image, profile, user)));
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

/// The user ID, if it is not the one that the image's tag tells.
fn user_id(image: &str, profile: ProfileName, user: u64) -> Option<String> {
    let image: ImageReference = image.parse().ok()?;
    let profile = Profile::of(&image, profile).ok()?;
    let can_be_set = profile.capabilities().user_id.is_there();
    let differs = can_be_set && u64::from(profile.user_id()) != user;
    differs.then(|| user.to_string())
}

/// What is left of a set whose StatefulSet and recipe do not exist.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The claims of the set.
    pub claims: &'a [Value],
    /// The volume of the claim that all pods share, if they share one that pgset created.
    pub volume: Option<&'a Value>,
    /// The Secret with the passwords.
    pub secret: Option<&'a Value>,
}

/// Annotation of the Secret: the image that the set was created with.
pub const ANNOTATION_IMAGE: &str = "pgset/image";
/// Annotation of the Secret: the user ID that the image runs as and that owns the files.
pub const ANNOTATION_USER: &str = "pgset/user-id";
/// Annotation of the Secret: the claim that all pods of the set share.
pub const ANNOTATION_CLAIM: &str = "pgset/shared-claim";

/// The recipe that kept data tells. It has no image and no number of pods where nothing tells them.
#[must_use]
pub fn of_kept(set: &SetIdentity, kept: Kept<'_>) -> Recipe {
    let mut recipe = Recipe::default();
    let secret = kept.secret.unwrap_or(&Value::Null);
    let annotation = |name: &str| secret["metadata"]["annotations"][name].as_str();
    let image = annotation(ANNOTATION_IMAGE);
    recipe.record("image", image.map(str::to_owned));
    let user = annotation(ANNOTATION_USER).and_then(|user| user.parse().ok());
    let user = image.zip(user).and_then(|(image, user)| {
        let profile = Profile::name_for(&image.parse().ok()?);
        user_id(image, profile, user)
    });
    recipe.record("user-id", user);
    for name in ["user", "primary-user", "database"] {
        recipe.record(name, passwords::text(secret, name));
    }
    let mut of_pods: Vec<(u32, &Value)> = Vec::new();
    for claim in kept.claims {
        of_pods.extend(ordinal(set, claim).map(|ordinal| (ordinal, claim)));
    }
    of_pods.sort_by_key(|(ordinal, _)| *ordinal);
    let mut record = |name, value: Option<String>| recipe.record(name, value);
    if let Some((last, first)) = of_pods.last().zip(of_pods.first()).map(|(l, f)| (l.0, f.1)) {
        record("replicas", Some((last + 1).to_string()));
        let name = first["spec"]["storageClassName"].as_str().map(str::to_owned);
        record("storage", Some(Storage::Class { name }.to_string()));
        claim(first, &mut record);
        let sizes = of_pods.iter().filter_map(|(_, claim)| request(claim));
        let largest = sizes.reduce(|a, b| if quantity::less(a, b) { b } else { a });
        record("size", largest.map(str::to_owned));
        return recipe;
    }
    let own = kept.claims.iter().find(|claim| claim["metadata"]["name"] == set.claim().as_str());
    match (annotation(ANNOTATION_CLAIM), own.zip(kept.volume)) {
        (_, Some((own, volume))) => shared(own, volume, &mut record),
        (Some(name), None) if name != set.claim() => {
            record("storage", Some(Storage::Claim { name: name.to_owned() }.to_string()));
        }
        _ => {}
    }
    recipe
}

/// The ordinal of the pod that a claim was created for.
fn ordinal(set: &SetIdentity, claim: &Value) -> Option<u32> {
    set.ordinal_of_claim(claim["metadata"]["name"].as_str()?)
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
            if let (Some(claim), Some(volume)) = (objects.claim, objects.volume) {
                shared(claim, volume, record);
            }
        }
    }
}

/// The storage of a claim that pgset created, and of its volume.
fn shared(shared: &Value, volume: &Value, record: &mut impl FnMut(&'static str, Option<String>)) {
    record("storage", place(&volume["spec"]).map(|storage| storage.to_string()));
    let volume = volume["metadata"]["name"].as_str();
    let prefix = volume.map(|name| name.trim_end_matches(|c: char| c.is_ascii_digit()));
    record("volume-prefix", prefix.map(str::to_owned));
    claim(shared, record);
}

fn claim(claim: &Value, record: &mut impl FnMut(&'static str, Option<String>)) {
    record("size", request(claim).map(str::to_owned));
    record("access-mode", claim["spec"]["accessModes"][0].as_str().map(str::to_owned));
}

fn request(claim: &Value) -> Option<&str> {
    claim["spec"]["resources"]["requests"]["storage"].as_str()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim(name: &str, size: &str) -> Value {
        let resources = json!({"requests": {"storage": size}});
        json!({"metadata": {"name": name}, "spec": {"storageClassName": "fast", "resources": resources,
            "accessModes": ["ReadWriteOnce"], "volumeName": "pv1"}})
    }

    fn told(claims: &[Value], volume: Option<&Value>, annotations: &Value) -> String {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let secret = json!({"metadata": {"annotations": annotations}, "data": {"user": "YW5u"}});
        let recipe = of_kept(&set, Kept { claims, volume, secret: Some(&secret) });
        recipe.data().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn kept_data_tells_what_the_set_was() {
        let image = json!({ANNOTATION_IMAGE: "postgres:16"});
        let claims = [claim("pgdata-pgset-0", "1Gi"), claim("pgdata-pgset-2", "2Gi")];
        assert_eq!(
            told(&claims, None, &image),
            "access-mode=ReadWriteOnce image=postgres:16 replicas=3 size=2Gi storage=class:fast user=ann"
        );
        let volume = json!({"metadata": {"name": "pv1"}, "spec": {"hostPath": {"path": "/srv"}}});
        assert_eq!(
            told(&[claim("pgset-pvc", "1Gi")], Some(&volume), &json!({})),
            "access-mode=ReadWriteOnce size=1Gi storage=hostpath:/srv user=ann volume-prefix=pv"
        );
        let given = json!({ANNOTATION_CLAIM: "mine"});
        assert_eq!(told(&[], None, &given), "storage=claim:mine user=ann");
        assert_eq!(told(&[claim("pgdata-other-0", "1Gi")], None, &json!({})), "user=ann");
    }
}
