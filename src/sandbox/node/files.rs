//! The files of a pod, and how container paths map to them.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::kinds::PODS;
use super::super::place::Place;
use super::super::registry::Registry;

/// A pod's directory.
#[derive(Clone, Debug)]
pub(super) struct Root(PathBuf);

impl Root {
    /// The directory of the pod with this UID. The name is short because the paths of PostgreSQL's
    /// sockets below it are limited in length.
    #[must_use]
    pub(super) fn of(place: &Place, uid: &str) -> Self {
        Self(place.pods().join(uid.split('-').next().unwrap_or(uid)))
    }

    /// The path of the directory.
    pub(super) fn directory(&self) -> &Path {
        &self.0
    }

    /// The directory that a container sees as `/`.
    pub(super) fn files(&self, container: &str) -> PathBuf {
        self.0.join(container)
    }

    /// The directory of a volume that is deleted with the pod.
    pub(super) fn volume(&self, name: &str) -> PathBuf {
        self.0.join("v").join(name)
    }

    /// The log of a run of a container.
    pub(super) fn log(&self, container: &str, run: u64) -> PathBuf {
        self.0.join("l").join(format!("{container}.{run}"))
    }

    /// The file in which a container leaves its termination message.
    pub(super) fn termination_log(&self, container: &str) -> PathBuf {
        self.0.join("l").join(format!("{container}.termination"))
    }

    /// The hosts file of the containers.
    pub(super) fn hosts(&self) -> PathBuf {
        self.0.join("hosts")
    }

    /// The passwd file of the containers.
    pub(super) fn users(&self) -> PathBuf {
        self.0.join("passwd")
    }

    /// Creates a directory that other users can traverse.
    pub(super) fn make(path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o755))
    }
}

/// Deletes the directories of pods that neither exist nor run. A sandbox that was killed leaves
/// them, and a node that was stopped.
pub(super) fn forget(place: &Place, registry: &Registry, running: &[Root]) {
    let pods = registry.store.all(&PODS);
    let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let known: Vec<Root> = pods.iter().map(|pod| Root::of(place, &uid(pod))).collect();
    for entry in std::fs::read_dir(place.pods()).into_iter().flatten().flatten() {
        if !known.iter().chain(running).any(|root| root.0 == entry.path())
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!(%error, "the directory of a deleted pod can't be deleted");
        }
    }
}

/// Paths of a container that are links to directories elsewhere: mounts, and directories of its
/// image.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapping {
    root: PathBuf,
    paths: BTreeSet<String>,
}

impl Mapping {
    /// The mapping of a container with this root directory. The directory is emptied at each start,
    /// so only mounts keep data.
    pub(super) fn new(root: PathBuf) -> io::Result<Self> {
        match std::fs::remove_dir_all(&root) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => Root::make(&root)?,
        }
        Ok(Self { root, paths: BTreeSet::new() })
    }

    /// Links a container path to a directory.
    pub(super) fn link(&mut self, path: &str, target: &Path) -> io::Result<()> {
        let link = self.inside(path)?;
        // A mount replaces an empty directory of the image.
        let _ = std::fs::remove_dir(&link);
        if !link.is_symlink() {
            symlink(target, &link)?;
        }
        self.paths.insert(path.to_owned());
        Ok(())
    }

    /// Creates an empty directory at a container path.
    pub(super) fn directory(&mut self, path: &str) -> io::Result<PathBuf> {
        let directory = self.inside(path)?;
        std::fs::create_dir_all(&directory)?;
        self.paths.insert(path.to_owned());
        Ok(directory)
    }

    fn inside(&self, path: &str) -> io::Result<PathBuf> {
        let path = self.root.join(path.trim_start_matches('/'));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        Ok(path)
    }

    /// The path of this machine behind a container path: below a volume if one is mounted there.
    pub(super) fn target(&self, path: &str) -> String {
        let outside = self.outside(path);
        match std::fs::read_link(&outside) {
            Ok(volume) => volume.to_string_lossy().into_owned(),
            Err(_) => outside,
        }
    }

    /// Translates the container paths in a text to paths of this machine.
    pub(super) fn outside(&self, text: &str) -> String {
        let in_name = |c: char| c.is_alphanumeric() || "._-".contains(c);
        let mut result = String::with_capacity(text.len());
        let (mut rest, mut before) = (text, None);
        'text: while let Some(first) = rest.chars().next() {
            if first == '/' && !before.is_some_and(|c: char| in_name(c) || c == '/') {
                // Longer paths first: they may lie below shorter ones.
                for path in self.paths.iter().rev() {
                    let Some(after) = rest.strip_prefix(path.as_str()) else { continue };
                    if !after.starts_with(in_name) {
                        result += &self.root.to_string_lossy();
                        result += path;
                        (rest, before) = (after, path.chars().last());
                        continue 'text;
                    }
                }
            }
            result.push(first);
            (rest, before) = (&rest[first.len_utf8()..], Some(first));
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_mounts_are_found_in_texts() {
        let paths = ["/pgdata", "/tmp", "/etc/pgset"].map(str::to_owned).into();
        let mapping = Mapping { root: "/r".into(), paths };
        for (text, expected) in [
            ("/pgdata", "/r/pgdata"),
            ("/pgdata/x-0", "/r/pgdata/x-0"),
            (
                "for p in /pgdata/\"$SET\"-*; do x=${p#/pgdata/}",
                "for p in /r/pgdata/\"$SET\"-*; do x=${p#/r/pgdata/}",
            ),
            ("config_file=/etc/pgset/a.conf", "config_file=/r/etc/pgset/a.conf"),
            ("/pgdata2 /pgdata-x /var/tmp x/tmp", "/pgdata2 /pgdata-x /var/tmp x/tmp"),
            ("/usr/bin/env", "/usr/bin/env"),
        ] {
            assert_eq!(mapping.outside(text), expected);
        }
    }
}
