//! `[registry/]repository[:tag][@digest]`.

use std::str::FromStr;

use super::ImageError;

/// An image reference, split into its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageReference {
    /// Registry and repository: `crunchydata/crunchy-postgres`.
    pub repository: String,
    /// The tag, without the colon.
    pub tag: Option<String>,
    /// The digest, without the at sign: `sha256:...`.
    pub digest: Option<String>,
}

impl ImageReference {
    /// The repository's last component: `crunchy-postgres`.
    #[must_use]
    pub fn base_name(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for ImageReference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        if text.is_empty() {
            return Err(ImageError::Empty);
        }
        if let Some(bad) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
            return Err(ImageError::Character { part: "image", bad });
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        // The colon of `registry:5000/name` is before the last slash; the colon of a tag is after it.
        let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = match rest[name_start..].split_once(':') {
            Some((name, tag)) => (&rest[..name_start + name.len()], Some(tag)),
            None => (rest, None),
        };
        check_repository(repository)?;
        tag.map(check_tag).transpose()?;
        digest.map(check_digest).transpose()?;
        Ok(Self {
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }
}

fn check_repository(repository: &str) -> Result<(), ImageError> {
    let mut components = repository.split('/').peekable();
    let first = components.peek().copied().unwrap_or_default();
    // Docker's rule: the first component is a registry, not an account, if it has a dot or a port, or is
    // `localhost`.
    let has_registry = repository.contains('/')
        && (first.contains('.') || first.contains(':') || first == "localhost");
    if has_registry {
        check_registry(first)?;
        components.next();
    }
    for component in components {
        if component.is_empty() {
            return Err(ImageError::EmptyComponent);
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        if component.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(ImageError::Capitals { mended: component.to_ascii_lowercase() });
        }
        if let Some(bad) = component.chars().find(|c| !allowed(*c)) {
            return Err(ImageError::Character { part: "repository", bad });
        }
        if !component.starts_with(|c: char| c.is_ascii_alphanumeric())
            || !component.ends_with(|c: char| c.is_ascii_alphanumeric())
        {
            return Err(ImageError::Component { component: component.to_owned() });
        }
    }
    Ok(())
}

fn check_registry(registry: &str) -> Result<(), ImageError> {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-.[]:".contains(c);
    if let Some(bad) = host.chars().find(|c| !allowed(*c)) {
        return Err(ImageError::Character { part: "registry", bad });
    }
    if host.is_empty() || port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(ImageError::Component { component: registry.to_owned() });
    }
    Ok(())
}

/// Checks a tag without a repository: `CCP_IMAGE_TAG` contains one.
pub fn check_tag(tag: &str) -> Result<(), ImageError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if let Some(bad) = tag.chars().find(|c| !allowed(*c)) {
        return Err(ImageError::Character { part: "tag", bad });
    }
    if tag.is_empty() || tag.len() > 128 || tag.starts_with(['.', '-']) {
        return Err(ImageError::Tag);
    }
    Ok(())
}

fn check_digest(digest: &str) -> Result<(), ImageError> {
    let hex = digest.strip_prefix("sha256:").ok_or(ImageError::Digest)?;
    if hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        Ok(())
    } else {
        Err(ImageError::Digest)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn splits_and_prints_what_it_read() {
        for (text, repository, tag, digest) in [
            ("postgres", "postgres", None, false),
            ("postgres:17", "postgres", Some("17"), false),
            (
                "crunchydata/crunchy-postgres:centos7-9.5-1.2.6",
                "crunchydata/crunchy-postgres",
                Some("centos7-9.5-1.2.6"),
                false,
            ),
            ("localhost:5000/a/b_c", "localhost:5000/a/b_c", None, false),
            ("Reg.Example.com:5000/a:x", "Reg.Example.com:5000/a", Some("x"), false),
            ("[::1]:5000/a:x", "[::1]:5000/a", Some("x"), false),
            ("postgres:17@", "postgres", Some("17"), true),
            ("registry.example.com/x@", "registry.example.com/x", None, true),
        ] {
            let text = if digest { format!("{text}{DIGEST}") } else { text.to_owned() };
            let image: ImageReference = text.parse().unwrap();
            assert_eq!(image.repository, repository);
            assert_eq!(image.tag.as_deref(), tag);
            assert_eq!(image.digest.as_deref(), digest.then_some(DIGEST));
            assert_eq!(image.to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_reference() {
        for (text, reason) in [
            ("", "must not be empty"),
            ("postgres 17", "must not contain ' ' (in the image)"),
            ("postgres:17\n---", "must not contain '\\n' (in the image)"),
            (
                "postgres:",
                "must have a tag after the colon: letters, digits, dots, dashes and underscores, at most 128",
            ),
            (
                "postgres:.x",
                "must have a tag after the colon: letters, digits, dots, dashes and underscores, at most 128",
            ),
            ("postgres:1:2", "must not contain ':' (in the tag)"),
            ("postgres:$TAG", "must not contain '$' (in the tag)"),
            ("Postgres:17", "must have a repository without upper-case letters"),
            ("a//b", "must not have an empty component between slashes"),
            ("/b", "must not have an empty component between slashes"),
            ("a/-b", "must have components that begin and end with a letter or digit, not \"-b\""),
            (
                "localhost:port/b",
                "must have components that begin and end with a letter or digit, not \"localhost:port\"",
            ),
            (
                "postgres@sha256:12",
                "must have a digest of the form sha256: and 64 hexadecimal digits",
            ),
            ("a/b?", "must not contain '?' (in the repository)"),
        ] {
            let error = text.parse::<ImageReference>().unwrap_err();
            assert_eq!(error.to_string(), reason, "{text:?}");
        }
    }
}
