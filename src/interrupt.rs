//! Ctrl-C and SIGTERM.
//!
//! The first signal asks the command to stop starting new work: it finishes the requests under way,
//! says what was done and how to go on. The second ends at once: the command is dropped, and with it
//! every bar and prompt, so that the terminal is as it was.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Exit, Failure};

/// Whether somebody wants the command to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Interrupt(watch::Receiver<Option<Exit>>);

/// The other end of an [`Interrupt`].
#[derive(Debug)]
pub struct Interrupter(watch::Sender<Option<Exit>>);

/// A connected pair; nobody has interrupted yet.
#[must_use]
pub fn channel() -> (Interrupter, Interrupt) {
    let (sender, receiver) = watch::channel(None);
    (Interrupter(sender), Interrupt(receiver))
}

impl Interrupt {
    /// How to exit, if somebody interrupted.
    #[must_use]
    pub fn requested(&self) -> Option<Exit> {
        *self.0.borrow()
    }

    /// Waits until somebody interrupts.
    pub async fn wait(&self) -> Exit {
        let mut receiver = self.0.clone();
        loop {
            if let Some(exit) = *receiver.borrow_and_update() {
                return exit;
            }
            if receiver.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// An error if somebody interrupted: what was done, and the command that goes on.
    pub fn check(&self, done: impl FnOnce() -> String, next: &str) -> Result<(), Failure> {
        match self.requested() {
            Some(exit) => Err(interrupted(exit, &done(), next)),
            None => Ok(()),
        }
    }
}

/// The error of an interrupted command.
#[must_use]
pub fn interrupted(exit: Exit, done: &str, next: &str) -> Failure {
    let signal = if exit == Exit::Terminated { "terminated" } else { "interrupted" };
    Failure::new(exit, format!("{signal}: {done}")).hint(format!("{next}  # goes on"))
}

impl Interrupter {
    /// Listens to SIGINT and SIGTERM: tells the command of the first, returns with the second.
    ///
    /// # Errors
    /// When the signal handlers can't be installed.
    pub async fn listen(self) -> std::io::Result<Exit> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        loop {
            let exit = tokio::select! {
                _ = interrupt.recv() => Exit::Interrupted,
                _ = terminate.recv() => Exit::Terminated,
            };
            if self.0.borrow().is_some() {
                return Ok(exit);
            }
            // Nobody listens any more: the command is about to end by itself.
            let _ = self.0.send(Some(exit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_hears_of_it() {
        let (interrupter, interrupt) = channel();
        let other = interrupt.clone();
        assert!(interrupt.check(String::new, "").is_ok());
        interrupter.0.send(Some(Exit::Interrupted)).unwrap();
        assert_eq!(other.wait().await, Exit::Interrupted);
        let error = interrupt.check(|| "2 of 9 objects applied".into(), "pgset up").unwrap_err();
        assert_eq!(error.to_string(), "interrupted: 2 of 9 objects applied");
        assert_eq!(error.exit, Exit::Interrupted);
    }
}
