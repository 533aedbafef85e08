//! The environment: every variable that pgset reads, in one table, and its only reader.
//!
//! An empty variable counts as unset: the 2017 script's unset variables became empty strings, and
//! people export `FOO=` to mean the same. Passwords are the exception (see `settings::password`).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// A variable that pgset reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it decides, in a fragment without a full stop.
    pub meaning: &'static str,
    /// What holds when it is unset, as the table prints it; empty when nothing does.
    pub default: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
}

macro_rules! variables {
    (@secret) => { false };
    (@secret secret) => { true };
    ($($name:ident: $meaning:literal, $default:literal $($secret:ident)?;)+) => {
        $(
            #[doc = concat!("The variable `", stringify!($name), "`; see [`VARIABLES`].")]
            pub const $name: Variable = Variable {
                name: stringify!($name),
                meaning: $meaning,
                default: $default,
                secret: variables!(@secret $($secret)?),
            };
        )+
        /// Every variable that pgset reads, in the order of the table.
        pub const VARIABLES: &[Variable] = &[$($name),+];
    };
}

variables! {
    PGSET_NAME: "name of the set (`--name`)", "pgset";
    PGSET_NAMESPACE: "namespace (`--namespace`)", "CCP_NAMESPACE, else the context's namespace, else default";
    PGSET_CONTEXT: "context of the kubeconfig (`--context`)", "the current context";
    PGSET_IMAGE: "container image (`--image`)", "the article's image if CCP_IMAGE_TAG is set, else postgres:17";
    PGSET_POSTGRES_VERSION: "major version of PostgreSQL: selects the image postgres:VERSION (`--postgres-version`)", "";
    PGSET_PROFILE: "how to run the image: crunchy or postgres (`--profile`)", "depends on the image's name";
    PGSET_STORAGE: "where to store the data (`--storage`)", "crunchy: nfs://LOCAL_IP/nfsfileshare, postgres: class";
    PGSET_SIZE: "size that each claim requests (`--size`)", "1Gi";
    PGSET_ACCESS_MODE: "access mode of volumes and claims (`--access-mode`)", "class: ReadWriteOnce; nfs, hostpath, claim: ReadWriteMany";
    PGSET_VOLUME_PREFIX: "prefix of the static volumes' names (`--volume-prefix`)", "pv";
    PGSET_REPLICAS: "number of pods, including the master (`--replicas`)", "the current value, else 2";
    PGSET_SET: "PostgreSQL settings, one per line: `work_mem = 64MB` (`--set`)", "the current values";
    PGSET_CONFIG: "file of PostgreSQL settings, in the syntax of postgresql.conf (`--config`)", "the current values";
    PGSET_SYNCHRONOUS: "number of replicas that must confirm each commit (`--synchronous`)", "the current value, else 0";
    PGSET_MAX_LAG: "how far a replica may be behind and still serve reads (`--max-lag`)", "1Gi";
    PGSET_TLS: "true encrypts every connection, false disables TLS (`--tls`)", "the current value, else false";
    PGSET_TLS_SECRET: "Secret with your certificate: ca.crt, tls.crt, tls.key (`--tls-secret`)", "";
    PGSET_REQUESTS: "resource requests of each container (`--requests`)", "cpu=100m,memory=256Mi,ephemeral-storage=64Mi";
    PGSET_LIMITS: "resource limits of each container (`--limits`)", "cpu=2,memory=1Gi,ephemeral-storage=1Gi";
    PGSET_NODE_SELECTOR: "labels that a node must have (`--node-selector`)", "";
    PGSET_TOLERATION: "taints to tolerate (`--toleration`)", "";
    PGSET_IMAGE_PULL_SECRET: "Secrets with the credentials of the image's registry (`--image-pull-secret`)", "";
    PGSET_LABEL: "labels of every object and pod, separated by commas (`--label`)", "";
    PGSET_ANNOTATION: "annotations of every object and pod, one per line (`--annotation`)", "";
    PGSET_NETWORK_POLICY: "true blocks connections from other namespaces (`--network-policy`)", "false";
    PGSET_TERMINATION_GRACE_PERIOD: "time that a pod has to stop before it is killed (`--termination-grace-period`)", "10m";
    PGSET_USER_ID: "user ID that PostgreSQL runs as (`--user-id`)", "depends on the image's tag: alpine 70, others 999";
    PGSET_SERVICE_ACCOUNT: "existing ServiceAccount that the pods use (`--service-account`)", "NAME-sa, which pgset creates";
    PGSET_TEMPLATES: "directory with your templates (`--templates`)", "$BUILDBASE/templates if it exists";
    PGSET_TIMEOUT: "time limit of a command (`--timeout`)", "10m";
    PGSET_OUTPUT: "output format (`--output`)", "human";
    PGSET_COLOR: "when to color: auto, always, never (`--color`)", "auto";
    PGSET_LOG: "filter of the log on standard error, in the syntax of tracing: pgset=debug", "depends on -v";
    COMPLETE: "prints the completion of a shell: bash, zsh, fish, elvish, powershell, kubectl", "";
    BUILDBASE: "your clone of the 2017 project; its directory templates is used", "";
    CCP_IMAGE_PREFIX: "registry and account of the article's image", "crunchydata";
    CCP_IMAGE_TAG: "tag of the article's image; chooses crunchy-postgres", "";
    CCP_NAMESPACE: "namespace, if PGSET_NAMESPACE is not set", "";
    CCP_STORAGE_CLASS: "StorageClass for a claim per pod, as with --storage class:NAME", "";
    CCP_STORAGE_MODE: "access mode, if PGSET_ACCESS_MODE is not set", "";
    CCP_STORAGE_CAPACITY: "size that each claim requests, if PGSET_SIZE is not set", "";
    CCP_STORAGE_PATH: "path of the NFS export; chooses nfs storage", "/nfsfileshare";
    CCP_NFS_IP: "NFS server; chooses nfs storage", "LOCAL_IP";
    LOCAL_IP: "address of this host, the NFS server of the article", "the address of this host's name";
    PG_ROOT_PASSWORD: "password of the superuser postgres", "generated: 32 letters and digits" secret;
    PG_PRIMARY_USER: "the replication role", "crunchy: master, postgres: primaryuser";
    PG_PRIMARY_PASSWORD: "password of the replication role", "generated: 32 letters and digits" secret;
    PG_MASTER_USER: "the article's name for PG_PRIMARY_USER", "";
    PG_MASTER_PASSWORD: "the article's name for PG_PRIMARY_PASSWORD", "" secret;
    PG_USER: "the application's role", "testuser";
    PG_PASSWORD: "password of the application's role", "generated: 32 letters and digits" secret;
    PG_DATABASE: "the application's database", "userdb";
    KUBECONFIG: "kubeconfig files, separated by colons", "~/.kube/config";
    KUBERNETES_SERVICE_HOST: "set in a pod: pgset uses the pod's service account", "";
    NO_COLOR: "disables color, with any value", "";
    CLICOLOR_FORCE: "enables color without a terminal, unless it is 0", "";
    TERM: "type of the terminal; dumb: plain lines", "";
    CI: "set by CI servers: plain lines, no progress bars", "";
    HOME: "directory that contains .kube/config", "";
    USER: "your name, which other users read while you change the set, and after `pgset stop`", "";
}

