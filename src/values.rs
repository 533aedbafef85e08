//! Newtypes for values. A value is validated once, when it is parsed.

pub mod duration;
mod invalid;
mod lsn;
pub mod names;
pub mod quantity;
mod reserved;
pub mod secret;

pub use invalid::Invalid;
pub use lsn::Lsn;
pub use names::{DatabaseName, Namespace, Replicas, RoleName, SetName, VolumePrefix};
pub use quantity::Quantity;
pub use secret::{Secret, random_id};
