//! Why templates could not be read or rendered.

use std::path::PathBuf;

use crate::error::{Diagnose, Exit};

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
    #[error("{} contains no templates", directory.display())]
    EmptyDirectory {
        /// The directory that the user gave.
        directory: PathBuf,
        /// The subdirectory where pgset looks for templates.
        profile: &'static str,
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
            Self::EmptyDirectory { directory, profile } => vec![
                format!(
                    "templates are files named *.yaml.j2 in {}",
                    directory.join(profile).display()
                ),
                format!("pgset templates export {}", directory.display()),
            ],
            Self::Template { .. } | Self::NoTemplates { .. } | Self::File { .. } => Vec::new(),
        }
    }
}
