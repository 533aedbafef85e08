//! The user's terminal: raw mode while a remote program reads it, and its restoration afterwards.

use std::io::{self, IsTerminal, Write as _};

use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
};

/// Resets what a program could not reset itself: bracketed paste, application keys, a hidden cursor, colours.
const UNDO: &[u8] = b"\x1b[?2004l\x1b[?1l\x1b>\x1b[?25h\x1b[0m\r\n";

/// Whether both stdin and stdout are terminals, so that a user types and sees the output.
#[must_use]
pub fn is_interactive() -> bool {
    is_typed() && io::stdout().is_terminal()
}

/// Whether stdin is a terminal.
#[must_use]
pub fn is_typed() -> bool {
    io::stdin().is_terminal()
}

/// Columns and rows of the terminal at stdout.
#[must_use]
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// The terminal at stdin in raw mode: every key, including Ctrl-C, is read unchanged. Dropping it restores
/// the terminal, also after a panic or when a future is cancelled.
#[derive(Debug)]
pub struct Raw {
    before: Termios,
    /// Whether the remote program ended normally and has reset the terminal.
    ended_well: bool,
}

impl Raw {
    /// Puts the terminal into raw mode.
    ///
    /// # Errors
    /// When stdin is not a terminal.
    pub fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before, ended_well: false })
    }

    /// Records that the program ended normally and has reset the terminal.
    pub fn ended_well(&mut self) {
        self.ended_well = true;
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if !self.ended_well {
            let mut stdout = io::stdout();
            // If the terminal is gone, there is nothing to reset.
            let _ = stdout.write_all(UNDO).and_then(|()| stdout.flush());
        }
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Sets the terminal at stdin, if this process is in the foreground. A background process would be stopped
/// (SIGTTOU); in that case the shell restores the terminal itself.
fn set(attributes: &Termios) {
    if tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp()) {
        // If this fails, the terminal stays as it is.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, attributes);
    }
}

/// The current settings of the terminal at stdin. Dropping it restores them: an interrupted prompt leaves the
/// terminal raw.
#[derive(Debug)]
pub struct Kept(Option<Termios>);

impl Kept {
    /// Saves the settings; does nothing if stdin is not a terminal.
    #[must_use]
    pub fn now() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }

    /// The same, but Ctrl-C echoes no `^C` until it is dropped. Live lines fill the terminal's width, so
    /// an echoed `^C` would wrap, and the next redraw would be one line too low. If the process is killed
    /// before it restores the settings, only the `^C` is missing.
    #[must_use]
    pub fn without_echo_of_signals() -> Self {
        let kept = Self::now();
        if let Some(before) = &kept.0 {
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ECHOCTL);
            set(&quiet);
        }
        kept
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            set(before);
        }
    }
}
