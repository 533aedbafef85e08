//! The store on disk, one line per change. On start the lines are read to restore the objects.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::kinds::Resource;
use super::store::Key;

/// The file that changes are appended to; none in tests of the store.
pub struct Journal(Option<File>);

/// The objects in a journal, and the version of its last change.
pub type Objects = (Vec<(Key, Value)>, u64);

impl Journal {
    /// A journal that stores nothing.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Reads a journal, and rewrites it with only the objects that still exist. An incomplete last
    /// line, left by a crash, is ignored: no client has seen that change.
    ///
    /// # Errors
    /// If the file can't be read or written.
    pub fn open(path: &Path) -> io::Result<(Self, Objects)> {
        let (objects, version) = match File::open(path) {
            Ok(file) => read(file)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => (Vec::new(), 0),
            Err(e) => return Err(e),
        };
        let anew = path.with_extension("new");
        let mut options = OpenOptions::new();
        let file = options.create(true).write(true).truncate(true).mode(0o600).open(&anew)?;
        let mut journal = Self(Some(file));
        journal.line(&json!({ "version": version }))?;
        for (key, object) in &objects {
            journal.line(&entry(key, Some(object), version))?;
        }
        std::fs::rename(anew, path)?;
        Ok((journal, (objects, version)))
    }

    /// Appends a change. If the disk is full, the sandbox runs on, but the change is lost at the
    /// next start.
    pub fn append(&mut self, key: &Key, object: Option<&Value>, version: u64) {
        if let Err(error) = self.line(&entry(key, object, version)) {
            tracing::warn!(%error, "the journal can't be written");
        }
    }

    fn line(&mut self, value: &Value) -> io::Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        file.write_all(format!("{value}\n").as_bytes())
    }
}

fn entry(key: &Key, object: Option<&Value>, version: u64) -> Value {
    json!({
        "version": version, "group": key.resource.group, "plural": key.resource.plural,
        "namespace": key.namespace, "name": key.name, "object": object,
    })
}

fn read(file: File) -> io::Result<Objects> {
    let mut objects = BTreeMap::new();
    let mut version = 0;
    for line in BufReader::new(file).lines() {
        let Ok(value) = serde_json::from_str::<Value>(&line?) else { break };
        version = value["version"].as_u64().unwrap_or(version).max(version);
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let Some(resource) = Resource::of(&text("group"), &text("plural")) else { continue };
        let name = (resource.group, resource.plural, text("namespace"), text("name"));
        match &value["object"] {
            Value::Null => drop(objects.remove(&name)),
            object => drop(objects.insert(name, (resource, object.clone()))),
        }
    }
    let objects = objects.into_iter().map(|((_, _, namespace, name), (resource, object))| {
        (Key::new(resource, &namespace, &name), object)
    });
    Ok((objects.collect(), version))
}

#[cfg(test)]
mod tests {
    use super::super::kinds::PODS;
    use super::*;

    #[test]
    fn a_store_comes_back_without_a_line_that_was_cut_off() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("journal");
        let key = |name| Key::new(&PODS, "a", name);
        let (mut journal, (objects, _)) = Journal::open(&path).unwrap();
        assert!(objects.is_empty());
        journal.append(&key("x"), Some(&json!({"n": 1})), 1);
        journal.append(&key("y"), Some(&json!({"n": 2})), 2);
        journal.append(&key("x"), None, 3);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"version\":4,\"gro").unwrap();
        let (_, (objects, version)) = Journal::open(&path).unwrap();
        assert_eq!(version, 3);
        let names: Vec<_> = objects.iter().map(|(key, _)| key.name.as_str()).collect();
        assert_eq!(names, ["y"]);
    }
}
