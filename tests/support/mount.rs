//! A small file system for one test.

use std::path::PathBuf;
use std::process::Command;

/// A file system in memory. It is unmounted when this value is dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts the file system. `options` are those of `mount`: `size=100m`. Returns `None` if this user may
    /// not mount.
    pub(crate) fn new(path: PathBuf, options: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path);
        mount.output().is_ok_and(|output| output.status.success()).then(|| Self(path))
    }

    /// Changes the size: `size=200m`.
    pub(crate) fn resize(&self, size: &str) {
        let remounted =
            Command::new("mount").args(["-o", &format!("remount,{size}")]).arg(&self.0).status();
        assert!(remounted.unwrap().success());
    }

    /// The size of its contents, in kilobytes.
    pub(crate) fn used(&self) -> u64 {
        let used = Command::new("du").arg("-sk").arg(&self.0).output().unwrap().stdout;
        let used = String::from_utf8(used).unwrap();
        used.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}
