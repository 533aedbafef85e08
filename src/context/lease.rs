//! The Lease that the running command holds, if it holds one.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::cluster::lease::{HeldLease, Loss};
use crate::error::{Diagnose, Exit};
use crate::set::lease::Holder;
use crate::values::random_id;

/// Where the Lease of the running command is kept.
#[derive(Default)]
pub struct LeaseSlot {
    held: Mutex<Option<Arc<HeldLease>>>,
    holder: OnceLock<Holder>,
    /// Locked while the command tries to get the Lease.
    pub(crate) acquiring: tokio::sync::Mutex<()>,
}

impl LeaseSlot {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<HeldLease>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names the command: `up`. Returns false if it was named before.
    pub(crate) fn name(&self, command: &str, user: String) -> bool {
        let command = format!("{} {command}", crate::text::PROGRAM);
        let id = random_id();
        self.holder.set(Holder { command, user, id }).is_ok()
    }

    /// Who this command is, for other commands.
    pub(crate) fn holder(&self) -> Holder {
        let unnamed = || Holder {
            command: crate::text::PROGRAM.to_owned(),
            user: String::new(),
            id: random_id(),
        };
        self.holder.get_or_init(unnamed).clone()
    }

    /// Whether this is the command of that name: `switchover`.
    pub(crate) fn is_named(&self, command: &str) -> bool {
        let command = format!("{} {command}", crate::text::PROGRAM);
        self.holder.get().is_some_and(|holder| holder.command == command)
    }

    /// The Lease that the command holds.
    pub(crate) fn held(&self) -> Option<Arc<HeldLease>> {
        self.lock().clone()
    }

    /// Keeps the Lease of which the command has become the holder.
    pub(crate) fn keep(&self, lease: HeldLease) {
        *self.lock() = Some(Arc::new(lease));
    }

    /// Waits until the command is known to have lost its Lease. Without a Lease it waits without end.
    pub(crate) async fn lost(&self) -> Loss {
        match self.held() {
            Some(held) => held.lost().await,
            None => std::future::pending().await,
        }
    }

    /// Deletes the Lease at the end of the command.
    pub(crate) async fn release(&self) {
        let held = self.lock().take();
        if let Some(held) = held.and_then(Arc::into_inner) {
            held.release().await;
        }
    }
}

/// Another command has changed the set since this one made its plan, or this one has moved the master: the plan must be
/// made again. The command now holds the Lease, so this happens once for each reason.
#[derive(Debug, thiserror::Error)]
#[error("another command has changed the set since this one read it")]
pub(crate) struct PlanAgain {
    /// The command line that runs it again.
    pub again: String,
}

impl Diagnose for PlanAgain {
    fn exit(&self) -> Exit {
        Exit::Refused
    }

    fn hints(&self) -> Vec<String> {
        vec![self.again.clone()]
    }
}
