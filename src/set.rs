//! The replica set as a value: who it is, what belongs to it, who its master is, which rights it takes.
//! Pure.

pub mod identity;
pub mod objects;
pub mod passwords;
pub mod rights;
pub mod topology;

pub use identity::SetIdentity;
pub use topology::{Role, Topology};
