//! Reads a password from a file or from stdin. pgset accepts no password on the command line.

use std::io::{IsTerminal as _, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;

use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::settings::credentials::check_password;
use crate::settings::{Settings, SettingsError, Source};
use crate::values::Secret;

const FLAG: Source = Source::Flag("--password-file");
/// The maximum size. A longer file is not a password, but was named by mistake.
const LIMIT: u64 = 4096;

/// Reads and checks the password of `--password-file`, before any request is sent.
///
/// # Errors
/// When it can't be read, every user of this machine can read it, or the image does not support it.
pub(crate) async fn password(
    file: &Path,
    unquoted: bool,
    context: &Context,
) -> anyhow::Result<Secret> {
    let bytes = if file == Path::new("-") { from_stdin(context).await? } else { from_file(file)? };
    let refused = |reason: &str| Failure::new(Exit::Usage, format!("{} {reason}", shown(file)));
    if bytes.len() as u64 > LIMIT {
        return Err(refused("is too long for a password").into());
    }
    let text = String::from_utf8(bytes).map_err(|_| refused("is not valid UTF-8"))?;
    let (password, warning) = check_password(&text, unquoted)
        .map_err(|invalid| SettingsError::hidden("password", FLAG, invalid))?;
    if let Some(warning) = warning {
        context.warn(format!("{}: {warning}", shown(file)));
    }
    Ok(password)
}

/// The password of `up --password-file`. `settings` are known if they don't depend on the recipe.
///
/// # Errors
/// The errors of [`password`].
pub(crate) async fn before_requests(
    file: Option<&PathBuf>,
    context: &Context,
    settings: Option<&Settings>,
) -> anyhow::Result<Option<Secret>> {
    let Some(file) = file else { return Ok(None) };
    let unquoted =
        settings.is_some_and(|settings| settings.profile.capabilities().writes_unquoted_sql);
    Ok(Some(password(file, unquoted, context).await?))
}

fn shown(file: &Path) -> String {
    if file == Path::new("-") { "stdin".to_owned() } else { file.display().to_string() }
}

async fn from_stdin(context: &Context) -> anyhow::Result<Vec<u8>> {
    if std::io::stdin().is_terminal() {
        // The terminal would show what the user types.
        return Err(Failure::new(
            Exit::Usage,
            "--password-file - reads stdin, which is a terminal",
        )
        .hint(format!("pass show db/user | {}", context.again))
        .into());
    }
    let mut bytes = Vec::new();
    let mut stdin = tokio::io::stdin().take(LIMIT + 1);
    tokio::select! {
        read = stdin.read_to_end(&mut bytes) => read.context("reading the password from stdin")?,
        exit = context.interrupt.wait() => {
            let done = "nothing was changed";
            return Err(crate::interrupt::interrupted(exit, done, &context.again).into());
        }
    };
    Ok(bytes)
}

fn from_file(file: &Path) -> anyhow::Result<Vec<u8>> {
    let failed = |e: std::io::Error| {
        Failure::new(Exit::Usage, format!("password file {} can't be read: {e}", file.display()))
    };
    let mut opened = std::fs::File::open(file).map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    if metadata.is_dir() {
        let message = format!("password file {} is a directory", file.display());
        return Err(Failure::new(Exit::Usage, message).into());
    }
    // A pipe of the shell (`<(pass show db)`) is private, whatever its mode.
    if metadata.is_file() && metadata.mode() & 0o004 != 0 {
        let message = format!("password file {} can be read by every user", file.display());
        return Err(Failure::new(Exit::Usage, message)
            .hint(format!("chmod 600 {}", crate::text::shell_word(&file.to_string_lossy())))
            .into());
    }
    let mut bytes = Vec::new();
    (&mut opened).take(LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_everybody_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        std::fs::write(&file, "s3cret\n").unwrap();
        let mode = |mode| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(0o644);
        let error = from_file(&file).unwrap_err();
        let report = crate::error::Report::of(&error, crate::error::diagnosed::<Failure>);
        assert_eq!(report.exit, Exit::Usage);
        assert!(report.hints[0].starts_with("chmod 600 "), "{report:?}");
        mode(0o640);
        assert_eq!(from_file(&file).unwrap(), b"s3cret\n");
        assert!(from_file(directory.path()).unwrap_err().to_string().contains("is a directory"));
        let missing = from_file(&directory.path().join("none")).unwrap_err();
        assert_eq!(
            crate::error::Report::of(&missing, crate::error::diagnosed::<Failure>).exit,
            Exit::Usage
        );
    }
}
