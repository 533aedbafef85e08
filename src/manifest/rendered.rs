//! The text that a template was rendered to.

/// What a template made.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The template's file, or its name where it is built in.
    pub template: String,
    /// YAML, any number of documents. Holds passwords and keys.
    pub text: String,
}

/// Never prints the text: it holds the passwords.
impl std::fmt::Debug for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rendered").field("template", &self.template).finish_non_exhaustive()
    }
}
