//! A sandbox of stand-ins: it has all of Kubernetes, but no PostgreSQL. A set is up in a fraction
//! of a second, so a fault can be injected at every step.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use pgset::sandbox::Sandbox;
use pgset::sandbox::kinds::{CONFIG_MAPS, NAMESPACES, PODS};
use pgset::sandbox::node::Tools;
use pgset::sandbox::ownership::Writer;
use pgset::sandbox::place::Place;
use pgset::sandbox::registry::{Delete, Registry};
use pgset::sandbox::store::Key;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{World, directory};
use crate::support::pgset::Pgset;
use crate::support::{eventually, seconds};

const STANDINS: [(&str, &str); 4] = [
    ("bash", include_str!("standins/bash")),
    ("postgres", include_str!("standins/postgres")),
    ("psql", include_str!("standins/psql")),
    ("server", include_str!("standins/server")),
];

/// The image of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    Article,
    Official,
}

pub(super) const PROFILES: [Profile; 2] = [Profile::Article, Profile::Official];

impl Profile {
    /// Adds the image of this profile to a call.
    pub(super) fn of(self, call: Pgset) -> Pgset {
        match self {
            Self::Article => call,
            Self::Official => call.env("CCP_IMAGE_TAG", "").env("PGSET_IMAGE", "postgres:17"),
        }
    }
}

impl World {
    /// Starts a sandbox of stand-ins.
    pub(super) async fn quick() -> Self {
        Self::quick_with_nodes(1).await
    }

