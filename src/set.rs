//! The replica set as a value: who it is, what belongs to it, who its master is, which rights it takes.
//! Pure.

pub mod identity;
pub mod objects;
mod origin;
pub mod passwords;
pub mod rights;
mod role;
pub mod topology;

pub use identity::SetIdentity;
pub use origin::Origin;
pub use role::Role;
pub use topology::Topology;
