//! DNS: a hosts file for each pod contains the names that a cluster's DNS would resolve. Every
//! process of the pod reads it through libnss-wrapper, and again after each change.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::super::controllers::SERVICE_NAME;
use super::super::kinds::{PODS, SERVICES, SLICES};
use super::super::nodes;
use super::super::place::Place;
use super::super::registry::Registry;
use super::files::Root;
use super::tools::User;

/// The cluster's domain.
const DOMAIN: &str = "cluster.local";

/// Updates the hosts files of all pods.
pub(super) fn write(registry: &Registry, place: &Place) {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for pod in registry.store.all(&PODS) {
        let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (uid, address) = (text("/metadata/uid"), text("/status/podIP"));
        let root = Root::of(place, uid);
        if address.is_empty() || !root.directory().is_dir() {
            continue;
        }
        // A node without a connection does not learn of changes.
        if nodes::is_cut_off(registry, text("/spec/nodeName")) {
            continue;
        }
        let namespace = text("/metadata/namespace");
        let services =
            known.entry(namespace.to_owned()).or_insert_with(|| services(registry, namespace));
        let mut names = vec![text("/metadata/name").to_owned()];
        let subdomain = text("/spec/subdomain");
        if !subdomain.is_empty() {
            let name = format!("{}.{subdomain}.{namespace}.svc.{DOMAIN}", names[0]);
            names.insert(0, name);
        }
        let hosts = format!("127.0.0.1 localhost\n{address} {}\n{services}", names.join(" "));
        if let Err(error) = replace(&root, &hosts) {
            tracing::warn!(%error, "a pod's names can't be written");
        }
    }
}

/// The names of the Services and of the pods behind headless Services, first those of this
/// namespace. Names of other namespaces always contain the namespace.
fn services(registry: &Registry, own: &str) -> String {
    let mut lines = String::new();
    let slices = registry.store.all(&SLICES);
    for service in registry.store.all(&SERVICES) {
        let text = |pointer: &str| {
            service.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (name, namespace) = (text("/metadata/name"), text("/metadata/namespace"));
        let local = namespace == own;
        let address = text("/spec/clusterIP");
        if address != "None" {
            let _ = writeln!(lines, "{address} {}", forms(&name, &namespace, local));
            continue;
        }
        let of = slices.iter().filter(|slice| {
            slice["metadata"]["labels"][SERVICE_NAME] == name.as_str()
                && slice["metadata"]["namespace"] == namespace.as_str()
        });
        for endpoint in of.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten()) {
            if endpoint["conditions"]["ready"] != true {
                continue;
            }
            let address = endpoint["addresses"][0].as_str().unwrap_or_default();
            let _ = writeln!(lines, "{address} {}", forms(&name, &namespace, local));
            if let Some(host) = endpoint["hostname"].as_str() {
                let host = format!("{host}.{name}");
                let _ = writeln!(lines, "{address} {}", forms(&host, &namespace, local));
            }
        }
    }
    lines
}

/// All forms of a name that DNS accepts.
fn forms(name: &str, namespace: &str, local: bool) -> String {
    let short = if local { format!("{name} ") } else { String::new() };
    format!("{short}{name}.{namespace} {name}.{namespace}.svc {name}.{namespace}.svc.{DOMAIN}")
}

/// Replaces a pod's hosts file. libnss-wrapper compares modification times in whole seconds, so
/// each new file gets a time at least one second later.
fn replace(root: &Root, text: &str) -> io::Result<()> {
    let path = root.hosts();
    if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let now = SystemTime::now();
    let newer = match path.metadata().and_then(|m| m.modified()) {
        Ok(before) => now.max(before + Duration::from_secs(1)),
        Err(_) => now,
    };
    let anew = path.with_extension("new");
    std::fs::write(&anew, text)?;
    File::options().write(true).open(&anew)?.set_modified(newer)?;
    std::fs::rename(anew, path)
}

/// Writes a pod's passwd file. The user that its processes run as is called `postgres`, as in the
/// image; the users of this machine follow.
pub(super) fn write_users(root: &Root, user: Option<User>) -> io::Result<()> {
    let (uid, gid) = user.map_or_else(
        || (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw()),
        |user| (user.uid, user.gid),
    );
    let home = root.directory().display();
    let mut users = format!("postgres:x:{uid}:{gid}:PostgreSQL:{home}:/bin/bash\n");
    for line in std::fs::read_to_string("/etc/passwd")?.lines() {
        if !line.starts_with("postgres:") {
            users += line;
            users.push('\n');
        }
    }
    std::fs::write(root.users(), users)
}
