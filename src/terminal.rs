//! The terminal that somebody types on: raw while a program elsewhere reads it, and as it was after.

use std::io::{self, IsTerminal, Write as _};

use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
};

/// What undoes that a program left behind when it could not do so itself: bracketed paste, application
/// keys, a hidden cursor, colours.
const UNDO: &[u8] = b"\x1b[?2004l\x1b[?1l\x1b>\x1b[?25h\x1b[0m\r\n";

/// Whether stdin and stdout are both a terminal: then somebody types, and sees what comes back.
#[must_use]
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Columns and rows of the terminal at stdout.
#[must_use]
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// The terminal at stdin in raw mode: every key, Ctrl-C among them, is read as it is. Dropping it
/// restores the terminal, also when a panic or a cancelled future does.
#[derive(Debug)]
pub struct Raw {
    before: Termios,
    /// Whether the program at the other end had the time to tidy up.
    ended_well: bool,
}

impl Raw {
    /// Puts the terminal into raw mode.
    ///
    /// # Errors
    /// When stdin is no terminal.
    pub fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before, ended_well: false })
    }

    /// The program ended by itself, and left the terminal as it should be.
    pub fn ended_well(&mut self) {
        self.ended_well = true;
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if !self.ended_well {
            let mut stdout = io::stdout();
            // A terminal that is gone needs no tidying.
            let _ = stdout.write_all(UNDO).and_then(|()| stdout.flush());
        }
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Sets the terminal at stdin, if this is whom it listens to: a process in the background that touched it
/// would be stopped (SIGTTOU), and the shell looks after the terminal by itself then.
fn set(attributes: &Termios) {
    if tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp()) {
        // Where it fails the terminal stays as it is.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, attributes);
    }
}

/// The terminal at stdin as it is now; dropping it brings that back, whatever happened meanwhile: a
/// prompt that was interrupted while it read a key leaves the terminal raw.
#[derive(Debug)]
pub struct Kept(Option<Termios>);

impl Kept {
    /// Remembers it; nothing where stdin is no terminal.
    #[must_use]
    pub fn now() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }

    /// The same, and Ctrl-C shows no `^C` until it is dropped. Live lines end at the terminal's right
    /// edge, so that what is echoed there begins a line of its own, and all of them are drawn once more,
    /// one line too low. Should nobody live to bring it back, the `^C` is all that is missing.
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
