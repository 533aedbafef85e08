//! Volumes: each one is a directory.

use std::borrow::Cow;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::super::kinds::{CLAIMS, CONFIG_MAPS, Resource, SECRETS, SERVICE_ACCOUNTS, VOLUMES};
use super::super::store::Key;
use super::environment::field_of;
use super::files::{Mapping, Root};
use super::images::Image;
use super::payload::{self, Files, Payload};
use super::{Issued, Node, lock};

/// Where a pod's service account is mounted.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Creates the mounts of a container and the directories of its image. The error is the kubelet's
/// message.
pub(super) fn mount(
    node: &Node,
    pod: &Value,
    container: &Value,
    image: &Image,
) -> Result<Mapping, String> {
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let root = Root::of(&node.parts.place, uid);
    let failed = |name: &str, e: io::Error| mount_failed(name, &e.to_string());
    let own = root.files(container_name(container));
    let mut mapping = Mapping::new(own).map_err(|e| failed("/", e))?;
    for path in image.empty {
        let directory = mapping.directory(path).map_err(|e| failed(path, e))?;
        give(node, &directory).map_err(|e| failed(path, e))?;
    }
    for (path, target) in &image.directories {
        mapping.link(path, target).map_err(|e| failed(path, e))?;
    }
    for Mount { name, path, below, volume } in mounts(node, pod, container)? {
        match source(node, pod, &root, name, &volume)? {
            Source::Directory(directory) => {
                mapping.link(path, &directory.join(below)).map_err(|e| failed(name, e))?;
            }
            // Write at the mount path itself, because the directory may contain other mounts.
            Source::Files(payload) if below.is_empty() => {
                let directory = mapping.directory(path).map_err(|e| failed(name, e))?;
                let written = payload::write(&directory, &payload, node.parts.tools.user);
                written.map_err(|e| failed(name, e))?;
            }
            Source::Files(_) => {
                return Err(mount_failed(
                    name,
                    "the sandbox does not support subPath in a volume of files",
                ));
            }
        }
    }
    Ok(mapping)
}

/// Updates the mounted files of objects that have changed. If an object was deleted, its files
/// stay, as with a kubelet.
pub(super) fn refresh(node: &Node, pod: &Value, root: &Root) {
    let containers = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array());
    for container in containers.into_iter().flatten().flatten() {
        for Mount { name, path, volume, .. } in mounts(node, pod, container).unwrap_or_default() {
            let directory =
                root.files(container_name(container)).join(path.trim_start_matches('/'));
            if !payload::is_written(&directory) {
                continue;
            }
            let Ok(Source::Files(payload)) = source(node, pod, root, name, &volume) else {
                continue;
            };
            if let Err(error) = payload::write(&directory, &payload, node.parts.tools.user) {
                tracing::warn!(%error, "the volume {name} of a pod was not updated");
            }
        }
    }
}

/// A mount of a volume in a container.
struct Mount<'a> {
    name: &'a str,
    path: &'a str,
    /// The path inside the volume; empty for all of it.
    below: &'a str,
    volume: Cow<'a, Value>,
}

/// The mounts of a container. A mount inside another one comes after it.
fn mounts<'a>(node: &Node, pod: &'a Value, container: &'a Value) -> Result<Vec<Mount<'a>>, String> {
    let mut mounts = Vec::new();
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let text = |field: &str| mount[field].as_str().unwrap_or_default();
        let name = text("name");
        let volumes = pod["spec"]["volumes"].as_array();
        let volume = volumes.into_iter().flatten().find(|volume| volume["name"] == name);
        let volume = volume.ok_or_else(|| mount_failed(name, "the pod has no such volume"))?;
        let path = text("mountPath").trim_end_matches('/');
        mounts.push(Mount { name, path, below: text("subPath"), volume: Cow::Borrowed(volume) });
    }
    if automounts(node, pod) && mounts.iter().all(|mount| mount.path != ACCOUNT) {
        let volume = Cow::Owned(account());
        mounts.push(Mount { name: "kube-api-access", path: ACCOUNT, below: "", volume });
    }
    mounts.sort_by_key(|mount| mount.path.len());
    Ok(mounts)
}

/// The content of a volume.
enum Source {
    Directory(PathBuf),
    Files(Payload),
}

fn container_name(container: &Value) -> &str {
    container["name"].as_str().unwrap_or_default()
}

fn mount_failed(volume: &str, why: &str) -> String {
    format!("MountVolume.SetUp failed for volume {volume:?} : {why}")
}

