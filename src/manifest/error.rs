//! Errors in rendered text.

use crate::error::{Diagnose, Exit};

/// Why pgset can't apply rendered text. Errors name fields, but never their values, because a value may be
/// a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The text is not YAML, or uses a feature of YAML that pgset refuses.
    #[error("{template}: {message}")]
    Yaml {
        /// The template that produced the text.
        template: String,
        /// The error, with the line of the rendered text.
        message: String,
    },
    /// A document is not an object that pgset can apply.
    #[error("{template}, document {document}: {}{message}", at(path))]
    Document {
        /// The template that produced the text.
        template: String,
        /// The number of the document in the template, counted from 1, without empty documents.
        document: usize,
        /// The field: `spec.template.spec.containers[0].image`. Empty for the whole document.
        path: String,
        /// The error.
        message: String,
        /// What to write instead, if that is known.
        hint: Option<String>,
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
            Self::Yaml { .. } => {
                vec!["`pgset render --templates DIR` prints the output of the templates".to_owned()]
            }
            Self::Document { hint, .. } => hint.iter().cloned().collect(),
        }
    }
}
