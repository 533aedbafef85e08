//! Files that commands write for the user.

use std::path::Path;

use anyhow::Context as _;

/// Writes a file. If it contains a secret, it is created readable only by its owner.
pub(crate) fn write(file: &Path, text: &str, secret: bool) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mode = if secret { 0o600 } else { 0o644 };
    let write = || {
        if secret {
            // The mode applies only when the file is created.
            let _ = std::fs::remove_file(file);
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(mode);
        options.open(file)?.write_all(text.as_bytes())
    };
    write().with_context(|| format!("writing {}", file.display()))
}
