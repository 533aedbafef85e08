//! All tests, in one binary with a module for each file or directory.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails there and then")]

mod architecture;
mod bootstrap;
mod e2e;
mod forgotten;
mod generated;
mod harness;
mod render;
mod rights;
#[cfg(feature = "sandbox")]
mod sandbox;
mod scripted;
mod support;
#[cfg(feature = "sandbox")]
mod transcripts;
mod words;