/// Makes the user that servers run as the owner of a directory.
fn give(node: &Node, path: &Path) -> io::Result<()> {
    match node.parts.tools.user {
        Some(user) => chown(path, Some(user.uid), Some(user.gid)),
        None => Ok(()),
    }
}

fn automounts(node: &Node, pod: &Value) -> bool {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let name = pod["spec"]["serviceAccountName"].as_str().unwrap_or("default");
    let account = node.parts.registry.store.get(&Key::new(&SERVICE_ACCOUNTS, namespace, name));
    let of = |value: &Value| value["automountServiceAccountToken"].as_bool();
    of(&pod["spec"]).or_else(|| of(account.as_deref()?)).unwrap_or(true)
}

/// The content of a volume of a pod.
fn source(
    node: &Node,
    pod: &Value,
    root: &Root,
    name: &str,
    volume: &Value,
) -> Result<Source, String> {
    if let Some(words) = node.parts.faults.broken(&format!("mount {name}")) {
        return Err(mount_failed(name, &words));
    }
    let own = root.volume(name);
    let failed = |e: io::Error| mount_failed(name, &e.to_string());
    if volume.get("emptyDir").is_some() {
        std::fs::create_dir_all(&own).map_err(failed)?;
        give(node, &own).map_err(failed)?;
        return Ok(Source::Directory(own));
    }
    if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str() {
        return claimed(node, pod, claim).map(Source::Directory);
    }
    if volume.get("hostPath").is_some() || volume.get("nfs").is_some() {
        return persistent(node, name, volume).map(Source::Directory);
    }
    let (files, mode) = files(node, pod, root, volume).map_err(|e| mount_failed(name, &e))?;
    Ok(Source::Files(Payload { files, mode }))
}

/// The directory of a claim's volume.
fn claimed(node: &Node, pod: &Value, claim: &str) -> Result<PathBuf, String> {
    let store = &node.parts.registry.store;
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let object = store.get(&Key::new(&CLAIMS, namespace, claim));
    let volume = object.as_ref().and_then(|claim| claim["spec"]["volumeName"].as_str());
    let volume = volume.ok_or_else(|| mount_failed(claim, "the claim has no volume"))?;
    let object = store.get(&Key::new(&VOLUMES, "", volume));
    let object = object.ok_or_else(|| mount_failed(volume, "the volume does not exist"))?;
    persistent(node, volume, &object["spec"])
}

/// The directory of a persistent volume.
fn persistent(node: &Node, name: &str, spec: &Value) -> Result<PathBuf, String> {
    if let Some(words) = node.parts.faults.broken(&format!("mount {name}")) {
        return Err(mount_failed(name, &words));
    }
    let failed = |e: io::Error| mount_failed(name, &e.to_string());
    if let Some(server) = spec["nfs"]["server"].as_str() {
        // An NFS export is a directory of the sandbox.
        let export = spec["nfs"]["path"].as_str().unwrap_or("/").trim_start_matches('/');
        let path = node.parts.place.directory().join("nfs").join(server).join(export);
        return made(node, path).map_err(failed);
    }
    let Some(path) = spec["hostPath"]["path"].as_str().or(spec["local"]["path"].as_str()) else {
        return Err(mount_failed(name, "the sandbox supports only hostPath, local and nfs"));
    };
    let path = PathBuf::from(path);
    match spec["hostPath"]["type"].as_str() {
        Some("Directory") if !path.is_dir() => {
            let why = format!("hostPath type check failed: {} is not a directory", path.display());
            Err(mount_failed(name, &why))
        }
        _ if path.starts_with(&node.parts.registry.volumes) => made(node, path).map_err(failed),
        _ => {
            std::fs::create_dir_all(&path).map_err(failed)?;
            adopt(node, &path).map_err(failed)?;
            Ok(path)
        }
    }
}

/// Creates a directory of the sandbox.
fn made(node: &Node, path: PathBuf) -> io::Result<PathBuf> {
    let mut above = path.as_path();
    std::fs::create_dir_all(&path)?;
    while above.starts_with(node.parts.place.directory()) && above != node.parts.place.directory() {
        std::fs::set_permissions(above, Permissions::from_mode(0o755))?;
        above = above.parent().unwrap_or(Path::new("/"));
    }
    give(node, &path)?;
    Ok(path)
}

/// The permission bits of everybody except the owner.
const OTHERS: u32 = 0o077;

