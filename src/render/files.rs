//! Reads the user's own templates. This is the only module of `render` that reads files.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::RenderError;
use super::set::{EXTENSION, SCRIPT, TEXT, TemplateFile};
use crate::image::ProfileName;

/// The maximum size of a template file, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// The maximum number of template files.
const MAX_FILES: usize = 1000;
/// The suffix of templates and of the files that they include.
const INCLUDED: &str = ".j2";
/// The suffixes of manifests that are not templates.
const MANIFESTS: [&str; 3] = [".json", ".yaml", ".yml"];
/// The variables that the manifests of 2017 contain, apart from those that begin with [`PREFIX`].
const VARIABLES: [&str; 2] = ["LOCAL_IP", "BUILDBASE"];
/// The prefix of the other variables in the manifests of 2017.
const PREFIX: &str = "CCP_";

/// Reads the templates in `directory/profile`. Returns an empty list if only another profile has templates
/// there.
///
/// # Errors
/// When the directory contains no template at all, or manifests that are not templates. When a symbolic link
/// leads out of the directory. When a file is not a regular file, is too large, is not UTF-8, or contains
/// shell variables.
pub(super) fn read(
    directory: &Path,
    profile: &'static str,
) -> Result<Vec<TemplateFile>, RenderError> {
    let root = directory.canonicalize().map_err(|error| wrong(directory, error))?;
    if !root.is_dir() {
        return Err(wrong(directory, "is not a directory"));
    }
    let place = directory.join(profile);
    refuse_manifests(&place, directory, profile)?;
    let paths = candidates(&place, &[INCLUDED, SCRIPT])?;
    if !paths.iter().any(|path| is_template(path)) && !other_profile_has_some(directory, profile)? {
        refuse_manifests(directory, directory, profile)?;
        return Err(RenderError::EmptyDirectory { directory: directory.to_owned(), profile });
    }
    paths.into_iter().map(|path| read_one(&root, path)).collect()
}

