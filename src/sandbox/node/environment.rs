//! The environment, user and directory of a container's processes.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use serde_json::Value;
use tokio::process::Command;

use super::super::kinds::{CONFIG_MAPS, SECRETS};
use super::super::registry::Registry;
use super::super::store::Key;
use super::files::{Mapping, Root};
use super::images::Image;
use super::processes::MARK;
use super::tools::User;
use super::{Node, Parts};

/// How to run a command in a container.
#[derive(Clone)]
pub(crate) struct Setting {
    variables: BTreeMap<String, String>,
    mapping: Mapping,
    directory: PathBuf,
    user: Option<User>,
}

impl Setting {
    /// Prepares a container whose mounts exist. The error is the message for the pod's status.
    pub(super) fn new(
        node: &Node,
        pod: &Value,
        container: &Value,
        image: &Image,
        mapping: Mapping,
    ) -> Result<Self, String> {
        let parts = &node.parts;
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        let root = Root::of(&parts.place, uid);
        let files = root.files(container["name"].as_str().unwrap_or_default());
        let mut variables = base(parts, pod, container, image, &root);
        for (name, value) in image.variables {
            variables.insert((*name).to_owned(), mapping.target(value));
        }
        let given = container["env"].as_array();
        for variable in given.into_iter().flatten() {
            let name = variable["name"].as_str().unwrap_or_default();
            if let Some(value) = value(&parts.registry, pod, variable)? {
                let value = expanded(&value, &variables);
                variables.insert(name.to_owned(), mapping.outside(&value));
            }
        }
        Ok(Self { variables, mapping, directory: files, user: parts.tools.user })
    }

    /// A command in a process group of its own.
    pub(crate) fn command(&self, argv: &[String]) -> Command {
        let outside = |argument: &String| self.mapping.outside(argument);
        let program = argv.first().map(outside).unwrap_or_default();
        // With a path to a program, and without a change of user, the standard library calls posix_spawn. A fork
        // would copy the page tables of this process first, which takes longer than most commands of a container.
        let found = self.find(&program);
        let setpriv = Path::new(SETPRIV);
        let mut command = match (self.user, found) {
            (None, found) => Command::new(found.unwrap_or_else(|| program.into())),
            (Some(User { uid, gid }), Some(found)) if setpriv.exists() => {
                let mut command = Command::new(setpriv);
                command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
                command.args(["--clear-groups", "--"]).arg(found);
                command
            }
            (Some(user), _) => {
                let mut command = Command::new(program);
                // Supplementary groups are dropped, too.
                command.uid(user.uid).gid(user.gid);
                command
            }
        };
        command.args(argv.iter().skip(1).map(outside));
        command.env_clear().envs(&self.variables).current_dir(&self.directory);
        command.stdin(Stdio::null()).process_group(0);
        command
    }

    /// The path of a program, as the container's PATH finds it.
    fn find(&self, program: &str) -> Option<PathBuf> {
        let runs = |path: &PathBuf| {
            path.metadata().is_ok_and(|is| is.is_file() && is.permissions().mode() & 0o111 != 0)
        };
        if program.contains('/') {
            return Some(PathBuf::from(program)).filter(|path| path.is_absolute()).filter(runs);
        }
        std::env::split_paths(self.variables.get("PATH")?).map(|at| at.join(program)).find(runs)
    }

    /// The user of the container's processes; none if it is the user of this process.
    pub(super) fn user(&self) -> Option<User> {
        self.user
    }

    /// Translates paths of this machine in the container's output to paths in the container.
    pub(super) fn inside(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.directory.display()), "/")
    }

    /// Expands `$(NAME)` in arguments.
    pub(super) fn expand(&self, text: &str) -> String {
        expanded(text, &self.variables)
    }
}

/// Runs a program as another user; it is part of util-linux.
const SETPRIV: &str = "/usr/bin/setpriv";