/// Prepares a directory that a user created for a pod. An empty one gets the user that servers run
/// as, because the image's user does not exist here. One that only its owner can read is not
/// changed.
fn adopt(node: &Node, path: &Path) -> io::Result<()> {
    let Some(user) = node.parts.tools.user else { return Ok(()) };
    let is = path.metadata()?;
    let private = is.permissions().mode() & OTHERS == 0;
    if private || is.uid() == user.uid || std::fs::read_dir(path)?.next().is_some() {
        return Ok(());
    }
    chown(path, Some(user.uid), Some(user.gid))
}

/// The files of a volume that shows objects, and their mode.
fn files(node: &Node, pod: &Value, root: &Root, volume: &Value) -> Result<(Files, u32), String> {
    let mode = |source: &Value| {
        source["defaultMode"].as_u64().and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o644)
    };
    for (field, resource, name, word) in [
        ("secret", &SECRETS, "secretName", "secret"),
        ("configMap", &CONFIG_MAPS, "name", "configmap"),
    ] {
        if let Some(source) = volume.get(field) {
            let files = keys(node, pod, resource, source, name, word)?;
            return Ok((files, mode(source)));
        }
    }
    let Some(projected) = volume.get("projected") else {
        return Err("the sandbox does not support volumes of this type".to_owned());
    };
    let mut all = Files::new();
    for source in projected["sources"].as_array().into_iter().flatten() {
        if let Some(token) = source.get("serviceAccountToken") {
            let path = token["path"].as_str().unwrap_or("token").to_owned();
            all.push((path, self::token(node, pod, root).into_bytes()));
        } else if let Some(secret) = source.get("secret") {
            all.extend(keys(node, pod, &SECRETS, secret, "name", "secret")?);
        } else if source["configMap"]["name"] == "kube-root-ca.crt" {
            all.push(("ca.crt".to_owned(), node.parts.authority.clone().into_bytes()));
        } else if let Some(map) = source.get("configMap") {
            all.extend(keys(node, pod, &CONFIG_MAPS, map, "name", "configmap")?);
        } else if let Some(api) = source.get("downwardAPI") {
            for item in api["items"].as_array().into_iter().flatten() {
                let path = item["path"].as_str().unwrap_or_default().to_owned();
                let field = item["fieldRef"]["fieldPath"].as_str().unwrap_or_default();
                all.push((path, field_of(pod, field).into_bytes()));
            }
        }
    }
    Ok((all, mode(projected)))
}

/// The keys of a Secret or ConfigMap as files.
fn keys(
    node: &Node,
    pod: &Value,
    resource: &'static Resource,
    source: &Value,
    name: &str,
    word: &str,
) -> Result<Files, String> {
    let name = source[name].as_str().unwrap_or_default();
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let optional = source["optional"] == true;
    let Some(object) = node.parts.registry.store.get(&Key::new(resource, namespace, name)) else {
        return if optional { Ok(Files::new()) } else { Err(format!("{word} {name:?} not found")) };
    };
    let empty = Map::new();
    let data = object["data"].as_object().unwrap_or(&empty);
    let bytes = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        if word == "configmap" {
            return text.as_bytes().to_vec();
        }
        base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default()
    };
    let Some(items) = source["items"].as_array() else {
        return Ok(data.iter().map(|(key, value)| (key.clone(), bytes(value))).collect());
    };
    let mut files = Files::new();
    for item in items {
        let text = |field: &str| item[field].as_str().unwrap_or_default();
        match data.get(text("key")) {
            Some(value) => files.push((text("path").to_owned(), bytes(value))),
            None if optional => {}
            None => return Err(format!("references non-existent {word} key: {}", text("key"))),
        }
    }
    Ok(files)
}

/// The volume with the token, certificate and namespace of a pod.
fn account() -> Value {
    json!({"projected": {"sources": [
        {"serviceAccountToken": {"path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt"}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]}})
}

/// The pod's token, issued when it is first needed.
fn token(node: &Node, pod: &Value, root: &Root) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let directory = root.directory().to_owned();
    lock(&node.issued)
        .entry(directory)
        .or_insert_with(|| {
            let account = pod["spec"]["serviceAccountName"].as_str().unwrap_or("default");
            let namespace = text(&pod["metadata"]["namespace"]);
            let token = node.parts.tokens.issue(&namespace, account, None);
            Issued { token, host: super::host(pod).to_owned() }
        })
        .token
        .clone()
}
