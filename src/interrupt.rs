//! Handles Ctrl-C and SIGTERM.
//!
//! After the first signal, the command starts no new work. It finishes the current requests, reports what
//! was done and how to resume. The second signal ends the command immediately: the command is dropped with
//! all bars and prompts, which restores the terminal.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Exit, Failure};

/// Whether the command was asked to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Interrupt(watch::Receiver<Option<Exit>>);

/// The other end of an [`Interrupt`].
#[derive(Debug)]
pub struct Interrupter(watch::Sender<Option<Exit>>);

/// Creates a connected pair without an interrupt.
#[must_use]
pub fn channel() -> (Interrupter, Interrupt) {
    let (sender, receiver) = watch::channel(None);
    (Interrupter(sender), Interrupt(receiver))
}

impl Interrupt {
    /// The exit code, if a signal has arrived.
    #[must_use]
    pub fn requested(&self) -> Option<Exit> {
        *self.0.borrow()
    }

    /// Waits for the first signal.
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

    /// Returns an error if a signal has arrived. The error says what was done and which command resumes.
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
    Failure::new(exit, format!("{signal}: {done}")).hint(format!("{next}  # resumes"))
}

impl Interrupter {
    /// Handles SIGINT and SIGTERM: notifies the command of the first signal, returns at the second.
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
            // If nobody receives it, the command is about to end anyway.
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
