//! The replica set as a value: its name, its objects, its master, and the RBAC rights that it needs. Pure.

pub mod account;
pub mod identity;
pub mod knowledge;
pub mod last_change;
pub mod lease;
pub mod newest;
pub mod objects;
mod origin;
pub mod passwords;
pub mod rejoin;
pub mod rights;
mod role;
pub mod run_state;
pub mod topology;
pub mod transition;

pub use identity::SetIdentity;
pub use knowledge::Knowledge;
pub use last_change::LastChange;
pub use origin::Origin;
pub use role::Role;
pub use run_state::{RunState, StopRecord};
pub use topology::Topology;
pub use transition::Transition;
