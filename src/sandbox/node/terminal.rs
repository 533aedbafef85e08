//! A pseudo-terminal: the process has one end, the client the other.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Stdio;

use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::process::Child;

use super::environment::Setting;

/// The client's end.
pub(crate) struct Terminal(OwnedFd);

impl Terminal {
    /// Starts a command on a new terminal. Dropping this end hangs up the terminal.
    pub(crate) fn start(setting: &Setting, argv: &[String]) -> io::Result<(Child, Self)> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let path = Path::new(OsStr::from_bytes(name.as_bytes()));
        if let Some(user) = setting.user() {
            chown(path, Some(user.uid), None)?;
        }
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = open(path, flags, Mode::empty())?;
        // A new session with this terminal as its controlling terminal.
        let mut words = ["setsid", "--ctty", "--wait"].map(str::to_owned).to_vec();
        words.extend_from_slice(argv);
        let mut command = setting.command(&words);
        command.env("TERM", "xterm").kill_on_drop(true);
        command.stdin(Stdio::from(slave.try_clone()?)).stdout(Stdio::from(slave.try_clone()?));
        command.stderr(Stdio::from(slave));
        let child = command.spawn()?;
        fcntl_setfl(&master, OFlags::NONBLOCK)?;
        Ok((child, Self(master)))
    }

    /// The output of the process. Reading fails once no process has the other end open.
    pub(crate) fn output(&self) -> io::Result<Receiver> {
        Receiver::from_owned_fd_unchecked(self.0.try_clone()?)
    }

    /// The input of the process.
    pub(crate) fn input(&self) -> io::Result<Sender> {
        Sender::from_owned_fd_unchecked(self.0.try_clone()?)
    }

    /// Sets the terminal's size: `{"Width": 80, "Height": 24}`.
    pub(crate) fn resize(&self, size: &[u8]) {
        let size: Value = serde_json::from_slice(size).unwrap_or_default();
        let number = |field: &str| size[field].as_u64().and_then(|n| u16::try_from(n).ok());
        if let (Some(columns), Some(rows)) = (number("Width"), number("Height")) {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            // This fails only for a terminal that is gone.
            let _ = tcsetwinsize(&self.0, size);
        }
    }
}
