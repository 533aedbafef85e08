//! Precedence, defaults and refusals.

mod bad_inputs;
mod recipe;

use super::*;
use crate::error::{Diagnose, Exit};
use crate::settings::AccessMode;

/// A command line, an environment, and a fake host with answers that the test chooses.
#[derive(Default)]
struct Case {
    args: SettingsArgs,
    global: GlobalArgs,
    variables: Vec<(&'static str, String)>,
    context: Option<&'static str>,
    address: Option<&'static str>,
    directories: Vec<&'static str>,
    files: Vec<(&'static str, &'static str)>,
    recipe: Recipe,
}

/// Parses a line such as `CCP_NFS_IP=10.0.0.5 --size 10Gi`.
fn case(line: &str) -> Case {
    let mut case = Case::default();
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        if let Some((name, value)) = word.split_once('=').filter(|_| !word.starts_with('-')) {
            let variable = crate::environment::Variable::named(name).expect(name);
            case.variables.push((variable.name, value.to_owned()));
            continue;
        }
        let value = || words.next().map(str::to_owned);
        match word {
            "--name" => case.global.name = { value }(),
            "--namespace" => case.global.namespace = { value }(),
            "--replicas" => case.args.replicas = { value }(),
            "--image" => case.args.image = { value }(),
            "--postgres-version" => case.args.postgres_version = { value }(),
            "--storage" => case.args.storage = { value }(),
            "--size" => case.args.size = { value }(),
            "--access-mode" => case.args.access_mode = { value }(),
            "--volume-prefix" => case.args.volume_prefix = { value }(),
            "--set" => case.args.set.extend({ value }()),
            "--config" => case.args.config = { value }().map(PathBuf::from),
            "--synchronous" => case.args.synchronous = { value }(),
            "--max-lag" => case.args.max_lag = { value }(),
            "--tls" => case.args.tls = { value }(),
            "--tls-secret" => case.args.tls_secret = { value }(),
            "--templates" => case.args.templates = { value }().map(PathBuf::from),
            "--user-id" => case.args.user_id = { value }(),
            "--crunchy" => case.args.profile = Some(ProfileName::Crunchy),
            "--postgres" => case.args.profile = Some(ProfileName::Postgres),
            _ => panic!("unknown word {word}"),
        }
    }
    case
}

impl Case {
    fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    fn run(&self) -> Result<Resolved, SettingsError> {
        let environment = Environment::from_pairs(self.variables.iter().cloned());
        let host = Host {
            context_namespace: self.context,
            local_address: &|| {
                let address = self.address.ok_or("the host's address was requested")?;
                address.parse().map_err(|_| "bad address in the test".to_owned())
            },
            is_directory: &|path| self.directories.iter().any(|known| Path::new(known) == path),
            read_file: &|path| {
                let known = self.files.iter().find(|(known, _)| Path::new(known) == path);
                known.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
            },
        };
        resolve(&self.args, &self.global, &environment, &self.recipe, &host)
    }

    fn refused(&self) -> SettingsError {
        let error = self.run().expect_err("refused");
        assert_eq!(error.exit(), Exit::Usage);
        error
    }
}

/// The value in force for a variable and its source, as `value < source`.
fn in_force(line: &str, variable: &str) -> String {
    let resolved = case(line).run().unwrap_or_else(|error| panic!("{line}: {error}"));
    let found = resolved.in_force.iter().find(|known| known.variable == variable);
    found
        .map_or_else(|| "nothing".to_owned(), |known| format!("{} < {}", known.value, known.source))
}

const CRUNCHY: &str = "CCP_IMAGE_TAG=centos7-9.5-1.2.6 CCP_NFS_IP=10.0.0.5";

