//! What is not given is taken from the recipe.

use serde_json::json;

use super::*;
use crate::settings::readback::{self, Objects};
use crate::settings::{Parameters, TlsSetting};

/// Settings of every kind, in the order of a command line.
const LINES: [&str; 5] = [
    "",
    "--image postgres:16 --replicas 4 --storage class:fast --size 20Gi --access-mode ReadWriteOncePod",
    "--storage nfs://10.0.0.5/data --volume-prefix db --synchronous 1 --max-lag 3G --replicas 3 --tls true",
    "PGSET_REQUESTS=cpu=1,memory=none PGSET_LIMITS=cpu=4 PGSET_NODE_SELECTOR=disk=ssd,zone=a \
     PGSET_TOLERATION=dedicated=db:NoSchedule,spot PGSET_IMAGE_PULL_SECRET=a,b PGSET_LABEL=team=db \
     PGSET_ANNOTATION=note=x PGSET_NETWORK_POLICY=true PGSET_TERMINATION_GRACE_PERIOD=90s \
     --set work_mem=64MB --set shared_buffers=1GB --tls-secret mine PGSET_SERVICE_ACCOUNT=database PGSET_USER_ID=1001 PG_USER=app PG_DATABASE=orders",
    "CCP_IMAGE_TAG=centos7-9.5-1.2.6 CCP_NFS_IP=10.0.0.5 PG_PRIMARY_USER=repl",
];

pub(super) fn recipe_of(resolved: &Resolved) -> Recipe {
    let settings = &resolved.settings;
    let replicas = settings.replicas.as_ref().map_or(Replicas::DEFAULT, |given| given.value);
    let tls = settings.tls.as_ref().map_or(TlsSetting::Off, |given| given.value.clone());
    Recipe::of(settings, replicas.get(), &tls)
}

/// The line, run on a set that was created with the first one.
fn on(recipe: &Recipe, line: &str) -> Case {
    Case { recipe: recipe.clone(), ..case(line) }
}

fn value(line: &str, recipe: &Recipe, variable: &str) -> String {
    let resolved = on(recipe, line).run().unwrap_or_else(|error| panic!("{line}: {error}"));
    let found = resolved.in_force.iter().find(|known| known.variable == variable);
    found.map_or_else(String::new, |known| format!("{} < {}", known.value, known.source))
}

#[test]
fn a_plain_run_has_the_same_settings() {
    for line in LINES {
        let recipe = recipe_of(&case(line).run().unwrap_or_else(|error| panic!("{line}: {error}")));
        let again = on(&recipe, "").run().unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(recipe_of(&again), recipe, "{line}");
        let data: Vec<(&str, &str)> = recipe.data().collect();
        assert_eq!(Recipe::of_data(data), recipe, "{line}");
        let text = format!("{recipe:?}");
        assert!(!text.to_lowercase().contains("password"), "{text}");
    }
}

#[test]
fn what_is_given_replaces_that_setting_only() {
    let recipe = recipe_of(&case(LINES[3]).run().unwrap());
    for (line, variable, expected) in [
        ("", "PGSET_REQUESTS", "cpu=1,ephemeral-storage=64Mi < recorded"),
        (
            "PGSET_REQUESTS=memory=2Gi",
            "PGSET_REQUESTS",
            "cpu=1,memory=2Gi,ephemeral-storage=64Mi < PGSET_REQUESTS",
        ),
        // A recorded limit gives way to a request.
        (
            "PGSET_REQUESTS=cpu=8",
            "PGSET_LIMITS",
            "cpu=8,memory=1Gi,ephemeral-storage=1Gi < recorded",
        ),
        ("PGSET_LABEL=a=b", "PGSET_LABEL", "a=b < PGSET_LABEL"),
        ("--size 2Gi", "PGSET_SIZE", "2Gi < --size"),
        ("--size 2Gi", "PGSET_LABEL", "team=db < recorded"),
        ("--image postgres:17", "PGSET_PROFILE", "postgres < the image's name"),
        ("", "PGSET_PROFILE", "postgres < recorded"),
        // The variables of the article take precedence over the recipe, too.
        ("CCP_STORAGE_CLASS=slow", "PGSET_STORAGE", "class:slow < CCP_STORAGE_CLASS"),
        ("--tls=false", "PGSET_TLS", ""),
    ] {
        if !line.contains("--tls") {
            assert_eq!(value(line, &recipe, variable), expected, "{line}");
        }
    }
    let parameters = |line: &str| on(&recipe, line).run().unwrap().settings.parameters.unwrap();
    assert_eq!(parameters("").names(), "shared_buffers, work_mem");
    let changed = parameters("--set work_mem=4MB");
    assert_eq!(
        (changed.get("work_mem"), changed.get("shared_buffers")),
        (Some("4MB"), Some("1GB"))
    );
    let file = Case { files: vec![("a.conf", "jit = off")], ..on(&recipe, "--config a.conf") };
    assert_eq!(file.run().unwrap().settings.parameters.unwrap().names(), "jit", "the whole list");
}

#[test]
fn what_the_set_has_is_no_bad_input() {
    let recipe = recipe_of(&case("--replicas 3 --synchronous 2").run().unwrap());
    on(&recipe, "--replicas 2")
        .run()
        .expect("refused when the set is known, with another exit code");
    assert!(on(&recipe, "--replicas 2 --synchronous 2").run().is_err());
}

#[test]
fn one_way_of_tls_ends_the_other() {
    let recipe = recipe_of(&case("--tls-secret mine").run().unwrap());
    let tls = |line: &str| on(&recipe, line).run().unwrap().settings.tls.map(|given| given.value);
    assert_eq!(tls(""), Some(TlsSetting::Secret("mine".to_owned())));
    assert_eq!(tls("--tls false"), Some(TlsSetting::Off));
    assert_eq!(tls("--tls true"), Some(TlsSetting::On));
}

