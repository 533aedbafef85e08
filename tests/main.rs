//! The tests: one binary, a module each.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails there and then")]

mod bootstrap;
mod e2e;
mod forgotten;
mod generated;
mod harness;
mod render;
mod scripted;
mod support;
