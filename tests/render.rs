//! Golden files of the built-in templates: their output for each range of tags and each storage.
//!
//! `PGSET_UPDATE=1 cargo test` regenerates the files.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::path::Path;

use pgset::certificate::Certificates;
use pgset::image::{ImageReference, Profile};
use pgset::manifest::parse::{objects, to_yaml};
use pgset::manifest::{Kind, Object};
use pgset::render::{Inputs, Passwords, TemplateSet, render};
use pgset::set::SetIdentity;
use pgset::settings::{
    AccessMode, Credentials, Parameters, Settings, Source, Sourced, Storage, Tls, parameters,
    synchronous,
};
use pgset::values::{Replicas, Secret};

fn settings(tag: &str, storage: Storage) -> Settings {
    let crunchy = pgset::image::Crunchy::from_tag(tag).unwrap();
    Settings {
        set: SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() },
        image: ImageReference {
            repository: "crunchydata/crunchy-postgres".to_owned(),
            tag: Some(tag.to_owned()),
            digest: None,
        },
        profile: Profile::Crunchy(crunchy),
        replicas: None,
        storage,
        size: "100M".parse().unwrap(),
        access_mode: AccessMode::ReadWriteMany,
        volume_prefix: "pv".to_owned(),
        credentials: Credentials {
            superuser_password: None,
            primary_user: "master".parse().unwrap(),
            primary_password: None,
            user: "testuser".parse().unwrap(),
            password: None,
            database: "userdb".parse().unwrap(),
        },
        parameters: None,
        computed: pgset::settings::Computed::Yes,
        synchronous: None,
        max_lag: "1Gi".parse().unwrap(),
        tls: None,
        pods: pgset::settings::Pods::default(),
        service_account: None,
        templates: None,
        asked: Vec::new(),
    }
}

/// The tag that the article uses.
const ARTICLE: &str = "centos7-9.5-1.2.6";

fn nfs() -> Storage {
    Storage::Nfs { server: "192.0.2.7".to_owned(), path: "/nfsfileshare".to_owned() }
}

/// The same settings with an official image, for which pgset's own script starts the server.
fn official(image: &str) -> Settings {
    let image: ImageReference = image.parse().unwrap();
    Settings {
        profile: Profile::of(&image, pgset::image::ProfileName::Postgres).unwrap(),
        image,
        storage: Storage::Class { name: None },
        size: "1Gi".parse().unwrap(),
        access_mode: AccessMode::ReadWriteOnce,
        credentials: Credentials {
            primary_user: "primaryuser".parse().unwrap(),
            ..settings(ARTICLE, nfs()).credentials
        },
        ..settings(ARTICLE, nfs())
    }
}

/// Renders the objects of a set with fixed passwords.
fn make(settings: &Settings, replicas: Option<Replicas>) -> Vec<Object> {
    make_for(37, settings, replicas)
}

fn make_for(server_minor: u32, settings: &Settings, replicas: Option<Replicas>) -> Vec<Object> {
    make_with(None, None, server_minor, settings, replicas)
}

fn make_with(
    tls: Option<&Tls>,
    certificates: Option<&Certificates>,
    server_minor: u32,
    settings: &Settings,
    replicas: Option<Replicas>,
) -> Vec<Object> {
    let secret = |text: &str| Secret::new(text.to_owned());
    let passwords = Passwords {
        superuser: secret("rootPassword1"),
        primary: secret("primaryPassword1"),
        user: secret("userPassword1"),
    };
    let templates = TemplateSet::builtin(&settings.profile);
    let inputs = Inputs {
        settings,
        replicas,
        topology: &pgset::set::Topology::default(),
        origin: pgset::set::Origin::Initdb,
        pods: 2,
        server_minor,
        passwords: &passwords,
        tls,
        certificates,
        mounted_certificates: None,
        scripts: pgset::render::Scripts::Current,
    };
    let rendered = render(&templates, &inputs).unwrap();
    objects(&rendered, settings.set.ownership()).unwrap()
}