fn other_profile_has_some(directory: &Path, profile: &str) -> Result<bool, RenderError> {
    let profiles = ProfileName::ALL.map(ProfileName::as_str);
    for other in profiles.into_iter().filter(|other| *other != profile) {
        let paths = candidates(&directory.join(other), &[INCLUDED, SCRIPT])?;
        if paths.iter().any(|path| is_template(path)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses files that look like input and would be ignored.
fn refuse_manifests(
    directory: &Path,
    root: &Path,
    profile: &'static str,
) -> Result<(), RenderError> {
    let files: Vec<String> = candidates(directory, &MANIFESTS)?
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    if files.is_empty() {
        return Ok(());
    }
    let (directory, root) = (directory.to_owned(), root.to_owned());
    Err(RenderError::Manifests { directory, files, root, profile })
}

fn is_template(path: &Path) -> bool {
    let path = path.to_string_lossy();
    [EXTENSION, TEXT, SCRIPT].iter().any(|known| path.ends_with(known))
}

/// Lists the files with names that end in one of the suffixes, sorted. Empty if the directory does not exist.
fn candidates(directory: &Path, suffixes: &[&str]) -> Result<Vec<PathBuf>, RenderError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong(directory, error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| wrong(directory, error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if suffixes.iter().any(|suffix| name.ends_with(suffix)) {
            paths.push(path);
        }
        if paths.len() > MAX_FILES {
            return Err(wrong(directory, format!("contains more than {MAX_FILES} templates")));
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_one(root: &Path, path: PathBuf) -> Result<TemplateFile, RenderError> {
    let real = path.canonicalize().map_err(|error| wrong(&path, error))?;
    if !real.starts_with(root) {
        return Err(wrong(
            &path,
            format!("is a link to {}, outside of the template directory", real.display()),
        ));
    }
    // Checked before opening the file, because opening a named pipe would block until a process writes to
    // it.
    if !fs::metadata(&real).map_err(|error| wrong(&path, error))?.is_file() {
        return Err(wrong(&path, "is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(&real)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong(&path, error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(wrong(&path, format!("is larger than {} KiB", MAX_FILE / 1024)));
    }
    let text = decode(bytes).map_err(|message| wrong(&path, message))?;
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| wrong(&path, "has a name that is not UTF-8"))?
        .to_owned();
    if let Some((line, variable)) = shell_variable(&text).filter(|_| name.ends_with(EXTENSION)) {
        return Err(RenderError::ShellVariable { path, line, variable });
    }
    Ok(TemplateFile { path, name, text })
}

/// The first variable of the manifests of 2017, with its line. Other `$NAME` may be meant for a shell in the
/// pod.
fn shell_variable(text: &str) -> Option<(usize, String)> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
    for (index, line) in lines {
        for (at, dollar) in line.match_indices('$') {
            let rest = &line[at + dollar.len()..];
            let rest = rest.strip_prefix('{').unwrap_or(rest);
            let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
            let name = name.filter(|name| name.starts_with(PREFIX) || VARIABLES.contains(name));
            if let Some(name) = name {
                return Some((index + 1, name.to_owned()));
            }
        }
    }
    None
}

/// Decodes UTF-8, or returns the reason why the bytes are not UTF-8.
fn decode(bytes: Vec<u8>) -> Result<String, &'static str> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("is UTF-16: save it as UTF-8");
    }
    if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        return Err("begins with a byte order mark: save it as UTF-8 without one");
    }
    // UTF-16 without a byte order mark: every second byte of ASCII characters is 0.
    if bytes.contains(&0) {
        return Err("contains NUL bytes: save it as UTF-8");
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8")
}

fn wrong(path: &Path, message: impl std::fmt::Display) -> RenderError {
    RenderError::File { path: path.to_owned(), message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Diagnose as _, Exit};

    fn directory(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        root
    }

    fn message(root: &tempfile::TempDir) -> String {
        read(root.path(), "crunchy").unwrap_err().to_string()
    }

    #[test]
    fn reads_templates_and_pieces_of_the_profile_only() {
        let root = directory(&[
            ("crunchy/b.yaml.j2", b"b"),
            ("crunchy/_a.j2", b"a"),
            ("crunchy/README", b"no"),
            ("postgres/c.yaml.j2", b"c"),
        ]);
        let names: Vec<_> =
            read(root.path(), "crunchy").unwrap().into_iter().map(|file| file.name).collect();
        assert_eq!(names, ["_a.j2", "b.yaml.j2"]);
    }

    #[test]
    fn a_directory_without_templates_is_refused_unless_another_profile_has_some() {
        assert!(message(&directory(&[("crunchy/_a.j2", b"")])).ends_with("contains no templates"));
        assert!(message(&directory(&[("x.yaml.j2", b"")])).ends_with("contains no templates"));
        let root = directory(&[("postgres/a.yaml.j2", b"")]);
        assert_eq!(read(root.path(), "crunchy").unwrap().len(), 0);
        assert!(read(&root.path().join("nowhere"), "crunchy").is_err());
    }

    #[test]
    fn manifests_that_are_not_templates_are_refused() {
        let article = [("set.json", &b"{}"[..]), ("pv1.json", b"{}"), ("run.sh", b"exit")];
        let root = directory(&article);
        let error = read(root.path(), "crunchy").unwrap_err();
        let shown = root.path().display();
        assert_eq!(
            error.to_string(),
            format!("{shown} contains manifests that are not templates: pv1.json, set.json")
        );
        let hints = error.hints();
        assert_eq!(hints[0], format!("templates are files named *.yaml.j2 in {shown}/crunchy"));
        assert!(hints[1].starts_with("the manifests of 2017 are not needed"), "{hints:?}");
        assert_eq!(hints[2], format!("pgset templates export {shown}"));
        assert_eq!(error.exit(), Exit::Usage);
        // Beside templates they would be ignored.
        let beside = [("crunchy/a.yaml.j2", &b"a"[..]), ("crunchy/statefulset.yaml", b"b")];
        let error = read(directory(&beside).path(), "crunchy").unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("/crunchy contains manifests that are not templates: statefulset.yaml")
        );
        assert_eq!(error.hints().len(), 2);
        // Another profile's directory, and the root beside a profile's directory, may contain anything.
        let fine = [("crunchy/a.yaml.j2", &b"a"[..]), ("x.json", b""), ("postgres/x.json", b"")];
        assert_eq!(read(directory(&fine).path(), "crunchy").unwrap().len(), 1);
    }

    #[test]
    fn variables_of_the_manifests_of_2017_are_refused() {
        let read = |text: &str| {
            let root = directory(&[("crunchy/set.yaml.j2", text.as_bytes())]);
            read(root.path(), "crunchy").map_err(|error| error.to_string())
        };
        for (text, words) in [
            (
                "{\n \"image\": \"crunchydata/crunchy-postgres:$CCP_IMAGE_TAG\"\n}",
                "line 2: contains $CCP_IMAGE_TAG,",
            ),
            ("server: ${LOCAL_IP}", "line 1: contains $LOCAL_IP,"),
            ("# $LOCAL_IP\npath: $BUILDBASE/x", "line 2: contains $BUILDBASE,"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(words), "{message}");
        }
        for text in ["# $LOCAL_IP", "a: $HOME", "a: ${{ set.name }}", "a: $", "a: $LOCAL_IPS"] {
            assert!(read(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn encodings_other_than_utf_8_are_refused_in_words() {
        for (bytes, words) in [
            (&b"\xef\xbb\xbfa: 1"[..], "byte order mark"),
            (b"\xff\xfea\0", "UTF-16"),
            (b"a\0:\0", "NUL"),
            (b"a: \xff", "not UTF-8"),
        ] {
            let message = message(&directory(&[("crunchy/a.yaml.j2", bytes)]));
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn a_large_file_is_refused() {
        let large = vec![b'#'; usize::try_from(MAX_FILE).unwrap() + 1];
        assert!(message(&directory(&[("crunchy/a.yaml.j2", &large)])).contains("larger than"));
    }

    #[cfg(unix)]
    #[test]
    fn links_may_lead_within_the_directory_but_not_out_of_it() {
        let outside = directory(&[("secret.j2", b"x")]);
        let root = directory(&[("crunchy/a.yaml.j2", b"x")]);
        std::os::unix::fs::symlink("a.yaml.j2", root.path().join("crunchy/b.yaml.j2")).unwrap();
        assert_eq!(read(root.path(), "crunchy").unwrap().len(), 2);
        std::os::unix::fs::symlink(
            outside.path().join("secret.j2"),
            root.path().join("crunchy/c.j2"),
        )
        .unwrap();
        assert!(message(&root).contains("outside of the template directory"));

        // A symbolic link to a directory outside of the template directory is refused, too.
        let root = directory(&[]);
        fs::rename(outside.path().join("secret.j2"), outside.path().join("a.yaml.j2")).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("crunchy")).unwrap();
        assert!(message(&root).contains("outside of the template directory"));
    }
}
