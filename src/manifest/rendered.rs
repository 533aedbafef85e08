//! The output of a template.

/// The output of a template.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The template's path, or its name if it is built in.
    pub template: String,
    /// YAML with any number of documents. Contains passwords and keys.
    pub text: String,
}

/// Does not print the text, because it contains passwords.
impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rendered").field("template", &self.template).finish_non_exhaustive()
    }
}