const DIGEST: &str =
    "postgres@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn the_user_of_the_image_is_read_from_the_tag_or_set() {
    let run = |line: &str| case(line).run().unwrap_or_else(|error| panic!("{line}: {error}"));
    let digest = format!("--image {DIGEST}");
    for (line, user, warns) in [
        ("--image postgres:17-alpine".to_owned(), 70, false),
        (format!("--image {}", DIGEST.replace('@', ":17-alpine@")), 70, false),
        (digest.clone(), 999, true),
        (format!("{digest} --user-id 70"), 70, false),
        (format!("{digest} PGSET_USER_ID=70"), 70, false),
        (format!("{digest} PGSET_USER_ID=70 --user-id 1001"), 1001, false),
    ] {
        let resolved = run(&line);
        assert_eq!(resolved.settings.profile.user_id(), user, "{line}");
        let warned = resolved.warnings.iter().any(|warning| warning.contains("--user-id 70"));
        assert_eq!(warned, warns, "{line}: {:?}", resolved.warnings);
    }
    // It is not reported again at every later run.
    let recipe = recipe::recipe_of(&run(&digest));
    assert_eq!(Case { recipe, ..case("") }.run().unwrap().warnings, [""; 0]);
    let recipe = recipe::recipe_of(&run(&format!("{digest} --user-id 70")));
    let later = Case { recipe, ..case("") }.run().unwrap();
    assert_eq!(later.settings.profile.user_id(), 70);
    for (value, reason) in [
        ("0", "must not be 0: PostgreSQL refuses to run as root"),
        ("-1", "must be a whole number from 1 to 2147483647"),
        ("+5", "must be a whole number"),
        ("2147483648", "must be a whole number"),
        ("postgres", "must be a whole number"),
    ] {
        let error = case(&format!("--user-id {value}")).refused().to_string();
        assert!(error.contains("--user-id") && error.contains(reason), "{error}");
    }
    let crunchy = case(&format!("{CRUNCHY} --user-id 70")).refused().to_string();
    assert!(crunchy.contains("must not be given with a Crunchy image"), "{crunchy}");
}

