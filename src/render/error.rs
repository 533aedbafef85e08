//! Why templates could not be read or rendered.

use std::path::{Path, PathBuf};

use crate::error::{Diagnose, Exit};
use crate::text::shell_word;

/// Why templates could not be read or rendered. An error never contains the context, because the context
/// contains passwords.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A template has an error.
    #[error("template {template}{}: {message}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Template {
        /// The template's path, or its name if it is built in.
        template: String,
        /// The line, counted from 1.
        line: Option<usize>,
        /// What is wrong with it.
        message: String,
    },
    /// There are no templates for the profile.
    #[error("there are no templates for the profile {profile}")]
    NoTemplates {
        /// The profile.
        profile: &'static str,
    },
    /// A directory of the user's own contains no template.
    #[error("directory {} contains no templates", directory.display())]
    EmptyDirectory {
        /// The directory that the user gave.
        directory: PathBuf,
        /// The subdirectory where pgset looks for templates.
        profile: &'static str,
    },
    /// A template of the user's own is empty, or contains only comments.
    #[error("template {} is empty, or contains only comments", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// Whether it replaces a built-in file.
        replaces: bool,
        /// Whether it is rendered, so that it may contain statements.
        rendered: bool,
    },
    /// The directory contains manifests that are not templates, such as the JSON files of 2017.
    #[error("{} contains manifests that are not templates: {}", directory.display(), files.join(", "))]
    Manifests {
        /// The directory that contains the files.
        directory: PathBuf,
        /// The names of the files.
        files: Vec<String>,
        /// The directory that the user gave.
        root: PathBuf,
        /// The subdirectory where pgset looks for templates.
        profile: &'static str,
    },
    /// A template contains a variable of the shell, such as `$CCP_IMAGE_TAG` in the JSON files of 2017.
    #[error("template {}, line {line}: contains ${variable}, but shell variables are not replaced", path.display())]
    ShellVariable {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The name of the variable.
        variable: String,
    },
    /// A file or directory can't be used.
    #[error("{}: {message}", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// The reason.
        message: String,
    },
}

impl Diagnose for RenderError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::EmptyDirectory { directory, profile } => {
                vec![place(directory, profile), export(directory)]
            }
            Self::Empty { path, replaces, rendered } => empty(path, *replaces, *rendered),
            Self::Manifests { files, root, profile, .. } => {
                let mut hints = vec![place(root, profile)];
                if files.iter().any(|file| Path::new(file).extension().is_some_and(|e| e == "json"))
                {
                    hints.push(
                        "the manifests of 2017 are not needed: without --templates, pgset creates their objects from the same variables (`pgset env` lists them)"
                            .to_owned(),
                    );
                }
                hints.push(export(root));
                hints
            }
            Self::ShellVariable { variable, .. } => vec![match value(variable) {
                Some(value) => format!("write {value}, without quotes around it"),
                None => {
                    "the built-in templates show which values there are: pgset templates export DIR"
                        .to_owned()
                }
            }],
            Self::Template { .. } | Self::NoTemplates { .. } | Self::File { .. } => Vec::new(),
        }
    }
}

fn place(directory: &Path, profile: &str) -> String {
    format!("templates are files named *.yaml.j2 in {}", directory.join(profile).display())
}

fn export(directory: &Path) -> String {
    format!("pgset templates export {}", shell_word(&directory.to_string_lossy()))
}

fn empty(path: &Path, replaces: bool, rendered: bool) -> Vec<String> {
    let path = path.to_string_lossy();
    let then = if replaces { "  # pgset then uses the built-in file" } else { "" };
    let mut hints = vec![format!("rm {}{then}", shell_word(&path))];
    if rendered {
        hints
            .push("to leave out what it creates, write {% if false %}{% endif %} in it".to_owned());
    }
    hints
}

/// The template's expression for the value of a variable in the manifests of 2017.
fn value(variable: &str) -> Option<&'static str> {
    Some(match variable {
        "CCP_IMAGE_PREFIX" | "CCP_IMAGE_TAG" => "{{ image }} for the whole image",
        "LOCAL_IP" | "CCP_NFS_IP" => "{{ storage.server }}",
        "CCP_STORAGE_PATH" => "{{ storage.path }}",
        "CCP_STORAGE_CAPACITY" => "{{ storage.size }}",
        "CCP_STORAGE_MODE" => "{{ storage.access_mode }}",
        "CCP_NAMESPACE" => "{{ set.namespace }}",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_hold_the_next_command() {
        let empty = |replaces, rendered| RenderError::Empty {
            path: "/my dir/postgres/services.yaml.j2".into(),
            replaces,
            rendered,
        };
        assert_eq!(
            empty(true, true).hints(),
            [
                "rm '/my dir/postgres/services.yaml.j2'  # pgset then uses the built-in file",
                "to leave out what it creates, write {% if false %}{% endif %} in it",
            ]
        );
        assert_eq!(empty(false, false).hints(), ["rm '/my dir/postgres/services.yaml.j2'"]);
        assert_eq!(empty(true, true).exit(), Exit::Usage);

        let variable = |name: &str| RenderError::ShellVariable {
            path: "/t/crunchy/set.yaml.j2".into(),
            line: 29,
            variable: name.to_owned(),
        };
        assert_eq!(
            variable("CCP_IMAGE_TAG").to_string(),
            "template /t/crunchy/set.yaml.j2, line 29: contains $CCP_IMAGE_TAG, but shell variables \
             are not replaced"
        );
        assert_eq!(
            variable("LOCAL_IP").hints(),
            ["write {{ storage.server }}, without quotes around it"]
        );
        assert!(variable("CCP_SECURITY_CONTEXT").hints()[0].ends_with("templates export DIR"));
        assert_eq!(variable("CCP_X").exit(), Exit::Usage);
    }
}