/// The variables that every container has.
fn base(
    parts: &Parts,
    pod: &Value,
    container: &Value,
    image: &Image,
    root: &Root,
) -> BTreeMap<String, String> {
    let path = |path: PathBuf| path.to_string_lossy().into_owned();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let postgres = path(parts.tools.postgres.clone());
    let image_path = image.path.clone().map(|own| path(own) + ":").unwrap_or_default();
    let files = root.files(container["name"].as_str().unwrap_or_default());
    let mark = format!("{}/{}", root.directory().display(), text(&container["name"]));
    let pairs = [
        ("PATH", format!("{image_path}{postgres}:/usr/local/bin:/usr/bin:/bin")),
        ("LANG", "C.UTF-8".to_owned()),
        ("HOSTNAME", text(&pod["metadata"]["name"])),
        ("HOME", path(files.join("tmp"))),
        ("KUBERNETES_SERVICE_HOST", parts.server.ip().to_string()),
        ("KUBERNETES_SERVICE_PORT", parts.server.port().to_string()),
        ("LD_PRELOAD", path(parts.tools.wrapper.clone())),
        ("NSS_WRAPPER_HOSTS", path(root.hosts())),
        ("NSS_WRAPPER_HOSTNAME", text(&pod["metadata"]["name"])),
        ("NSS_WRAPPER_PASSWD", path(root.users())),
        ("NSS_WRAPPER_GROUP", "/etc/group".to_owned()),
        (MARK, mark),
        // The bootstrap script is not changed, so it contains the container's path.
        ("PGSET_TERMINATION_LOG", path(root.termination_log(&text(&container["name"])))),
        ("PGSET_SANDBOX_ROOT", path(files)),
        ("PGSET_SANDBOX_ADDRESS", text(&pod["status"]["podIP"])),
        // In a real container PostgreSQL listens on all addresses. Here it must listen only on the
        // pod's.
        ("PGSET_LISTEN", text(&pod["status"]["podIP"])),
        ("PGSET_SANDBOX_POSTGRES", postgres),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The value of a variable; none if its source is optional and missing.
fn value(registry: &Registry, pod: &Value, variable: &Value) -> Result<Option<String>, String> {
    let Some(source) = variable["valueFrom"].as_object() else {
        return Ok(Some(variable["value"].as_str().unwrap_or_default().to_owned()));
    };
    if let Some(field) = source.get("fieldRef") {
        return Ok(Some(field_of(pod, field["fieldPath"].as_str().unwrap_or_default())));
    }
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    for (field, resource, word) in
        [("secretKeyRef", &SECRETS, "secret"), ("configMapKeyRef", &CONFIG_MAPS, "configmap")]
    {
        let Some(reference) = source.get(field) else { continue };
        let (name, key) = (reference["name"].as_str(), reference["key"].as_str());
        let (name, key) = (name.unwrap_or_default(), key.unwrap_or_default());
        let optional = reference["optional"] == true;
        let Some(object) = registry.store.get(&Key::new(resource, namespace, name)) else {
            return if optional { Ok(None) } else { Err(format!("{word} {name:?} not found")) };
        };
        return match object["data"][key].as_str() {
            Some(text) if field == "secretKeyRef" => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(text);
                let bytes = bytes.map_err(|e| format!("key {key} of secret {name}: {e}"))?;
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
            }
            Some(text) => Ok(Some(text.to_owned())),
            None if optional => Ok(None),
            None => Err(format!("couldn't find key {key} in {} {namespace}/{name}", resource.kind)),
        };
    }
    Err("the sandbox supports only fieldRef, secretKeyRef and configMapKeyRef".to_owned())
}

/// A field of the pod: `metadata.name`, `metadata.labels['x']`, `status.podIP`.
pub(super) fn field_of(pod: &Value, path: &str) -> String {
    let (path, key) = match path.split_once("['") {
        Some((path, key)) => (path, key.strip_suffix("']")),
        None => (path, None),
    };
    let mut at = pod;
    for segment in path.split('.').chain(key) {
        at = &at[segment];
    }
    at.as_str().unwrap_or_default().to_owned()
}

/// Expands `$(NAME)` with the variables defined so far. An unknown name stays as it is, and `$$` is
/// a dollar.
fn expanded(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result += &rest[..at];
        rest = &rest[at..];
        let name = rest.strip_prefix("$(").and_then(|inner| inner.split_once(')'));
        if let Some(after) = rest.strip_prefix("$$") {
            result.push('$');
            rest = after;
        } else if let Some((value, after)) =
            name.and_then(|(name, after)| Some((variables.get(name)?, after)))
        {
            result += value;
            rest = after;
        } else {
            result.push('$');
            rest = &rest[1..];
        }
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_expanded_as_a_kubelet_does() {
        let variables = BTreeMap::from([("A".to_owned(), "x".to_owned())]);
        for (text, expected) in
            [("$(A)/b", "x/b"), ("$$(A)", "$(A)"), ("$(B) $A $", "$(B) $A $"), ("", "")]
        {
            assert_eq!(expanded(text, &variables), expected);
        }
    }

    #[test]
    fn fields_of_the_pod() {
        let pod = json!({"metadata": {"name": "p", "labels": {"a/b": "c"}}});
        assert_eq!(field_of(&pod, "metadata.name"), "p");
        assert_eq!(field_of(&pod, "metadata.labels['a/b']"), "c");
    }
}