#[test]
fn every_setting_by_precedence() {
    for (line, variable, expected) in [
        // The set.
        ("", "PGSET_NAME", "pgset < default"),
        ("PGSET_NAME=orders", "PGSET_NAME", "orders < PGSET_NAME"),
        ("PGSET_NAME=orders --name bills", "PGSET_NAME", "bills < --name"),
        ("PGSET_NAME=", "PGSET_NAME", "pgset < default"),
        ("", "PGSET_NAMESPACE", "default < default"),
        ("CCP_NAMESPACE=a", "PGSET_NAMESPACE", "a < CCP_NAMESPACE"),
        ("CCP_NAMESPACE=a PGSET_NAMESPACE=b", "PGSET_NAMESPACE", "b < PGSET_NAMESPACE"),
        ("CCP_NAMESPACE=a PGSET_NAMESPACE=b --namespace c", "PGSET_NAMESPACE", "c < --namespace"),
        ("--namespace kube-system", "PGSET_NAMESPACE", "kube-system < --namespace"),
        // The image.
        ("", "PGSET_IMAGE", "postgres:17 < default"),
        (CRUNCHY, "PGSET_IMAGE", "crunchydata/crunchy-postgres:centos7-9.5-1.2.6 < CCP_IMAGE_TAG"),
        (
            "CCP_IMAGE_PREFIX=reg:5000/x CCP_IMAGE_TAG=centos7-10.3-1.8.2 CCP_NFS_IP=a",
            "PGSET_IMAGE",
            "reg:5000/x/crunchy-postgres:centos7-10.3-1.8.2 < CCP_IMAGE_TAG",
        ),
        ("CCP_IMAGE_TAG=bad! PGSET_IMAGE=postgres:15", "PGSET_IMAGE", "postgres:15 < PGSET_IMAGE"),
        ("PGSET_IMAGE=postgres:15 --image postgres:16", "PGSET_IMAGE", "postgres:16 < --image"),
        ("--postgres-version 15", "PGSET_IMAGE", "postgres:15 < --postgres-version"),
        ("PGSET_POSTGRES_VERSION=13", "PGSET_IMAGE", "postgres:13 < PGSET_POSTGRES_VERSION"),
        (
            "CCP_IMAGE_TAG=bad! PGSET_POSTGRES_VERSION=13 --postgres-version 18",
            "PGSET_IMAGE",
            "postgres:18 < --postgres-version",
        ),
        // A flag takes precedence over the variable of the other setting.
        ("PGSET_POSTGRES_VERSION=13 --image postgres:16", "PGSET_IMAGE", "postgres:16 < --image"),
        (
            "PGSET_IMAGE=x/y --postgres-version 16",
            "PGSET_IMAGE",
            "postgres:16 < --postgres-version",
        ),
        ("", "PGSET_PROFILE", "postgres < the image's name"),
        (CRUNCHY, "PGSET_PROFILE", "crunchy < the image's name"),
        (
            "--image mirror/old:centos7-9.5-1.2.6 --crunchy --storage class",
            "PGSET_PROFILE",
            "crunchy < --profile",
        ),
        (
            "PGSET_PROFILE=Postgres --image x/crunchy-postgres:latest",
            "PGSET_PROFILE",
            "postgres < PGSET_PROFILE",
        ),
        // Replicas.
        ("", "PGSET_REPLICAS", "nothing"),
        ("PGSET_REPLICAS=3", "PGSET_REPLICAS", "3 < PGSET_REPLICAS"),
        ("PGSET_REPLICAS=3 --replicas 4", "PGSET_REPLICAS", "4 < --replicas"),
        // Storage.
        ("", "PGSET_STORAGE", "class < default"),
        (CRUNCHY, "PGSET_STORAGE", "nfs://10.0.0.5/nfsfileshare < CCP_NFS_IP"),
        (
            "CCP_IMAGE_TAG=centos7-9.5-1.2.6 LOCAL_IP=10.0.0.6 CCP_STORAGE_PATH=/x/",
            "PGSET_STORAGE",
            "nfs://10.0.0.6/x < LOCAL_IP",
        ),
        (
            "CCP_NFS_IP=10.0.0.5 LOCAL_IP=10.0.0.6",
            "PGSET_STORAGE",
            "nfs://10.0.0.5/nfsfileshare < CCP_NFS_IP",
        ),
        ("LOCAL_IP=10.0.0.6", "PGSET_STORAGE", "class < default"),
        ("CCP_STORAGE_CLASS=fast", "PGSET_STORAGE", "class:fast < CCP_STORAGE_CLASS"),
        (
            "CCP_STORAGE_CLASS=fast CCP_NFS_IP=a PGSET_STORAGE=class",
            "PGSET_STORAGE",
            "class < PGSET_STORAGE",
        ),
        ("PGSET_STORAGE=class --storage claim:data", "PGSET_STORAGE", "claim:data < --storage"),
        ("", "PGSET_SIZE", "1Gi < default"),
        ("CCP_STORAGE_CAPACITY=100M", "PGSET_SIZE", "100M < CCP_STORAGE_CAPACITY"),
        ("CCP_STORAGE_CAPACITY=100M PGSET_SIZE=2Gi", "PGSET_SIZE", "2Gi < PGSET_SIZE"),
        ("PGSET_SIZE=2Gi --size 3Gi", "PGSET_SIZE", "3Gi < --size"),
        ("", "PGSET_ACCESS_MODE", "ReadWriteOnce < default"),
        (CRUNCHY, "PGSET_ACCESS_MODE", "ReadWriteMany < default"),
        ("--storage hostpath:/x", "PGSET_ACCESS_MODE", "ReadWriteMany < default"),
        ("--storage claim:x", "PGSET_ACCESS_MODE", "ReadWriteMany < default"),
        ("CCP_STORAGE_MODE=ReadWriteMany", "PGSET_ACCESS_MODE", "ReadWriteMany < CCP_STORAGE_MODE"),
        (
            "CCP_STORAGE_MODE=RWX PGSET_ACCESS_MODE=RWO",
            "PGSET_ACCESS_MODE",
            "ReadWriteOnce < PGSET_ACCESS_MODE",
        ),
        (
            "PGSET_ACCESS_MODE=RWO --access-mode RWOP",
            "PGSET_ACCESS_MODE",
            "ReadWriteOncePod < --access-mode",
        ),
        ("", "PGSET_VOLUME_PREFIX", "pv < default"),
        ("PGSET_VOLUME_PREFIX=a --volume-prefix b", "PGSET_VOLUME_PREFIX", "b < --volume-prefix"),
        // Roles and database.
        (CRUNCHY, "PG_PRIMARY_USER", "master < default"),
        ("", "PG_PRIMARY_USER", "primaryuser < default"),
        ("PG_MASTER_USER=m", "PG_PRIMARY_USER", "m < PG_MASTER_USER"),
        ("PG_MASTER_USER=m PG_PRIMARY_USER=m", "PG_PRIMARY_USER", "m < PG_PRIMARY_USER"),
        ("", "PG_USER", "testuser < default"),
        ("PG_USER=app", "PG_USER", "app < PG_USER"),
        ("", "PG_DATABASE", "userdb < default"),
        ("PG_DATABASE=shop", "PG_DATABASE", "shop < PG_DATABASE"),
    ] {
        assert_eq!(in_force(line, variable), expected, "{line}");
    }
}

