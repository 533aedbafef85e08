//! Why rendered text is not something that pgset applies.

use crate::error::{Diagnose, Exit};

/// Why rendered text is not something that pgset applies. Names fields, never their values: a value
/// may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The text is not the YAML that pgset reads.
    #[error("{template}: {message}")]
    Yaml {
        /// The template that made it.
        template: String,
        /// What is wrong, and in which line of the rendered text.
        message: String,
    },
    /// A document is not an object that pgset applies.
    #[error("{template}, document {document}: {}{message}", at(path))]
    Document {
        /// The template that made it.
        template: String,
        /// Which document of the template, counted from 1; empty ones don't count.
        document: usize,
        /// The field: `spec.template.spec.containers[0].image`; empty for the whole document.
        path: String,
        /// What is wrong with it.
        message: String,
    },
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path} ") }
}

impl Diagnose for ManifestError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Yaml { .. } => vec!["`pgset render` prints what the templates make".to_owned()],
            Self::Document { .. } => Vec::new(),
        }
    }
}