#[test]
fn a_running_set_keeps_what_it_has_and_a_reset_ends_that() {
    let all = recipe_of(
        &case("--replicas 5 --set work_mem=64MB --set jit=off --size 9Gi").run().unwrap(),
    );
    let running = all.clone().without_live();
    let settings = |recipe: &Recipe| on(recipe, "").run().unwrap().settings;
    assert!(settings(&running).replicas.is_none() && settings(&running).parameters.is_none());
    assert_eq!(settings(&running).size.as_str(), "9Gi");

    let reset = |names: &[&str]| {
        let mut recipe = all.clone();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        recipe.reset(&names).map(|()| settings(&recipe))
    };
    assert_eq!(reset(&["size"]).unwrap().size.as_str(), DEFAULT_SIZE);
    assert_eq!(reset(&["replicas"]).unwrap().replicas.unwrap().value, Replicas::DEFAULT);
    assert_eq!(reset(&["set.Work_Mem"]).unwrap().parameters.unwrap().names(), "jit");
    assert_eq!(reset(&["set"]).unwrap().parameters, Some(Parameters::default()));
    let all_reset = reset(&["all"]).unwrap();
    assert_eq!(all_reset.size.as_str(), DEFAULT_SIZE);
    assert_eq!(all_reset.tls.unwrap().value, TlsSetting::Off);
    let unknown = reset(&["siez"]).unwrap_err();
    assert_eq!(unknown.hint.as_deref(), Some("did you mean size?"));
    assert!(reset(&["size.x"]).is_err());
}

#[test]
fn settings_are_read_back_from_the_objects() {
    let statefulset = json!({
        "metadata": {"annotations": {"pgset/profile": "postgres"}},
        "spec": {
            "template": {
                "metadata": {
                    "labels": {"app": "pgset", "team": "db", "app.kubernetes.io/instance": "pgset"},
                    "annotations": {"kubectl.kubernetes.io/restartedAt": "now", "note": "x, y"},
                },
                "spec": {
                    "terminationGracePeriodSeconds": 90,
                    "serviceAccountName": "database",
                    "securityContext": {"runAsUser": 1001},
                    "nodeSelector": {"disk": "ssd"},
                    "tolerations": [{"key": "spot", "operator": "Exists"},
                                    {"key": "dedicated", "value": "db", "effect": "NoSchedule"}],
                    "imagePullSecrets": [{"name": "a"}, {"name": "b"}],
                    "initContainers": [{"name": "bootstrap", "env": [
                        {"name": "PGSET_USER", "value": "app"}, {"name": "PGSET_DATABASE", "value": "orders"},
                        {"name": "PGSET_PRIMARY_USER", "value": "repl"}]}],
                    "containers": [{"name": "sidecar", "image": "x"}, {"name": "postgres",
                        "image": "registry.example/postgres:16",
                        "resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "2", "memory": "4Gi"}}}],
                },
            },
            "volumeClaimTemplates": [{"spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                "resources": {"requests": {"storage": "20Gi"}}}}],
        },
    });
    let set = case("").run().unwrap().settings.set;
    let objects =
        Objects { statefulset: &statefulset, claim: None, volume: None, network_policy: true };
    let recipe = readback::recipe(&set, objects);
    let data: Vec<(&str, &str)> = recipe.data().collect();
    assert_eq!(
        data,
        [
            ("access-mode", "ReadWriteOnce"),
            ("annotation", "note=x, y"),
            ("database", "orders"),
            ("image", "registry.example/postgres:16"),
            ("image-pull-secret", "a,b"),
            ("label", "team=db"),
            ("limits", "cpu=2,memory=4Gi,ephemeral-storage=none"),
            ("network-policy", "true"),
            ("node-selector", "disk=ssd"),
            ("primary-user", "repl"),
            ("profile", "postgres"),
            ("requests", "cpu=500m,memory=none,ephemeral-storage=none"),
            ("service-account", "database"),
            ("size", "20Gi"),
            ("storage", "class:fast"),
            ("termination-grace-period", "90s"),
            ("toleration", "spot,dedicated=db:NoSchedule"),
            ("user", "app"),
            ("user-id", "1001"),
        ]
    );
    on(&recipe, "").run().expect("every value is valid");

    let shared = json!({
        "metadata": {},
        "spec": {"template": {"spec": {
            "serviceAccountName": "pgset-sa",
            "containers": [{"name": "postgres", "image": "crunchydata/crunchy-postgres:centos7-9.5-1.2.6",
                            "env": [{"name": "PG_USER", "value": "app"}]}],
            "volumes": [{"name": "pgdata", "persistentVolumeClaim": {"claimName": "pgset-pvc"}}],
        }}},
    });
    let claim = json!({"spec": {"accessModes": ["ReadWriteMany"], "volumeName": "db3",
                                "resources": {"requests": {"storage": "100M"}}}});
    let volume =
        json!({"metadata": {"name": "db3"}, "spec": {"nfs": {"server": "fd00::1", "path": "/x"}}});
    let objects = Objects {
        statefulset: &shared,
        claim: Some(&claim),
        volume: Some(&volume),
        network_policy: false,
    };
    let recipe = readback::recipe(&set, objects);
    let data: Vec<(&str, &str)> = recipe.data().collect();
    assert_eq!(
        data,
        [
            ("access-mode", "ReadWriteMany"),
            ("image", "crunchydata/crunchy-postgres:centos7-9.5-1.2.6"),
            ("size", "100M"),
            ("storage", "nfs://[fd00::1]/x"),
            ("user", "app"),
            ("volume-prefix", "db"),
        ]
    );
    on(&recipe, "").run().expect("every value is valid");
}
