//! Completion of values while the user types: `source <(COMPLETE=bash pgset)`.
//!
//! The shell runs pgset with the command line so far. Names that only the cluster knows (sets, namespaces,
//! storage classes) are queried within a second. Every error means that there are no candidates: the user is
//! typing, and an error message would destroy the line.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::future::Future;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Arg;
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate, complete};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Shells, Zsh};
use serde_json::Value;
use tokio::time::Instant;

use crate::cli::{self, GlobalArgs, Output};
use crate::cluster::objects::Freshness;
use crate::cluster::{Cluster, Deadline, Target, connect};
use crate::context;
use crate::environment::{self, Environment};
use crate::image::official;
use crate::manifest::Kind;
use crate::manifest::object::{LABEL_MANAGED_BY, MANAGER};
use crate::set::{Role, SetIdentity};
use crate::settings::{AccessMode, general, resolve};
use crate::text::shell_word;

/// The time limit of all requests together.
const TIME_LIMIT: Duration = Duration::from_secs(1);

/// Prints the candidates for a command line, or the script that connects a shell with this function. Returns
/// false if no shell asks for it (`COMPLETE` is not set).
///
/// # Errors
/// When the shell is unknown, or the output can't be written.
pub fn run(arguments: &[OsString], environment: &Environment) -> Result<bool, clap::Error> {
    if !environment.is_set(&environment::COMPLETE) {
        return Ok(false);
    }
    let source: Arc<dyn Source> = Arc::new(FromCluster {
        global: global_options(arguments),
        environment: environment.clone(),
        deadline: Instant::now() + TIME_LIMIT,
    });
    let shells: [&dyn EnvCompleter; 6] = [&Bash, &Elvish, &Fish, &Powershell, &Zsh, &Kubectl];
    let current_dir = std::env::current_dir().ok();
    CompleteEnv::with_factory(|| with_candidates(cli::command(), &source))
        .shells(Shells(&shells))
        .try_complete(arguments.to_vec(), current_dir.as_deref())
}

/// Where candidates come from.
trait Source: Send + Sync {
    /// The contexts of the kubeconfig.
    fn contexts(&self) -> Vec<String>;
    /// The namespaces of the cluster.
    fn namespaces(&self) -> Vec<String>;
    /// The sets in the namespace.
    fn sets(&self) -> Vec<String>;
    /// The pods of the sets in the namespace.
    fn pods(&self) -> Vec<String>;
    /// The nodes on which pods of the sets in the namespace are.
    fn nodes(&self) -> Vec<String>;
    /// The ordinals of the set's replicas.
    fn replicas(&self) -> Vec<String>;
    /// The storage classes of the cluster.
    fn storage_classes(&self) -> Vec<String>;
}

/// Adds the candidates to all options of all commands.
fn with_candidates(command: clap::Command, source: &Arc<dyn Source>) -> clap::Command {
    command
        .mut_args(|arg| with_candidates_of_arg(arg, source))
        .mut_subcommands(|command| with_candidates(command, source))
}

fn with_candidates_of_arg(arg: Arg, source: &Arc<dyn Source>) -> Arg {
    let candidates: fn(&dyn Source) -> Vec<String> = match arg.get_id().as_str() {
        "context" => |source| source.contexts(),
        "namespace" => |source| source.namespaces(),
        "name" | "set_name" => |source| source.sets(),
        // The pods of all sets in the namespace: the name of a pod names its set, too.
        "target" => |source| [source.sets(), source.pods()].concat(),
        "to" | "pod" => |source| source.pods(),
        "drain" | "node_is_off" => |source| source.nodes(),
        "replica" => |source| source.replicas(),
        "storage" => storage,
        "postgres_version" => {
            |_| (official::OLDEST..=official::NEWEST).map(|version| version.to_string()).collect()
        }
        "access_mode" => |_| {
            [AccessMode::ReadWriteOnce, AccessMode::ReadWriteMany, AccessMode::ReadWriteOncePod]
                .map(|mode| mode.name().to_owned())
                .to_vec()
        },
        _ => return arg,
    };
    let source = Arc::clone(source);
    arg.add(ArgValueCandidates::new(move || {
        candidates(source.as_ref()).into_iter().map(CompletionCandidate::new).collect()
    }))
}

fn storage(source: &dyn Source) -> Vec<String> {
    let classes = source.storage_classes().into_iter().map(|name| format!("class:{name}"));
    let kinds = ["class", "claim:", "nfs://", "hostpath:/"].map(str::to_owned);
    kinds.into_iter().chain(classes).collect()
}

