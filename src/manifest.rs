//! Parses manifests into objects; defines the kinds that pgset applies, their order and their labels.

mod check;
mod emit;
mod error;
pub(crate) mod escape;
pub mod kind;
pub mod labels;
pub mod object;
pub mod parse;
mod rendered;
mod schema;
mod server;

pub use error::ManifestError;
pub use kind::Kind;
pub use object::{Object, ObjectId};
pub use rendered::Rendered;
pub use server::ServerVersion;
