//! One file per subcommand: orchestration only. What is decided is decided in the pure modules.

pub(crate) mod again;
pub mod apply;
pub(crate) mod configure;
pub mod connect;
pub mod context;
pub mod desired;
pub mod diff;
pub mod down;
pub mod environment;
pub mod erase;
pub(crate) mod facts;
pub(crate) mod given;
pub(crate) mod grow;
pub mod live;
pub(crate) mod named;
pub mod password;
pub mod psql;
pub mod render;
pub mod rights;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod scale;
pub(crate) mod slots;
pub mod sql;
pub mod status;
pub mod templates;
pub mod test;
pub(crate) mod tls;
pub(crate) mod topology;
pub mod up;
pub mod wait;

pub use context::Context;

use std::path::Path;

use anyhow::Context as _;

/// Writes a file; one that holds a secret is readable by its owner alone from the start.
pub(crate) fn write_file(file: &Path, text: &str, secret: bool) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mode = if secret { 0o600 } else { 0o644 };
    let write = || {
        if secret {
            // The mode counts only for a new file.
            let _ = std::fs::remove_file(file);
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(mode);
        options.open(file)?.write_all(text.as_bytes())
    };
    write().with_context(|| format!("writing {}", file.display()))
}