/// The global options on the command line that is being completed. It follows `--`.
fn global_options(arguments: &[OsString]) -> GlobalArgs {
    let mut words = arguments.iter().map(|word| word.to_string_lossy());
    let _ = words.by_ref().find(|word| word == "--");
    let mut global = GlobalArgs::default();
    // psql's own arguments follow another `--`.
    let mut words = words.take_while(|word| word != "--");
    while let Some(word) = words.next() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value.to_owned())),
            _ => (word.as_ref(), None),
        };
        if !["--kubeconfig", "--context", "--namespace", "-n", "--name"].contains(&option) {
            continue;
        }
        let Some(value) = value.or_else(|| words.next().map(std::borrow::Cow::into_owned)) else {
            break;
        };
        // The word under the cursor may still be empty.
        if value.is_empty() {
            continue;
        }
        match option {
            "--kubeconfig" => global.kubeconfig = Some(value.into()),
            "--context" => global.context = Some(value),
            "--name" => global.name = Some(value),
            _ => global.namespace = Some(value),
        }
    }
    global
}

/// Candidates from the kubeconfig and from its cluster.
struct FromCluster {
    global: GlobalArgs,
    environment: Environment,
    deadline: Instant,
}

impl FromCluster {
    fn sources(&self) -> Option<connect::Sources> {
        let general = general::general(&self.global, &self.environment, &[Output::Human]).ok()?;
        Some(context::sources(&general, &self.environment))
    }

    /// Runs a query until the deadline.
    fn ask(&self, query: impl Future<Output = Option<Vec<String>>>) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return Vec::new() };
        let answer =
            runtime.block_on(async { tokio::time::timeout_at(self.deadline, query).await });
        // A credential plugin that hangs must not delay the end.
        runtime.shutdown_background();
        answer.ok().flatten().unwrap_or_default()
    }

    /// Connects to the cluster. Also returns the namespace of the context.
    async fn connect(&self) -> Option<(Cluster, String)> {
        let target = Target::load(&self.sources()?).await.ok()?;
        let namespace = target.namespace().to_owned();
        let deadline = Deadline::after(self.deadline.saturating_duration_since(Instant::now()));
        // A credential plugin blocks its thread.
        let connecting = tokio::task::spawn_blocking(move || Cluster::new(target, deadline));
        Some((connecting.await.ok()?.ok()?, namespace))
    }

    /// The names of the objects of a kind that belong to the sets in the namespace.
    fn of_namespace(&self, kind: Kind) -> Vec<String> {
        self.ask(async {
            // The name may be the word under the cursor.
            let unnamed = GlobalArgs { name: None, ..self.global.clone() };
            let (cluster, set) = self.set(&unnamed).await?;
            let selector = format!("{LABEL_MANAGED_BY}={MANAGER}");
            names(&cluster, kind, set.namespace.as_str(), &selector).await
        })
    }

    /// Connects to the cluster, and returns the set that the global options select.
    async fn set(&self, global: &GlobalArgs) -> Option<(Cluster, SetIdentity)> {
        let (cluster, namespace) = self.connect().await?;
        let set = resolve::identity(global, &self.environment, Some(&namespace)).ok()?;
        Some((cluster, set))
    }
}

impl Source for FromCluster {
    fn contexts(&self) -> Vec<String> {
        self.sources().map(|sources| connect::contexts(&sources)).unwrap_or_default()
    }

    fn namespaces(&self) -> Vec<String> {
        self.ask(async { names(&self.connect().await?.0, Kind::Namespace, "", "").await })
    }

    fn sets(&self) -> Vec<String> {
        self.of_namespace(Kind::StatefulSet)
    }

    fn pods(&self) -> Vec<String> {
        self.of_namespace(Kind::Pod)
    }

    fn nodes(&self) -> Vec<String> {
        self.ask(async {
            let (cluster, set) = self.set(&self.global).await?;
            let selector = format!("{LABEL_MANAGED_BY}={MANAGER}");
            let namespace = set.namespace.as_str();
            let pods = cluster.list(Kind::Pod, namespace, &selector, Freshness::Cached).await;
            Some(nodes(&pods.ok()?))
        })
    }

    fn replicas(&self) -> Vec<String> {
        self.ask(async {
            let (cluster, set) = self.set(&self.global).await?;
            let (namespace, selector) = (set.namespace.as_str(), set.selector());
            let pods = cluster.list(Kind::Pod, namespace, &selector, Freshness::Cached).await;
            Some(replicas(&set, &pods.ok()?))
        })
    }

    fn storage_classes(&self) -> Vec<String> {
        self.ask(async { names(&self.connect().await?.0, Kind::StorageClass, "", "").await })
    }
}

async fn names(
    cluster: &Cluster,
    kind: Kind,
    namespace: &str,
    selector: &str,
) -> Option<Vec<String>> {
    let objects = cluster.list(kind, namespace, selector, Freshness::Cached).await.ok()?;
    let mut names: Vec<String> = objects.iter().filter_map(name).map(str::to_owned).collect();
    names.sort();
    Some(names)
}