    /// Starts a sandbox of stand-ins with several nodes.
    pub(super) async fn quick_with_nodes(nodes: u8) -> Self {
        let directory = directory();
        let programs = directory.path().join("standins");
        std::fs::create_dir_all(programs.join("state")).unwrap();
        for (name, text) in STANDINS {
            let path = programs.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let place = Place::open(&directory.path().join("s")).unwrap();
        let place = place.with_nodes(Some(nodes)).unwrap();
        let tools = Tools { postgres: programs, wrapper: PathBuf::new(), user: None };
        let sandbox = Sandbox::start_with(place, tools).await.unwrap_or_else(|e| panic!("{e}"));
        let roles = tokio::spawn(attend(Arc::clone(&sandbox.registry)));
        Self { sandbox, directory, roles: Some(roles) }
    }

    /// Lets containers exit at once after they print this message; `None` lets them run.
    pub(super) fn crash(&self, words: Option<&str>) {
        self.state("crash", words);
    }

    /// Lets containers be killed at once, as if they were out of memory.
    pub(super) fn starve(&self, starve: bool) {
        self.state("starve", starve.then_some(""));
    }

    /// The names of the settings that ALTER SYSTEM has left in every server, as a JSON list.
    pub(super) fn alter(&self, names: &str) {
        self.state("altered", Some(names));
    }

    /// Lets servers refuse every connection, because all are in use.
    pub(super) fn fill(&self, full: bool) {
        self.state("full", full.then_some(""));
    }

    /// The servers that accepted writes while another one of their set did: a line for each time.
    pub(super) fn writable_twice(&self) -> String {
        let below = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
        let namespaces = below(self.directory.path().join("standins/state"));
        let sets = namespaces.flat_map(|namespace| below(namespace.path()));
        sets.filter_map(|set| std::fs::read_to_string(set.path().join("writable-twice")).ok())
            .collect()
    }

    /// Runs something while no stand-in of the set in the namespace `default` replicates.
    pub(super) fn undisturbed<T>(&self, run: impl FnOnce() -> T) -> T {
        let path = self.directory.path().join("standins/state/default/pgset/lock");
        let lock = std::fs::File::options().write(true).open(path).unwrap();
        lock.lock().unwrap();
        run()
    }

    fn state(&self, name: &str, text: Option<&str>) {
        let path = self.directory.path().join("standins/state").join(name);
        match text {
            Some(text) => std::fs::write(path, text).unwrap(),
            None => drop(std::fs::remove_file(path)),
        }
    }

    /// Creates a namespace.
    pub(super) fn namespace(&self, name: &str) {
        let key = Key::new(&NAMESPACES, "", name);
        self.sandbox.registry.create(&key, json!({}), "kubectl", false).unwrap();
    }

    /// Deletes a namespace, and waits until it is gone.
    pub(super) async fn forget(&self, name: &str) {
        let key = Key::new(&NAMESPACES, "", name);
        self.sandbox.registry.delete(&key, &Delete::default()).unwrap();
        eventually("the namespace goes", seconds(30), async || {
            let gone = self.sandbox.registry.store.get(&key).is_none();
            if gone { Ok(()) } else { Err("it is still there".to_owned()) }
        })
        .await;
    }
}

/// Does what needs no process of its own: sets the label that the image or the bootstrap would set when a pod starts, and
/// listens on each pod's address, where the startup probe connects.
async fn attend(registry: Arc<Registry>) {
    let mut latest = registry.store.subscribe();
    let mut listening: HashMap<String, TcpListener> = HashMap::new();
    // A pod labels itself when it starts, and not again.
    let mut labelled: HashSet<String> = HashSet::new();
    loop {
        latest.borrow_and_update();
        let pods = registry.store.all(&PODS);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        listening.retain(|uid, _| pods.iter().any(|pod| text(&pod["metadata"]["uid"]) == *uid));
        for pod in pods {
            let address = text(&pod["status"]["podIP"]);
            if let Entry::Vacant(free) = listening.entry(text(&pod["metadata"]["uid"]))
                && let Ok(listener) = TcpListener::bind((address, 5432)).await
            {
                free.insert(listener);
            }
            let Some(label) = role(&registry, &pod) else { continue };
            let first = labelled.insert(text(&pod["metadata"]["uid"]));
            if !first || pod["metadata"]["labels"]["name"] == label.as_str() {
                continue;
            }
            let writer = Writer { manager: "bootstrap", subresource: "status" };
            // The pod may be gone.
            let _ = registry.update(&Key::of(&PODS, &pod), writer, false, |pod| {
                pod["metadata"]["labels"]["name"] = json!(label);
                Ok(())
            });
        }
        if latest.changed().await.is_err() {
            return;
        }
    }
}

/// The label that a pod gives itself when it starts; none if it does not run yet.
fn role(registry: &Registry, pod: &Value) -> Option<String> {
    let metadata = &pod["metadata"];
    let set = metadata["labels"]["app"].as_str()?;
    let namespace = metadata["namespace"].as_str()?;
    let key = Key::new(&CONFIG_MAPS, namespace, &format!("{set}-topology"));
    let topology = registry.store.get(&key).map(|it| it["data"].clone()).unwrap_or_default();
    let first = format!("{set}-0");
    let unchanged =
        topology["transition"].is_null() && topology["epoch"].as_str().is_none_or(|it| it == "1");
    let master = topology["master"].as_str().or(unchanged.then_some(&first));
    let role = if metadata["name"].as_str() == master { "master" } else { "replica" };
    let runs = pod["status"]["podIP"].is_string() && metadata["deletionTimestamp"].is_null();
    runs.then(|| format!("{set}-{role}"))
}

#[tokio::test]
async fn stand_ins_tell_the_story() {
    for profile in PROFILES {
        let world = World::quick().await;
        let run = async |line: &str| profile.of(world.pgset(line)).run().await.ok();
        run("up").await.says("1 replica streaming");
        run("up").await.says("nothing changed");
        run("scale --replicas 3").await.says("2 replicas streaming");
        run("scale --replicas 1").await;
        run("down --yes").await;
        run("up --replicas 2").await.says("1 replica streaming");
        run("down --yes --delete-data").await;
        run("down --yes").await.says("there is no set pgset");
        world.stop().await;
    }
}
