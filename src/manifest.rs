//! Manifests: text to objects, the kinds that pgset is willing to apply, their order and labels.

pub mod kind;
pub mod object;
pub mod parse;

pub use kind::Kind;
pub use object::{Object, ObjectId};
