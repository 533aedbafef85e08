//! `[registry/]repository[:tag][@digest]`.

/// An image reference, split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageReference {
    /// Registry and repository: `crunchydata/crunchy-postgres`.
    pub repository: String,
    /// The tag, without the colon.
    pub tag: Option<String>,
    /// The digest, without the at sign: `sha256:...`.
    pub digest: Option<String>,
}

impl std::fmt::Display for ImageReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}
