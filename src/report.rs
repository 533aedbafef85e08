//! Formats events and errors: for people at a terminal, for logs, for scripts.
//!
//! [`display()`] decides once how output looks, from flags and terminal. Commands emit events to a
//! [`Reporter`], which is cheap to clone. Requested output (YAML, a table) goes to stdout with
//! [`Reporter::print`]. Events go to stderr, or as JSON lines to stdout.

pub mod display;
pub mod failure;
mod interactive;
mod json;
mod lines;
mod plain;
mod reporter;
mod stream;
mod summary;

pub use display::{ColorChoice, Detail, Display, Flags, Mode, Output, Terminal, display};
pub use lines::{name, sanitize};
pub use reporter::Reporter;
pub use stream::Buffer;