#[test]
fn the_settings_are_what_was_settled() {
    let line = format!("{CRUNCHY} --name orders --namespace shop --replicas 3 --size 0.5Gi");
    let settings = case(&line).run().unwrap().settings;
    assert_eq!(settings.set.name.as_str(), "orders");
    assert_eq!(settings.set.namespace.as_str(), "shop");
    assert_eq!(settings.set.static_storage_class(), "shop.orders.static");
    assert_eq!(settings.replicas.unwrap().value.get(), 3);
    assert_eq!(settings.size.as_str(), "512Mi");
    assert_eq!(settings.access_mode, AccessMode::ReadWriteMany);
    assert_eq!(settings.volume_prefix, "pv");
    let Profile::Crunchy(crunchy) = settings.profile else { panic!() };
    assert_eq!(crunchy.version, [1, 2, 6]);
    assert_eq!(settings.credentials.password, None);
}

#[test]
fn the_context_says_the_namespace_when_nobody_else_does() {
    let mut found = case("");
    found.context = Some("team");
    assert_eq!(found.run().unwrap().settings.set.namespace.as_str(), "team");
    let mut found = case("CCP_NAMESPACE=a");
    found.context = Some("team");
    assert_eq!(found.run().unwrap().settings.set.namespace.as_str(), "a");
    let mut found = case("");
    found.context = Some("kube-system");
    let error = found.refused();
    assert_eq!(
        error.to_string(),
        "namespace \"kube-system\" (from the kubeconfig's context) must be given by flag: kube-* \
         namespaces are reserved for Kubernetes"
    );
    assert_eq!(error.hint.as_deref(), Some("to use it anyway: --namespace kube-system"));
}

#[test]
fn the_hosts_address_is_asked_for_only_when_the_server_is_not_given() {
    let mut found = case("CCP_IMAGE_TAG=centos7-9.5-1.2.6");
    found.address = Some("192.168.0.7");
    let resolved = found.run().unwrap();
    assert_eq!(resolved.settings.storage.to_string(), "nfs://192.168.0.7/nfsfileshare");
    for address in ["127.0.1.1", "::1", "0.0.0.0"] {
        found.address = Some(address);
        let error = found.refused();
        assert_eq!(error.source, Source::Derived("this host's name"));
        assert!(error.reason.contains("not loopback"), "{error}");
        let hint = error.hint.unwrap();
        for word in ["LOCAL_IP", "CCP_NFS_IP", "--storage"] {
            assert!(hint.contains(word), "{hint}");
        }
    }
    found.address = None;
    let error = found.refused();
    assert!(error.reason.contains("the host's address was requested"), "{error}");
    // These cases do not need the host's address.
    case(CRUNCHY).run().unwrap();
    case("CCP_IMAGE_TAG=centos7-9.5-1.2.6 LOCAL_IP=10.0.0.1").run().unwrap();
    case("CCP_IMAGE_TAG=centos7-9.5-1.2.6 --storage class").run().unwrap();
    case("").run().unwrap();
}

