//! The files of a volume that shows a Secret, a ConfigMap or other objects. An update is atomic: a
//! reader sees either all old files or all new ones.
//!
//! This works as in the kubelet: the files are in a directory of their own, the link `..data`
//! points to it, and each name in the volume is a link through `..data`. An update replaces only
//! that link.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path};

use super::super::place::write_private;
use super::super::random;
use super::files::Root;
use super::tools::User;

/// Names and contents. A name may contain directories.
pub(super) type Files = Vec<(String, Vec<u8>)>;

/// The link to the directory of the current files.
const DATA: &str = "..data";

/// The content of a volume.
#[derive(Clone, Debug)]
pub(super) struct Payload {
    /// The files.
    pub(super) files: Files,
    /// The mode of the files.
    pub(super) mode: u32,
}

/// Whether a volume has been written.
pub(super) fn is_written(volume: &Path) -> bool {
    volume.join(DATA).is_symlink()
}

/// Replaces the files of a volume, which then belong to the user that servers run as. Writes
/// nothing if they are the same.
pub(super) fn write(volume: &Path, payload: &Payload, user: Option<User>) -> io::Result<()> {
    let data = volume.join(DATA);
    if is_written(volume) && is_same(&data, &payload.files)? {
        return Ok(());
    }
    Root::make(volume)?;
    let (name, before) = (format!("..{}", random(10)), std::fs::read_link(&data).ok());
    let anew = volume.join(&name);
    Root::make(&anew)?;
    for (file, bytes) in &payload.files {
        let path = anew.join(inside(file)?);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        write_private(&path, bytes)?;
        if let Some(user) = user {
            std::os::unix::fs::chown(&path, Some(user.uid), Some(user.gid))?;
        }
        // Only this user has to read the file.
        std::fs::set_permissions(&path, Permissions::from_mode(payload.mode & 0o700))?;
    }
    let link = volume.join("..data_tmp");
    // A sandbox that was killed here may have left the link.
    let _ = std::fs::remove_file(&link);
    symlink(&name, &link)?;
    std::fs::rename(link, data)?;
    name_all(volume, &payload.files)?;
    match before {
        Some(before) => std::fs::remove_dir_all(volume.join(before)),
        None => Ok(()),
    }
}

/// Accepts only names below the volume.
fn inside(file: &str) -> io::Result<&Path> {
    let path = Path::new(file);
    if path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(path);
    }
    Err(io::Error::other(format!("{file:?} is not a valid file name in a volume")))
}

/// Whether the current files are exactly these.
fn is_same(data: &Path, files: &Files) -> io::Result<bool> {
    let mut there = BTreeSet::new();
    list(data, Path::new(""), &mut there)?;
    let named = files.iter().all(|(name, bytes)| {
        there.remove(Path::new(name)) && std::fs::read(data.join(name)).is_ok_and(|b| b == *bytes)
    });
    Ok(named && there.is_empty())
}

fn list(directory: &Path, below: &Path, into: &mut BTreeSet<std::path::PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &name, into)?;
        } else {
            into.insert(name);
        }
    }
    Ok(())
}

/// Creates a link for each file, and deletes the links of old files.
fn name_all(volume: &Path, files: &Files) -> io::Result<()> {
    let first = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
    let names: BTreeSet<String> = files.iter().map(|(name, _)| first(name)).collect();
    for name in &names {
        let link = volume.join(name);
        if !link.is_symlink() {
            symlink(Path::new(DATA).join(name), link)?;
        }
    }
    for entry in std::fs::read_dir(volume)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !names.contains(&name) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), text.as_bytes().to_vec());
        Payload { files: files.iter().map(own).collect(), mode: 0o644 }
    }

    fn names(volume: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(volume).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn files_change_together_and_nothing_is_left() {
        let parent = tempfile::TempDir::new().unwrap();
        let volume = parent.path().join("v");
        assert!(!is_written(&volume));
        let read = |name: &str| std::fs::read_to_string(volume.join(name)).unwrap();

        write(&volume, &payload(&[]), None).unwrap();
        assert!(is_written(&volume));
        write(&volume, &payload(&[("a", "1"), ("b", "1"), ("d/e", "1")]), None).unwrap();
        assert_eq!((read("a"), read("d/e")), ("1".to_owned(), "1".to_owned()));
        let mode = volume.join("a").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let before = std::fs::read_link(volume.join(DATA)).unwrap();
        write(&volume, &payload(&[("a", "1"), ("b", "1"), ("d/e", "1")]), None).unwrap();
        assert_eq!(std::fs::read_link(volume.join(DATA)).unwrap(), before, "written for nothing");

        // A process that still has an old file open.
        let old = std::fs::canonicalize(volume.join("a")).unwrap();
        write(&volume, &payload(&[("a", "2"), ("c", "2")]), None).unwrap();
        assert!(!old.exists());
        assert_eq!((read("a"), read("c")), ("2".to_owned(), "2".to_owned()));
        let data = std::fs::read_link(volume.join(DATA)).unwrap();
        let mut expected = ["..data", data.to_str().unwrap(), "a", "c"];
        expected.sort_unstable();
        assert_eq!(names(&volume), expected);
    }

    #[test]
    fn no_file_lies_outside_of_its_volume() {
        let parent = tempfile::TempDir::new().unwrap();
        for name in ["../x", "/x", "a/../../x"] {
            assert!(write(&parent.path().join("v"), &payload(&[(name, "")]), None).is_err());
        }
    }
}