impl Variable {
    /// The variable of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        VARIABLES.iter().find(|variable| variable.name == name)
    }
}

/// A variable whose value is not UTF-8. Its value is not shown: it may be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is not valid UTF-8")]
pub struct NotUnicode {
    /// Its name.
    pub variable: &'static str,
}

/// The variables of [`VARIABLES`] as they were when the program started.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<&'static str, OsString>,
    /// The names of variables that are probably meant for pgset, but that it does not read.
    unknown: Vec<String>,
}

impl Environment {
    /// Reads the process's environment: the values of what [`VARIABLES`] names, and the names of other
    /// `PGSET_` variables.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn read() -> Self {
        let pairs = std::env::vars_os();
        // A name that is not UTF-8 is not pgset's.
        Self::from_pairs(pairs.filter_map(|(name, value)| Some((name.into_string().ok()?, value))))
    }

    /// An environment of these pairs. Of names that pgset does not know, the values are left out.
    #[must_use]
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: Into<OsString>,
    {
        let mut environment = Self::default();
        for (name, value) in pairs {
            let (name, value) = (name.as_ref(), value.into());
            match Variable::named(name) {
                Some(variable) => drop(environment.values.insert(variable.name, value)),
                None if is_meant_for_pgset(name) && !value.is_empty() => {
                    environment.unknown.push(name.to_owned());
                }
                None => {}
            }
        }
        environment.unknown.sort();
        environment
    }

    /// A warning for each `PGSET_` variable that pgset does not know, with the closest name.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let warning = |name: &String| match closest(name) {
            Some(known) => format!("unknown variable {name}: did you mean {known}?"),
            None => format!("unknown variable {name}: pgset env lists the known variables"),
        };
        self.unknown.iter().map(warning).collect()
    }

    /// The value of a variable, if it is set and not empty.
    pub fn get(&self, variable: &Variable) -> Result<Option<&str>, NotUnicode> {
        Ok(self.get_even_empty(variable)?.filter(|value| !value.is_empty()))
    }

    /// The value of a variable, if it is set, be it empty.
    pub fn get_even_empty(&self, variable: &Variable) -> Result<Option<&str>, NotUnicode> {
        self.values
            .get(variable.name)
            .map(|value| value.to_str().ok_or(NotUnicode { variable: variable.name }))
            .transpose()
    }

    /// The value as the system holds it, if it is set and not empty: for paths and for words that
    /// are only compared (`TERM`).
    #[must_use]
    pub fn raw(&self, variable: &Variable) -> Option<&OsStr> {
        self.values.get(variable.name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// Whether a variable is set and not empty.
    #[must_use]
    pub fn is_set(&self, variable: &Variable) -> bool {
        self.raw(variable).is_some()
    }
}

/// Whether the name begins with `PGSET_`, and is not one of the variables with which Kubernetes describes the
/// Services `pgset`, `pgset-master` and so on to the pods of their namespace: `PGSET_SERVICE_HOST`,
/// `PGSET_PORT_5432_TCP_ADDR`.
fn is_meant_for_pgset(name: &str) -> bool {
    let of_a_service = name.ends_with("_PORT")
        || ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT_"].iter().any(|part| name.contains(part));
    name.starts_with("PGSET_") && !of_a_service
}

/// The known variable that is probably meant: `PG_PASSWORD` for `PGSET_PASSWORD`, `PGSET_REPLICAS` for
/// `PGSET_REPLICA`.
fn closest(unknown: &str) -> Option<&'static str> {
    /// Less similar words are probably unrelated.
    const SIMILAR: f64 = 0.7;
    let rest = &unknown.strip_prefix("PGSET_")?.to_uppercase();
    for prefix in ["PG_", ""] {
        if let Some(variable) = Variable::named(&format!("{prefix}{rest}")) {
            return Some(variable.name);
        }
    }
    let names = VARIABLES.iter().filter_map(|variable| {
        let similarity = strsim::jaro(rest, variable.name.strip_prefix("PGSET_")?);
        Some((similarity, variable.name))
    });
    let best = names.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(similarity, _)| *similarity > SIMILAR).map(|(_, name)| name)
}

