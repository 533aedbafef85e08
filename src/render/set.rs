//! The templates of a profile: the built-in ones, and the user's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{RenderError, files};
use crate::image::Profile;
use crate::image::templates::BUILT_IN;

/// The suffix of a template's name.
pub(super) const EXTENSION: &str = ".yaml.j2";
/// The suffix of a text that is rendered and then becomes a value in a ConfigMap. Values are written into
/// it unchanged, not as JSON.
pub(super) const TEXT: &str = ".conf.j2";
/// The suffix of a text that becomes a value in a ConfigMap without being rendered.
pub(super) const SCRIPT: &str = ".sh";

/// Where a template comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateOrigin {
    /// Built into the binary.
    BuiltIn,
    /// A file of the user's own.
    File(PathBuf),
}

impl std::fmt::Display for TemplateOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built in"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A template.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) origin: TemplateOrigin,
    pub(super) text: String,
}

/// The templates of one profile, by name.
#[derive(Clone, Debug)]
pub struct TemplateSet {
    pub(super) profile: &'static str,
    pub(super) templates: BTreeMap<String, Template>,
}

/// A template file of the user's own, with its text.
#[derive(Clone, Debug)]
pub struct TemplateFile {
    /// The path of the file.
    pub path: PathBuf,
    /// The name of the file in the profile's directory: `statefulset.yaml.j2`.
    pub name: String,
    /// The text of the file.
    pub text: String,
}

impl TemplateSet {
    /// Returns the built-in templates of a profile. Empty if the profile has none.
    #[must_use]
    pub fn builtin(profile: &Profile) -> Self {
        let profile = profile.name().as_str();
        let templates = BUILT_IN
            .iter()
            .filter(|(of, _, _)| *of == profile)
            .map(|(_, name, text)| {
                let template =
                    Template { origin: TemplateOrigin::BuiltIn, text: (*text).to_owned() };
                ((*name).to_owned(), template)
            })
            .collect();
        Self { profile, templates }
    }

    /// Adds the templates in `directory/PROFILE`. A file replaces the template of the same name. Reads
    /// files.
    pub fn with_overrides(self, directory: &Path) -> Result<Self, RenderError> {
        let files = files::read(directory, self.profile)?;
        Ok(self.overridden_by(files))
    }

    /// Adds `files`. A file replaces the template of the same name.
    #[must_use]
    pub fn overridden_by(mut self, files: impl IntoIterator<Item = TemplateFile>) -> Self {
        for TemplateFile { path, name, text } in files {
            self.templates.insert(name, Template { origin: TemplateOrigin::File(path), text });
        }
        self
    }

    /// The names and sources of all templates that are rendered, and of all texts that become values in
    /// them.
    #[must_use]
    pub fn list(&self) -> Vec<(&str, &TemplateOrigin)> {
        let used = |name: &str| is_document(name) || is_text(name);
        let used = self.templates.iter().filter(|(name, _)| used(name));
        used.map(|(name, template)| (name.as_str(), &template.origin)).collect()
    }

    /// The templates that produce documents. If the name of a file begins with an underscore, the file is
    /// not rendered by itself; other templates can include it.
    pub(super) fn rendered(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.templates
            .iter()
            .filter(|(name, _)| is_document(name))
            .map(|(name, template)| (name.as_str(), template))
    }

    /// The texts that become values in documents.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.templates
            .iter()
            .filter(|(name, _)| is_text(name))
            .map(|(name, template)| (name.as_str(), template))
    }

    /// Whether the profile has a built-in file of this name.
    pub(super) fn is_built_in(&self, name: &str) -> bool {
        BUILT_IN.iter().any(|(profile, known, _)| *profile == self.profile && *known == name)
    }

    /// The name of a template in errors: its path, or its name if it is built in.
    pub(super) fn shown(&self, name: &str) -> String {
        match self.templates.get(name).map(|template| &template.origin) {
            Some(TemplateOrigin::File(path)) => path.display().to_string(),
            _ => name.to_owned(),
        }
    }
}

/// Whether a template produces documents. If the name of a file begins with an underscore, the file is not
/// rendered by itself; other templates can include it.
fn is_document(name: &str) -> bool {
    name.ends_with(EXTENSION) && !name.starts_with('_')
}

/// Whether a file is a text that becomes a value in a document.
fn is_text(name: &str) -> bool {
    (name.ends_with(TEXT) || name.ends_with(SCRIPT)) && !name.starts_with('_')
}

/// Path (`PROFILE/NAME`) and text of every built-in template. `pgset templates export` writes them.
#[must_use]
pub fn export() -> Vec<(String, &'static str)> {
    BUILT_IN.iter().map(|(profile, name, text)| (format!("{profile}/{name}"), *text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_template_file_is_forgotten() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let mut on_disk = Vec::new();
        for profile in std::fs::read_dir(&root).unwrap() {
            let profile = profile.unwrap();
            for file in std::fs::read_dir(profile.path()).unwrap() {
                on_disk.push(format!(
                    "{}/{}",
                    profile.file_name().display(),
                    file.unwrap().file_name().display()
                ));
            }
        }
        on_disk.sort();
        let mut exported: Vec<_> = export().into_iter().map(|(path, _)| path).collect();
        exported.sort();
        assert_eq!(exported, on_disk);
    }
}
