//! The templates of a profile: those in the binary, and those of the user's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{RenderError, files};
use crate::image::Profile;
use crate::image::templates::BUILT_IN;

/// What the name of a template ends in.
pub(super) const EXTENSION: &str = ".yaml.j2";
/// What the name of a text that becomes a ConfigMap's value ends in, when it is rendered first. Values
/// come out in it as they are.
pub(super) const TEXT: &str = ".conf.j2";
/// What the name of a text ends in that becomes a ConfigMap's value as it is.
pub(super) const SCRIPT: &str = ".sh";

/// Where a template comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The binary.
    BuiltIn,
    /// A file of the user's own.
    File(PathBuf),
}

impl std::fmt::Display for Origin {
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
    pub(super) origin: Origin,
    pub(super) text: String,
}

/// The templates of one profile, by name.
#[derive(Clone, Debug)]
pub struct TemplateSet {
    pub(super) profile: &'static str,
    pub(super) templates: BTreeMap<String, Template>,
}

/// A template file of the user's own, read.
#[derive(Clone, Debug)]
pub struct TemplateFile {
    /// Where it was read.
    pub path: PathBuf,
    /// Its name within the profile's directory: `statefulset.yaml.j2`.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl TemplateSet {
    /// The templates in the binary; none where the profile has none.
    #[must_use]
    pub fn builtin(profile: &Profile) -> Self {
        let profile = profile.name().as_str();
        let templates = BUILT_IN
            .iter()
            .filter(|(of, _, _)| *of == profile)
            .map(|(_, name, text)| {
                let template = Template { origin: Origin::BuiltIn, text: (*text).to_owned() };
                ((*name).to_owned(), template)
            })
            .collect();
        Self { profile, templates }
    }

    /// The same templates with those in `directory/PROFILE` in place of, or beside, them. Reads files.
    pub fn with_overrides(self, directory: &Path) -> Result<Self, RenderError> {
        let files = files::read(directory, self.profile)?;
        Ok(self.overridden_by(files))
    }

    /// The same templates with `files` in place of, or beside, them.
    #[must_use]
    pub fn overridden_by(mut self, files: impl IntoIterator<Item = TemplateFile>) -> Self {
        for TemplateFile { path, name, text } in files {
            self.templates.insert(name, Template { origin: Origin::File(path), text });
        }
        self
    }

    /// Each template that is rendered, each text that goes into one, by name, and where it comes from.
    #[must_use]
    pub fn list(&self) -> Vec<(&str, &Origin)> {
        let used = |name: &str| is_document(name) || is_text(name);
        let used = self.templates.iter().filter(|(name, _)| used(name));
        used.map(|(name, template)| (name.as_str(), &template.origin)).collect()
    }

    /// The templates that make documents. A name that begins with an underscore is only included.
    pub(super) fn rendered(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.templates
            .iter()
            .filter(|(name, _)| is_document(name))
            .map(|(name, template)| (name.as_str(), template))
    }

    /// The texts that documents hold as values.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.templates
            .iter()
            .filter(|(name, _)| is_text(name))
            .map(|(name, template)| (name.as_str(), template))
    }

    /// How errors name a template: its file, or its name.
    pub(super) fn shown(&self, name: &str) -> String {
        match self.templates.get(name).map(|template| &template.origin) {
            Some(Origin::File(path)) => path.display().to_string(),
            _ => name.to_owned(),
        }
    }
}

/// Whether a template makes documents. A name that begins with an underscore is only included.
fn is_document(name: &str) -> bool {
    name.ends_with(EXTENSION) && !name.starts_with('_')
}

/// Whether a template makes a text for a document.
fn is_text(name: &str) -> bool {
    (name.ends_with(TEXT) || name.ends_with(SCRIPT)) && !name.starts_with('_')
}

/// Path (`PROFILE/NAME`) and text of every template in the binary: what `pgset templates export`
/// writes.
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
