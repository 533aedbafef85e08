//! Events and errors to text: for a person at a terminal, for a log, for a script.
//!
//! [`display()`] decides once how output looks, from flags and terminal. A [`Reporter`] is the
//! handle that commands emit events to; it is cheap to clone. What a user asked for (YAML, a table)
//! goes to stdout by [`Reporter::print`]; events go to stderr, or to stdout as JSON lines.

pub mod display;
pub mod failure;
mod interactive;
mod json;
mod lines;
mod plain;
mod reporter;
mod stream;

pub use display::{ColorChoice, Display, Flags, Mode, Output, Terminal, display};
pub use lines::{name, sanitize};
pub use reporter::Reporter;
pub use stream::Buffer;