/// Names only: values may be passwords.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_unset_and_unknown_is_left_out() {
        let environment =
            Environment::from_pairs([("PG_USER", ""), ("PG_DATABASE", "shop"), ("EDITOR", "vi")]);
        assert_eq!(environment.get(&PG_USER), Ok(None));
        assert_eq!(environment.get_even_empty(&PG_USER), Ok(Some("")));
        assert_eq!(environment.get(&PG_DATABASE), Ok(Some("shop")));
        assert!(!environment.is_set(&PG_USER));
        assert_eq!(environment.values.len(), 2);
        assert_eq!(environment.warnings(), Vec::<String>::new());
    }

    #[test]
    fn unknown_variables_are_named_with_the_closest_one() {
        for (name, known) in [
            ("PGSET_REPLICA", Some("PGSET_REPLICAS")),
            ("PGSET_NAMESPCE", Some("PGSET_NAMESPACE")),
            ("PGSET_TLSSECRET", Some("PGSET_TLS_SECRET")),
            ("PGSET_VERSION", None),
            ("PGSET_PASSWORD", Some("PG_PASSWORD")),
            ("PGSET_USER", Some("PG_USER")),
            ("PGSET_KUBECONFIG", Some("KUBECONFIG")),
            ("PGSET_XYZ", None),
        ] {
            let environment = Environment::from_pairs([(name, "s3cret")]);
            let warnings = environment.warnings();
            assert_eq!(warnings.len(), 1, "{name}");
            match known {
                Some(known) => {
                    let expected = format!("unknown variable {name}: did you mean {known}?");
                    assert_eq!(warnings[0], expected);
                }
                None => assert!(warnings[0].contains("pgset env"), "{}", warnings[0]),
            }
            assert!(!warnings[0].contains("s3cret") && !format!("{environment:?}").contains("s3"));
        }
    }

    /// Kubernetes sets the variables of Services in the pods of their namespace. pgset may run in one.
    #[test]
    fn other_variables_are_not_warned_about() {
        let names = [
            "PGSET_SERVICE_HOST",
            "PGSET_SERVICE_PORT",
            "PGSET_SERVICE_PORT_POSTGRES",
            "PGSET_PORT",
            "PGSET_PORT_5432_TCP",
            "PGSET_PORT_5432_TCP_ADDR",
            "PGSET_MASTER_SERVICE_HOST",
            "PGSET_MASTER_PORT",
            "PGSETX",
            "PGHOST",
        ];
        let environment = Environment::from_pairs(names.map(|name| (name, "10.0.0.1")));
        assert_eq!(environment.warnings(), Vec::<String>::new());
        // Empty is unset.
        assert_eq!(Environment::from_pairs([("PGSET_XYZ", "")]).warnings(), Vec::<String>::new());
        for variable in VARIABLES {
            let of_pgset = variable.name.starts_with("PGSET_");
            assert_eq!(is_meant_for_pgset(variable.name), of_pgset, "{}", variable.name);
        }
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_utf8_are_refused_by_name_without_the_value() {
        use std::os::unix::ffi::OsStringExt;
        let environment =
            Environment::from_pairs([("PG_PASSWORD", OsString::from_vec(vec![b's', 0xff]))]);
        let error = environment.get(&PG_PASSWORD).unwrap_err();
        assert_eq!(error.to_string(), "PG_PASSWORD is not valid UTF-8");
        assert_eq!(format!("{environment:?}"), r#"{"PG_PASSWORD"}"#);
    }

    #[test]
    fn the_table_has_no_duplicate_and_hides_every_password() {
        for (index, variable) in VARIABLES.iter().enumerate() {
            let first = VARIABLES.iter().position(|other| other.name == variable.name);
            assert_eq!(first, Some(index), "{}", variable.name);
            assert_eq!(variable.secret, variable.name.contains("PASSWORD"), "{}", variable.name);
            assert!(!variable.meaning.ends_with('.') && !variable.meaning.contains('|'));
        }
    }
}