#[test]
fn loopback_is_refused_from_local_ip_and_warned_about_elsewhere() {
    let error = case("CCP_IMAGE_TAG=centos7-9.5-1.2.6 LOCAL_IP=127.0.0.1").refused();
    assert_eq!(error.source, Source::Variable("LOCAL_IP"));
    let resolved = case("CCP_NFS_IP=127.0.0.1").run().unwrap();
    assert_eq!(
        resolved.warnings,
        ["the NFS server 127.0.0.1 is a loopback address: each node would use itself"]
    );
}

#[test]
fn values_with_newlines_are_refused_or_stay_one_value() {
    let injected = "x\n---\nkind: ClusterRoleBinding";
    for variable in [
        "PGSET_NAME",
        "PGSET_NAMESPACE",
        "PGSET_IMAGE",
        "PGSET_STORAGE",
        "PGSET_SIZE",
        "PGSET_VOLUME_PREFIX",
        "PG_USER",
        "PG_DATABASE",
        "CCP_IMAGE_TAG",
        "CCP_STORAGE_CLASS",
    ] {
        let error = case("").variable(variable, injected).refused();
        assert_eq!(error.source, Source::Variable(variable));
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
}

#[test]
fn what_fits_no_crunchy_image_fits_the_official_one() {
    case("PG_USER=user PG_DATABASE=order --name my-set").run().unwrap();
    case("CCP_IMAGE_TAG=centos7-9.6-1.5.0 CCP_NFS_IP=a --name my-set").run().unwrap();
    case(&format!("{CRUNCHY} --replicas 6")).run().unwrap();
    case("--replicas 7").run().unwrap();
}

#[test]
fn passwords_are_checked_and_never_shown() {
    let password = |line: &str, variable, value: &str| case(line).variable(variable, value).run();
    for (line, value, reason) in [
        ("", "", "must not be empty"),
        ("", "\n", "must not be empty"),
        (CRUNCHY, "", "must not be empty"),
        (CRUNCHY, "sentinel'--", "must contain only letters and digits"),
        (CRUNCHY, "sentinelä", "must contain only letters and digits"),
        (CRUNCHY, "sentinel\n\n", "must contain only letters and digits"),
        ("", "sentinel\nx", "must not contain control characters"),
    ] {
        for variable in
            ["PG_PASSWORD", "PG_ROOT_PASSWORD", "PG_MASTER_PASSWORD", "PG_PRIMARY_PASSWORD"]
        {
            let error = password(line, variable, value).unwrap_err();
            assert!(error.reason.starts_with(reason), "{value:?}: {error}");
            assert_eq!(error.source, Source::Variable(variable));
            assert_eq!(error.hint, Some(format!("to generate a password: unset {variable}")));
            assert!(!format!("{error} {error:?}").contains("sentinel"), "{error:?}");
        }
    }
    for (line, given, kept) in [
        (CRUNCHY, "Abc123", "Abc123"),
        (CRUNCHY, "Abc123\n", "Abc123"),
        ("", "it's $fine: ä\r\n", "it's $fine: ä"),
    ] {
        let resolved = password(line, "PG_PASSWORD", given).unwrap();
        assert_eq!(resolved.settings.credentials.password.as_ref().unwrap().expose(), kept);
        assert!(!format!("{resolved:?}").contains(kept));
        assert!(resolved.warnings.is_empty());
    }
}

#[test]
fn the_word_password_is_taken_with_a_warning() {
    let line = format!("{CRUNCHY} PG_ROOT_PASSWORD=password PG_PASSWORD=other");
    let resolved = case(&line).run().unwrap();
    assert_eq!(
        resolved.warnings,
        ["PG_ROOT_PASSWORD is the word \"password\": if none is given, pgset generates a password"]
    );
    let credentials = resolved.settings.credentials;
    assert_eq!(credentials.superuser_password.unwrap().expose(), "password");
}

#[test]
fn two_passwords_of_the_replication_role_must_agree() {
    let error = case("PG_PRIMARY_PASSWORD=sentinela PG_MASTER_PASSWORD=sentinelb").refused();
    let text = format!("{error} {error:?}");
    assert!(text.contains("PG_PRIMARY_PASSWORD") && text.contains("PG_MASTER_PASSWORD"), "{text}");
    assert!(!text.contains("sentinel"), "{text}");
    for line in ["PG_PRIMARY_PASSWORD=a PG_MASTER_PASSWORD=a", "PG_MASTER_PASSWORD=a"] {
        let credentials = case(line).run().unwrap().settings.credentials;
        assert_eq!(credentials.primary_password.unwrap().expose(), "a");
    }
}

#[test]
fn templates_are_the_users_own_where_they_exist() {
    let mut found = case("BUILDBASE=/src");
    assert_eq!(found.run().unwrap().settings.templates, None);
    found.directories = vec!["/src/templates", "/own"];
    let templates = found.run().unwrap().settings.templates.unwrap();
    assert_eq!(templates.value, Path::new("/src/templates"));
    assert_eq!(templates.source, Source::Variable("BUILDBASE"));
    let mut found = case("BUILDBASE=/src --templates /own");
    found.directories = vec!["/src/templates", "/own"];
    let templates = found.run().unwrap().settings.templates.unwrap();
    assert_eq!(templates.source, Source::Flag("--templates"));
}

#[test]
fn settings_of_postgresql_by_precedence() {
    for (line, variable, expected) in [
        ("", "PGSET_SET", "nothing"),
        ("PGSET_SET=work_mem=1MB", "PGSET_SET", "work_mem=1MB < PGSET_SET"),
        ("PGSET_SET=work_mem=1MB --set work_mem=2MB", "PGSET_SET", "work_mem = '2MB' < --set"),
        ("", "PGSET_SYNCHRONOUS", "nothing"),
        ("PGSET_SYNCHRONOUS=1", "PGSET_SYNCHRONOUS", "1 < PGSET_SYNCHRONOUS"),
        ("PGSET_SYNCHRONOUS=1 --synchronous 0", "PGSET_SYNCHRONOUS", "0 < --synchronous"),
        ("", "PGSET_MAX_LAG", "1Gi < default"),
        ("PGSET_MAX_LAG=2Gi --max-lag 4096Mi", "PGSET_MAX_LAG", "4Gi < --max-lag"),
    ] {
        assert_eq!(in_force(line, variable), expected, "{line}");
    }
}

#[test]
fn settings_of_postgresql_are_for_the_official_image() {
    let mut found = case("--config my.conf --set jit=off --synchronous 1 --replicas 2");
    found.files = vec![("my.conf", "work_mem = 1MB")];
    let settings = found.run().unwrap().settings;
    assert_eq!(settings.parameters.unwrap().names(), "jit, work_mem");
    assert_eq!(settings.synchronous.unwrap().value, 1);
    assert_eq!(case("").run().unwrap().settings.parameters, None);
    assert_eq!(case("--set fsync=off").run().unwrap().warnings.len(), 1);
    for given in ["--set jit=off", "--synchronous 1", "--max-lag 2Gi"] {
        let error = case(&format!("{CRUNCHY} {given}")).refused();
        assert!(error.reason.contains("a Crunchy image"), "{error}");
    }
    case(&format!("{CRUNCHY} --synchronous 0")).run().unwrap();
}

#[test]
fn tls_by_precedence() {
    use crate::settings::TlsSetting::{Off, On, Secret};
    let mine = || Some(Secret("mine".to_owned()));
    for (line, expected) in [
        ("", None),
        ("--tls true", Some(On)),
        ("PGSET_TLS=true", Some(On)),
        ("PGSET_TLS=true --tls false", Some(Off)),
        ("--tls-secret mine", mine()),
        ("--tls true --tls-secret mine", mine()),
        ("PGSET_TLS=true PGSET_TLS_SECRET=mine", mine()),
        ("PGSET_TLS_SECRET=other --tls-secret mine", mine()),
        // A flag takes precedence over the environment variable of the other setting.
        ("PGSET_TLS_SECRET=mine --tls false", Some(Off)),
        ("PGSET_TLS=false --tls-secret mine", mine()),
    ] {
        let tls = case(line).run().unwrap().settings.tls;
        assert_eq!(tls.map(|tls| tls.value), expected, "{line}");
    }
    for given in ["--tls true", "--tls-secret mine", "PGSET_TLS=true"] {
        let error = case(&format!("{CRUNCHY} {given}")).refused();
        assert!(error.reason.contains("Crunchy's images"), "{error}");
    }
    case(&format!("{CRUNCHY} --tls false")).run().unwrap();
}

#[test]
fn the_maximum_lag_is_a_size_of_at_least_one_segment() {
    for (line, reason, hint) in [
        ("--max-lag 1GB", "must be a whole number of bytes", Some("did you mean 1G?")),
        ("--max-lag 0", "must be more than 0 bytes", None),
        ("PGSET_MAX_LAG=16M", "must be at least 16Mi, the size of a segment of the log", None),
    ] {
        let error = case(line).refused();
        assert!(error.reason.starts_with(reason), "{line}: {error}");
        assert_eq!((error.field, error.hint.as_deref()), ("maximum lag", hint), "{line}");
    }
    assert_eq!(case("--max-lag 16Mi").run().unwrap().settings.max_lag.bytes(), 16 << 20);
}

#[test]
fn commits_wait_for_no_more_replicas_than_there_are() {
    for (line, reason) in [
        ("--synchronous 1 --replicas 1", "must be 0 in a set of one pod: no commit would complete"),
        (
            "--synchronous 3 --replicas 3",
            "must be at most 2 in a set of 3 pods: no commit would complete",
        ),
        ("--synchronous -1", "must be a whole number from 0 (commits do not wait) to 99"),
        ("--synchronous +1", "must be a whole number from 0 (commits do not wait) to 99"),
        ("PGSET_SYNCHRONOUS=100", "must be a whole number from 0 (commits do not wait) to 99"),
    ] {
        let error = case(line).refused();
        assert_eq!(error.reason, reason, "{line}");
        assert_eq!(error.field, "number of synchronous replicas");
    }
    case("--synchronous 2 --replicas 3").run().unwrap();
    case("--synchronous 2").run().unwrap();
}

#[test]
fn what_has_no_effect_is_said() {
    for (line, warning) in [
        (
            "CCP_IMAGE_PREFIX=mirror",
            "CCP_IMAGE_PREFIX has no effect without CCP_IMAGE_TAG: the image is postgres:17",
        ),
        (
            "--storage claim:data --size 2Gi",
            "--size has no effect: the claim data already has a size",
        ),
    ] {
        assert_eq!(case(line).run().unwrap().warnings, [warning]);
    }
    assert!(case("").run().unwrap().warnings.is_empty());
}

#[test]
fn the_identity_does_not_care_for_the_image() {
    let environment = Environment::from_pairs([
        ("CCP_IMAGE_TAG", "nonsense!"),
        ("PGSET_SIZE", "?"),
        ("PGSET_NAME", "orders"),
    ]);
    let set = identity(&GlobalArgs::default(), &environment, Some("shop")).unwrap();
    assert_eq!((set.name.as_str(), set.namespace.as_str()), ("orders", "shop"));
    let environment = Environment::from_pairs([("PGSET_NAME", "Orders")]);
    let error = identity(&GlobalArgs::default(), &environment, None).unwrap_err();
    assert_eq!(error.field, "set name");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_named_and_not_shown() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let value = OsString::from_vec(b"sentinel\xff".to_vec());
    let environment = Environment::from_pairs([("PGSET_NAME", value)]);
    let error = identity(&GlobalArgs::default(), &environment, None).unwrap_err();
    assert_eq!(error.to_string(), "variable (from PGSET_NAME) must be valid UTF-8");
}

#[test]
fn a_bad_setting_ends_with_exit_code_2_and_its_hint() {
    let report = crate::error::Report::of(
        &case("--name PgSet").refused().into(),
        crate::error::diagnosed::<crate::settings::SettingsError>,
    );
    assert_eq!(report.exit, Exit::Usage);
    assert_eq!(report.hints, ["did you mean pgset?"]);
    let error: anyhow::Error = crate::image::ImageError::NoTag.into();
    assert_eq!(
        crate::error::Report::of(&error, crate::error::diagnosed::<crate::image::ImageError>).exit,
        Exit::Usage
    );
}
