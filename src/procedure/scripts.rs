//! The ConfigMaps with the script of the pods. Each version of the script has its own, so that a pod runs the
//! script that its template was written for.

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use serde_json::Value;

use super::live::{self, Live};
use super::{Work, lease, pods};
use crate::cluster::objects::Freshness;
use crate::manifest::{Kind, Object, ObjectId};
use crate::set::{SetIdentity, objects};

/// The key of the script.
const KEY: &str = "bootstrap.sh";

/// Keeps the script of an older pgset in the ConfigMap with the configuration while pods may run it from there:
/// as it is, since probes of running pods use it.
pub(crate) fn keep_previous(desired: &mut [Object], live: &Live, set: &SetIdentity) {
    let id = objects::config(set);
    let Some(script) = live.objects.get(&id).and_then(|config| config["data"].get(KEY)) else {
        return;
    };
    let statefulset = objects::statefulset(set);
    let wanted = desired.iter().find(|object| object.id == statefulset).map(|object| &object.value);
    let templates = [wanted, live.objects.get(&statefulset)];
    let templates = templates.into_iter().flatten().filter_map(template);
    let specs = live.pods.iter().filter_map(|pod| pod.spec.clone()).chain(templates);
    let previous = specs.into_iter().any(|spec| script_of(set, &spec).is_none());
    if !previous {
        return;
    }
    for config in desired.iter_mut().filter(|object| object.id == id) {
        config.value["data"][KEY] = script.clone();
    }
}

/// The pod template of a StatefulSet.
fn template(statefulset: &Value) -> Option<PodSpec> {
    serde_json::from_value(statefulset["spec"]["template"]["spec"].clone()).ok()
}

/// The ConfigMap with the script that a pod runs.
fn script_of<'a>(set: &SetIdentity, spec: &'a PodSpec) -> Option<&'a str> {
    let prefix = set.scripts_prefix();
    let volumes = spec.volumes.iter().flatten();
    let mut names = volumes.filter_map(|volume| Some(volume.config_map.as_ref()?.name.as_str()));
    names.find(|name| name.starts_with(&prefix))
}

/// The scripts that nothing uses any more.
fn unused<'a>(
    set: &SetIdentity,
    scripts: &'a [Value],
    statefulset: &Value,
    pods: &[Pod],
) -> Vec<&'a Value> {
    let template = template(statefulset);
    let used = |name: &str| {
        let specs = pods.iter().filter_map(|pod| pod.spec.as_ref()).chain(template.as_ref());
        specs.into_iter().any(|spec| script_of(set, spec) == Some(name))
    };
    let is_script = |name: &str| name.starts_with(&set.scripts_prefix());
    let names =
        scripts.iter().filter_map(|object| Some((object, object["metadata"]["name"].as_str()?)));
    names.filter(|(_, name)| is_script(name) && !used(name)).map(|(object, _)| object).collect()
}

/// Deletes the scripts that nothing uses any more. Only tidies up: a failure is told with `-v`, and the next run
/// tries again.
pub(crate) async fn tidy(work: Work<'_>) {
    if let Err(error) = delete_unused(work).await {
        work.context.detail(format!("scripts of earlier versions were not deleted: {error:#}"));
    }
}

async fn delete_unused(work: Work<'_>) -> anyhow::Result<()> {
    let (cluster, set) = (work.cluster, work.set);
    let (namespace, selector) = (work.namespace(), set.selector());
    let statefulset = objects::statefulset(set);
    let (scripts, pods, statefulset) = futures::join!(
        cluster.list(Kind::ConfigMap, namespace, &selector, Freshness::Latest),
        pods::list(cluster, set),
        cluster.get(&statefulset),
    );
    let (scripts, pods) = (scripts?, pods?);
    let Some(statefulset) = statefulset? else { return Ok(()) };
    for script in unused(set, &scripts, &statefulset, &pods) {
        let name = script["metadata"]["name"].as_str().unwrap_or_default();
        let id = ObjectId::new(Kind::ConfigMap, namespace, name);
        lease::still_ours(work).await?;
        cluster.delete(&id, live::uid_of(script)).await?;
        work.context.detail(format!("{id} deleted: no pod runs this version of the script"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set() -> SetIdentity {
        SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() }
    }

    fn spec(script: Option<&str>) -> Value {
        let volume = |name: &str| json!({"name": name, "configMap": {"name": name}});
        let volumes: Vec<Value> = script.into_iter().chain(["pgset-config"]).map(volume).collect();
        json!({"containers": [], "volumes": volumes})
    }

    fn pod(script: Option<&str>) -> Pod {
        serde_json::from_value(json!({"spec": spec(script)})).unwrap()
    }

    fn statefulset(script: Option<&str>) -> Value {
        json!({"spec": {"template": {"spec": spec(script)}}})
    }

    #[test]
    fn the_script_in_the_configuration_stays_while_a_pod_or_a_template_may_run_it() {
        let new = Some("pgset-scripts-1");
        for (live_template, pods, wanted, kept) in [
            (new, vec![new, new], new, false),
            (new, vec![new, None], new, true),
            (None, vec![new], new, true),
            (None, vec![None], new, true),
            // A template of the user's.
            (new, vec![new], None, true),
        ] {
            let object = |id: ObjectId, value: Value| Object { id, value, template: String::new() };
            let mut desired = [
                object(objects::config(&set()), json!({"data": {"postgresql.conf": "x"}})),
                object(objects::statefulset(&set()), statefulset(wanted)),
            ];
            let mut live = Live { pods: pods.into_iter().map(pod).collect(), ..Live::default() };
            let config = json!({"data": {KEY: "old"}});
            live.objects.insert(objects::config(&set()), config);
            live.objects.insert(objects::statefulset(&set()), statefulset(live_template));
            keep_previous(&mut desired, &live, &set());
            let expected = kept.then(|| json!("old"));
            assert_eq!(desired[0].value["data"].get(KEY), expected.as_ref(), "{live_template:?}");
        }
    }

    #[test]
    fn a_script_goes_when_neither_a_pod_nor_the_template_names_it() {
        let object = |name: &str| json!({"metadata": {"name": name}});
        let scripts = ["pgset-config", "pgset-scripts-1", "pgset-scripts-2", "pgset-scripts-3"];
        let scripts: Vec<Value> = scripts.into_iter().map(object).collect();
        let pods = [pod(Some("pgset-scripts-1"))];
        let unused = unused(&set(), &scripts, &statefulset(Some("pgset-scripts-3")), &pods);
        assert_eq!(unused, [&object("pgset-scripts-2")]);
    }
}