fn compare(name: &str, objects: &[Object]) {
    let yaml: Vec<_> = objects.iter().map(|object| to_yaml(&object.value)).collect();
    let yaml = yaml.join("---\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    #[expect(clippy::disallowed_methods, reason = "the switch that refreshes golden files")]
    if std::env::var_os("PGSET_UPDATE").is_some() {
        std::fs::write(&path, yaml).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == yaml,
        "{name} is not what the templates make; PGSET_UPDATE=1 cargo test writes it anew\n{}",
        similar::TextDiff::from_lines(&golden, &yaml).unified_diff()
    );
}

#[test]
fn each_range_of_tags() {
    for tag in [
        "centos7-9.5-1.2.6",
        "centos7-9.6.5-1.6.0",
        "centos7-9.6.8-1.8.2",
        "centos7-10.4-2.0.0",
        "centos7-10.5-2.2.0",
    ] {
        let version = tag.rsplit('-').next().unwrap();
        let objects = make(&settings(tag, nfs()), Some(Replicas::DEFAULT));
        compare(&format!("crunchy-{version}.yaml"), &objects);
    }
}

#[test]
fn each_storage() {
    for (name, storage) in [
        ("hostpath", Storage::HostPath { path: "/srv/pgset".to_owned() }),
        ("class", Storage::Class { name: None }),
        ("class-named", Storage::Class { name: Some("fast".to_owned()) }),
        ("claim", Storage::Claim { name: "mine".to_owned() }),
    ] {
        let objects = make(&settings(ARTICLE, storage), None);
        compare(&format!("storage-{name}.yaml"), &objects);
    }
}

/// Removes the scripts and the hash of them from the objects, because they are compared with their files here.
fn without_script(mut objects: Vec<Object>) -> Vec<Object> {
    let scripts = |name: &str| name.starts_with("pgset-scripts-");
    let found = objects.iter_mut().find(|object| scripts(&object.id.name)).unwrap();
    let templates = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/postgres");
    let files = std::fs::read_dir(templates).unwrap().flatten().map(|file| file.path());
    let scripts = files.filter(|path| {
        path.extension().is_some_and(|extension| extension == "sh")
            && !path.ends_with("bootstrap-previous.sh")
    });
    let data = found.value["data"].as_object_mut().unwrap();
    let mut count = 0;
    for path in scripts {
        let name = path.file_name().unwrap().to_str().unwrap();
        let script = std::fs::read_to_string(&path).unwrap();
        assert_eq!(data[name], script, "the script is there as it is");
        count += 1;
    }
    assert_eq!(data.len(), count);
    data.clear();
    assert_eq!(found.value["immutable"], true);
    found.value["data"]["bootstrap.sh"] = "left out of this file".into();
    let name = std::mem::replace(&mut found.id.name, "pgset-scripts-HASH".to_owned());
    for object in &mut objects {
        let text = object.value.to_string().replace(&name, "pgset-scripts-HASH");
        object.value = serde_json::from_str(&text).unwrap();
    }
    objects
}

#[test]
fn each_official_image() {
    for (name, image) in [
        ("13", "postgres:13"),
        ("17", "postgres:17"),
        ("18", "postgres:18"),
        ("alpine", "postgres:17-alpine"),
    ] {
        let objects = make(&official(image), Some(Replicas::DEFAULT));
        compare(&format!("postgres-{name}.yaml"), &without_script(objects));
    }
}

#[test]
fn official_with_tls() {
    let made = Certificates {
        authorities: "the CA\n".to_owned(),
        authority_keys: Secret::new("the CA's key\n".to_owned()),
        certificate: "the certificate\n".to_owned(),
        key: Secret::new("its key\n".to_owned()),
    };
    let required = Tls::parse("required made pgset-tls").unwrap();
    let official = official("postgres:17");
    let objects = make_with(Some(&required), Some(&made), 37, &official, Some(Replicas::DEFAULT));
    compare("postgres-tls.yaml", &without_script(objects));

    // If the user manages the certificate, pgset generates no Secret for it. In the stage `offered`,
    // connections without TLS are accepted.
    let given = Tls::parse("offered given mine").unwrap();
    let objects = make_with(Some(&given), None, 37, &official, None);
    let find = |name: &str| objects.iter().find(|object| object.id.name == name);
    assert!(find("mine").is_none() && find("pgset-tls").is_none());
    let config = &find("pgset-config").unwrap().value["data"];
    assert_eq!(config["tls"], "offered given mine\n");
    assert!(!config["pg_hba.conf"].as_str().unwrap().contains("hostssl"));
    let set = objects.iter().find(|object| object.id.kind == Kind::StatefulSet).unwrap();
    let volumes = set.value["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
    let tls = volumes.iter().find(|volume| volume["name"] == "tls").unwrap();
    assert_eq!(tls["secret"]["secretName"], "mine");
}

/// The pod template is the same with and without TLS, so TLS can be enabled and disabled without a restart.
/// Only pgset needs the CA's key, so no pod mounts it.
#[test]
fn the_pods_are_the_same_with_and_without_tls() {
    let required = Tls::parse("required made pgset-tls").unwrap();
    let pods = |tls: Option<&Tls>| {
        let objects = make_with(tls, None, 37, &official("postgres:17"), None);
        let set = objects.into_iter().find(|object| object.id.kind == Kind::StatefulSet).unwrap();
        set.value["spec"]["template"].clone()
    };
    let without = pods(None);
    assert_eq!(without, pods(Some(&required)));
    assert!(!without.to_string().contains("ca.key"));
}

#[test]
fn official_with_everything_that_can_be_asked_for() {
    let mut settings = official("registry.example:5000/team/postgres:17");
    settings.storage = Storage::HostPath { path: "/srv/pgset".to_owned() };
    let pods = &mut settings.pods;
    let pair = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    pods.node_selector = pair("disk", "ssd");
    pods.tolerations = ["dedicated=db:NoSchedule", "spot"].map(|t| t.parse().unwrap()).to_vec();
    pods.image_pull_secrets = vec!["registry".to_owned()];
    pods.labels = pair("team", "db");
    pods.annotations = pair("example.com/note", "two\nlines: \"quoted\"");
    pods.network_policy = true;
    pods.termination_grace_period = std::time::Duration::from_secs(30);
    settings.parameters = Some(given("work_mem = '64MB'\nlog_line_prefix = '%m {{ x }} it''s '\n"));
    settings.synchronous = Some(Sourced { value: 1, source: Source::Default });
    compare("postgres-everything.yaml", &without_script(make(&settings, None)));
}

/// PostgreSQL parameters, parsed from the lines of a set's `postgresql.conf`.
fn given(lines: &str) -> Parameters {
    Parameters::of_set(&format!("{}\n{lines}", parameters::MARKER))
}

#[test]
fn a_setting_of_postgresql_s_is_read_back_whatever_it_holds() {
    let mut settings = official("postgres:17");
    let odd = given("a.b = '\\' \\\\ \\n {{ set.name }} {% if %} #'\n");
    assert_eq!(odd.get("a.b"), Some("' \\ \n {{ set.name }} {% if %} #"));
    settings.parameters = Some(odd.clone());
    settings.synchronous = Some(Sourced { value: 2, source: Source::Default });
    let objects = make(&settings, None);
    let config = objects.iter().find(|object| object.id.name == "pgset-config").unwrap();
    let text = config.value["data"]["postgresql.conf"].as_str().unwrap();
    assert_eq!(Parameters::of_set(text), odd);
    assert_eq!(synchronous::of_set(text), 2);
    // Without these settings, the values of the running set are used, and the objects are the same.
    settings.parameters = None;
    settings.synchronous = None;
    assert_eq!(make(&Parameters::in_force(&settings, Some(text)), None), objects);
}

#[test]
fn an_old_server_gets_what_it_knows() {
    let old = make_for(20, &official("postgres:17"), None);
    let new = make_for(37, &official("postgres:17"), None);
    let of = |objects: &[Object], kind| {
        objects.iter().find(|object| object.id.kind == kind).unwrap().value.clone()
    };
    let budget = |objects| of(objects, Kind::PodDisruptionBudget)["apiVersion"].clone();
    assert_eq!((budget(&old), budget(&new)), ("policy/v1beta1".into(), "policy/v1".into()));
    let retention = |objects| {
        of(objects, Kind::StatefulSet)["spec"]["persistentVolumeClaimRetentionPolicy"].clone()
    };
    assert_eq!(retention(&old), serde_json::Value::Null);
    assert_eq!(retention(&new)["whenDeleted"], "Retain");
    assert_eq!(retention(&make_for(26, &official("postgres:17"), None)), serde_json::Value::Null);
    // A server that does not report its version is treated like a current one.
    assert_eq!(make_for(0, &official("postgres:17"), None), new);
}

/// The kubelet mounts Secrets only into the bootstrap container, not into the server's container.
#[test]
fn no_secret_is_in_the_server_s_container() {
    let objects = make(&official("postgres:17"), None);
    let set = objects.iter().find(|object| object.id.kind == Kind::StatefulSet).unwrap();
    let spec = &set.value["spec"]["template"]["spec"];
    let server = spec["containers"][0].to_string();
    for word in ["auth", "token", "secret", "password"] {
        assert!(!server.contains(word), "{word} is in {server}");
    }
    let bootstrap = spec["initContainers"][0].to_string();
    assert!(bootstrap.contains("/etc/pgset-auth") && !bootstrap.contains("secretKeyRef"));
    assert_eq!(spec["automountServiceAccountToken"], false);
}

/// `--service-account` checks these rights for an account of somebody else's.
#[test]
fn the_role_grants_what_pods_need() {
    for settings in [official("postgres:17"), settings(ARTICLE, nfs())] {
        let objects = make(&settings, None);
        let role = objects.iter().find(|object| object.id.kind == Kind::Role).unwrap();
        let texts = |value: &serde_json::Value| -> Vec<String> {
            let list = value.as_array().into_iter().flatten();
            list.map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let mut granted = Vec::new();
        for rule in role.value["rules"].as_array().unwrap() {
            let names: Vec<_> = texts(&rule["resourceNames"]).into_iter().map(Some).collect();
            let names = if names.is_empty() { vec![None] } else { names };
            for (resource, name) in
                texts(&rule["resources"]).iter().flat_map(|r| names.iter().map(move |n| (r, n)))
            {
                for verb in texts(&rule["verbs"]) {
                    granted.push((verb, resource.clone(), name.clone()));
                }
            }
        }
        let pods = [settings.set.pod(0), settings.set.pod(1)];
        let rights =
            pgset::set::rights::of_pods(&settings.set, settings.profile.capabilities(), &pods);
        let mut needed: Vec<_> =
            rights.into_iter().map(|right| (right.verb, right.resource, right.name)).collect();
        granted.sort();
        needed.sort();
        assert_eq!(granted, needed);
    }
}

#[test]
fn the_article_s_objects_are_there() {
    let objects = make(&settings(ARTICLE, nfs()), None);
    let names: Vec<_> = objects.iter().map(|object| object.id.to_string()).collect();
    assert_eq!(
        names,
        [
            "ServiceAccount pgset-sa",
            "Role pgset-sa",
            "RoleBinding pgset-sa",
            "Secret pgset-auth",
            "PersistentVolume pv1",
            "PersistentVolume pv2",
            "PersistentVolume pv3",
            "PersistentVolumeClaim pgset-pvc",
            "Service pgset",
            "Service pgset-master",
            "Service pgset-replica",
            "StatefulSet pgset",
        ]
    );
}

#[test]
fn replicas_are_left_out_when_another_owns_them() {
    let settings = settings(ARTICLE, nfs());
    let replicas = |asked| {
        let objects = make(&settings, asked);
        let set = objects.iter().find(|object| object.id.kind == Kind::StatefulSet).unwrap();
        set.value["spec"].get("replicas").cloned()
    };
    assert_eq!(replicas(None), None);
    assert_eq!(replicas(Some(Replicas::DEFAULT)), Some(2.into()));
}
