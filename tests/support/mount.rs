//! A small file system of a test's own.

use std::path::PathBuf;
use std::process::Command;

/// In memory; unmounted at the end.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// `options` are mount's: `size=100m`. None where this user may not mount.
    pub(crate) fn new(path: PathBuf, options: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path);
        mount.output().is_ok_and(|output| output.status.success()).then(|| Self(path))
    }

    /// `size=200m`, from now on.
    pub(crate) fn resize(&self, size: &str) {
        let remounted =
            Command::new("mount").args(["-o", &format!("remount,{size}")]).arg(&self.0).status();
        assert!(remounted.unwrap().success());
    }

    /// What is in it, in kilobytes.
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