fn name(object: &Value) -> Option<&str> {
    object["metadata"]["name"].as_str()
}

/// The nodes of these pods.
fn nodes(pods: &[Value]) -> Vec<String> {
    let names = pods.iter().filter_map(|pod| pod["spec"]["nodeName"].as_str());
    names.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The ordinals of the pods that are labelled as replicas.
fn replicas(set: &SetIdentity, pods: &[Value]) -> Vec<String> {
    let is_replica = |pod: &&Value| {
        let label = pod["metadata"]["labels"]["name"].as_str().unwrap_or_default();
        set.role_of_label(label) == Some(Role::Replica)
    };
    let pods = pods.iter().filter(is_replica);
    let mut ordinals: Vec<u32> = pods.filter_map(|pod| set.ordinal(name(pod)?)).collect();
    ordinals.sort_unstable();
    ordinals.iter().map(ToString::to_string).collect()
}

/// kubectl's completion of plugins: kubectl runs `kubectl_complete-pgset` with the words after
/// `kubectl pgset`. It expects a candidate per line and a directive at the end.
#[derive(Clone, Copy, Debug)]
struct Kubectl;

/// The directives for "no file names" and "no space after the candidate".
const NO_FILES: u8 = 4;
const NO_SPACE: u8 = 2;

impl EnvCompleter for Kubectl {
    fn name(&self) -> &'static str {
        "kubectl"
    }

    fn is(&self, name: &str) -> bool {
        name == "kubectl"
    }

    fn write_registration(
        &self,
        var: &str,
        _: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> Result<(), io::Error> {
        writeln!(
            buf,
            "#!/bin/sh\n\
             # kubectl runs this script, kubectl_complete-pgset in a directory of PATH, to complete `kubectl pgset`.\n\
             {var}=kubectl exec {} -- {bin} \"$@\"",
            shell_word(completer)
        )
    }

    fn write_complete(
        &self,
        cmd: &mut clap::Command,
        args: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> Result<(), io::Error> {
        let last = args.len().saturating_sub(1);
        let mut directive = NO_FILES;
        for candidate in complete(cmd, args, last, current_dir)? {
            let value = candidate.get_value().to_string_lossy();
            if value.ends_with(['=', '/', ':']) {
                directive |= NO_SPACE;
            }
            let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
            let help = help.lines().next().unwrap_or_default();
            let tab = if help.is_empty() { "" } else { "\t" };
            writeln!(buf, "{value}{tab}{help}")?;
        }
        writeln!(buf, ":{directive}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Fake;

    impl Source for Fake {
        fn contexts(&self) -> Vec<String> {
            vec!["lab".to_owned(), "production".to_owned()]
        }
        fn namespaces(&self) -> Vec<String> {
            vec!["default".to_owned(), "shop".to_owned()]
        }
        fn sets(&self) -> Vec<String> {
            vec!["orders".to_owned(), "pgset".to_owned()]
        }
        fn pods(&self) -> Vec<String> {
            vec!["orders-0".to_owned(), "orders-1".to_owned()]
        }
        fn nodes(&self) -> Vec<String> {
            vec!["node-1".to_owned(), "node-2".to_owned()]
        }
        fn replicas(&self) -> Vec<String> {
            vec!["1".to_owned(), "2".to_owned()]
        }
        fn storage_classes(&self) -> Vec<String> {
            vec!["fast".to_owned()]
        }
    }

    fn definition() -> clap::Command {
        let source: Arc<dyn Source> = Arc::new(Fake);
        with_candidates(cli::command(), &source)
    }

    /// The candidates for the last word of a line; an empty word if the line ends with a space.
    fn candidates(line: &str) -> Vec<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let last = words.len() - 1;
        let found = complete(&mut definition(), words, last, None).unwrap();
        found.iter().map(|it| it.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_definition_with_candidates_is_sound() {
        definition().debug_assert();
    }

    #[test]
    fn values_are_completed() {
        for (line, expected) in [
            ("pgset -n ", &["default", "shop"][..]),
            ("pgset up --namespace s", &["shop"]),
            ("pgset status --namespace=d", &["--namespace=default"]),
            ("pgset --context p", &["production"]),
            ("pgset --name ", &["orders", "pgset"]),
            ("pgset up --postgres-version ", &["13", "14", "15", "16", "17", "18"]),
            ("pgset diff --postgres-version 18", &["18"]),
            ("pgset switchover --to ", &["orders-0", "orders-1"]),
            ("pgset failover --node-is-off ", &["node-1", "node-2"]),
            ("pgset up --storage cl", &["class", "claim:", "class:fast"]),
            ("pgset up --storage class:", &["class:fast"]),
            ("pgset up --access-mode ", &["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"]),
            ("pgset status -o ", &["human", "wide", "json", "yaml"]),
            ("pgset up -o ", &["human", "json"]),
            ("pgset up --profile ", &["crunchy", "postgres"]),
            ("pgset completions f", &["fish"]),
            ("pgset password rotate --name o", &["orders"]),
            ("pgset sta", &["status", "start"]),
        ] {
            assert_eq!(candidates(line), expected, "{line}");
        }
    }

    #[test]
    fn a_set_is_completed_where_it_is_an_argument() {
        for command in ["up", "test", "status", "stop", "start", "down", "connect", "diff", "scale"]
        {
            assert_eq!(candidates(&format!("pgset {command} o")), ["orders"], "{command}");
        }
        assert_eq!(candidates("pgset restart o"), ["orders", "orders-0", "orders-1"]);
        let replicas = candidates("pgset psql --replica ");
        assert!(replicas.starts_with(&["1".to_owned(), "2".to_owned()]), "{replicas:?}");
        // The option of `connect` has the same name, but takes no value.
        assert_eq!(candidates("pgset connect --replica 2"), Vec::<String>::new());
    }

    #[test]
    fn the_options_before_the_cursor_select_the_cluster() {
        let words = |line: &str| -> Vec<OsString> { line.split(' ').map(Into::into).collect() };
        let line =
            "pgset -- pgset --context lab psql -n shop --kubeconfig=/k --name orders -- -n x";
        let global = global_options(&words(line));
        assert_eq!(global.context.as_deref(), Some("lab"));
        assert_eq!(global.namespace.as_deref(), Some("shop"));
        assert_eq!(global.name.as_deref(), Some("orders"));
        assert_eq!(global.kubeconfig, Some("/k".into()));
        // The word under the cursor may be missing or empty.
        assert_eq!(global_options(&words("pgset -- pgset --name ")).name, None);
        assert_eq!(global_options(&words("pgset -- pgset -n")).namespace, None);
        assert_eq!(global_options(&words("pgset")).namespace, None);
    }

    #[test]
    fn nodes_are_those_of_the_pods() {
        let on = |node: &str| json!({"spec": {"nodeName": node}});
        let pods = [on("node-2"), on("node-1"), on("node-2"), json!({"spec": {}})];
        assert_eq!(nodes(&pods), ["node-1", "node-2"]);
    }

    #[test]
    fn replicas_are_found_by_their_label() {
        let set = SetIdentity { name: "pgset".parse().unwrap(), namespace: "pg".parse().unwrap() };
        let pod = |name: &str, label: &str| json!({"metadata": {"name": name, "labels": {"name": label}}});
        let pods = [
            pod("pgset-10", "pgset-replica"),
            pod("pgset-0", "pgset-master"),
            pod("pgset-2", "pgset-replica"),
            pod("pgset-erase", "pgset-replica"),
        ];
        assert_eq!(replicas(&set, &pods), ["2", "10"]);
    }

    #[test]
    fn kubectl_gets_lines_with_descriptions_and_a_directive() {
        let written = |words: &[&str]| {
            let mut out = Vec::new();
            let words = words.iter().map(OsString::from).collect();
            Kubectl.write_complete(&mut definition(), words, None, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(&["pgset", "status", "p"]), "pgset\n:4\n");
        let about = "Show pods, replication, services, volumes and problems";
        assert_eq!(written(&["pgset", "stat"]), format!("status\t{about}\n:4\n"));
        assert_eq!(written(&["pgset", "up", "--storage", "nf"]), "nfs://\n:6\n");
        let mut script = Vec::new();
        let written =
            Kubectl.write_registration("COMPLETE", "", "pgset", "/my bin/pgset", &mut script);
        written.unwrap();
        let script = String::from_utf8(script).unwrap();
        assert!(script.starts_with("#!/bin/sh\n"), "{script}");
        assert!(
            script.ends_with("COMPLETE=kubectl exec '/my bin/pgset' -- pgset \"$@\"\n"),
            "{script}"
        );
    }

    #[test]
    fn nothing_answers_and_nothing_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kubeconfig");
        for text in ["", "clusters: [", "current-context: nowhere"] {
            std::fs::write(&file, text).unwrap();
            let source = FromCluster {
                global: GlobalArgs { kubeconfig: Some(file.clone()), ..GlobalArgs::default() },
                environment: Environment::default(),
                deadline: Instant::now() + TIME_LIMIT,
            };
            let all = [
                source.contexts(),
                source.namespaces(),
                source.sets(),
                source.nodes(),
                source.replicas(),
                source.storage_classes(),
            ];
            assert_eq!(all.concat(), Vec::<String>::new(), "{text}");
        }
        assert!(!run(&["pgset".into()], &Environment::default()).unwrap());
    }
}
